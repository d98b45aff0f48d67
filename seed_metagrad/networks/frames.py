"""The stack of an environment's last S frames, which is what a network sees.

One frame a step crosses the wire, and an unroll of T + 1 steps holds its own
frames and the S - 1 before them: `push` stacks step by step while acting,
`stack_unroll` all steps at once in the update's graph. Frames from before an
episode are zero.
"""

import numpy as np
import tensorflow as tf

from seed_metagrad import types

_NARROW = 10.0  # Numbers up to that size are left as they are [our choice].
_UNBOUNDED = 2.0**31 - 1  # Larger bounds are a dtype's own: they say nothing.


def divisors(spec: types.EnvSpec) -> np.ndarray:
  """What a network divides observations by, [] or [*observation_shape].

  The larger of an element's bounds in size, so that it lies in [-1, 1] and 0
  stays 0. Elements other than uint8 are left as they are, divided by 1, where
  that is at most 10 or where they have no bounds.
  """
  is_bytes = spec.observation_dtype == 'uint8'
  low = np.array(spec.observation_low or (0.0 if is_bytes else -np.inf))
  high = np.array(spec.observation_high or (255.0 if is_bytes else np.inf))
  size = np.maximum(abs(low), abs(high))
  narrow = size == 0 if is_bytes else (size <= _NARROW) | (size >= _UNBOUNDED)
  divisor: np.ndarray = np.where(narrow, 1.0, size)
  if divisor.size == 1:
    return divisor.reshape([])
  return divisor.reshape(spec.observation_shape)


def describe_scaling(spec: types.EnvSpec) -> str:
  """Says in a few words what `divisors` does."""
  divisor = divisors(spec)
  if (divisor == 1).all():
    return 'as they are'
  if divisor.min() == divisor.max():
    return f'divided by {divisor.max():g}'
  return f'divided by {divisor.min():g} to {divisor.max():g}, each by its bound'


def empty(spec: types.EnvSpec, num_envs: int) -> np.ndarray:
  """The stacks [E, ..., S] of environments that have shown nothing."""
  return np.zeros(
    [num_envs, *spec.observation_shape, spec.frame_stack],
    spec.observation_dtype,
  )


def push(
  stacks: np.ndarray, observations: np.ndarray, reset: np.ndarray
) -> None:
  """Gives the stacks [E, ..., S] one more observation each, in place.

  observations: [E, ...], which become the last of a stack. reset: bool [E],
  where it is the first of its episode.
  """
  if stacks.dtype == np.uint8 and stacks.shape[-1] == 4:
    words = stacks.view('<u4')
    words >>= 8  # Ten times faster.
  else:
    stacks[..., :-1] = stacks[..., 1:]
  stacks[..., -1] = observations
  stacks[reset, ..., :-1] = 0


def previous(stacks: np.ndarray) -> np.ndarray:
  """The frames [E, S - 1, ...] of stacks before the newest, oldest first."""
  return np.moveaxis(stacks[..., :-1], -1, 1)


def stack_unroll(unroll: types.Unroll[tf.Tensor]) -> tf.Tensor:
  """The stacks [T + 1, B, ..., S] of an unroll's steps, newest frame last."""
  observations = unroll.env_outputs.observation
  resets = tf.logical_or(
    unroll.env_outputs.terminated, unroll.env_outputs.truncated
  )
  time = tf.shape(resets)[0]
  frames = tf.concat([unroll.memory, observations], axis=0)
  size = 1 + (unroll.memory.shape[0] or 0)
  # The previous frames were masked when they were new.
  padded = tf.concat(
    [tf.zeros([size - 1, tf.shape(resets)[1]], tf.bool), resets], axis=0
  )
  valid = [tf.ones_like(resets)]  # By age: is that old a frame of the episode?
  for oldest in reversed(range(1, size)):
    valid.append(
      tf.logical_and(valid[-1], tf.logical_not(padded[oldest : oldest + time]))
    )
  valid.reverse()
  packed = (size, frames.dtype) == (4, tf.uint8)
  return (_pack if packed else _stack)(frames, valid)


def _stack(frames: tf.Tensor, valid: list[tf.Tensor]) -> tf.Tensor:
  """frames [T + S - 1, B, ...], valid S x [T, B] -> [T, B, ..., S]."""
  time = tf.shape(valid[0])[0]
  return tf.stack(
    [
      tf.where(
        _fill_rank(valid[k], frames),
        frames[k : k + time],
        tf.zeros([], frames.dtype),
      )
      for k in range(len(valid))
    ],
    axis=-1,
  )


def _pack(frames: tf.Tensor, valid: list[tf.Tensor]) -> tf.Tensor:
  """`_stack` of 4 uint8 frames as words: six times faster."""
  words = tf.cast(frames, tf.uint32)
  # Products and sums: TensorFlow's shifts and ors are half as fast.
  words = words[:-1] + words[1:] * (1 << 8)
  words = words[:-2] + words[2:] * (1 << 16)
  mask = tf.add_n(
    [tf.cast(valid[k], tf.uint32) * (0xFF << 8 * k) for k in range(4)]
  )
  packed: tf.Tensor = tf.bitcast(
    tf.bitwise.bitwise_and(words, _fill_rank(mask, frames)), tf.uint8
  )
  return packed


def _fill_rank(x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
  """x [T, B] as [T, B, 1, ...], of the rank of `like`."""
  for _ in range(len(like.shape) - 2):
    x = tf.expand_dims(x, -1)
  return x
