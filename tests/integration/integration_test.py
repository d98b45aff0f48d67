"""The whole system with real processes: Catch is solved in two minutes."""

import json
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest
import pytest

from tests.repository import sources

pytestmark = pytest.mark.integration

_LIMIT_SECS = 120.0
_DEADLINE_SECS = 280.0  # With the start of all processes, on a busy machine.


class IntegrationTest(absltest.TestCase):
  @pytest.mark.timeout(300)
  def test_catch_is_solved(self):
    with tempfile.TemporaryDirectory() as folder:
      workdir = pathlib.Path(folder) / 'workdir'
      done = subprocess.run(
        [
          sys.executable,
          '-m',
          'experiments.cli',
          'train',
          '--preset=smoke',
          f'--workdir={workdir}',
        ],
        cwd=sources.ROOT,
        timeout=_DEADLINE_SECS,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
      )
      self.assertEqual(done.returncode, 0, done.stderr)
      summary = json.loads((workdir / 'summary.json').read_text())
      self.assertTrue((workdir / 'curves.png').exists())
    self.assertGreaterEqual(summary['mean_return_100'], 0.95)
    self.assertGreaterEqual(summary['episodes'], 100)
    self.assertLess(summary['seconds'], _LIMIT_SECS)
    self.assertEqual(summary['learned'], ['discount', 'lambda_'])
    self.assertNotEqual(summary['discount'], 0.99)


if __name__ == '__main__':
  absltest.main()
