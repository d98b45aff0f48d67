"""Meta-parameters: value = low + (high - low) sigmoid(logit) (MGRL sec. 4).

`eta` is a dict of logits by the name of the hyperparameter, one number each or
one per state: {'discount': [], 'lambda_': [num_states]}. The empty dict learns
nothing. Names and bounds are those of `config.BOUNDS`.
"""

from collections.abc import Mapping
import math

import tensorflow as tf

from seed_metagrad import config as config_lib
from seed_metagrad import types

_HIGHEST_START = 0.99  # sigmoid(4.6): a logit cannot start at the high bound.


def init(
  initial_values: Mapping[str, float],
  *,
  num_states: int | None = None,
  dtype: tf.DType | str = tf.float32,
) -> types.Eta:
  """Logits of the meta-parameters, from the values they start at.

  A value at its high bound starts at .99 of its range.

  num_states: None for one number each; else a table, one per state.

  Raises:
    ValueError: an unknown name, or a value outside its bounds or at the low
      one.
  """
  shape = [] if num_states is None else [num_states]
  eta = {}
  for name, value in initial_values.items():
    if name not in config_lib.BOUNDS:
      raise ValueError(
        f'learned must be out of {sorted(config_lib.BOUNDS)}, got {name!r}.'
      )
    bounds = config_lib.BOUNDS[name]
    fraction = (value - bounds.low) / (bounds.high - bounds.low)
    if not 0.0 < fraction <= 1.0:
      raise ValueError(
        f'a learned {name} must start inside ({bounds.low}, {bounds.high}), got'
        f' {value}.'
      )
    fraction = _HIGHEST_START if fraction == 1.0 else fraction
    logit = tf.constant(math.log(fraction / (1.0 - fraction)), dtype)
    eta[name] = tf.fill(shape, logit)
  return eta


def values(eta: types.Eta) -> dict[str, tf.Tensor]:
  """The values of the meta-parameters, shaped as their logits."""
  learned = {}
  for name, logits in eta.items():
    bounds = config_lib.BOUNDS[name]
    learned[name] = bounds.low + (bounds.high - bounds.low) * tf.sigmoid(logits)
  return learned


def hypers(
  eta: types.Eta, fixed: types.Hypers, states: tf.Tensor | None = None
) -> types.Hypers:
  """`fixed` with the meta-parameters in their places.

  states: int32 [T, B] where eta holds tables: each entry is looked up at the
      state of its step and the values come out as [T, B].
  """
  learned = values(eta)
  if states is not None:
    learned = {
      name: tf.gather(table, states) for name, table in learned.items()
    }
  return {**fixed, **learned}


def conditioning(eta: types.Eta) -> tf.Tensor | None:
  """The vector [N] of values that a network is conditioned on, or None.

  The gradient is cut here: no meta-gradient through the embedding (MGRL sec.
  4.2); the embedding's own weights are trained with the network's.
  """
  if not eta:
    return None
  learned = sorted(values(eta).items())
  vector: tf.Tensor = tf.stop_gradient(
    tf.concat([tf.reshape(value, [-1]) for _, value in learned], axis=0)
  )
  return vector
