"""Meta-parameters: value = low + (high - low) sigmoid(logit) (MGRL sec. 4).

`eta` is what is learned. It has one of three shapes:

  numbers          {'discount': [], 'lambda_': []}, one logit each
  tables           {'discount': [num_states]}, one logit for each state
  a meta-network   the weights of a small network from a context to the logits
                   (Luketina et al. 2022), `MetaNetwork`

`logits` makes logits by name of all three; what follows sees only these. The
empty dict learns nothing. The names of auxiliary heads' meta-parameters are
'auxiliary_1/discount' and so on.
"""

from collections.abc import Mapping
import math
from typing import NamedTuple

import tensorflow as tf

from seed_metagrad import config as config_lib
from seed_metagrad import types

CONTEXT_LENGTH = 10  # Rollouts in a context, H (Luketina et al. 2022).
_CONTEXT_SIZE = 2  # Mean reward and mean TD error of a rollout.
_UNITS = (64, 64)  # The hidden layers of a meta-network (the same).
_NEAREST = 1e-5  # To 0 and to 1, whose logits are infinite [our choice].
_HIGHEST_START = 0.99  # sigmoid(4.6): a logit cannot start at the high bound.

Bounds = Mapping[str, config_lib.Bounds]
UNIT_BOUNDS: Bounds = {
  name: config_lib.Bounds(0.0, 1.0) for name in ('discount', 'lambda_')
}


class Dense(NamedTuple):
  """The weights of a dense layer."""

  kernel: tf.Tensor  # [inputs, units]; [inputs] for one unit.
  bias: tf.Tensor  # [units]; [] for one unit.


class MetaNetwork(NamedTuple):
  """The weights of a network from a context to logits."""

  hidden: tuple[Dense, ...]
  heads: dict[str, Dense]  # One unit each, by the meta-parameter's name.


def init(
  initial_values: Mapping[str, float],
  bounds: Bounds = UNIT_BOUNDS,
  *,
  num_states: int | None = None,
  dtype: tf.DType | str = tf.float32,
) -> types.Eta:
  """Logits of the meta-parameters, from the values they start at.

  A value at its high bound starts at .99 of its range (STAC).

  num_states: None for one number each; else a table, one per state.

  Raises:
    ValueError: an unknown name, or a value outside its bounds or at the low
      one.
  """
  shape = [] if num_states is None else [num_states]
  eta = {}
  for name, value in initial_values.items():
    base = _base(name)
    if base not in bounds:
      raise ValueError(
        f'learned must be out of {sorted(bounds)}, got {name!r}.'
      )
    low, high = bounds[base].low, bounds[base].high
    fraction = (value - low) / (high - low) if high > low else math.nan
    if not 0.0 < fraction <= 1.0:
      raise ValueError(
        f'a learned {name} must start inside ({low}, {high}), got {value}.'
      )
    fraction = _HIGHEST_START if fraction == 1.0 else fraction
    logit = tf.constant(math.log(fraction / (1.0 - fraction)), dtype)
    eta[name] = tf.fill(shape, logit)
  return eta


def init_meta_network(eta: types.Eta, seed: int) -> MetaNetwork:
  """A meta-network whose logits start at the numbers of `eta`, in any context.

  The kernels of its heads are zero; the hidden ones are drawn with a standard
  deviation of 1 / sqrt(inputs).
  """
  rng = tf.random.Generator.from_seed(seed)
  dtype = next(iter(eta.values())).dtype
  hidden, size = [], CONTEXT_LENGTH * _CONTEXT_SIZE
  for units in _UNITS:
    kernel = rng.normal([size, units], stddev=size**-0.5, dtype=dtype)
    hidden.append(Dense(kernel, tf.zeros([units], dtype)))
    size = units
  heads = {name: Dense(tf.zeros([size], dtype), x) for name, x in eta.items()}
  return MetaNetwork(tuple(hidden), heads)


def init_context(dtype: tf.DType | str = tf.float32) -> tf.Tensor:
  """The context before the first rollout, [H, 2]."""
  return tf.zeros([CONTEXT_LENGTH, _CONTEXT_SIZE], dtype)


def push_context(
  context: tf.Tensor, mean_reward: tf.Tensor, mean_td_error: tf.Tensor
) -> tf.Tensor:
  """The context with one more rollout, the newest last; both are squashed."""
  newest = tf.tanh(tf.stack([mean_reward, mean_td_error]))
  context = tf.concat([context[1:], newest[tf.newaxis]], axis=0)
  return context


def logits(eta: types.Eta | MetaNetwork, context: types.Nest = ()) -> types.Eta:
  """The logits by name; `context` [H, 2] where eta is a meta-network.

  No gradient goes through the context.
  """
  if not isinstance(eta, MetaNetwork):
    return eta
  x = tf.reshape(tf.stop_gradient(context), [1, -1])
  for layer in eta.hidden:
    x = tf.nn.relu(tf.matmul(x, layer.kernel) + layer.bias)
  return {
    name: tf.reduce_sum(x[0] * head.kernel) + head.bias
    for name, head in eta.heads.items()
  }


def values(
  logits: types.Eta, bounds: Bounds = UNIT_BOUNDS
) -> dict[str, tf.Tensor]:
  """The values of the meta-parameters, shaped as their logits."""
  learned = {}
  for name, logit in logits.items():
    low, high = bounds[_base(name)].low, bounds[_base(name)].high
    learned[name] = low + (high - low) * tf.sigmoid(logit)
  return learned


def hypers(
  logits: types.Eta,
  fixed: types.Hypers,
  bounds: Bounds = UNIT_BOUNDS,
  *,
  states: tf.Tensor | None = None,
) -> types.Hypers:
  """`fixed` with the meta-parameters in their places.

  states: int32 [T, B] where the logits are tables: each entry is looked up at
      the state of its step and the values come out as [T, B].
  """
  learned = values(logits, bounds)
  if states is not None:
    learned = {
      name: tf.gather(table, states) for name, table in learned.items()
    }
  return {**fixed, **learned}


def auxiliary(name: str, head: int) -> str:
  """The name of a meta-parameter of an auxiliary head, from 1 on."""
  return f'auxiliary_{head}/{name}'


def of_head(hypers: types.Hypers, head: int) -> types.Hypers:
  """What an auxiliary head learns by: its own in the places of the main's."""
  prefix = auxiliary('', head)
  own = {
    name.removeprefix(prefix): value
    for name, value in hypers.items()
    if name.startswith(prefix)
  }
  return {**hypers, **own}


def conditioning(
  logits: types.Eta,
  bounds: Bounds = UNIT_BOUNDS,
  reference: Mapping[str, float] | None = None,
) -> types.Conditioning | None:
  """What a network is conditioned on, sorted by name; None where nothing is.

  The gradient is cut here: no meta-gradient through the embedding (MGRL sec.
  4.2); the embedding's own weights are trained with the network's.

  reference: eta', for `Conditioning.reference`: what it lacks stays as it is.
      Then logits are seen, not values, in units of that of 1, which is taken as
      1 - 1e-5: .998 and 1 are worlds apart as discounts, and .002 as numbers.
  """
  if not logits:
    return None
  if reference is None:
    return types.Conditioning(_vector(values(logits, bounds)))
  at_reference = {
    name: tf.zeros_like(logit)
    + _finite_logit(reference[_base(name)], *bounds[_base(name)])
    if _base(name) in reference
    else logit
    for name, logit in logits.items()
  }
  unit = _finite_logit(1.0, 0.0, 1.0)
  return types.Conditioning(
    _vector(logits) / unit, _vector(at_reference) / unit
  )


def _finite_logit(value: float, low: float, high: float) -> float:
  fraction = (value - low) / (high - low)
  inside = min(max(fraction, _NEAREST), 1.0 - _NEAREST)
  return math.log(inside / (1.0 - inside))


def _vector(values: Mapping[str, tf.Tensor]) -> tf.Tensor:
  ordered = [tf.reshape(value, [-1]) for _, value in sorted(values.items())]
  vector: tf.Tensor = tf.stop_gradient(tf.concat(ordered, axis=0))
  return vector


def _base(name: str) -> str:
  """The name without its head."""
  return name.rpartition('/')[2]
