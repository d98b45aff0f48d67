"""Training on a small Ray cluster; ray_launcher_soak.py injects faults."""

import os
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import pytest

from tests.support import ray_run

pytestmark = pytest.mark.integration

try:
  import ray
except ModuleNotFoundError:
  ray = None


@absltest.skipIf(ray is None, "needs pip install 'seed-metagrad[ray]'")
class RayLauncherTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    os.environ.update(ray_run.SETTINGS)
    cls.address = ray.init(num_cpus=2, include_dashboard=False).address_info[
      'gcs_address'
    ]
    cls.addClassCleanup(ray.shutdown)

  @pytest.mark.timeout(300)
  def test_a_run_ends_with_everything_in_the_workdir(self):
    folder = self.enterContext(tempfile.TemporaryDirectory())
    workdir = pathlib.Path(folder) / 'run'
    process = ray_run.start(
      workdir, self.address, '--total_env_frames=3200', '--actor_cpus=0.5'
    )
    self.addCleanup(process.kill)
    self.assertEqual(process.wait(240), 0)
    self.assertEqual(ray_run.summary(workdir)['env_frames'], 3200)
    logs = {path.name: path.read_text() for path in workdir.glob('logs/*')}
    self.assertEqual(
      sorted(logs), ['actor-0.log', 'actor-1.log', 'learner.log']
    )
    for name in ('actor-0', 'actor-1'):
      self.assertIn(f'{name}/1 joined', logs['learner.log'])
      self.assertIn('Training is over', logs[f'{name}.log'])
    ray_run.wait_until(lambda: not ray_run.pids(str(workdir)), 30)

  @parameterized.parameters(
    ((0,), 0), ((4,), 4), ((1, -9, 0), 0), ((2,) * 6, 2)
  )
  def test_a_process_starts_again_until_it_is_done(self, statuses, last):
    job, started = self._job(statuses, final=(0, 4))
    self.assertEqual(job.status, last)
    self.assertEqual(started, list(statuses))

  def test_an_actor_that_somebody_ended_starts_again(self):
    job, started = self._job((0, 0, 2, 2, 2, 2))  # 2: refused.
    self.assertEqual(job.status, 2)
    self.assertEqual(started, [0, 0, 2, 2, 2, 2])

  def test_a_process_that_cannot_be_run_is_given_up(self):
    @ray.remote
    def fail():
      raise OSError('no room')

    job, started = self._job([None] * 6, launch=fail.remote)
    self.assertEqual(job.status, 1)
    self.assertLen(started, 6)

  def _job(self, statuses, launch=None, final=()):
    """A job of processes with these ends, tended to its own end."""
    from experiments.launch import ray_launcher
    from experiments.launch import supervisor

    self.enterContext(
      absltest.mock.patch.multiple(
        supervisor, _FIRST_PAUSE_SECS=0.01, _LONGEST_PAUSE_SECS=10.0
      )
    )
    clock = iter(range(0, 1000, 10))  # No pause is longer than two looks.
    self.enterContext(
      absltest.mock.patch.object(
        supervisor, 'time', absltest.mock.Mock(monotonic=lambda: next(clock))
      )
    )
    waiting, started = list(statuses), []

    def start():
      started.append(waiting.pop(0))
      return launch() if launch else ray.put(started[-1])

    job = ray_launcher.Job('actor-0', start, final)
    while job.status is None:
      ray.wait([job.reference])
      job.tend()
    return job, started


if __name__ == '__main__':
  absltest.main()
