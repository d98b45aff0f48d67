"""Requests that a learner must refuse, for hypothesis to choose from."""

import itertools
import json
from typing import NamedTuple

import grpc
from hypothesis import strategies as st
import numpy as np

from protos import codec
from protos import inference_pb2
from protos import inference_pb2_grpc
from tests.support import fakes

_FIRST_RUN = 1 << 40  # Each bad step has a lease of its own, from this one on.
MAX_BYTES = 1 << 17  # A good request has less.
_MAX_SEQUENCE = 2**64 - 1
_LEASES = 64  # More than are sent at once.
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
  steps_before: int | None = None  # Of the stream of a lease, where it has one.


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
  fakes.act_request,
  [
    ('sequence', st.integers(3, 2**64 - 1)),
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
_STEPS_OF_A_LEASE = st.builds(
  lambda request, before: request._replace(steps_before=before),
  _STEPS,
  st.integers(0, 2),
)
_STEPS_WITHOUT_A_LEASE = st.integers(-(2**63), -1).map(
  lambda run_id: BadRequest(
    _SERVICE + 'Act', fakes.act_request(run_id=run_id).SerializeToString()
  )
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
    # Not {}, which is good.
    ('env_settings', _text.filter(lambda text: text.strip('{} \n\t\r'))),
    (
      'env_settings',
      st.dictionaries(_text, st.floats(), min_size=1).map(json.dumps),
    ),
    ('env_settings', st.integers(1, 10_000).map(lambda depth: '[' * depth)),
  ],
)
# Not of BadRequest itself: its other fields would be drawn, too.
_RANDOM = st.builds(
  lambda method, message: BadRequest(method, message),
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
_WITHOUT_TOKEN = st.binary(max_size=100).map(
  lambda message: BadRequest(_SERVICE + 'Act', message, has_token=False)
)

ALL = st.one_of(
  *[_STEPS_OF_A_LEASE, _STEPS_OF_A_LEASE, _STEPS_WITHOUT_A_LEASE],
  *[_JOINS, _JOINS, _RANDOM, _RANDOM, _OTHERS, _WITHOUT_TOKEN, _HUGE],
)


class Sender:
  """Sends bad requests and good ones, over a channel."""

  def __init__(self, port: int, token: str):
    self._channel = grpc.insecure_channel(f'localhost:{port}')
    self._metadata = (('authorization', f'Bearer {token}'),)
    self._stub = inference_pb2_grpc.InferenceStub(self._channel)
    self._run_ids = itertools.count(_FIRST_RUN)
    self._stream: fakes.Stream | None = None
    self.close = self._channel.close

  def send(self, request: BadRequest):
    """Returns the pending call; some have a lease and take steps before."""
    messages = [request.message]
    if request.steps_before is not None:
      run_id = next(self._run_ids)
      # Her older leases make room: some messages never reach theirs.
      self.join(run_id, f'eve-{run_id % _LEASES}')
      bad = inference_pb2.ActRequest.FromString(request.message)
      bad.run_id = run_id
      bad.sequence = min(bad.sequence + request.steps_before, _MAX_SEQUENCE)
      good = [
        fakes.act_request(run_id=run_id, sequence=sequence)
        for sequence in range(request.steps_before)
      ]
      messages = [step.SerializeToString() for step in (*good, bad)]
    call = self._channel.stream_stream(request.method)(
      iter(messages),
      timeout=fakes.DEADLINE_SECS,
      metadata=self._metadata if request.has_token else None,
    )
    for _ in range(request.steps_before or 0):
      next(call)
    return call

  def join(self, run_id: int, actor: str):
    """Leases two environments, as an actor should."""
    self._stub.Join(
      fakes.join_request(run_id=run_id, actor=actor), metadata=self._metadata
    )

  def step(self, run_id: int, sequence: int):
    """Takes a step, as an actor should."""
    self._stream = self._stream or fakes.Stream(
      self._stub, metadata=self._metadata, timeout=None
    )
    self._stream.reply(run_id=run_id, sequence=sequence)
