"""The wheel, installed without the checkout, trains and evaluates."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile

from absl.testing import absltest
import pytest

from tests.repository import sources

pytestmark = pytest.mark.integration

_DEADLINE_SECS = 280.0  # On a busy machine.
_PROJECT = ('LICENSE', 'README.md', 'pyproject.toml')


def _run(*command: object, cwd: pathlib.Path) -> str:
  """Returns what a command that must succeed prints."""
  environ = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  done = subprocess.run(
    [str(argument) for argument in command],
    cwd=cwd,
    env=environ,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    timeout=_DEADLINE_SECS,
    check=False,
  )
  assert done.returncode == 0, done.stdout
  return done.stdout


def _build(folder: pathlib.Path) -> pathlib.Path:
  """Builds the wheel from a copy: setuptools leaves files where it builds."""
  ignored = shutil.ignore_patterns('__pycache__')
  for name in sources.PACKAGES:
    if name != 'tests':
      shutil.copytree(sources.ROOT / name, folder / name, ignore=ignored)
  for name in _PROJECT:
    shutil.copy(sources.ROOT / name, folder)
  options = ('--no-deps', '--no-build-isolation', '--wheel-dir=dist')
  _run(sys.executable, '-m', 'pip', 'wheel', *options, '.', cwd=folder)
  (wheel,) = (folder / 'dist').glob('*.whl')
  return wheel


def _install(wheel: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
  """Returns the commands of an environment with the wheel in it.

  Its requirements are those of this process: to install them takes minutes.
  The checkout, which may be installed there, is not seen through a .pth file.
  """
  venv.create(folder)
  paths = sysconfig.get_paths(vars={'base': str(folder)})
  required = pathlib.Path(paths['purelib'], 'required.pth')
  required.write_text(sysconfig.get_path('purelib'))
  _run(
    *(sys.executable, '-m', 'pip', f'--python={folder}/bin/python'),
    *('install', '--no-deps', '--no-index', wheel),
    cwd=folder,
  )
  return folder / 'bin'


class WheelTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  @pytest.mark.timeout(600)
  def test_wheel_trains_and_evaluates_in_an_empty_folder(self):
    (self.folder / 'source').mkdir()
    wheel = _build(self.folder / 'source')
    with self.subTest('has every file of the packages'):
      files = {
        path.relative_to(sources.ROOT).as_posix()
        for name in sources.PACKAGES
        for path in (sources.ROOT / name).rglob('*.*')
        if name != 'tests' and path.suffix not in ('.md', '.pyc')
      }
      self.assertEmpty(files - {*zipfile.ZipFile(wheel).namelist()})

    commands = _install(wheel, self.folder / 'venv')
    empty = self.folder / 'empty'
    empty.mkdir()
    with self.subTest('is what runs'):
      file = _run(
        commands / 'python', '-c', 'import learner as l; print(l.__file__)',
        cwd=empty,
      )  # fmt: skip
      self.assertStartsWith(file, str(self.folder / 'venv'))

    seed_metagrad = commands / 'seed-metagrad'
    _run(
      *(seed_metagrad, 'train', '--preset=smoke', '--total_env_frames=20000'),
      '--workdir=run',
      cwd=empty,
    )
    summary = json.loads((empty / 'run' / 'summary.json').read_text())
    self.assertGreaterEqual(summary['env_frames'], 20000)
    _run(
      *(seed_metagrad, 'evaluate', '--checkpoint=run', '--episodes=3'),
      '--out=scores',
      cwd=empty,
    )
    summary = json.loads((empty / 'scores' / 'summary.json').read_text())
    self.assertEqual(summary['episodes'], 3)
    self.assertBetween(summary['mean'], -1.0, 1.0)


if __name__ == '__main__':
  absltest.main()
