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
Conditioning = Callable[[types.Eta], tf.Tensor | None]
AllReduce = Callable[[types.Nest], types.Nest]
_ZERO = tf.UnconnectedGradients.ZERO


class Forward(Protocol):
  """The network on an unroll, differentiable in its parameters."""

  def __call__(
    self, params: types.Nest, unroll: types.Nest, conditioning: tf.Tensor | None
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


class Rules(NamedTuple):
  """The functions and constants that make an agent; none of them learned.

  hypers(eta, unroll): the inner loss's hyperparameters, with the learned ones.
  conditioning(eta): what the network sees of eta; None for nothing.
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
  all_reduce: AllReduce = lambda nest: nest


class Updated(NamedTuple):
  """What inner updates make."""

  params: types.Nest
  opt_state: types.Nest
  metrics: Metrics


def init(
  rules: Rules, params: types.Nest, eta: types.Eta
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
  )


def inner_update(
  params: types.Nest,
  opt_state: types.Nest,
  eta: types.Eta,
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
  conditioning = rules.conditioning(eta)
  online = tf.nest.map_structure(tf.identity, params)
  with tf.GradientTape() as tape:
    tape.watch(online)
    outputs = rules.forward(online, unroll, conditioning)
    if live_targets:
      target = rules.forward(params, unroll, conditioning)
    else:
      target = tf.nest.map_structure(tf.stop_gradient, outputs)
    loss, metrics = rules.loss(
      outputs, target, rules.hypers(eta, unroll), unroll
    )
  gradients = rules.all_reduce(outer.gradient(tape, loss, online))
  gradients, norm = optimizers.clip_by_global_norm(
    gradients, rules.max_gradient_norm
  )
  updates, opt_state = rules.optimizer.update(
    gradients, opt_state, learning_rate
  )
  params = optimizers.apply_updates(params, updates)
  metrics = {**_mean_over_replicas(metrics, rules), 'gradient_norm': norm}
  return Updated(params, opt_state, metrics)


def inner_updates(
  params: types.Nest,
  opt_state: types.Nest,
  eta: types.Eta,
  unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  *,
  rules: Rules,
) -> Updated:
  """One inner update per element of `unrolls`; metrics are of the last."""
  updated = Updated(params, opt_state, {})
  for k, unroll in enumerate(unrolls):
    updated = inner_update(
      updated.params,
      updated.opt_state,
      eta,
      unroll,
      learning_rate,
      rules=rules,
      live_targets=k > 0,
    )
  return updated


def update(
  state: types.LearnerState,
  unrolls: Sequence[types.Nest],
  meta_unroll: types.Nest | None,
  learning_rate: float | tf.Tensor,
  *,
  rules: Rules,
) -> tuple[types.LearnerState, Metrics]:
  """One iteration of MGRL's algorithm 1; plain IMPALA where eta is empty.

  unrolls: a sequence of types.Unroll [T + 1, B, ...], one inner update each.
  meta_unroll: types.Unroll [T + 1, B', ...], later than all of them; None
      where nothing is learned.

  Returns:
    (state, metrics). num_updates and env_frames are the caller's to count.
  """
  eta = state.eta
  arguments = (state.params, state.opt_state, eta, unrolls, learning_rate)
  if not eta:
    updated = inner_updates(*arguments, rules=rules)
    return state._replace(
      params=updated.params, opt_state=updated.opt_state
    ), updated.metrics
  trace = state.trace
  if trace:
    updated, jacobian = _with_jacobian(*arguments, rules=rules)
    trace = tf.nest.map_structure(
      lambda z, df: rules.trace_decay * z + df, trace, jacobian
    )
    u, metrics = cotangent(updated.params, eta, meta_unroll, rules=rules)
    meta_gradient: types.Nest = {
      name: _contract(u, z) for name, z in trace.items()
    }
  else:
    with tf.GradientTape() as tape:
      tape.watch(eta)
      updated = inner_updates(*arguments, rules=rules)
    u, metrics = cotangent(updated.params, eta, meta_unroll, rules=rules)
    meta_gradient = tape.gradient(
      updated.params, eta, output_gradients=u, unconnected_gradients=_ZERO
    )
  meta_gradient = rules.all_reduce(meta_gradient)
  eta_updates, meta_opt_state = rules.meta_optimizer.update(
    meta_gradient, state.meta_opt_state, rules.meta_learning_rate
  )
  gradients = {
    f'meta_gradient_{name}': tf.reduce_mean(g)
    for name, g in meta_gradient.items()
  }
  return state._replace(
    params=updated.params,
    opt_state=updated.opt_state,
    eta=optimizers.apply_updates(eta, eta_updates),
    meta_opt_state=meta_opt_state,
    trace=trace,
  ), {**updated.metrics, **_mean_over_replicas(metrics, rules), **gradients}


def cotangent(
  params: types.Nest, eta: types.Eta, meta_unroll: types.Nest, *, rules: Rules
) -> tuple[types.Nest, Metrics]:
  """dJ'/dtheta' on tau', the network conditioned on the current eta."""
  conditioning = rules.conditioning(eta)

  def forward(params: types.Nest, unroll: types.Nest) -> Any:
    return rules.forward(params, unroll, conditioning)

  return rules.outer_objective(params, meta_unroll, forward=forward)


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
) -> tuple[Updated, dict[str, types.Nest]]:
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
      updated = inner_updates(
        params, opt_state, eta, unrolls, learning_rate, rules=rules
      )
    products: types.Nest = eta_tape.gradient(
      updated.params,
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
  return updated, jacobian


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
