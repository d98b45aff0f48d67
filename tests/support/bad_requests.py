"""Requests that a learner must refuse, for hypothesis to choose from."""

import json
from typing import NamedTuple

import grpc
from hypothesis import strategies as st
import numpy as np

from protos import codec
from tests.support import fakes

RUN_ID = 1 << 40  # Bad steps are sent for this lease, which has taken none.
MAX_BYTES = 1 << 17  # A good request has less.
CODES = (
  grpc.StatusCode.INVALID_ARGUMENT,
  grpc.StatusCode.FAILED_PRECONDITION,
  grpc.StatusCode.RESOURCE_EXHAUSTED,
  grpc.StatusCode.UNAUTHENTICATED,
  grpc.StatusCode.UNIMPLEMENTED,
)

_SERVICE = '/seed_metagrad.v1.Inference/'


class BadRequest(NamedTuple):
  """A message as it is sent."""

  method: str
  message: bytes
  has_token: bool = True


def _floats(count: int):
  """Packed float32, one of them not finite."""

  def pack(numbers, place, bad):
    numbers[place] = bad
    return np.float32(numbers).tobytes()

  return st.builds(
    pack,
    st.lists(st.floats(width=32), min_size=count, max_size=count),
    st.integers(0, count - 1),
    st.sampled_from([np.nan, np.inf, -np.inf]),
  )


def _other_bytes(size: int):
  return st.binary(max_size=3 * size).filter(lambda data: len(data) != size)


def _one_bad_field(method, make, fields):
  """Messages that are good but for one field."""
  return st.one_of(
    [
      value.map(
        lambda value, name=name: BadRequest(
          method, make(**{name: value}).SerializeToString()
        )
      )
      for name, value in fields
    ]
  )


_text = st.text(max_size=100)
_uint32 = st.integers(0, 2**32 - 1)
_STEPS = _one_bad_field(
  _SERVICE + 'Act',
  lambda **field: fakes.act_request(**{'run_id': RUN_ID, **field}),
  [
    (
      'run_id',
      st.integers(-(2**63), 2**63 - 1).filter(lambda run_id: run_id < 0),
    ),
    ('sequence', st.integers(1, 2**64 - 1)),
    ('rewards', _other_bytes(8)),
    ('rewards', _floats(2)),
    ('flags', _other_bytes(2)),
    ('flags', st.tuples(st.integers(8, 255), st.integers(0, 255)).map(bytes)),
    ('flags', st.just(b'\3\0')),  # Both terminated and truncated.
    ('observations', _other_bytes(400)),
    ('observations', _floats(100)),
    ('env_state', st.integers(2**15 + 1, MAX_BYTES).map(bytes)),
  ],
)
_JOINS = _one_bad_field(
  _SERVICE + 'Join',
  lambda **field: fakes.join_request(**{'run_id': 2, **field}),
  [
    ('protocol', _uint32.filter(lambda number: number != codec.PROTOCOL)),
    ('actor', st.sampled_from(['', 'a' * 65, 'eve\n', 'eve/0', '\N{SNOWMAN}'])),
    ('group', st.integers(64, 2**32 - 1)),
    ('num_envs', st.one_of(st.just(0), st.integers(2**12 + 1, 2**32 - 1))),
    ('env', _text.filter(lambda env: env != 'catch')),
    ('spec', st.none()),
    ('env_settings', _text.filter(lambda text: text.strip())),
    (
      'env_settings',
      st.dictionaries(_text, st.floats(), min_size=1).map(json.dumps),
    ),
    ('env_settings', st.integers(1, 10_000).map(lambda depth: '[' * depth)),
  ],
)
_RANDOM = st.builds(
  BadRequest,
  st.sampled_from([_SERVICE + 'Join', _SERVICE + 'Act']),
  st.binary(max_size=1000),
)
_HUGE = st.builds(
  lambda method, size: BadRequest(method, bytes(size)),
  st.sampled_from([_SERVICE + 'Join', _SERVICE + 'Act']),
  st.integers(1 << 20, 1 << 21),
)
_OTHERS = st.sampled_from(
  [BadRequest(_SERVICE + 'Nothing', b''), BadRequest('/other.Service/Act', b'')]
)
_WITHOUT_TOKEN = st.builds(
  BadRequest, st.just(_SERVICE + 'Act'), st.binary(max_size=100), st.just(False)
)

ALL = st.one_of(
  *[_STEPS, _STEPS, _JOINS, _JOINS, _RANDOM, _RANDOM],
  *[_OTHERS, _WITHOUT_TOKEN, _HUGE],
)


class Sender:
  """Sends bad requests and good ones, over a channel."""

  def __init__(self, port: int, token: str):
    self._channel = grpc.insecure_channel(f'localhost:{port}')
    self._token = (('authorization', f'Bearer {token}'),)
    self.close = self._channel.close

  def send(self, request: BadRequest):
    """Returns the pending call."""
    return self._channel.unary_unary(request.method).future(
      request.message,
      timeout=fakes.DEADLINE_SECS,
      metadata=self._token if request.has_token else None,
    )

  def join(self, run_id: int, actor: str):
    """Leases two environments, as an actor should."""
    message = fakes.join_request(run_id=run_id, actor=actor)
    self.send(
      BadRequest(_SERVICE + 'Join', message.SerializeToString())
    ).result()

  def step(self, run_id: int, sequence: int):
    """Takes a step, as an actor should."""
    message = fakes.act_request(run_id=run_id, sequence=sequence)
    self.send(
      BadRequest(_SERVICE + 'Act', message.SerializeToString())
    ).result()
