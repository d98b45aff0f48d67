"""Lock-step over real gRPC: equal runs are equal, and resumes are exact."""

import csv
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest

from learner.inference import lockstep
from learner.storage import checkpoints
from seed_metagrad import config as config_lib
from tests.repository import sources
from tests.support import fakes

pytestmark = pytest.mark.integration

_DEADLINE_SECS = 100.0
_FRAMES_PER_UPDATE = 8 * 20  # batch_size * unroll_length.
# A workdir of commit 157c8a8, stopped at 1040 of 2000 frames.
_VERSION_1 = sources.ROOT / 'tests/learner/storage/testdata/version_1'
_CLOCK = ('seconds', 'frames_per_s')  # The only columns that may differ.


class Run:
  """A learner and its actors on Catch, each with two groups."""

  def __init__(self, test, folder, total_env_frames, envs_per_group, *flags):
    self.workdir = folder / 'workdir'
    self._address = folder / 'address'
    self._address.unlink(missing_ok=True)
    self._test = test
    self.learner = self._start(
      'learner.main',
      '--preset=smoke',
      '--lockstep',
      f'--envs_per_group={envs_per_group}',
      f'--total_env_frames={total_env_frames}',
      '--checkpoints_kept=100',
      '--checkpoint_secs=0.000001',
      f'--workdir={self.workdir}',
      f'--address_file={self._address}',
      *flags,
    )
    self._envs_per_group = envs_per_group

  def start_actors(self, order):
    fakes.wait_until(self._address.exists)
    self.actors = [
      self._start(
        'actors.main',
        f'--address={self._address.read_text()}',
        f'--index={index}',
        '--env=catch',
        f'--envs_per_group={self._envs_per_group}',
      )
      for index in order
    ]

  def finish(self):
    _, stderr = self.learner.communicate(timeout=_DEADLINE_SECS)
    self._test.assertEqual(self.learner.returncode, 0, stderr)
    for actor in self.actors:
      actor.terminate()
      actor.communicate(timeout=_DEADLINE_SECS)

  def checkpoints(self):
    return checkpoints.paths(self.workdir / 'checkpoints')

  def _start(self, module, *flags):
    process = subprocess.Popen(
      [sys.executable, '-m', module, *flags],
      cwd=sources.ROOT,
      text=True,
      stderr=subprocess.PIPE,
    )

    def end():
      process.kill()
      process.communicate()

    self._test.addCleanup(end)
    return process


def _rows(run):
  with open(run.workdir / 'metrics.csv', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  return [
    {name: value for name, value in row.items() if name not in _CLOCK}
    for row in rows
  ]


def _arrays(path):
  """Everything of a checkpoint but the JSON, which holds seconds."""
  with np.load(path) as npz:
    return {name: npz[name] for name in npz.files if name != 'extra'}


class LockStepTest(parameterized.TestCase):
  def start(self, num_updates, folder=None, flags=()):
    folder = folder or self.enterContext(tempfile.TemporaryDirectory())
    return Run(
      self, pathlib.Path(folder), num_updates * _FRAMES_PER_UPDATE, 4, *flags
    )

  def assert_same(self, one, other):
    self.assertEqual(_rows(one), _rows(other))
    self.assertEqual(
      (one.workdir / 'episodes.csv').read_text(),
      (other.workdir / 'episodes.csv').read_text(),
    )
    ours, theirs = (_arrays(run.checkpoints()[0]) for run in (one, other))
    self.assertEqual(ours.keys(), theirs.keys())
    for name, array in ours.items():
      self.assertEqual(array.tobytes(), theirs[name].tobytes(), name)

  @parameterized.parameters(((),), (('--core=lstm', '--core_units=8'),))
  @pytest.mark.timeout(400)
  def test_equal_runs_are_equal_and_a_resume_is_exact(self, flags):
    uninterrupted = self.start(30, flags=flags)
    uninterrupted.start_actors([0, 1])
    uninterrupted.finish()
    self.assertEqual(
      [int(row['num_updates']) for row in _rows(uninterrupted)], [1, 17, 30]
    )
    stopped = self.start(30, flags=flags)
    stopped.start_actors([1, 0])  # In any order.
    fakes.wait_until(lambda: len(stopped.checkpoints()) > 4, _DEADLINE_SECS)
    stopped.learner.send_signal(signal.SIGTERM)
    stopped.finish()
    self.assertLess(len(stopped.checkpoints()), 30)
    resumed = self.start(30, stopped.workdir.parent, flags)
    resumed.start_actors([0, 1])
    resumed.finish()
    self.assert_same(uninterrupted, resumed)

  @pytest.mark.timeout(400)
  def test_a_run_that_version_1_saved_resumes_exactly(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    shutil.copytree(_VERSION_1, folder / 'workdir')
    run = Run(
      self,
      folder,
      2000,
      2,
      '--num_actors=1',
      '--batch_size=4',
      '--meta_batch_size=4',
      '--outer_critic=none',
    )
    run.start_actors([0])
    run.finish()
    rows = _rows(run)
    self.assertEqual(
      [(int(row['num_updates']), int(row['env_frames'])) for row in rows],
      [(17, 1360), (25, 2000)],
    )
    # Commit 157c8a8, which saved it, counted as many to the end.
    self.assertEqual(int(rows[-1]['episodes']), 228)
    # Those in progress were continued, not restarted: an episode is 9 steps.
    with open(run.workdir / 'episodes.csv', encoding='utf-8') as file:
      self.assertEqual({row['length'] for row in csv.DictReader(file)}, {'9'})

  def test_unrolls_must_fill_batches(self):
    config = config_lib.preset('smoke', envs_per_group=3)
    with self.assertRaisesRegex(ValueError, 'is 12, no multiple of .* 8'):
      lockstep.num_envs(config)
    self.assertEqual(lockstep.num_envs(config_lib.preset('smoke')), 32)


if __name__ == '__main__':
  absltest.main()
