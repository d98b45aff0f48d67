"""NumPy arrays to packed little-endian bytes and back, checked.

`outputs` have the fields of types.EnvOutput, [E, ...].
"""

import math
from typing import Any, NamedTuple

import numpy as np

from protos import inference_pb2

PROTOCOL = 1  # Both sides must speak the same version.

_TERMINATED, _TRUNCATED, _LIFE_LOST = 1, 2, 4
_ALL_BITS = _TERMINATED | _TRUNCATED | _LIFE_LOST


class Flags(NamedTuple):
  """How a step ended, bool [E] each; see types.EnvOutput."""

  terminated: np.ndarray
  truncated: np.ndarray
  life_lost: np.ndarray


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
  expected = math.prod(shape) * np.dtype(dtype).itemsize
  if len(data) != expected:
    raise ValueError(
      f'{name} must be {expected} bytes ({dtype} {list(shape)}), got '
      f'{len(data)}.'
    )
  return np.frombuffer(data, _little_endian(dtype)).reshape(shape)


def pack_flags(flags: Flags) -> bytes:
  """Packs one byte an environment: terminated 1, truncated 2, life_lost 4."""
  packed = np.zeros(len(flags.terminated), np.uint8)
  for bit, flag in zip((_TERMINATED, _TRUNCATED, _LIFE_LOST), flags):
    packed |= np.where(flag, np.uint8(bit), np.uint8(0))
  return packed.tobytes()


def unpack_flags(data: bytes, num_envs: int) -> Flags:
  """Undoes `pack_flags`.

  Raises:
    ValueError: a wrong length, or a bit that means nothing.
  """
  packed = decode(data, 'uint8', (num_envs,), 'flags')
  if packed.max(initial=0) > _ALL_BITS:
    raise ValueError(f'flags must be at most {_ALL_BITS}, got {packed.max()}.')
  return Flags(
    *(
      (packed & bit).astype(bool)
      for bit in (_TERMINATED, _TRUNCATED, _LIFE_LOST)
    )
  )


def encode_step(outputs: Any) -> inference_pb2.ActRequest:
  """Packs what environments answered; whose it is stays open."""
  flags = Flags(outputs.terminated, outputs.truncated, outputs.life_lost)
  return inference_pb2.ActRequest(
    rewards=encode(outputs.reward, 'float32'),
    flags=pack_flags(flags),
    observations=encode(outputs.observation, outputs.observation.dtype.name),
  )


def decode_step(
  step: inference_pb2.ActRequest, num_envs: int, spec: Any
) -> tuple[np.ndarray, ...]:
  """Undoes `encode_step` for a types.EnvSpec: the fields, in order.

  Raises:
    ValueError: a wrong number of bytes, or a flag that means nothing.
  """
  rewards = decode(step.rewards, 'float32', (num_envs,), 'rewards')
  flags = unpack_flags(step.flags, num_envs)
  shape = (num_envs, *spec.observation_shape)
  observations = decode(
    step.observations, spec.observation_dtype, shape, 'observations'
  )
  return rewards, *flags, observations


def _little_endian(dtype: str) -> np.dtype:
  return np.dtype(dtype).newbyteorder('<')
