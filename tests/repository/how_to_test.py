"""The examples of docs/how_to work, and touch as many files as they say."""

import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import pytest

from tests.repository import pages
from tests.repository import sources

pytestmark = pytest.mark.integration

_ENVIRONMENT = 'seed_metagrad/environments/echo.py'


def _text(page: str) -> str:
  return (sources.ROOT / 'docs' / 'how_to' / page).read_text()


def _promised(page: str) -> int:
  """How many source files the index says a thing takes."""
  for row in pages.table(_text('index.md'), 'How to add'):
    if f'({page})' in row[0]:
      return int(row[1])
  raise AssertionError(f'{page} is not in the index')


def _contents(folder: pathlib.Path) -> dict[str, bytes]:
  return {
    path.relative_to(folder).as_posix(): path.read_bytes()
    for path in folder.rglob('*.py')
  }


class HowToTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.tree = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    for name in sources.PACKAGES:
      if name != 'tests':
        shutil.copytree(sources.ROOT / name, self.tree / name)

  def apply(self, page: str) -> int:
    """Does what a page shows; returns how many files that changed."""
    before = _contents(self.tree)
    for program in pages.blocks(_text(page), 'python'):
      (self.tree / _ENVIRONMENT).write_text(program)
    for diff in pages.blocks(_text(page), 'diff'):
      subprocess.run(
        # As little context as possible: the rows beside may change.
        ['git', 'apply', '--unidiff-zero', '--recount', '-'],
        cwd=self.tree,
        input=f'{diff}\n',
        text=True,
        check=True,
      )
    after = _contents(self.tree)
    return sum(before.get(path) != text for path, text in after.items())

  def train(self, page: str) -> pathlib.Path:
    """Calls the page's command for a few updates; returns the workdir."""
    (command,) = [
      text
      for text in pages.code(_text(page))
      if text.startswith('seed-metagrad train')
    ]
    _, _, *flags = command.split()
    done = subprocess.run(
      [sys.executable, '-m', 'experiments.cli', 'train', *flags]
      + ['--total_env_frames=480', '--num_actors=1'],
      cwd=self.tree,
      env={**os.environ, 'PYTHONPATH': str(self.tree)},
      text=True,
      capture_output=True,
      timeout=150,
    )
    self.assertEqual(done.returncode, 0, done.stderr)
    (workdir,) = re.findall(r'--workdir=(\S+)', command)
    return self.tree / workdir

  @pytest.mark.timeout(200)
  def test_your_own_environment_is_checked_trained_and_evaluated(self):
    text = (sources.ROOT / 'docs' / 'your_environment.md').read_text()
    folder = self.tree / 'mine'
    folder.mkdir()
    (program,) = pages.blocks(text, 'python')
    (folder / 'my_games.py').write_text(program)
    commands = [
      code for code in pages.code(text) if code.startswith('seed-metagrad ')
    ]
    printed = []
    shorter = (
      ('--workdir=.',),
      ('--total_env_frames=1000', '--num_actors=1'),
      ('--episodes=2',),
    )
    for command, fewer in zip(commands, shorter, strict=True):
      _, *words = command.split()
      done = subprocess.run(
        [sys.executable, '-m', 'experiments.cli', *words, *fewer],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': str(self.tree)},
        text=True,
        capture_output=True,
        timeout=150,
      )
      self.assertEqual(done.returncode, 0, done.stderr)
      printed.append(done.stdout)
    self.assertIn(
      'ok       environment  gym:my_games:Hold-v0: 200 steps; shows float32 '
      '[1], takes 1 continuous numbers',
      printed[0],
    )
    self.assertTrue((folder / 'runs/hold/curves.png').exists())
    self.assertLen([*(folder / 'runs/hold/evaluation').glob('noop_*')], 1)

  @pytest.mark.timeout(200)
  @parameterized.parameters(
    'environment.md', 'meta_parameter.md', 'network.md', 'outer_objective.md'
  )
  def test_example_touches_the_promised_files_and_trains(self, page):
    self.assertEqual(self.apply(page), _promised(page))
    workdir = self.train(page)
    summary = json.loads((workdir / 'summary.json').read_text())
    self.assertGreaterEqual(summary['env_frames'], 480)
    config = json.loads((workdir / 'config.json').read_text())
    with open(workdir / 'metrics.csv', newline='', encoding='utf-8') as file:
      columns = next(csv.reader(file))
    if page == 'environment.md':
      self.assertEqual(config['env'], 'echo')
    if page == 'meta_parameter.md':
      self.assertIn('logit_cost', columns)
      self.assertIn('meta_gradient_logit_cost', columns)


if __name__ == '__main__':
  absltest.main()
