"""The project's types to messages and back; arrays become packed bytes."""

from collections.abc import Iterable
import functools
import json
import math
from typing import Any, NamedTuple

import numpy as np

from protos import inference_pb2
from seed_metagrad import types

PROTOCOL = 3  # Both sides must speak the same version.

_TERMINATED, _TRUNCATED, _LIFE_LOST = 1, 2, 4
_ALL_BITS = _TERMINATED | _TRUNCATED | _LIFE_LOST
_BOTH_ENDS = _TERMINATED | _TRUNCATED
# What the flags of one environment may be, an episode does not end twice.
FLAG_BYTES = bytes(
  flags for flags in range(_ALL_BITS + 1) if flags & _BOTH_ENDS != _BOTH_ENDS
)
_MAX_SETTINGS = 1000  # Characters.


class Step(NamedTuple):
  """One step of E environments, its arrays packed as in an ActRequest."""

  rewards: bytes
  flags: bytes
  observations: bytes


def encode(array: np.ndarray, dtype: str) -> bytes:
  """Packs an array of that dtype.

  Raises:
    ValueError: the array has another dtype.
  """
  array = np.asarray(array)
  if array.dtype != np.dtype(dtype):
    raise ValueError(f'dtype must be {dtype}, got {array.dtype}.')
  return array.astype(_little_endian(dtype), copy=False).tobytes()


def decode(
  data: bytes, dtype: str, shape: tuple[int, ...], name: str
) -> np.ndarray:
  """Views bytes as a read-only array of that shape; no copy.

  Raises:
    ValueError: the number of bytes is not that of the shape.
  """
  check_size(data, dtype, shape, name)
  return np.frombuffer(data, _little_endian(dtype)).reshape(shape)


def check_size(
  data: bytes, dtype: str, shape: tuple[int, ...], name: str
) -> None:
  """Checks that bytes are an array of that shape.

  Raises:
    ValueError: another number of bytes.
  """
  expected = _num_bytes(dtype, shape)
  if len(data) != expected:
    raise ValueError(
      f'{name} must be {expected} bytes ({dtype} {list(shape)}), got '
      f'{len(data)}.'
    )


def encode_task(task: types.Task) -> inference_pb2.JoinRequest:
  """Packs what the environments are; who asks is left to the caller."""
  return inference_pb2.JoinRequest(
    env=task.env,
    spec=inference_pb2.EnvSpec(**task.spec._asdict()),
    env_settings=encode_settings(task.settings),
  )


def decode_task(request: inference_pb2.JoinRequest) -> types.Task:
  """Undoes `encode_task`.

  Raises:
    ValueError: the settings are not a JSON object.
  """
  spec = types.EnvSpec(
    tuple(request.spec.observation_shape),
    request.spec.observation_dtype,
    request.spec.num_actions,
    request.spec.frame_stack,
    request.spec.action_repeat,
    tuple(request.spec.observation_low),
    tuple(request.spec.observation_high),
    tuple(request.spec.action_sizes),
    request.spec.action_dims,
  )
  return types.Task(request.env, spec, decode_settings(request.env_settings))


def encode_settings(settings: types.Settings) -> str:
  """Writes an environment's settings as a JSON object."""
  return json.dumps(dict(settings), sort_keys=True)


def decode_settings(text: str) -> dict[str, Any]:
  """Undoes `encode_settings`; no text is no settings.

  Raises:
    ValueError: not a JSON object, or a long one.
  """
  if len(text) > _MAX_SETTINGS:
    raise ValueError(
      f'env_settings must be at most {_MAX_SETTINGS} characters, got '
      f'{len(text)}.'
    )
  try:
    settings = json.loads(text or '{}')
  except (ValueError, RecursionError):
    settings = None
  if not isinstance(settings, dict):
    raise ValueError(f'env_settings must be a JSON object, got {text[:80]!r}.')
  return settings


def encode_step(
  outputs: types.EnvOutput[np.ndarray],
) -> inference_pb2.ActRequest:
  """Packs one step of E environments; who sends it is left to the caller."""
  return inference_pb2.ActRequest(
    rewards=encode(outputs.reward, 'float32'),
    flags=_pack_flags(outputs),
    observations=encode(outputs.observation, outputs.observation.dtype.name),
  )


def join_steps(steps: Iterable[Step]) -> Step:
  """One step of all environments of the steps, in their order."""
  return Step(*map(b''.join, zip(*steps, strict=True)))


def decode_step(
  step: Step | inference_pb2.ActRequest, num_envs: int, spec: types.EnvSpec
) -> types.EnvOutput[np.ndarray]:
  """Undoes `encode_step`; the arrays are read-only, [E, ...].

  Raises:
    ValueError: a wrong number of bytes, or an unknown flag.
  """
  flags = decode(step.flags, 'uint8', (num_envs,), 'flags')
  if flags.max(initial=0) > _ALL_BITS:
    raise ValueError(f'flags must be at most {_ALL_BITS}, got {flags.max()}.')
  shape = (num_envs, *spec.observation_shape)
  return types.EnvOutput(
    reward=decode(step.rewards, 'float32', (num_envs,), 'rewards'),
    terminated=(flags & _TERMINATED).astype(bool),
    truncated=(flags & _TRUNCATED).astype(bool),
    life_lost=(flags & _LIFE_LOST).astype(bool),
    observation=decode(
      step.observations, spec.observation_dtype, shape, 'observations'
    ),
  )


def _pack_flags(outputs: types.EnvOutput[np.ndarray]) -> bytes:
  packed = np.where(outputs.terminated, _TERMINATED, 0)
  packed |= np.where(outputs.truncated, _TRUNCATED, 0)
  packed |= np.where(outputs.life_lost, _LIFE_LOST, 0)
  return packed.astype(np.uint8).tobytes()


@functools.lru_cache(1 << 10)  # For each message, by its few shapes.
def _num_bytes(dtype: str, shape: tuple[int, ...]) -> int:
  return math.prod(shape) * np.dtype(dtype).itemsize


@functools.cache
def _little_endian(dtype: str) -> np.dtype[Any]:
  return np.dtype(dtype).newbyteorder('<')
