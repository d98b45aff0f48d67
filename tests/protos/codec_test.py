"""Tests of protos/codec.py."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from protos import codec
from tests.support import fakes


class CodecTest(parameterized.TestCase):
  @parameterized.parameters('uint8', 'int32', 'float32', 'float64')
  def test_decode_undoes_encode(self, dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    decoded = codec.decode(codec.encode(array, dtype), dtype, (3, 4), 'x')
    np.testing.assert_array_equal(decoded, array)
    self.assertEqual(decoded.dtype, array.dtype)

  def test_encode_is_little_endian_whatever_the_array_is(self):
    self.assertEqual(
      codec.encode(np.array([1], '<i4'), 'int32'), b'\x01\x00\x00\x00'
    )

  def test_encode_packs_a_strided_array(self):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3).T
    self.assertEqual(codec.encode(array, 'uint8'), bytes([0, 3, 1, 4, 2, 5]))

  def test_encode_refuses_another_dtype(self):
    with self.assertRaisesRegex(ValueError, 'float32, got float64'):
      codec.encode(np.zeros(2), 'float32')

  def test_decode_copies_nothing_and_is_read_only(self):
    data = bytes(8)
    array = codec.decode(data, 'float32', (2,), 'x')
    self.assertEqual(
      array.__array_interface__['data'][0],
      np.frombuffer(data, np.uint8).__array_interface__['data'][0],
    )
    self.assertFalse(array.flags.writeable)

  @parameterized.parameters(0, 7, 9)
  def test_decode_refuses_another_length(self, length):
    with self.assertRaisesRegex(
      ValueError, rf'rewards must be 8 bytes .*\[2\].* got {length}'
    ):
      codec.decode(bytes(length), 'float32', (2,), 'rewards')

  def test_flags_take_one_byte_an_environment(self):
    flags = codec.Flags(
      np.array([True, False, False, True]),
      np.array([False, True, False, False]),
      np.array([False, False, True, True]),
    )
    packed = codec.pack_flags(flags)
    self.assertEqual(packed, bytes([1, 2, 4, 5]))
    for unpacked, flag in zip(codec.unpack_flags(packed, 4), flags):
      np.testing.assert_array_equal(unpacked, flag)
      self.assertEqual(unpacked.dtype, bool)

  def test_unpack_flags_refuses_a_bit_that_means_nothing(self):
    with self.assertRaisesRegex(ValueError, 'at most 7, got 8'):
      codec.unpack_flags(bytes([0, 8]), 2)

  def test_decode_step_undoes_encode_step(self):
    step = fakes.outputs(3)._replace(
      reward=np.float32([-1, 0, 0.5]),
      terminated=np.array([True, False, False]),
      truncated=np.array([False, True, False]),
      life_lost=np.array([False, False, True]),
    )
    decoded = codec.decode_step(codec.encode_step(step), 3, fakes.SPEC)
    for name, got, wanted in zip(step._fields, decoded, step):
      np.testing.assert_array_equal(got, wanted, name)


if __name__ == '__main__':
  absltest.main()
