"""Meta-gradient reinforcement learning (Xu, van Hasselt, Silver 2018).

theta' = theta + f(tau, theta, eta)                        eq. 1, the update
z'     = mu z + df(tau, theta, eta)/d eta                  the trace
d eta  = -beta dJ'(tau', theta', eta')/d theta' z'         eq. 2, with z'

theta' is the agent's real next step; tau' is a later sample. Where that is a
fresh one, acted by theta' itself, an update starts with eq. 2 of that before.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from seed_metagrad import optimizers
from seed_metagrad import types
from seed_metagrad.meta_gradients import gauges
from seed_metagrad.meta_gradients import inner
from seed_metagrad.meta_gradients import judge
from seed_metagrad.meta_gradients import rules as rules_lib

_ZERO = tf.UnconnectedGradients.ZERO


def init(
  rules: rules_lib.Rules, params: types.Nest, eta: Any, context: types.Nest = ()
) -> types.LearnerState:
  """The state that training starts from."""
  trace: types.Nest = ()
  if eta and (rules.trace_decay or rules.fresh):
    trace = {
      name: tf.nest.map_structure(
        lambda p, logits=logits: tf.zeros([*logits.shape, *p.shape], p.dtype),
        params,
      )
      for name, logits in eta.items()
    }
  return types.LearnerState(
    params=params,
    opt_state=rules.optimizer.init(params),
    eta=eta,
    meta_opt_state=rules.meta_optimizer.init(eta) if eta else (),
    trace=trace,
    num_updates=tf.zeros([], tf.int64),
    env_frames=tf.zeros([], tf.int64),
    context=context,
  )


def update(
  state: types.LearnerState,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  *,
  rules: rules_lib.Rules,
) -> tuple[types.LearnerState, rules_lib.Metrics]:
  """One iteration of MGRL's algorithm 1; plain IMPALA where eta is empty.

  unrolls: types.Unroll [T + 1, B, ...], one inner update each.
  meta_unrolls: what the outer objective takes, later than all of them, the last
      one [T + 1, B', ...]; empty where nothing is learned. Of a fresh sample
      the first B' of `unrolls`, which judge the call before.

  Returns:
    (state, metrics). num_updates and env_frames are the caller's to count.
  """
  if not state.eta:
    updated = inner.k_updates(
      state.params, state.opt_state, {}, unrolls, learning_rate, rules=rules
    )[-1]
    return state._replace(
      params=updated.params, opt_state=updated.opt_state
    ), updated.metrics
  logits = rules.logits(state.eta, state.context)
  if rules.fresh:
    judged = judge.by_kept_trace(
      state, logits, meta_unrolls, learning_rate, rules
    )
  else:
    how = judge.by_trace if state.trace else judge.by_tapes
    judged = how(state, logits, unrolls, meta_unrolls, learning_rate, rules)
  meta_gradient = rules.all_reduce(judged.meta_gradient)
  eta, meta_opt_state = _meta_step(state, meta_gradient, rules)
  if rules.fresh:
    judged = judge.then_learn(
      judged,
      state,
      rules.logits(eta, state.context),
      unrolls,
      learning_rate,
      rules,
    )
  looks = gauges.look_at(
    state.num_updates, logits, judged, unrolls, meta_unrolls, rules
  )
  found = inner.mean_over_replicas({**judged.outcome.metrics, **looks}, rules)
  metrics = {
    **judged.updated.metrics,
    **found,
    **{
      f'meta_gradient_{name}': tf.reduce_mean(g)
      for name, g in meta_gradient.items()
    },
  }
  going_on = judged.outcome.going_on
  return state._replace(
    params=going_on.params,
    opt_state=going_on.opt_state,
    eta=eta,
    meta_opt_state=meta_opt_state,
    trace=judged.trace,
    context=rules.next_context(
      state.context, unrolls[-1], rules.hypers(logits, unrolls[-1])
    ),
  ), metrics


def _meta_step(
  state: types.LearnerState, meta_gradient: types.Nest, rules: rules_lib.Rules
) -> tuple[Any, types.Nest]:
  """eta + d eta, and the state of its optimizer."""
  with tf.GradientTape() as tape:
    tape.watch(state.eta)
    logits = rules.logits(state.eta, state.context)
  clipped, _ = optimizers.clip_by_global_norm(
    tape.gradient(
      logits, state.eta, meta_gradient, unconnected_gradients=_ZERO
    ),
    rules.max_meta_gradient_norm,
  )
  updates, meta_opt_state = rules.meta_optimizer.update(
    clipped, state.meta_opt_state, rules.meta_learning_rate
  )
  return optimizers.apply_updates(state.eta, updates), meta_opt_state
