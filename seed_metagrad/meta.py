"""Meta-gradient reinforcement learning (Xu, van Hasselt, Silver 2018).

theta' = theta + f(tau, theta, eta)                        eq. 1, the update
z'     = mu z + df(tau, theta, eta)/d eta                  the trace
d eta  = -beta dJ'(tau', theta', eta')/d theta' z'         eq. 2, with z'

theta' is the agent's real next step; tau' is a later sample.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from seed_metagrad import meta_parameters
from seed_metagrad import optimizers
from seed_metagrad import types


class Rules(NamedTuple):
  """The functions and constants that make an agent; none of them learned.

  forward(params, unroll, conditioning) -> outputs, differentiable.
  loss(online, target, hypers, unroll) -> (loss, metrics), the inner J.
  meta_loss(outputs, unroll) -> J' at the fixed reference eta', as a loss.
  hypers(eta, unroll) -> types.Hypers.
  all_reduce(nest) -> the nest summed over the replicas that share the unrolls;
      differentiable, and its own adjoint: the gradient of a sum of all is the
      sum of all their gradients.
  """

  forward: Callable[..., Any]
  loss: Callable[..., Any]
  meta_loss: Callable[..., Any]
  hypers: Callable[..., types.Hypers]
  optimizer: types.Optimizer
  meta_optimizer: types.Optimizer
  max_gradient_norm: float
  meta_learning_rate: float
  trace_decay: float  # mu.
  conditioned: bool
  all_reduce: Callable[..., Any] = lambda nest: nest  # One replica.


def init(rules: Rules, params, eta) -> types.LearnerState:
  """The state that training starts from."""
  trace = ()
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
  params,
  opt_state,
  eta,
  unroll,
  learning_rate,
  *,
  rules: Rules,
  live_targets: bool,
):
  """theta' = theta + f(tau, theta, eta), differentiable in eta and theta.

  The gradient is taken with respect to a copy, `online`, while the targets are
  made of `params`, which an outer tape may still differentiate: a semi-gradient
  without a stopped one.

  live_targets: False where `params` do not depend on eta (the first of several
      steps): the targets may then reuse the online forward pass, cut off here.

  Returns:
    (params, opt_state, metrics).
  """
  conditioning = (
    meta_parameters.conditioning(eta) if rules.conditioned else None
  )
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
  gradients, metrics = rules.all_reduce(
    (tape.gradient(loss, online, unconnected_gradients='zero'), metrics)
  )
  gradients, norm = optimizers.clip_by_global_norm(
    gradients, rules.max_gradient_norm
  )
  updates, opt_state = rules.optimizer.update(
    gradients, opt_state, learning_rate
  )
  params = optimizers.apply_updates(params, updates)
  return params, opt_state, {**metrics, 'gradient_norm': norm}


def inner_updates(params, opt_state, eta, unrolls, learning_rate, *, rules):
  """One inner update per element of `unrolls`; metrics are of the last."""
  for k, unroll in enumerate(unrolls):
    params, opt_state, metrics = inner_update(
      params,
      opt_state,
      eta,
      unroll,
      learning_rate,
      rules=rules,
      live_targets=k > 0,
    )
  return params, opt_state, metrics


def meta_objective_gradient(params, eta, unroll, *, rules: Rules):
  """(dJ'(tau', theta', eta')/d theta', J'), at the updated parameters."""
  conditioning = (
    meta_parameters.conditioning(eta) if rules.conditioned else None
  )
  with tf.GradientTape() as tape:
    tape.watch(params)
    meta_loss = rules.meta_loss(
      rules.forward(params, unroll, conditioning), unroll
    )
  return tape.gradient(
    meta_loss, params, unconnected_gradients='zero'
  ), meta_loss


def update(
  state: types.LearnerState,
  unrolls,
  meta_unroll,
  learning_rate,
  *,
  rules: Rules,
):
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
    params, opt_state, metrics = inner_updates(*arguments, rules=rules)
    return state._replace(params=params, opt_state=opt_state), metrics
  trace = state.trace
  if trace:
    (params, opt_state, metrics), jacobian = _with_jacobian(
      arguments, rules=rules
    )
    trace = tf.nest.map_structure(
      lambda z, df: rules.trace_decay * z + df, trace, jacobian
    )
    u, meta_loss = meta_objective_gradient(
      params, eta, meta_unroll, rules=rules
    )
    meta_gradient = {name: _contract(u, z) for name, z in trace.items()}
  else:
    with tf.GradientTape() as tape:
      tape.watch(eta)
      params, opt_state, metrics = inner_updates(*arguments, rules=rules)
    u, meta_loss = meta_objective_gradient(
      params, eta, meta_unroll, rules=rules
    )
    meta_gradient = tape.gradient(
      params, eta, output_gradients=u, unconnected_gradients='zero'
    )
  meta_gradient, meta_loss = rules.all_reduce((meta_gradient, meta_loss))
  updates, meta_opt_state = rules.meta_optimizer.update(
    meta_gradient, state.meta_opt_state, rules.meta_learning_rate
  )
  metrics = {
    **metrics,
    'meta_loss': meta_loss,
    **{
      f'meta_gradient_{name}': tf.reduce_mean(g)
      for name, g in meta_gradient.items()
    },
  }
  return state._replace(
    params=params,
    opt_state=opt_state,
    eta=optimizers.apply_updates(eta, updates),
    meta_opt_state=meta_opt_state,
    trace=trace,
  ), metrics


def _with_jacobian(arguments, *, rules: Rules):
  """The inner updates' results, and df/d eta: [*eta.shape, *theta.shape].

  The product c^T df/d eta is linear in the cotangent c, so its derivative with
  respect to c is the Jacobian, one row per entry of eta: exact, and cheap for
  the few entries that eta has.
  """
  params, eta = arguments[0], arguments[2]
  cotangent = tf.nest.map_structure(tf.zeros_like, params)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(cotangent)
    with tf.GradientTape() as eta_tape:
      eta_tape.watch(eta)
      results = inner_updates(*arguments, rules=rules)
    products = eta_tape.gradient(
      results[0], eta, output_gradients=cotangent, unconnected_gradients='zero'
    )
    rows = {
      name: tf.unstack(tf.reshape(product, [-1]))
      for name, product in products.items()
    }
  jacobian = {}
  for name, entries in rows.items():
    columns = [
      tape.gradient(entry, cotangent, unconnected_gradients='zero')
      for entry in entries
    ]
    jacobian[name] = tf.nest.map_structure(
      lambda p, *column, shape=eta[name].shape: tf.reshape(
        tf.stack(column), [*shape, *p.shape]
      ),
      params,
      *columns,
    )
  return results, jacobian


def _contract(u, z):
  """sum over theta of u z: shaped as the entry of eta that z belongs to."""

  def one(u, z):
    axes = u.shape.rank
    return tf.tensordot(
      z, u, [list(range(z.shape.rank - axes, z.shape.rank)), list(range(axes))]
    )

  return tf.add_n(
    [
      one(a, b)
      for a, b in zip(tf.nest.flatten(u), tf.nest.flatten(z), strict=True)
    ]
  )
