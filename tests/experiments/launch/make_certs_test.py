"""Tests of experiments/launch/make_certs.py; security_test has more of TLS."""

import pathlib
import stat
import tempfile

from absl import flags
from absl.testing import absltest
import grpc

from experiments.launch import make_certs
from learner.serving import security
from protos import address
from tests.support import fakes


class MakeCertsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = (
      pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'certs'
    )

  def make(self, *arguments):
    flag_values = flags.FlagValues()
    make_certs.define_flags(flag_values)
    flag_values(['make-certs', f'--folder={self.folder}', *arguments])
    return make_certs.run(flag_values)

  def test_files_let_an_actor_in(self):
    self.assertEqual(self.make(), 0)
    ca, *learner_files = (
      str(self.folder / name)
      for name in ('ca.pem', 'learner.pem', 'learner.key')
    )
    token = address.read_token(str(self.folder / 'token'))
    learner = fakes.FakeLearner(
      '127.0.0.1:0',
      token=token,
      credentials=security.server_credentials(*learner_files, ca),
    )
    self.addCleanup(learner.close)
    call = fakes.join_over(
      f'127.0.0.1:{learner.port}',
      metadata=(('authorization', f'Bearer {token}'),),
      ca_file=ca,
      cert_file=str(self.folder / 'actor.pem'),
      key_file=str(self.folder / 'actor.key'),
    )
    self.assertEqual(call.code(), grpc.StatusCode.OK, call.details())

  def test_files_are_for_their_owner_alone(self):
    self.make()
    for path in (self.folder, *self.folder.iterdir()):
      self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)

  def test_nothing_is_overwritten(self):
    self.make()
    with self.assertRaisesRegex((ValueError, OSError), 'certs'):
      self.make()


if __name__ == '__main__':
  absltest.main()
