"""What strangers and actors can write into a learner's log is bounded."""

import datetime
import pathlib
import socket
import subprocess
import sys
import tempfile

from absl.testing import absltest
import grpc
import pytest

from experiments.launch import make_certs
from protos import inference_pb2_grpc
from tests.repository import sources
from tests.support import fakes

pytestmark = pytest.mark.integration

_DAY = datetime.timedelta(days=1)
_TOKEN = 'a token of 16 letters'
# A learner's server, started as learner/main.py starts it.
_SERVER = f"""
from learner.serving import quiet_grpc
import sys
from absl import logging
from learner.serving import security
from tests.support import fakes
logging.use_absl_handler()
logging._warn_preinit_stderr = False  # Before flags.
logging.set_verbosity(logging.INFO)
learner = fakes.FakeLearner(
  max_envs=4096, token={_TOKEN!r}, answer=False,
  credentials=security.server_credentials(*sys.argv[1:]),
)
print(learner.port, flush=True)
sys.stdin.read()
learner.close()
"""
_TO_A_TLS_PORT = (
  b'GET / HTTP/1.1\r\n\r\n',
  b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',  # gRPC without TLS.
  b'\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00',  # A handshake that is broken.
  bytes(64),
)


class FloodTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    authority = make_certs.Authority(folder, 'ours', valid=_DAY)
    files = authority.issue('learner', ['localhost'], valid=_DAY)
    self.ca_file = authority.ca_file
    self.log = self.enterContext(tempfile.TemporaryFile())
    self.server = subprocess.Popen(
      [sys.executable, '-c', _SERVER, *files],
      cwd=sources.ROOT,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self.log,
    )
    self.addCleanup(self.server.stdout.close)
    self.addCleanup(self.server.kill)
    self.port = int(self.server.stdout.readline())

  def end(self) -> str:
    """Ends the server; returns its log."""
    self.server.stdin.close()
    self.assertEqual(self.server.wait(60), 0)
    self.log.seek(0)
    return self.log.read().decode()

  def join(self, count, name, token):
    """Returns the status codes of so many joins, by actors of their own."""
    with grpc.secure_channel(
      f'localhost:{self.port}',
      grpc.ssl_channel_credentials(pathlib.Path(self.ca_file).read_bytes()),
    ) as channel:
      stub = inference_pb2_grpc.InferenceStub(channel)
      return {
        stub.Join.future(
          fakes.join_request(actor=f'{name}-{i}', run_id=len(name) * 1000 + i),
          timeout=fakes.DEADLINE_SECS,
          metadata=(('authorization', f'Bearer {token}'),),
        ).code()
        for i in range(count)
      }

  def test_connections_that_are_no_tls_write_nothing(self):
    for number in range(2000):
      with socket.create_connection(('localhost', self.port)) as stranger:
        stranger.sendall(_TO_A_TLS_PORT[number % len(_TO_A_TLS_PORT)])
    self.assertEqual(self.join(1, 'ann', _TOKEN), {grpc.StatusCode.OK})
    self.assertRegex(self.end(), r'\A[^\n]*ann-0/0 joined[^\n]*\n\Z')

  def test_joins_and_refusals_are_logged_in_part(self):
    self.assertEqual(self.join(500, 'ann', _TOKEN), {grpc.StatusCode.OK})
    self.assertEqual(
      self.join(500, 'stranger', 'no token'), {grpc.StatusCode.UNAUTHENTICATED}
    )
    log = self.end()
    self.assertEqual(log.count(' joined from '), 200)
    self.assertEqual(log.count('Refused'), 200)
    self.assertLess(len(log), 400 * 160)


if __name__ == '__main__':
  absltest.main()
