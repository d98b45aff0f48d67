"""Catch on three Ray nodes that lose actors, a node and the learner, twice."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from absl import logging
from absl.testing import absltest
import pytest

from tests.repository import sources
from tests.support import ray_run

try:
  from ray import cluster_utils
except ModuleNotFoundError:
  cluster_utils = None

_DEADLINE_SECS = 600
_NODE = dict(include_dashboard=False, object_store_memory=80 << 20)  # Bytes.

_STUDY = """
title = "Two seeds"
preset = "smoke"
games = ["catch"]
seeds = [1, 2]
protocols = ["noop"]
episodes = 30
[settings]
total_env_frames = 20_000
num_actors = 1
[[variants]]
learned = ["discount"]
reference_discount = 0.99
"""


@absltest.skipIf(
  cluster_utils is None, "needs pip install 'seed-metagrad[ray]'"
)
class RayLauncherSoak(absltest.TestCase):
  def setUp(self):
    super().setUp()
    os.environ.update(ray_run.SETTINGS)
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.workdir = pathlib.Path(folder) / 'run'
    # The learner wants a GPU, by name at least: it goes to the head.
    self.cluster = cluster_utils.Cluster(
      initialize_head=True, head_node_args=dict(num_cpus=1, num_gpus=1, **_NODE)
    )
    self.addCleanup(self.cluster.shutdown)

  def _log(self, name):
    path = self.workdir / 'logs' / f'{name}.log'
    return path.read_text() if path.exists() else ''

  def _wait(self, what, holds):
    ray_run.wait_until(holds, _DEADLINE_SECS)
    logging.info('%s at %d frames', what, ray_run.env_frames(self.workdir))

  def _kill(self, *words):
    """Kills processes of this run and returns how often it was resumed."""
    resumed = self._log('learner').count('Resumed at')
    for pid in ray_run.pids(*words):
      os.kill(pid, signal.SIGKILL)
    return resumed

  def _learns_after(self, what, resumed):
    frames = ray_run.env_frames(self.workdir)
    self._wait(
      f'Learns again after {what}',
      lambda: (
        self._log('learner').count('Resumed at') > resumed
        and ray_run.env_frames(self.workdir) > frames
      ),
    )

  @pytest.mark.timeout(3 * _DEADLINE_SECS)
  def test_run_survives_the_loss_of_a_node_and_of_the_learner(self):
    lost, _ = (self.cluster.add_node(num_cpus=2, **_NODE) for _ in range(2))
    self.cluster.wait_for_nodes()
    process = ray_run.start(
      self.workdir,
      self.cluster.address,
      '--num_actors=4',
      '--learner_gpus=1',
      '--checkpoint_secs=5',
    )
    self.addCleanup(process.kill)
    self._wait(
      'Four actors joined',
      lambda: all(
        f'actor-{index}/1 joined' in self._log('learner') for index in range(4)
      ),
    )
    self._wait('Learns', lambda: ray_run.env_frames(self.workdir) > 5000)

    joined = self._log('learner').count('joined')
    self.cluster.remove_node(lost)
    address = re.search(r'Serving catch at (\S+)', self._log('learner'))[1]
    self._wait(
      'Lost two actors with their node',
      lambda: len(ray_run.pids('actors.main', f'--address={address}')) <= 2,
    )
    self.cluster.add_node(num_cpus=2, **_NODE)
    self._wait(
      'Two actors joined from a new node',
      lambda: self._log('learner').count('joined') >= joined + 4,
    )

    resumed = self._kill('learner.main', f'--workdir={self.workdir}')
    self._learns_after('the end of the learner', resumed)
    resumed = self._kill('ray::Process.learn')
    self._learns_after('the end of its Ray worker', resumed)

    self.assertEqual(process.wait(_DEADLINE_SECS), 0)
    summary = ray_run.summary(self.workdir)
    logging.info('%s', summary)
    self.assertGreaterEqual(summary['env_frames'], 100_000)
    self.assertGreater(summary['mean_return_100'], 0.9)

  def test_ctrl_c_saves_and_the_same_command_goes_on(self):
    flags = '--learner_gpus=1', '--learner_cpus=0.5', '--actor_cpus=0.25'
    process = ray_run.start(self.workdir, self.cluster.address, *flags)
    self.addCleanup(process.kill)
    self._wait('Learns', lambda: ray_run.env_frames(self.workdir) > 2000)
    process.send_signal(signal.SIGINT)
    self.assertEqual(process.wait(_DEADLINE_SECS), 0)
    self._wait('All ended', lambda: not ray_run.pids(str(self.workdir)))
    frames = ray_run.summary(self.workdir)['env_frames']
    again = ray_run.start(
      self.workdir,
      self.cluster.address,
      *flags,
      f'--total_env_frames={frames + 2000}',
    )
    self.addCleanup(again.kill)
    self.assertEqual(again.wait(_DEADLINE_SECS), 0)
    self.assertIn(f'Resumed at {frames} frames', self._log('learner'))
    self.assertEqual(
      ray_run.summary(self.workdir)['env_frames'] // 1000,
      (frames + 2000) // 1000,
    )

  @pytest.mark.timeout(2 * _DEADLINE_SECS)
  def test_a_study_trains_its_runs_side_by_side(self):
    self.cluster.add_node(num_cpus=5, num_gpus=1, **_NODE)
    self.cluster.wait_for_nodes()
    folder = self.workdir.parent
    (folder / 'study.toml').write_text(_STUDY)
    subprocess.run(
      [
        sys.executable,
        '-m',
        'experiments.cli',
        'compare',
        '--parallel=2',
        f'--study={folder / "study.toml"}',
        f'--workdir={self.workdir}',
        '--launcher=ray',
        f'--ray_address={self.cluster.address}',
      ],
      cwd=sources.ROOT,
      check=True,
      timeout=_DEADLINE_SECS,
      env={**os.environ, **ray_run.SETTINGS},
    )
    runs = sorted(self.workdir.glob('runs/catch/*/seed_*'))
    self.assertLen(runs, 2)
    starts, ends = (
      [(run / name).stat().st_mtime for run in runs]
      for name in ('config.json', 'summary.json')
    )
    self.assertLess(max(starts), min(ends))
    for run in runs:
      self.assertGreaterEqual(ray_run.summary(run)['env_frames'], 20_000)
      self.assertTrue((run / 'evaluation/noop/summary.json').exists())


if __name__ == '__main__':
  absltest.main()
