"""Tests of learner/serving/validation.py."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from learner.serving import validation
from protos import codec
from protos import inference_pb2
from seed_metagrad import types
from seed_metagrad.environments import environment
from tests.support import fakes

_LIMITS = environment.Limits(fakes.SPEC)
_ATARI = types.EnvSpec((84, 84), 'uint8', 6, frame_stack=4, action_repeat=4)


def _spec(**fields):
  return inference_pb2.EnvSpec(**(fakes.SPEC._asdict() | fields))


def _floats(*values):
  return np.float32(values).tobytes()


class ValidationTest(parameterized.TestCase):
  def test_check_join_names_the_peer(self):
    request = fakes.join_request(group=1)
    self.assertEqual(validation.check_join(request, fakes.TASK, 16), 'ann/1')

  @parameterized.named_parameters(
    ('protocol', dict(protocol=2), 'protocol must be 3 .*got 2'),
    ('no_name', dict(actor=''), "actor must be .*got ''"),
    ('name', dict(actor='a\nb'), r"actor must be .*got 'a\\nb'"),
    ('long_name', dict(actor='a' * 65), 'actor must be'),
    ('group', dict(group=64), 'group must be less than 64, got 64'),
    ('no_envs', dict(num_envs=0), r'num_envs must be in \[1, 16\], got 0'),
    ('envs', dict(num_envs=17), r'num_envs must be in \[1, 16\], got 17'),
    ('env', dict(env='pong'), "env must be 'catch' .*got 'pong'"),
    ('actions', dict(spec=_spec(num_actions=4)), 'spec .*num_actions=4'),
    ('shape', dict(spec=_spec(observation_shape=(5, 10))), r'\(5, 10\)'),
    ('dtype', dict(spec=_spec(observation_dtype='O')), "spec .*'O'"),
    ('stack', dict(spec=_spec(frame_stack=4)), 'spec .*frame_stack=4'),
    ('low', dict(spec=_spec(observation_low=(0.0,))), 'spec .*_low=\\(0.0,'),
    ('high', dict(spec=_spec(observation_high=(1.0,))), 'spec .*_high=\\(1.0,'),
    ('no_spec', dict(spec=None), 'spec must be'),
    (
      'settings',
      dict(env_settings='{"sticky_actions": 0.25}'),
      "env_settings must be {} .*got {'sticky_actions': 0.25}",
    ),
    ('no_settings', dict(env_settings='[]'), "JSON object, got '\\[\\]'"),
  )
  def test_check_join_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      validation.check_join(fakes.join_request(**fields), fakes.TASK, 16)

  def test_check_join_shows_the_start_of_a_long_value(self):
    request = fakes.join_request(env='x' * 1000)
    with self.assertRaises(ValueError) as raised:
      validation.check_join(request, fakes.TASK, 16)
    self.assertBetween(len(str(raised.exception)), 200, 300)

  def test_check_step_returns_what_was_encoded(self):
    rng = np.random.default_rng(0)
    outputs = types.EnvOutput(
      rng.normal(size=3).astype(np.float32),
      np.array([True, False, False]),
      np.array([False, True, False]),
      np.array([False, False, True]),
      rng.integers(256, size=(3, 84, 84), dtype=np.uint8),
    )
    step = validation.check_step(
      codec.encode_step(outputs), 3, _ATARI, environment.Limits(_ATARI)
    )
    decoded = codec.decode_step(step, 3, _ATARI)
    for name, value in outputs._asdict().items():
      np.testing.assert_array_equal(getattr(decoded, name), value, name)

  @parameterized.named_parameters(
    ('rewards', 'rewards', bytes(7), 'must be 8 bytes'),
    ('nan', 'rewards', _floats(0, np.nan), 'must be finite, .*got nan'),
    ('infinite', 'rewards', _floats(-np.inf, 0), 'be finite, .*got -inf'),
    (
      'large',
      'rewards',
      _floats(1e12, 1e30),
      r'at most 1e\+12 .*got 1\.0\d*e\+30',
    ),
    ('flags', 'flags', b'\0', 'must be 2 bytes'),
    ('bits', 'flags', b'\0\x80', 'must be at most 7, .*got 128'),
    ('two_ends', 'flags', b'\0\x03', 'both terminated and truncated'),
    ('observations', 'observations', bytes(399), 'must be 400 bytes'),
    ('not_finite', 'observations', _floats(*[np.nan] * 100), 'be finite'),
    ('huge', 'observations', _floats(*[3e38] * 100), r'got 3.*e\+38'),
    ('state', 'env_state', bytes(1 << 16), 'must be at most 32768'),
  )
  def test_check_step_refuses(self, field, value, message):
    with self.assertRaisesRegex(ValueError, f'{field} .*{message}'):
      validation.check_step(
        fakes.act_request(**{field: value}), 2, fakes.SPEC, _LIMITS
      )

  def test_check_step_refuses_what_is_beyond_the_bounds(self):
    spec = fakes.SPEC._replace(observation_low=(0,), observation_high=(1,))
    request = fakes.act_request(observations=_floats(*[2.5] * 100))
    validation.check_step(request, 2, fakes.SPEC, _LIMITS)
    with self.assertRaisesRegex(ValueError, 'observations .*, got 2.5'):
      validation.check_step(request, 2, spec, environment.Limits(spec))

  def test_max_request_bytes_has_room_for_any_valid_request(self):
    request = codec.encode_step(fakes.outputs(64, _ATARI))
    self.assertLess(
      request.ByteSize(), validation.max_request_bytes(_ATARI, 64)
    )


if __name__ == '__main__':
  absltest.main()
