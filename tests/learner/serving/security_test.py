"""Tests of learner/serving/security.py, over real gRPC."""

import datetime
import socket
import tempfile
import threading
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import grpc

from experiments.launch import make_certs
from learner.serving import security
from learner.serving import server as server_lib
from tests.support import fakes

_Code = grpc.StatusCode
_ACT = '/seed_metagrad.v1.Inference/Act'
# A TLS record that says it has 512 bytes, and two of them.
_HELLO = bytes.fromhex('16030102000100')
_DAY = datetime.timedelta(days=1)
_TOKEN = 'a token of 16 letters'


def _join(stub, **kwargs):
  """Returns the pending call of a join."""
  return stub.Join.future(
    fakes.join_request(), timeout=fakes.DEADLINE_SECS, **kwargs
  )


def _bearer(token):
  return (('authorization', f'Bearer {token}'),)


class SecurityTest(parameterized.TestCase):
  def start(self, **kwargs):
    learner = fakes.FakeLearner(**kwargs)
    self.addCleanup(learner.close)
    return learner

  @parameterized.parameters(
    (None,),
    (_bearer('a token of 16 lettera'),),
    (_bearer(''),),
    (_bearer(_TOKEN + 'x'),),
    ((('authorization', _TOKEN),),),
  )
  def test_a_call_without_the_token_is_refused_and_logged(self, metadata):
    learner = self.start(token=_TOKEN)
    with self.assertLogs(level='WARNING') as logs:
      call = _join(learner.stub(), metadata=metadata)
      self.assertEqual(call.code(), _Code.UNAUTHENTICATED)
    self.assertEqual(call.details(), 'the token is missing or wrong.')
    self.assertRegex(logs.output[0], 'Refused .*UNAUTHENTICATED')
    self.assertNotIn(_TOKEN, str(logs.output))

  def test_a_token_lets_in(self):
    learner = self.start(token=_TOKEN)
    _join(learner.stub(), metadata=_bearer(_TOKEN)).result()

  def test_bytes_that_are_no_request_are_refused(self):
    learner = self.start()
    channel = grpc.insecure_channel(f'localhost:{learner.port}')
    call = channel.unary_unary(_ACT).future(b'\xff' * 9)
    self.assertEqual(call.code(), _Code.INVALID_ARGUMENT)
    self.assertEqual(call.details(), 'bytes arrived that are no request.')

  def test_a_huge_request_is_refused(self):
    learner = self.start()
    channel = grpc.insecure_channel(f'localhost:{learner.port}')
    call = channel.unary_unary(_ACT).future(bytes(1 << 20))
    self.assertEqual(call.code(), _Code.RESOURCE_EXHAUSTED)
    self.assertRegex(call.details(), 'larger than max')

  def test_a_message_of_a_gigabyte_is_refused(self):
    learner = self.start()
    channel = grpc.insecure_channel(
      f'localhost:{learner.port}', [('grpc.max_send_message_length', -1)]
    )
    self.addCleanup(channel.close)
    call = channel.unary_unary(_ACT).future(bytes(1 << 30))
    self.assertEqual(call.code(), _Code.RESOURCE_EXHAUSTED)
    self.assertRegex(call.details(), f'larger than max .{1 << 30} vs')
    _join(learner.stub()).result()

  def test_a_slow_writer_is_refused_and_holds_up_nobody(self):
    with mock.patch.object(server_lib, '_READ_SECS', 0.2):
      learner = self.start()
    release = threading.Event()
    self.addCleanup(release.set)

    def never():
      release.wait(fakes.DEADLINE_SECS)
      yield b''

    channel = grpc.insecure_channel(f'localhost:{learner.port}')
    slow = channel.stream_unary(_ACT).future(never())
    _join(learner.stub()).result()
    self.assertEqual(slow.code(), _Code.DEADLINE_EXCEEDED)
    self.assertEqual(
      slow.details(), 'no complete request arrived within 0.2 s.'
    )


class TlsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.ca, self.other_ca = (
      make_certs.Authority(
        self.enterContext(tempfile.TemporaryDirectory()), name, valid=_DAY
      )
      for name in ('ours', 'theirs')
    )

  def issue(self, name, *, authority=None, valid=_DAY):
    return (authority or self.ca).issue(name, ['localhost'], valid=valid)

  def connect(self, server_files, client_ca='', **files):
    """Returns how a join over TLS ended."""
    learner = fakes.FakeLearner(
      credentials=security.server_credentials(*server_files, client_ca)
    )
    self.addCleanup(learner.close)
    return fakes.join_over(f'localhost:{learner.port}', **files)

  def test_a_known_certificate_lets_in(self):
    call = self.connect(self.issue('learner'), ca_file=self.ca.ca_file)
    self.assertEqual(call.code(), _Code.OK)

  def test_a_certificate_of_another_ca_is_refused(self):
    call = self.connect(
      self.issue('learner', authority=self.other_ca), ca_file=self.ca.ca_file
    )
    self.assertRegex(call.details(), 'CERTIFICATE_VERIFY_FAILED')

  def test_an_expired_certificate_is_refused(self):
    call = self.connect(
      self.issue('learner', valid=-_DAY), ca_file=self.ca.ca_file
    )
    self.assertRegex(call.details(), 'CERTIFICATE_VERIFY_FAILED')

  def test_a_client_without_tls_is_refused(self):
    call = self.connect(self.issue('learner'))
    self.assertEqual(call.code(), _Code.UNAVAILABLE)

  def test_handshakes_that_never_end_are_closed(self):
    with mock.patch.object(server_lib, '_HANDSHAKE_SECS', 1.0):
      learner = fakes.FakeLearner(
        credentials=security.server_credentials(*self.issue('learner'), '')
      )
    self.addCleanup(learner.close)
    half_open = []
    for _ in range(200):
      half_open.append(socket.create_connection(('localhost', learner.port)))
      self.addCleanup(half_open[-1].close)
      half_open[-1].sendall(_HELLO)
    call = fakes.join_over(f'localhost:{learner.port}', ca_file=self.ca.ca_file)
    self.assertEqual(call.code(), _Code.OK)
    for connection in half_open:
      connection.settimeout(fakes.DEADLINE_SECS)
      while connection.recv(4096):
        pass

  def test_a_client_certificate_lets_in_where_one_is_wanted(self):
    cert_file, key_file = self.issue('actor')
    call = self.connect(
      self.issue('learner'),
      self.ca.ca_file,
      ca_file=self.ca.ca_file,
      cert_file=cert_file,
      key_file=key_file,
    )
    self.assertEqual(call.code(), _Code.OK)

  def test_no_client_certificate_is_refused_where_one_is_wanted(self):
    call = self.connect(
      self.issue('learner'), self.ca.ca_file, ca_file=self.ca.ca_file
    )
    self.assertEqual(call.code(), _Code.UNAVAILABLE)


if __name__ == '__main__':
  absltest.main()
