"""Hypothesis against the codec, and against the service over real gRPC."""

import itertools

from absl.testing import absltest
import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
import numpy as np
import pytest

from protos import codec
from protos import inference_pb2
from seed_metagrad import types
from tests.support import bad_requests
from tests.support import fakes

pytestmark = pytest.mark.integration

_TOKEN = 'a token of 16 letters'
_FUZZ = dict(deadline=None, derandomize=True, database=None)
_GOOD = codec.Step(bytes(8), bytes(2), bytes(400))
_SPEC = types.EnvSpec((2, 3), 'uint8', num_actions=3)


def _flags(num_envs):
  return st_numpy.arrays(bool, num_envs)


@st.composite
def _steps(draw):
  """A valid step of environments with any values."""
  num_envs = draw(st.integers(1, 5))
  return types.EnvOutput(
    draw(st_numpy.arrays(np.float32, num_envs)),
    *(draw(_flags(num_envs)) for _ in range(3)),
    draw(st_numpy.arrays(np.uint8, (num_envs, 2, 3))),
  )


class CodecTest(absltest.TestCase):
  @hypothesis.settings(**_FUZZ)
  @hypothesis.given(_steps())
  def test_decode_undoes_encode(self, step):
    sent = codec.encode_step(step).SerializeToString()
    decoded = codec.decode_step(
      inference_pb2.ActRequest.FromString(sent), len(step.reward), _SPEC
    )
    for got, wanted in zip(decoded, step, strict=True):
      np.testing.assert_array_equal(got, wanted)
      self.assertEqual(got.dtype, wanted.dtype)

  @hypothesis.settings(**_FUZZ)
  @hypothesis.given(st.integers(1, 5), *[st.binary(max_size=40)] * 3)
  def test_any_bytes_decode_or_are_a_value_error(
    self, num_envs, rewards, flags, observations
  ):
    sizes = [len(rewards), len(flags), len(observations)]
    request = inference_pb2.ActRequest(
      rewards=rewards, flags=flags, observations=observations
    )
    if sizes == [4 * num_envs, num_envs, 6 * num_envs] and max(flags) < 8:
      codec.decode_step(request, num_envs, _SPEC)
    else:
      with self.assertRaisesRegex(ValueError, 'must be .*got'):
        codec.decode_step(request, num_envs, _SPEC)


class ServiceTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.learner = fakes.FakeLearner(max_envs=256, token=_TOKEN)
    cls.addClassCleanup(cls.learner.close)
    cls.eve, cls.ann = (
      bad_requests.Sender(cls.learner.port, _TOKEN) for _ in range(2)
    )
    cls.addClassCleanup(cls.eve.close)
    cls.addClassCleanup(cls.ann.close)
    cls.ann.join(1, 'ann')
    cls.sequence = itertools.count()

  @hypothesis.settings(**_FUZZ)
  @hypothesis.given(st.lists(bad_requests.ALL, min_size=10, max_size=20))
  def test_bad_requests_are_refused_and_others_served(self, requests):
    calls = [self.eve.send(request) for request in requests]
    self.ann.step(1, next(self.sequence))
    for request, call in zip(requests, calls):
      self.assertIn(
        call.code(), bad_requests.CODES, f'{request}: {call.details()}'
      )
      self.assertNotEmpty(call.details())
    # Of eve's, the good ones that come before a bad one.
    self.assertTrue(
      all(
        request.step == _GOOD
        for request in self.learner.requests
        if request.peer != 'ann/0'
      )
    )


if __name__ == '__main__':
  absltest.main()
