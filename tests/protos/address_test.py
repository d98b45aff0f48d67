"""Tests of protos/address.py."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from protos import address


class AddressTest(parameterized.TestCase):
  @parameterized.parameters(
    'localhost:0', '127.0.0.1:5', '127.9.0.1:5', '[::1]:5', 'unix:/tmp/x'
  )
  def test_is_local_where_others_cannot_come(self, text):
    self.assertTrue(address.is_local(text))

  @parameterized.parameters(
    '0.0.0.0:5', '[::]:5', '10.0.0.1:5', 'learner:5', 'localhost.evil.com:5'
  )
  def test_is_not_local_where_others_may_come(self, text):
    self.assertFalse(address.is_local(text))

  @parameterized.parameters(
    '', 'localhost', 'localhost:', ':5', 'a:x', 'a:65536'
  )
  def test_is_local_refuses_what_is_no_address(self, text):
    with self.assertRaisesRegex(ValueError, f'got {text!r}'):
      address.is_local(text)

  def test_read_token_strips_and_checks(self):
    folder = self.enterContext(tempfile.TemporaryDirectory())
    path = pathlib.Path(folder, 'token')
    path.write_text('a token of 16 letters\n')
    self.assertEqual(address.read_token(str(path)), 'a token of 16 letters')
    path.write_text('short')
    with self.assertRaisesRegex(ValueError, 'at least 16 .*got 5'):
      address.read_token(str(path))
    self.assertEqual(address.read_token(''), '')

  @parameterized.parameters(
    ('127.0.0.1:5', '', '', False),
    ('unix:/tmp/x', '', '', False),
    ('0.0.0.0:5', 'ca.pem', 'token', False),
    ('0.0.0.0:5', '', '', True),
  )
  def test_check_protected_accepts(self, text, ca_file, token_file, insecure):
    files = {'--ca_file': ca_file, '--token_file': token_file}
    address.check_protected(text, files, insecure=insecure)

  @parameterized.parameters(('', ''), ('ca.pem', ''), ('', 'token'))
  def test_an_open_address_must_be_protected(self, ca_file, token_file):
    files = {'--ca_file': ca_file, '--token_file': token_file}
    with self.assertRaisesRegex(
      ValueError,
      '0.0.0.0:5 is not of this .* --ca_file, --token_file, or --insecure',
    ):
      address.check_protected('0.0.0.0:5', files, insecure=False)


if __name__ == '__main__':
  absltest.main()
