"""Actors find a learner that comes back at another address of its name."""

import os
import subprocess
import sys
import tempfile

from absl.testing import absltest
import pytest

from tests.repository import sources

pytestmark = pytest.mark.integration

_NAMESPACE = ['unshare', '--map-root-user', '--mount']


def _may_unshare() -> bool:
  try:
    return not subprocess.run(
      [*_NAMESPACE, 'true'], capture_output=True
    ).returncode
  except FileNotFoundError:
    return False


class MovedLearnerTest(absltest.TestCase):
  @pytest.mark.timeout(150)
  def test_the_name_is_resolved_anew(self):
    if not _may_unshare():
      self.skipTest('this machine allows no mount namespace')
    proxies = ('http_proxy', 'https_proxy', 'grpc_proxy')
    environ = {k: v for k, v in os.environ.items() if k.lower() not in proxies}
    with tempfile.NamedTemporaryFile() as hosts:
      done = subprocess.run(
        [*_NAMESPACE, sys.executable, '-m', 'tests.support.moved_learner']
        + [hosts.name],
        cwd=sources.ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=140,
      )
    self.assertEqual(done.returncode, 0, done.stderr)
    # gRPC itself would not ask for the address again for 30 seconds.
    self.assertLess(float(done.stdout), 20.0, done.stderr)


if __name__ == '__main__':
  absltest.main()
