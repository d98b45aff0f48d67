"""Policies: what a network puts out as a distribution over actions.

Discrete: the logits of a categorical. Several discrete numbers: independent
categoricals, their logits one after the other. Continuous: a diagonal Gaussian,
its means and then, through softplus, its standard deviations.
"""

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from seed_metagrad import types

# From the last axis of `policy_logits` to a distribution of actions.
Policy = Callable[[tf.Tensor], tfp.distributions.Distribution]
_NEVER = -1e9  # A logit whose probability is 0, and finite.


def num_outputs(spec: types.EnvSpec) -> int:
  """P, how many numbers of a network make a policy."""
  return spec.num_actions or sum(spec.action_sizes) or 2 * spec.action_dims


def make(spec: types.EnvSpec) -> Policy:
  """The kind of policy of an environment."""
  if spec.action_sizes:
    return _categoricals(spec.action_sizes)
  return gaussian if spec.action_dims else categorical


def categorical(policy_logits: tf.Tensor) -> tfp.distributions.Distribution:
  """One of A actions; policy_logits: [..., A]."""
  return tfp.distributions.Categorical(logits=policy_logits)


def gaussian(policy_logits: tf.Tensor) -> tfp.distributions.Distribution:
  """D numbers; policy_logits: [..., 2 D]."""
  mean, scale = tf.split(policy_logits, 2, axis=-1)
  scale = tf.nn.softplus(scale) + types.SMALLEST_SCALE
  return tfp.distributions.Independent(
    tfp.distributions.Normal(mean, scale), reinterpreted_batch_ndims=1
  )


def _categoricals(sizes: tuple[int, ...]) -> Policy:
  def policy(policy_logits: tf.Tensor) -> tfp.distributions.Distribution:
    shared = [[0, 0]] * (len(policy_logits.shape) - 1)
    parts = tf.split(policy_logits, sizes, axis=-1)
    rows = [
      tf.pad(logits, [*shared, [0, max(sizes) - n]], constant_values=_NEVER)
      for logits, n in zip(parts, sizes, strict=True)
    ]
    return tfp.distributions.Independent(
      tfp.distributions.Categorical(logits=tf.stack(rows, axis=-2)),
      reinterpreted_batch_ndims=1,
    )

  return policy


def encode(
  spec: types.EnvSpec, actions: tf.Tensor, dtype: tf.DType | str
) -> tf.Tensor:
  """Actions as a network sees them, [..., N]: one-hot, or as they are."""
  encoded: tf.Tensor
  if spec.action_dims:
    encoded = tf.cast(actions, dtype)
  elif spec.action_sizes:
    columns = zip(tf.unstack(actions, axis=-1), spec.action_sizes, strict=True)
    encoded = tf.concat(
      [tf.one_hot(x, size, dtype=dtype) for x, size in columns], axis=-1
    )
  else:
    encoded = tf.one_hot(actions, spec.num_actions, dtype=dtype)
  return encoded
