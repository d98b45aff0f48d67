"""Tests of protos/address.py."""

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


if __name__ == '__main__':
  absltest.main()
