"""Optimizers as (init, update) functions over nests, differentiable.

A Keras optimizer assigns to variables, which cuts the meta-gradient.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from seed_metagrad import types


class AdamState(NamedTuple):
  """First and second moments, and the number of steps, float []."""

  count: Any
  m: types.Nest
  v: types.Nest


def sgd() -> types.Optimizer:
  """step = -lr g."""

  def update(gradients, opt_state, learning_rate):
    updates = _map(lambda g: -learning_rate * g, gradients)
    return updates, opt_state

  return types.Optimizer(init=lambda params: (), update=update)


def rmsprop(*, decay: float, epsilon: float) -> types.Optimizer:
  """RMSProp as DeepMind's TensorFlow 1 agents had it.

  ms' = decay ms + (1 - decay) g^2;  step = -lr g / sqrt(ms' + epsilon), with
  epsilon inside the root and ms starting at one.
  """

  def update(gradients, ms, learning_rate):
    ms = _map(
      lambda m, g: decay * m + (1.0 - decay) * tf.square(g), ms, gradients
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

  def init(params):
    dtype = tf.nest.flatten(params)[0].dtype
    return AdamState(
      tf.zeros([], dtype),
      _map(tf.zeros_like, params),
      _map(tf.zeros_like, params),
    )

  def update(gradients, state, learning_rate):
    count = state.count + 1.0
    m = _map(lambda m, g: b1 * m + (1.0 - b1) * g, state.m, gradients)
    v = _map(
      lambda v, g: b2 * v + (1.0 - b2) * tf.square(g), state.v, gradients
    )
    m_scale, v_scale = 1.0 / (1.0 - b1**count), 1.0 / (1.0 - b2**count)

    # The double where keeps the derivative of the root finite at v = 0.
    def step(m, v):
      positive = v > 0.0
      root = tf.where(
        positive,
        tf.sqrt(tf.where(positive, v * v_scale, tf.ones_like(v))),
        tf.zeros_like(v),
      )
      return -learning_rate * m * m_scale / (root + epsilon)

    return _map(step, m, v), AdamState(count, m, v)

  return types.Optimizer(init, update)


def clip_by_global_norm(gradients, max_norm: float):
  """Gradients scaled to at most `max_norm`, and their norm before, [].

  Unlike tf.clip_by_global_norm its derivative is finite where all gradients are
  zero, and it changes no bit where the norm is below the limit. A max_norm of 0
  does not clip.
  """
  square = tf.add_n(
    [tf.reduce_sum(tf.square(g)) for g in tf.nest.flatten(gradients)]
  )
  positive = square > 0.0
  norm = tf.where(
    positive,
    tf.sqrt(tf.where(positive, square, tf.ones_like(square))),
    tf.zeros_like(square),
  )
  if not max_norm:
    return gradients, norm
  max_norm = tf.constant(max_norm, norm.dtype)
  scale = max_norm / tf.maximum(norm, max_norm)
  return _map(lambda g: g * scale, gradients), norm


def apply_updates(params, updates):
  """params + updates."""
  return _map(tf.add, params, updates)


def _map(function, *nests):
  return tf.nest.map_structure(function, *nests)
