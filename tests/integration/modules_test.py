"""All commands find an environment's module in the current folder."""

import os
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import pytest

from experiments.launch import processes
from learner.storage import workdir as workdir_lib
from seed_metagrad import config as config_lib
from tests.repository import sources

pytestmark = pytest.mark.integration

_ENV = 'gym:here_only:Any-v0'
_FOUND = 77  # Exit status of whoever imports the module.
_STUDY = f"""
title = "One"
preset = "smoke"
games = ["{_ENV}"]
seeds = [1]
protocols = ["noop"]
variants = [{{learned = [], reference_discount = 0.99}}]
"""


class ModulesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (self.folder / 'here_only.py').write_text(
      f'import os\nos._exit({_FOUND})\n'
    )
    # As the console script: its own folder is the first to be looked in.
    self.script = self.folder / 'bin/seed-metagrad'
    self.script.parent.mkdir()
    self.script.write_text('from experiments import cli\ncli.main()\n')

  @parameterized.parameters(
    ('actor', f'--env={_ENV}'),
    ('compare', '--study=study.toml', '--workdir=study'),
    ('evaluate', '--checkpoint=run'),
    ('learner', f'--env={_ENV}', '--workdir=new'),
    ('play', '--checkpoint=run', f'--env={_ENV}'),
    ('record-starts', f'--env={_ENV}', '--out=starts.json'),
    ('train', f'--env={_ENV}', '--workdir=new', '--preset=smoke'),
  )
  def test_a_command_finds_it(self, *arguments):
    (self.folder / 'study.toml').write_text(_STUDY)
    config = config_lib.preset('smoke', env=_ENV)
    with workdir_lib.open_workdir(self.folder / 'run', config) as workdir:
      (workdir / 'checkpoints').mkdir()
      (workdir / 'checkpoints/checkpoint_1.npz').touch()
    ended = subprocess.run(
      [sys.executable, self.script, *arguments],
      cwd=self.folder,
      env={**os.environ, 'PYTHONPATH': str(sources.ROOT)},
      capture_output=True,
      text=True,
      timeout=90,
    )
    self.assertEqual(ended.returncode, _FOUND, ended.stderr)

  def test_processes_on_other_nodes_look_there_as_well(self):
    self.assertIn(os.getcwd(), processes.python_path().split(os.pathsep))


if __name__ == '__main__':
  absltest.main()
