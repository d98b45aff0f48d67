"""How healthy a meta-update is: what is too costly to look at each time."""

from collections.abc import Sequence

import tensorflow as tf

from seed_metagrad import types
from seed_metagrad.meta_gradients import judge
from seed_metagrad.meta_gradients import outer
from seed_metagrad.meta_gradients import rules as rules_lib

EVERY = 64  # Updates between two looks.
SIGN = 'sign_agreement_'


def look_at(
  num_updates: tf.Tensor,
  logits: types.Eta,
  judged: judge.Judged,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  rules: rules_lib.Rules,
) -> rules_lib.Metrics:
  """The gauges; NaN but for every EVERY-th update."""
  if not rules.gauges:
    return {}
  looks: rules_lib.Metrics = tf.cond(
    tf.math.floormod(num_updates, EVERY) == 0,
    lambda: _look(judged, unrolls, meta_unrolls, rules),
    lambda: dict.fromkeys(
      _names(logits, meta_unrolls, rules), tf.constant(float('nan'))
    ),
  )
  return looks


def is_gauge(name: str) -> bool:
  """Tells whether a metric is NaN but for every EVERY-th update."""
  return name in outer.GAUGES or name.startswith(SIGN)


def _look(
  judged: judge.Judged,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  rules: rules_lib.Rules,
) -> rules_lib.Metrics:
  """The gauges of `outer.gauges`.

  And for each meta-parameter, whether the two halves of tau' agree in the sign
  of its meta-gradient.
  """
  assert rules.gauges
  step, last = judged.step, meta_unrolls[-1]
  looks = rules.gauges(judged.made, judged.outcome.cotangent, unrolls[-1], last)
  half = _half(last, rules)
  halves = []
  for columns in (slice(0, half), slice(half, 2 * half)) if half else ():
    part = tf.nest.map_structure(lambda x, c=columns: x[:, c], last)
    u = rules.outer_objective(step, [*meta_unrolls[:-1], part]).cotangent
    halves.append(judged.pull_back([step], [u]))
  for name in halves[0] if half else ():
    agrees = tf.sign(halves[0][name]) == tf.sign(halves[1][name])
    looks[SIGN + name] = tf.reduce_mean(tf.cast(agrees, tf.float32))
  return {name: tf.cast(value, tf.float32) for name, value in looks.items()}


def _names(
  logits: types.Eta, meta_unrolls: Sequence[types.Nest], rules: rules_lib.Rules
) -> list[str]:
  signs = logits if _half(meta_unrolls[-1], rules) else ()
  return [*outer.GAUGES, *(SIGN + name for name in signs)]


def _half(unroll: types.Nest, rules: rules_lib.Rules) -> int:
  """Half of an unroll's B'; 0 on replicas, which cannot meet in a tf.cond."""
  if rules.all_reduce is not rules_lib.alone:
    return 0
  return int(tf.nest.flatten(unroll)[-1].shape[1]) // 2
