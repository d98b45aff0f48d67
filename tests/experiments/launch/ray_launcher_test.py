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
    ((0,), 0, [0.0]),
    ((4,), 4, [0.0]),
    ((1, -9, 0), 0, [0.0, 5.0, 10.0]),
    ((2,) * 6, 2, [0.0, 5.0, 10.0, 20.0, 40.0, 60.0]),
  )
  def test_a_process_starts_again_after_a_pause(self, statuses, last, pauses):
    from experiments.launch import ray_launcher

    waiting, asked = list(statuses), []

    def start(pause_secs):
      asked.append(pause_secs)
      return ray.put(waiting.pop(0))

    job = ray_launcher.Job('learner', None, start, final=(0, 4))
    for _ in statuses:
      self.assertIsNone(job.status)
      job.ended()
    self.assertEqual(job.status, last)
    self.assertEqual(asked, pauses)

  def test_a_process_that_cannot_be_run_is_given_up(self):
    from experiments.launch import ray_launcher

    @ray.remote
    def fail():
      raise OSError('no room')

    job = ray_launcher.Job(
      'actor-0', None, lambda unused_pause_secs: fail.remote(), final=(0,)
    )
    for _ in range(6):
      job.ended()
    self.assertEqual(job.status, 1)


if __name__ == '__main__':
  absltest.main()
