"""100,000 bad requests and thousands of idle connections at a training run.

Training continues undisturbed, ends well, and its memory stays bounded.
"""

import collections
import os
import pathlib
import resource
import secrets
import socket
import subprocess
import sys
import tempfile

from absl.testing import absltest
import hypothesis
from hypothesis import strategies as st
import pytest

from tests.repository import sources
from tests.support import bad_requests
from tests.support import fakes

_REQUESTS = int(os.environ.get('FUZZ_REQUESTS', '100000'))
_AT_ONCE = 50
_IDLE_CONNECTIONS = 3000
# More than what 50 large requests at once take, less than 10 kB for each.
_GROWTH_BYTES = 900 << 20
_START_SECS = 300.0
_FRAMES = 10**9  # Never reached: the test ends the run.


class FuzzSoak(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.token = secrets.token_hex()
    (self.folder / 'token').write_text(self.token)
    self.learner = self.start(
      'learner.main',
      '--preset=smoke',
      '--lease_secs=1000000',
      f'--total_env_frames={_FRAMES}',
      f'--workdir={self.folder / "workdir"}',
      f'--address_file={self.folder / "address"}',
    )
    address = self.folder / 'address'
    fakes.wait_until(address.exists, _START_SECS)
    self.port = int(address.read_text().rpartition(':')[2])
    self.actor = self.start(
      'actors.main',
      f'--address={address.read_text()}',
      '--env=catch',
      '--envs_per_group=8',
    )
    fakes.wait_until(lambda: self.updates() > 0, _START_SECS)

  def start(self, module, *flags):
    with open(self.folder / f'{module}.log', 'wb') as log:
      process = subprocess.Popen(
        [
          sys.executable,
          '-m',
          module,
          f'--token_file={self.folder / "token"}',
          *flags,
        ],
        cwd=sources.ROOT,
        stderr=log,
      )
    self.addCleanup(process.wait)
    self.addCleanup(process.kill)
    return process

  def updates(self):
    try:
      rows = (self.folder / 'workdir/metrics.csv').read_text().splitlines()
      return int(rows[-1].split(',')[1])
    except (OSError, IndexError, ValueError):
      return 0

  def memory(self):
    status = pathlib.Path(f'/proc/{self.learner.pid}/status').read_text()
    [line] = [line for line in status.splitlines() if 'VmRSS' in line]
    return int(line.split()[1]) << 10

  def idle_connections(self):
    """Opens connections that never say anything; closed by the learner."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sockets = []
    for _ in range(_IDLE_CONNECTIONS):
      sockets.append(socket.create_connection(('127.0.0.1', self.port)))
      self.addCleanup(sockets[-1].close)
    return sockets

  @pytest.mark.timeout(3600)
  def test_training_does_not_notice(self):
    before, memory = self.updates(), self.memory()
    idle = self.idle_connections()
    counts = collections.Counter()
    sender = bad_requests.Sender(self.port, self.token)
    self.addCleanup(sender.close)

    @hypothesis.settings(
      max_examples=_REQUESTS // _AT_ONCE,
      deadline=None,
      database=None,
      suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
      st.lists(bad_requests.ALL, min_size=_AT_ONCE, max_size=_AT_ONCE)
    )
    def send(requests):
      calls = [sender.send(request) for request in requests]
      for request, call in zip(requests, calls):
        self.assertIn(
          call.code(), bad_requests.CODES, f'{request}: {call.details()}'
        )
        counts[call.code().name] += 1

    send()
    self.assertGreaterEqual(counts.total(), _REQUESTS)
    growth = self.memory() - memory
    for connection in idle:  # All were closed by now.
      connection.settimeout(fakes.DEADLINE_SECS)
      while connection.recv(4096):
        pass
    during = self.updates() - before
    print(
      f'{dict(counts)}; {during} updates meanwhile; the learner grew by'
      f' {growth >> 20} MiB.',
      file=sys.stderr,
    )
    self.assertGreater(during, 10)
    self.assertLess(growth, _GROWTH_BYTES)
    self.assertIsNone(self.actor.poll())
    self.learner.terminate()
    self.assertEqual(self.learner.wait(fakes.DEADLINE_SECS), 0)


if __name__ == '__main__':
  absltest.main()
