"""Tests of benchmarks/training.py: a real run of Catch, watched."""

import tempfile

from absl.testing import absltest
import pytest

from benchmarks import training

pytestmark = pytest.mark.integration


class RunTest(absltest.TestCase):
  def test_a_run_is_seen_from_outside(self):
    with tempfile.TemporaryDirectory() as folder:
      run = training.Run(
        folder, preset='smoke', num_actors=1, metrics_secs=1e-3
      )
      self.addCleanup(run.close)
      run.wait_for_update()
      row = run.rows()[0]
      self.assertGreater(row['env_frames'], 0)
      self.assertGreater(row['seconds'], 0)
      mib = run.resident_mib()
      run.close()
    self.assertGreater(mib['learner'], mib['actor'])
    self.assertGreater(mib['actor'], 20.0)  # An interpreter with NumPy.

  def test_a_run_that_fails_says_why(self):
    with tempfile.TemporaryDirectory() as folder:
      run = training.Run(folder, env='pnog')
      self.addCleanup(run.close)
      with self.assertRaisesRegex(RuntimeError, "'pnog'"):
        run.wait_for_update()


if __name__ == '__main__':
  absltest.main()
