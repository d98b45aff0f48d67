"""What a request must be: checked here, once, before the learner sees it."""

import re
import struct

import numpy as np

from protos import codec
from protos import inference_pb2
from seed_metagrad import types
from seed_metagrad.environments import environment

_ACTOR = re.compile(r'[\w.:-]{1,64}', re.ASCII)  # It goes into logs.
MAX_GROUPS = 64  # Per actor.
_OVERHEAD_BYTES = 1 << 16  # Everything in a request but the arrays.
_STATE_BYTES = 1 << 14  # Per environment.
_ENV_STEP_BYTES = 5  # Reward and flags of one environment.
_SHOWN = 200  # Characters of a wrong value in the error, which is logged.


def max_request_bytes(spec: types.EnvSpec, num_envs: int) -> int:
  """Bounds the size of a valid request of so many environments."""
  observation = np.dtype(spec.observation_dtype).itemsize * int(
    np.prod(spec.observation_shape)
  )
  # A saved state holds the step as well.
  step = 2 * (observation + _ENV_STEP_BYTES) + _STATE_BYTES
  return num_envs * step + _OVERHEAD_BYTES


def check_join(
  request: inference_pb2.JoinRequest, task: types.Task, max_envs: int
) -> str:
  """Checks that a group may join, and returns its name.

  Raises:
    ValueError: the learner has another task, or a field is out of range.
  """
  _require_same('protocol', codec.PROTOCOL, request.protocol)
  if not _ACTOR.fullmatch(request.actor):
    raise ValueError(
      'actor must be 1 to 64 letters, digits or ._:-, got '
      f'{request.actor[:80]!r}.'
    )
  if request.group >= MAX_GROUPS:
    raise ValueError(
      f'group must be less than {MAX_GROUPS}, got {request.group}.'
    )
  if not 1 <= request.num_envs <= max_envs:
    raise ValueError(
      f'num_envs must be in [1, {max_envs}], got {request.num_envs}.'
    )
  theirs = codec.decode_task(request)
  _require_same('env', task.env, theirs.env)
  _require_same('spec', task.spec, theirs.spec)
  _require_same('env_settings', dict(task.settings), theirs.settings)
  return f'{request.actor}/{request.group}'


def check_step(
  request: inference_pb2.ActRequest,
  num_envs: int,
  spec: types.EnvSpec,
  limits: environment.Limits,
) -> codec.Step:
  """Checks the step of a request, and returns it, still packed.

  It is unpacked with all others of its batch.

  limits: those of the spec.

  Raises:
    ValueError: a wrong number of bytes, or a value out of range.
  """
  # Each field is copied where it is read: once.
  step = codec.Step(request.rewards, request.flags, request.observations)
  # Without NumPy, whose calls would take longer than all else here.
  codec.check_size(step.flags, 'uint8', (num_envs,), 'flags')
  if wrong := step.flags.translate(None, codec.FLAG_BYTES):
    raise ValueError(
      'flags must be at most 7, and not both terminated and truncated, got '
      f'{max(wrong)}.'
    )
  codec.check_size(step.rewards, 'float32', (num_envs,), 'rewards')
  for reward in struct.unpack(f'<{num_envs}f', step.rewards):
    if not abs(reward) <= environment.MAX_REWARD:  # Nor NaN.
      raise ValueError(
        f'rewards must be finite, at most {environment.MAX_REWARD:g} in size, '
        f'got {reward}.'
      )
  _check_observations(step.observations, num_envs, spec, limits)
  if len(request.env_state) > num_envs * _STATE_BYTES:
    raise ValueError(
      f'env_state must be at most {num_envs * _STATE_BYTES} bytes, got '
      f'{len(request.env_state)}.'
    )
  return step


def _check_observations(
  data: bytes, num_envs: int, spec: types.EnvSpec, limits: environment.Limits
) -> None:
  shape = (num_envs, *spec.observation_shape)
  codec.check_size(data, spec.observation_dtype, shape, 'observations')
  if limits.is_open:
    return
  observations = codec.decode(
    data, spec.observation_dtype, shape, 'observations'
  )
  outside = limits.find_outside(observations)
  if outside is not None:
    raise ValueError(
      'observations must be finite and within, or near, the bounds of the '
      f'spec, got {observations[outside]}.'
    )


def _require_same(name: str, learners: object, actors: object) -> None:
  if learners != actors:
    raise ValueError(
      f'{name} must be {learners!r} as in the learner, got '
      f'{repr(actors)[:_SHOWN]}.'
    )
