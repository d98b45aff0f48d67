"""Meta-gradient reinforcement learning (Xu, van Hasselt, Silver 2018).

theta' = theta + f(tau, theta, eta)                        eq. 1, the update
z'     = mu z + df(tau, theta, eta)/d eta                  the trace
d eta  = -beta dJ'(tau', theta', eta')/d theta' z'         eq. 2, with z'

theta' is the agent's real next step; tau' is a later sample.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from seed_metagrad import optimizers
from seed_metagrad import outer
from seed_metagrad import types

Metrics = dict[str, tf.Tensor]
Conditioning = Callable[[types.Eta], types.Conditioning | None]
AllReduce = Callable[[types.Nest], types.Nest]
GAUGES_EVERY = 64  # Updates between two looks at the costly gauges.
SIGN = 'sign_agreement_'
_ZERO = tf.UnconnectedGradients.ZERO


class Forward(Protocol):
  """The network on an unroll, differentiable in its parameters."""

  def __call__(
    self,
    params: types.Nest,
    unroll: types.Nest,
    conditioning: types.Conditioning | None,
  ) -> Any:
    """Returns its outputs, NetworkOutput [T + 1, B, ...] in the agent."""


class InnerLoss(Protocol):
  """The inner J as a loss, a sum over the steps of an unroll."""

  def __call__(
    self, online: Any, target: Any, hypers: types.Hypers, unroll: types.Nest
  ) -> tuple[tf.Tensor, Metrics]:
    """Returns (loss, means per step).

    online: outputs that carry the gradient. target: the same numbers, of which
    returns are made.
    """


def alone(nest: types.Nest) -> types.Nest:
  """The sum over one replica."""
  return nest


class Rules(NamedTuple):
  """The functions and constants that make an agent; none of them learned.

  logits(eta, context): the logits by name; eta itself unless it is a network.
  hypers(logits, unroll): the inner loss's hyperparameters, with the learned.
  reference_hypers: those of the plain objective, eta'.
  conditioning(logits): what the network sees of them; None for nothing.
  learning_rate(logits, scheduled): the inner optimizer's.
  next_context(context, unroll, hypers): where eta is a meta-network.
  gauges(step, cotangent, unroll, meta_unroll): `outer.GAUGES`; None for none.
  all_reduce(nest): the nest summed over the replicas that share the unrolls;
      differentiable, and its own adjoint: the gradient of a sum of all is the
      sum of all their gradients.
  """

  forward: Forward
  loss: InnerLoss
  outer_objective: outer.OuterObjective
  hypers: Callable[[types.Eta, types.Nest], types.Hypers]
  conditioning: Conditioning
  optimizer: types.Optimizer
  meta_optimizer: types.Optimizer
  max_gradient_norm: float
  meta_learning_rate: float
  trace_decay: float | tf.Tensor  # mu.
  max_meta_gradient_norm: float = 0.0
  mixed: bool = False  # The meta-gradients of 1 to K inner updates.
  reference_hypers: types.Hypers = {}
  logits: Callable[[Any, types.Nest], types.Eta] = lambda eta, context: eta
  learning_rate: Callable[[types.Eta, Any], Any] = lambda logits, rate: rate
  next_context: Callable[..., types.Nest] = lambda context, *_: context
  gauges: Callable[..., Metrics] | None = None
  all_reduce: AllReduce = alone


class Updated(NamedTuple):
  """What inner updates make."""

  params: types.Nest
  opt_state: types.Nest
  metrics: Metrics


def init(
  rules: Rules, params: types.Nest, eta: Any, context: types.Nest = ()
) -> types.LearnerState:
  """The state that training starts from."""
  trace: types.Nest = ()
  if eta and rules.trace_decay:
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


def inner_update(
  params: types.Nest,
  opt_state: types.Nest,
  logits: types.Eta,
  unroll: types.Nest,
  learning_rate: float | tf.Tensor,
  *,
  rules: Rules,
  live_targets: bool,
) -> Updated:
  """theta' = theta + f(tau, theta, eta), differentiable in eta and theta.

  The gradient is taken with respect to a copy, `online`, while the targets are
  made of `params`, which an outer tape may still differentiate: a semi-gradient
  without a stopped one.

  live_targets: False where `params` do not depend on eta (the first of several
      steps): the targets may then reuse the online forward pass, cut off here.
  """
  conditioning = rules.conditioning(logits)
  online = tf.nest.map_structure(tf.identity, params)
  with tf.GradientTape() as tape:
    tape.watch(online)
    outputs = rules.forward(online, unroll, conditioning)
    if live_targets:
      target = rules.forward(params, unroll, conditioning)
    else:
      target = tf.nest.map_structure(tf.stop_gradient, outputs)
    loss, metrics = rules.loss(
      outputs, target, rules.hypers(logits, unroll), unroll
    )
  gradients = rules.all_reduce(outer.gradient(tape, loss, online))
  gradients, norm = _clip(gradients, rules.max_gradient_norm)
  updates, opt_state = rules.optimizer.update(
    gradients, opt_state, rules.learning_rate(logits, learning_rate)
  )
  params = optimizers.apply_updates(params, updates)
  metrics = {**_mean_over_replicas(metrics, rules), 'gradient_norm': norm}
  return Updated(params, opt_state, metrics)


def inner_updates(
  params: types.Nest,
  opt_state: types.Nest,
  logits: types.Eta,
  unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  *,
  rules: Rules,
) -> list[Updated]:
  """One inner update per element of `unrolls`, each from the one before."""
  updated = [Updated(params, opt_state, {})]
  for unroll in unrolls:
    last = updated[-1]
    updated.append(
      inner_update(
        last.params,
        last.opt_state,
        logits,
        unroll,
        learning_rate,
        rules=rules,
        live_targets=len(updated) > 1,
      )
    )
  return updated[1:]


def update(
  state: types.LearnerState,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  *,
  rules: Rules,
) -> tuple[types.LearnerState, Metrics]:
  """One iteration of MGRL's algorithm 1; plain IMPALA where eta is empty.

  unrolls: types.Unroll [T + 1, B, ...], one inner update each.
  meta_unrolls: what the outer objective takes, later than all of them, the last
      one [T + 1, B', ...]; empty where nothing is learned.

  Returns:
    (state, metrics). num_updates and env_frames are the caller's to count.
  """
  if not state.eta:
    updated = inner_updates(
      state.params, state.opt_state, {}, unrolls, learning_rate, rules=rules
    )[-1]
    return state._replace(
      params=updated.params, opt_state=updated.opt_state
    ), updated.metrics
  with tf.GradientTape() as eta_tape:
    eta_tape.watch(state.eta)
    logits = rules.logits(state.eta, state.context)
  judge = _judge_by_trace if state.trace else _judge_by_tapes
  judged = judge(state, logits, unrolls, meta_unrolls, learning_rate, rules)
  outcome = judged.outcome
  gauges = _gauges(
    state.num_updates, logits, judged, unrolls, meta_unrolls, rules
  )
  meta_gradient = rules.all_reduce(judged.meta_gradient)
  clipped, _ = optimizers.clip_by_global_norm(
    eta_tape.gradient(
      logits, state.eta, meta_gradient, unconnected_gradients=_ZERO
    ),
    rules.max_meta_gradient_norm,
  )
  eta_updates, meta_opt_state = rules.meta_optimizer.update(
    clipped, state.meta_opt_state, rules.meta_learning_rate
  )
  metrics = {
    **judged.updated.metrics,
    **_mean_over_replicas({**outcome.metrics, **gauges}, rules),
    **{
      f'meta_gradient_{name}': tf.reduce_mean(g)
      for name, g in meta_gradient.items()
    },
  }
  return state._replace(
    params=outcome.going_on.params,
    opt_state=outcome.going_on.opt_state,
    eta=optimizers.apply_updates(state.eta, eta_updates),
    meta_opt_state=meta_opt_state,
    trace=judged.trace,
    context=rules.next_context(
      state.context, unrolls[-1], rules.hypers(logits, unrolls[-1])
    ),
  ), metrics


# The products of cotangents of some steps with d theta / d eta, summed.
_PullBack = Callable[[list[outer.Step], list[types.Nest]], types.Nest]


class _Judged(NamedTuple):
  """Inner updates, and what the outer objective says of them."""

  updated: Updated  # theta_K.
  step: outer.Step  # To theta_K.
  outcome: outer.Outcome
  meta_gradient: types.Eta  # dJ'/d eta, of this replica.
  pull_back: _PullBack
  trace: types.Nest


def _judge_by_trace(
  state: types.LearnerState,
  logits: types.Eta,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  rules: Rules,
) -> _Judged:
  """z' = mu z + df/d eta, and dJ'/dtheta' z'."""
  updates, jacobian = _with_jacobian(
    state.params, state.opt_state, logits, unrolls, learning_rate, rules=rules
  )
  trace = tf.nest.map_structure(
    lambda z, df: rules.trace_decay * z + df, state.trace, jacobian
  )

  def pull_back(
    unused_steps: list[outer.Step], cotangents: list[types.Nest]
  ) -> types.Nest:
    """The product of the last one's cotangent with the trace."""
    return {name: _contract(cotangents[-1], z) for name, z in trace.items()}

  step = step_of(state, updates[-1], logits, learning_rate, rules)
  outcome = rules.outer_objective(step, meta_unrolls)
  meta_gradient = pull_back([step], [outcome.cotangent])
  return _Judged(updates[-1], step, outcome, meta_gradient, pull_back, trace)


def _judge_by_tapes(
  state: types.LearnerState,
  logits: types.Eta,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  rules: Rules,
) -> _Judged:
  """dJ'/dtheta' df/d eta without a memory: the product, by nested tapes."""
  # Persistent for the gauges alone.
  with tf.GradientTape(persistent=rules.gauges is not None) as tape:
    tape.watch(logits)
    updates = inner_updates(
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
  return _Judged(
    updates[-1], steps[-1], outcomes[-1], meta_gradient, pull_back, state.trace
  )


def step_of(
  state: types.LearnerState,
  updated: Updated,
  logits: types.Eta,
  learning_rate: float | tf.Tensor,
  rules: Rules,
) -> outer.Step:
  """What an outer objective sees; the network is conditioned on today's eta."""
  conditioning = rules.conditioning(logits)

  def forward(params: types.Nest, unroll: types.Nest) -> Any:
    return rules.forward(params, unroll, conditioning)

  def learn(
    learned: outer.Learned, unroll: types.Nest, rules: Rules = rules
  ) -> outer.Learned:
    further = inner_update(
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


def _gauges(
  num_updates: tf.Tensor,
  logits: types.Eta,
  judged: _Judged,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  rules: Rules,
) -> Metrics:
  """What is costly to look at: NaN but for every GAUGES_EVERY-th update."""
  if not rules.gauges:
    return {}
  gauges: Metrics = tf.cond(
    tf.math.floormod(num_updates, GAUGES_EVERY) == 0,
    lambda: _look_at_gauges(judged, unrolls, meta_unrolls, rules),
    lambda: dict.fromkeys(
      _gauge_names(logits, meta_unrolls, rules), tf.constant(float('nan'))
    ),
  )
  return gauges


def _look_at_gauges(
  judged: _Judged,
  unrolls: Sequence[types.Nest],
  meta_unrolls: Sequence[types.Nest],
  rules: Rules,
) -> Metrics:
  """The gauges of `outer.gauges`.

  And for each meta-parameter, whether the two halves of tau' agree in the sign
  of its meta-gradient.
  """
  assert rules.gauges
  step, last = judged.step, meta_unrolls[-1]
  gauges = rules.gauges(step, judged.outcome.cotangent, unrolls[-1], last)
  half = _half(last, rules)
  halves = []
  for columns in (slice(0, half), slice(half, 2 * half)) if half else ():
    part = tf.nest.map_structure(lambda x, c=columns: x[:, c], last)
    u = rules.outer_objective(step, [*meta_unrolls[:-1], part]).cotangent
    halves.append(judged.pull_back([step], [u]))
  for name in halves[0] if half else ():
    agrees = tf.sign(halves[0][name]) == tf.sign(halves[1][name])
    gauges[SIGN + name] = tf.reduce_mean(tf.cast(agrees, tf.float32))
  return {name: tf.cast(value, tf.float32) for name, value in gauges.items()}


def _gauge_names(
  logits: types.Eta, meta_unrolls: Sequence[types.Nest], rules: Rules
) -> list[str]:
  signs = logits if _half(meta_unrolls[-1], rules) else ()
  return [*outer.GAUGES, *(SIGN + name for name in signs)]


def is_gauge(name: str) -> bool:
  """Tells whether a metric is NaN but for every GAUGES_EVERY-th update."""
  return name in outer.GAUGES or name.startswith(SIGN)


def _half(unroll: types.Nest, rules: Rules) -> int:
  """Half of an unroll's B'; 0 on replicas, which cannot meet in a tf.cond."""
  if rules.all_reduce is not alone:
    return 0
  return int(tf.nest.flatten(unroll)[-1].shape[1]) // 2


def _clip(
  gradients: types.Nest, max_norm: float
) -> tuple[types.Nest, tf.Tensor]:
  """Clips the agent's gradients, and the outer critic's by themselves."""
  if not isinstance(gradients, dict):
    return optimizers.clip_by_global_norm(gradients, max_norm)
  clipped = {
    name: optimizers.clip_by_global_norm(group, max_norm)
    for name, group in gradients.items()
  }
  groups = {name: gradients for name, (gradients, _) in clipped.items()}
  return groups, clipped['agent'][1]


def _mean_over_replicas(metrics: Metrics, rules: Rules) -> Metrics:
  totals, replicas = rules.all_reduce((metrics, tf.ones([])))
  return {
    name: total / tf.cast(replicas, total.dtype)
    for name, total in totals.items()
  }


def _with_jacobian(
  params: types.Nest,
  opt_state: types.Nest,
  eta: types.Eta,
  unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  *,
  rules: Rules,
) -> tuple[list[Updated], dict[str, types.Nest]]:
  """The inner updates' results, and df/d eta: [*eta.shape, *theta.shape].

  The product c^T df/d eta is linear in the cotangent c, so its derivative with
  respect to c is the Jacobian, one row per entry of eta: exact, and cheap for
  the few entries that eta has.
  """
  cotangent = tf.nest.map_structure(tf.zeros_like, params)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(cotangent)
    with tf.GradientTape() as eta_tape:
      eta_tape.watch(eta)
      updates = inner_updates(
        params, opt_state, eta, unrolls, learning_rate, rules=rules
      )
    products: types.Nest = eta_tape.gradient(
      updates[-1].params,
      eta,
      output_gradients=cotangent,
      unconnected_gradients=_ZERO,
    )
    rows = {
      name: tf.unstack(tf.reshape(product, [-1]))
      for name, product in products.items()
    }
  jacobian = {}
  for name, entries in rows.items():
    columns = [
      tape.gradient(entry, cotangent, unconnected_gradients=_ZERO)
      for entry in entries
    ]
    jacobian[name] = tf.nest.map_structure(
      lambda p, *column, shape=eta[name].shape: tf.reshape(
        tf.stack(column), [*shape, *p.shape]
      ),
      params,
      *columns,
    )
  return updates, jacobian


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
