"""dJ'/d eta: how the outer objective judges what eta made of theta."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from seed_metagrad import types
from seed_metagrad.meta_gradients import inner
from seed_metagrad.meta_gradients import outer
from seed_metagrad.meta_gradients import rules as rules_lib

_ZERO = tf.UnconnectedGradients.ZERO
# The products of cotangents of some steps with d theta / d eta, summed.
PullBack = Callable[[list[outer.Step], list[types.Nest]], types.Nest]


class Judged(NamedTuple):
  """Inner updates, and what the outer objective says of them.

  The two are of the same updates, but where tau' is fresh: those made are then
  the ones that follow on those that are judged.
  """

  updated: inner.Updated  # theta_K.
  made: outer.Step  # To theta_K.
  trace: types.Nest
  step: outer.Step  # To theta', which was judged.
  outcome: outer.Outcome
  meta_gradient: types.Eta  # dJ'/d eta, of this replica.
  pull_back: PullBack


def by_trace(
  state: types.LearnerState,
  logits: types.Eta,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  rules: rules_lib.Rules,
) -> Judged:
  """Learns, z' = mu z + df/d eta, and then judges: dJ'/dtheta' z'."""
  updated, trace = _learn(state, logits, unrolls, learning_rate, rules)
  step = step_of(state, updated, logits, learning_rate, rules)
  return _judge(step, updated, trace, meta_unrolls, rules)


def by_kept_trace(
  state: types.LearnerState,
  logits: types.Eta,
  meta_unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  rules: rules_lib.Rules,
) -> Judged:
  """Judges the updates before: dJ'/dtheta z. `then_learn` is to follow."""
  none = inner.Updated(state.params, state.opt_state, {})
  step = step_of(state, none, logits, learning_rate, rules)
  return _judge(step, none, state.trace, meta_unrolls, rules)


def then_learn(
  judged: Judged,
  state: types.LearnerState,
  logits: types.Eta,
  unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  rules: rules_lib.Rules,
) -> Judged:
  """Learns after what was judged: z' = mu z + df/d eta."""
  updated, trace = _learn(state, logits, unrolls, learning_rate, rules)
  made = step_of(state, updated, logits, learning_rate, rules)
  outcome = judged.outcome._replace(going_on=made.after)
  return judged._replace(
    updated=updated, made=made, outcome=outcome, trace=trace
  )


def _learn(
  state: types.LearnerState,
  logits: types.Eta,
  unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  rules: rules_lib.Rules,
) -> tuple[inner.Updated, types.Nest]:
  updates, jacobian = inner.with_jacobian(
    state.params, state.opt_state, logits, unrolls, learning_rate, rules=rules
  )
  trace = tf.nest.map_structure(
    lambda z, df: rules.trace_decay * z + df, state.trace, jacobian
  )
  return updates[-1], trace


def _judge(
  step: outer.Step,
  updated: inner.Updated,
  trace: types.Nest,
  meta_unrolls: Sequence[types.Nest],
  rules: rules_lib.Rules,
) -> Judged:
  def pull_back(
    unused_steps: list[outer.Step], cotangents: list[types.Nest]
  ) -> types.Nest:
    """The product of the last one's cotangent with the trace."""
    return {name: _contract(cotangents[-1], z) for name, z in trace.items()}

  outcome = rules.outer_objective(step, meta_unrolls)
  meta_gradient = pull_back([step], [outcome.cotangent])
  return Judged(updated, step, trace, step, outcome, meta_gradient, pull_back)


def by_tapes(
  state: types.LearnerState,
  logits: types.Eta,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  rules: rules_lib.Rules,
) -> Judged:
  """dJ'/dtheta' df/d eta without a memory: the product, by nested tapes."""
  # Persistent for the gauges alone.
  with tf.GradientTape(persistent=rules.gauges is not None) as tape:
    tape.watch(logits)
    updates = inner.k_updates(
      state.params, state.opt_state, logits, unrolls, learning_rate, rules=rules
    )

  def pull_back(
    steps: list[outer.Step], cotangents: list[types.Nest]
  ) -> types.Nest:
    """The products of cotangents with d theta_k / d eta, summed."""
    return tape.gradient(
      [step.after.params for step in steps],
      logits,
      output_gradients=cotangents,
      unconnected_gradients=_ZERO,
    )

  steps = [
    step_of(state, updated, logits, learning_rate, rules)
    for updated in (updates if rules.mixed else updates[-1:])
  ]
  outcomes = [rules.outer_objective(step, meta_unrolls) for step in steps]
  meta_gradient = pull_back(steps, [outcome.cotangent for outcome in outcomes])
  if rules.mixed:  # Their mean.
    meta_gradient = tf.nest.map_structure(
      lambda g: g / len(steps), meta_gradient
    )
  return Judged(
    updates[-1],
    steps[-1],
    state.trace,
    steps[-1],
    outcomes[-1],
    meta_gradient,
    pull_back,
  )


def step_of(
  state: types.LearnerState,
  updated: inner.Updated,
  logits: types.Eta,
  learning_rate: float | tf.Tensor,
  rules: rules_lib.Rules,
) -> outer.Step:
  """What an outer objective sees; the network is conditioned on today's eta."""
  conditioning = rules.conditioning(logits)

  def forward(params: types.Nest, unroll: types.Nest) -> Any:
    return rules.forward(params, unroll, conditioning)

  def learn(
    learned: outer.Learned, unroll: types.Nest, rules: rules_lib.Rules = rules
  ) -> outer.Learned:
    further = inner.update(
      *learned, logits, unroll, learning_rate, rules=rules, live_targets=False
    )
    return outer.Learned(further.params, further.opt_state)

  plain = rules._replace(hypers=lambda logits, unroll: rules.reference_hypers)
  return outer.Step(
    before=outer.Learned(state.params, state.opt_state),
    after=outer.Learned(updated.params, updated.opt_state),
    forward=forward,
    learn=learn,
    learn_plainly=lambda learned, unroll: learn(learned, unroll, plain),
  )


def _contract(u: types.Nest, z: types.Nest) -> tf.Tensor:
  """sum over theta of u z: shaped as the entry of eta that z belongs to."""

  def one(u: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    axes = u.shape.rank
    product: tf.Tensor = tf.tensordot(
      z, u, [list(range(z.shape.rank - axes, z.shape.rank)), list(range(axes))]
    )
    return product

  total: tf.Tensor = tf.add_n(
    [
      one(a, b)
      for a, b in zip(tf.nest.flatten(u), tf.nest.flatten(z), strict=True)
    ]
  )
  return total
