"""theta' = theta + f(tau, theta, eta), and its Jacobian in eta."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from seed_metagrad import optimizers
from seed_metagrad import types
from seed_metagrad.meta_gradients import outer
from seed_metagrad.meta_gradients import rules as rules_lib

_ZERO = tf.UnconnectedGradients.ZERO


class Updated(NamedTuple):
  """What inner updates make."""

  params: types.Nest
  opt_state: types.Nest
  metrics: rules_lib.Metrics


def update(
  params: types.Nest,
  opt_state: types.Nest,
  logits: types.Eta,
  unroll: types.Nest,
  learning_rate: float | tf.Tensor,
  *,
  rules: rules_lib.Rules,
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
  metrics = {**mean_over_replicas(metrics, rules), 'gradient_norm': norm}
  return Updated(params, opt_state, metrics)


def k_updates(
  params: types.Nest,
  opt_state: types.Nest,
  logits: types.Eta,
  unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  *,
  rules: rules_lib.Rules,
) -> list[Updated]:
  """One inner update per element of `unrolls`, each from the one before."""
  updated = [Updated(params, opt_state, {})]
  for unroll in unrolls:
    last = updated[-1]
    updated.append(
      update(
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


def with_jacobian(
  params: types.Nest,
  opt_state: types.Nest,
  eta: types.Eta,
  unrolls: Sequence[types.Nest],
  learning_rate: float | tf.Tensor,
  *,
  rules: rules_lib.Rules,
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
      updates = k_updates(
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


def mean_over_replicas(
  metrics: rules_lib.Metrics, rules: rules_lib.Rules
) -> rules_lib.Metrics:
  """The means of metrics that every replica has by itself."""
  totals, replicas = rules.all_reduce((metrics, tf.ones([])))
  return {
    name: total / tf.cast(replicas, total.dtype)
    for name, total in totals.items()
  }


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
