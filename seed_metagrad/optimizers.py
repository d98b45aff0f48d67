"""Optimizers as (init, update) functions over nests, differentiable.

A Keras optimizer assigns to variables, which cuts the meta-gradient.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from seed_metagrad import types


class AdamState(NamedTuple):
  """First and second moments, and the number of steps, float []."""

  count: tf.Tensor  # type: ignore[assignment]  # Checkpoints have this name.
  m: types.Nest
  v: types.Nest


def sgd() -> types.Optimizer:
  """step = -lr g."""

  def update(
    gradients: types.Nest,
    opt_state: types.Nest,
    learning_rate: float | tf.Tensor,
  ) -> tuple[types.Nest, types.Nest]:
    return _map(lambda g: -learning_rate * g, gradients), opt_state

  return types.Optimizer(init=lambda params: (), update=update)


def rmsprop(*, decay: float, epsilon: float) -> types.Optimizer:
  """RMSProp as DeepMind's TensorFlow 1 agents had it.

  ms' = decay ms + (1 - decay) g^2;  step = -lr g / sqrt(ms' + epsilon), with
  epsilon inside the root and ms starting at one.
  """

  def update(
    gradients: types.Nest,
    opt_state: types.Nest,
    learning_rate: float | tf.Tensor,
  ) -> tuple[types.Nest, types.Nest]:
    ms = _map(
      lambda m, g: decay * m + (1.0 - decay) * tf.square(g),
      opt_state,
      gradients,
    )
    updates = _map(
      lambda m, g: -learning_rate * g * tf.math.rsqrt(m + epsilon),
      ms,
      gradients,
    )
    return updates, ms

  return types.Optimizer(
    init=lambda params: _map(tf.ones_like, params), update=update
  )


def adam(
  *, b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-8
) -> types.Optimizer:
  """Adam (Kingma and Ba 2015, algorithm 1)."""

  def init(params: types.Nest) -> AdamState:
    dtype = tf.nest.flatten(params)[0].dtype
    return AdamState(
      tf.zeros([], dtype),
      _map(tf.zeros_like, params),
      _map(tf.zeros_like, params),
    )

  def update(
    gradients: types.Nest,
    opt_state: AdamState,
    learning_rate: float | tf.Tensor,
  ) -> tuple[types.Nest, AdamState]:
    count = opt_state.count + 1.0
    m = _map(lambda m, g: b1 * m + (1.0 - b1) * g, opt_state.m, gradients)
    v = _map(
      lambda v, g: b2 * v + (1.0 - b2) * tf.square(g), opt_state.v, gradients
    )
    m_scale, v_scale = (
      1.0 / (1.0 - tf.pow(tf.constant(b, count.dtype), count)) for b in (b1, b2)
    )

    def step(m: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
      update: tf.Tensor = (
        -learning_rate * m * m_scale / (_sqrt(v, v_scale) + epsilon)
      )
      return update

    return _map(step, m, v), AdamState(count, m, v)

  return types.Optimizer(init, update)


def clip_by_global_norm(
  gradients: types.Nest, max_norm: float
) -> tuple[types.Nest, tf.Tensor]:
  """Gradients scaled to at most `max_norm`, and their norm before, [].

  Unlike tf.clip_by_global_norm its derivative is finite where all gradients are
  zero, and it changes no bit where the norm is below the limit. A max_norm of 0
  does not clip.
  """
  norm = _sqrt(
    tf.add_n([tf.reduce_sum(tf.square(g)) for g in tf.nest.flatten(gradients)])
  )
  if not max_norm:
    return gradients, norm
  limit = tf.constant(max_norm, norm.dtype)
  scale = limit / tf.maximum(norm, limit)
  return _map(lambda g: g * scale, gradients), norm


def apply_updates(params: types.Nest, updates: types.Nest) -> types.Nest:
  """params + updates."""
  return _map(tf.add, params, updates)


def make(name: str, *, rms_decay: float, rms_epsilon: float) -> types.Optimizer:
  """The named optimizer.

  Raises:
    ValueError: an unknown name.
  """
  makers: dict[str, Callable[[], types.Optimizer]] = {
    'rmsprop': lambda: rmsprop(decay=rms_decay, epsilon=rms_epsilon),
    'adam': adam,
    'sgd': sgd,
  }
  if name not in makers:
    raise ValueError(
      f'an optimizer must be one of {sorted(makers)}, got {name!r}.'
    )
  return makers[name]()


def _sqrt(x: tf.Tensor, scale: float | tf.Tensor = 1.0) -> tf.Tensor:
  """sqrt(scale x), whose derivative at 0 is 0: the double where."""
  positive = x > 0.0
  root = tf.sqrt(tf.where(positive, x * scale, tf.ones_like(x)))
  return tf.where(positive, root, tf.zeros_like(x))


def _map(function: Callable[..., tf.Tensor], *nests: types.Nest) -> types.Nest:
  return tf.nest.map_structure(function, *nests)
