"""Tests of protos/codec.py."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from protos import codec
from seed_metagrad import types
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
    step = fakes.outputs(4)._replace(
      terminated=np.array([True, False, False, True]),
      truncated=np.array([False, True, False, False]),
      life_lost=np.array([False, False, True, True]),
    )
    request = codec.encode_step(step)
    self.assertEqual(request.flags, bytes([1, 2, 4, 5]))
    decoded = codec.decode_step(request, 4, fakes.SPEC)
    for name in ('terminated', 'truncated', 'life_lost'):
      flag = getattr(decoded, name)
      np.testing.assert_array_equal(flag, getattr(step, name), name)
      self.assertEqual(flag.dtype, bool)

  def test_decode_step_refuses_an_unknown_flag(self):
    request = codec.encode_step(fakes.outputs(2))
    request.flags = bytes([0, 8])
    with self.assertRaisesRegex(ValueError, 'at most 7, got 8'):
      codec.decode_step(request, 2, fakes.SPEC)

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

  @parameterized.parameters(
    {}, {'sticky_actions': 0.25}, {'map': 'maze', 'sizes': [1, 2], 'x': None}
  )
  def test_decode_task_undoes_encode_task(self, **settings):
    spec = types.EnvSpec(
      (84, 84),
      'uint8',
      6,
      frame_stack=4,
      action_repeat=4,
      observation_low=(-0.1, -np.inf),
      observation_high=(3.4028234663852886e38,),
    )
    task = types.Task('pong', spec, settings)
    self.assertEqual(codec.decode_task(codec.encode_task(task)), task)

  def test_settings_are_a_json_object(self):
    settings = {'b': 0.5, 'a': 1}
    self.assertEqual(codec.encode_settings(settings), '{"a": 1, "b": 0.5}')
    self.assertEqual(codec.decode_settings('{"a":1.0, "b":5e-1}'), settings)
    self.assertEqual(codec.decode_settings(''), {})

  @parameterized.parameters('[]', '0', 'null', '{', '{a: 1}', '[' * 1000)
  def test_settings_must_be_a_json_object(self, text):
    with self.assertRaisesRegex(ValueError, 'env_settings .*JSON object, got'):
      codec.decode_settings(text)

  def test_settings_must_be_short(self):
    with self.assertRaisesRegex(ValueError, 'at most 1000 .*got 1001'):
      codec.decode_settings(' ' * 1001)


if __name__ == '__main__':
  absltest.main()
