"""Learned hypers: value = low + (high - low) sigmoid(logit) (MGRL sec. 4).

`eta` is a dict of logits by the name of the hyper, one number each or one per
state: {'discount': [], 'lambda_': [num_states]}. The empty dict learns nothing.
"""

import math

import tensorflow as tf

from seed_metagrad import types

BOUNDS = {
  'discount': (0.0, 1.0),
  'lambda_': (0.0, 1.0),
  'baseline_cost': (0.0, 1.0),
  'entropy_cost': (0.0, 1.0),
}


def init(
  initial_values: dict[str, float],
  *,
  num_states: int | None = None,
  dtype=tf.float32,
):
  """Logits of the learned hypers, from the values they start at.

  num_states: None for one number per hyper; else a table, one per state.

  Raises:
    ValueError: an unknown name, or a value not strictly inside its bounds.
  """
  shape = [] if num_states is None else [num_states]
  eta = {}
  for name, value in initial_values.items():
    if name not in BOUNDS:
      raise ValueError(
        f'learned must be out of {sorted(BOUNDS)}, got {name!r}.'
      )
    low, high = BOUNDS[name]
    if not low < value < high:
      raise ValueError(
        f'a learned {name} must start inside ({low}, {high}), got {value}.'
      )
    fraction = (value - low) / (high - low)
    eta[name] = tf.fill(
      shape, tf.constant(math.log(fraction / (1.0 - fraction)), dtype)
    )
  return eta


def values(eta):
  """The learned hypers' values, shaped as their logits."""
  return {
    name: BOUNDS[name][0]
    + (BOUNDS[name][1] - BOUNDS[name][0]) * tf.sigmoid(logits)
    for name, logits in eta.items()
  }


def hypers(eta, fixed: types.Hypers, states=None) -> types.Hypers:
  """`fixed` with the learned hypers in their places.

  states: int32 [T, B] where eta holds tables: each entry is looked up at the
      state of its step and the hypers come out as [T, B].
  """
  learned = values(eta)
  if states is not None:
    learned = {
      name: tf.gather(table, states) for name, table in learned.items()
    }
  return fixed._replace(**learned)


def conditioning(eta):
  """The vector [N] of learned values that a network is conditioned on, or None.

  The gradient is cut here: no meta-gradient through the embedding (MGRL sec.
  4.2); the embedding's own weights are trained with the network's.
  """
  if not eta:
    return None
  return tf.stop_gradient(
    tf.concat(
      [tf.reshape(value, [-1]) for _, value in sorted(values(eta).items())],
      axis=0,
    )
  )
