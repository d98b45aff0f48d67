"""Outer objectives: how good updated parameters are, as dJ'/dtheta'.

Each is a function `OuterObjective`; `OBJECTIVES` has them by name. Returns are
made at the fixed reference eta', and what they are made of is cut off: the
cotangent is that of a policy gradient (MGRL), not of the returns. Baseline and
bootstraps are of the updated parameters: those of the outer critic where there
is one (Bonnet et al. 2022), which is then used nowhere else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from seed_metagrad import losses
from seed_metagrad import types
from seed_metagrad.networks import policies

Metrics = dict[str, tf.Tensor]


class Forward(Protocol):
  """The network on an unroll."""

  def __call__(self, params: types.Nest, unroll: types.Nest) -> Any:
    """Returns its outputs, differentiable in `params`."""


class Learned(NamedTuple):
  """Parameters, and the state of their optimizer."""

  params: types.Nest
  opt_state: types.Nest


class Step(NamedTuple):
  """The agent's own updates, from theta to theta' = theta_K.

  learn(learned, unroll): one more update by the same rule. learn_plainly: one
      on the plain objective, the inner loss at eta'. Neither is differentiated.
  """

  before: Learned
  after: Learned
  forward: Forward
  learn: Callable[[Learned, types.Nest], Learned]
  learn_plainly: Callable[[Learned, types.Nest], Learned]


class Outcome(NamedTuple):
  """What an outer objective finds."""

  cotangent: types.Nest  # dJ'/dtheta'; J' is a loss.
  going_on: Learned  # What the agent goes on from.
  metrics: Metrics


class Settings(NamedTuple):
  """The constants of outer objectives; each takes what it uses."""

  discount: float  # gamma'.
  lambda_: float  # lambda'.
  policy_cost: float = 1.0
  baseline_cost: float = 0.0
  entropy_cost: float = 0.0
  kl_cost: float = 0.0
  value_cost: float = 0.0  # The values' part in the matching of `bootstrap`.
  meta_batch_size: int = 1  # B'.
  targets: Mapping[str, Any] = {}  # For losses.vtrace_targets.
  policy: policies.Policy = policies.categorical


class OuterObjective(Protocol):
  """J' at updated parameters, on a sample that is later than theirs."""

  def __call__(self, step: Step, unrolls: Sequence[types.Nest]) -> Outcome:
    """Returns dJ'/dtheta'.

    unrolls: tau', [T + 1, B', ...], as the last one; before it those of further
      updates, where the objective makes some, [T + 1, B, ...].
    """


def policy_gradient(
  step: Step, unrolls: Sequence[types.Unroll[tf.Tensor]], *, settings: Settings
) -> Outcome:
  """The policy-gradient term alone (MGRL).

  J' = -sum sg(g_eta' - v_theta') log pi_theta'(a'|s'). Baseline, bootstraps and
  ratios are of the updated parameters.
  """
  params, (unroll,) = step.after.params, unrolls
  with tf.GradientTape() as tape:
    tape.watch(params)
    outputs = step.forward(params, unroll)
    loss, metrics = _policy_gradient_loss(outputs, unroll, settings)
  metrics['meta_loss'] = losses.mean(loss, unroll)
  return Outcome(gradient(tape, loss, params), step.after, metrics)


def actor_critic(
  step: Step, unrolls: Sequence[types.Unroll[tf.Tensor]], *, settings: Settings
) -> Outcome:
  """The whole actor-critic loss and a step's length (STAC, eq. 3).

  J' = p' L_pi + b' L_v - c' H + k' KL(pi_theta' || pi_theta), the main head's,
  each term with its weight; L_pi as in `policy_gradient`.
  """
  params, (unroll,) = step.after.params, unrolls
  with tf.GradientTape() as tape:
    tape.watch(params)
    outputs = step.forward(params, unroll)
    logits = outputs.policy_logits[:-1]
    loss, metrics = _policy_gradient_loss(outputs, unroll, settings)
    loss *= settings.policy_cost
    if settings.baseline_cost:
      targets = _targets(outputs, unroll, settings)
      loss += settings.baseline_cost * tf.reduce_sum(
        losses.baseline_loss(
          outputs.baseline[:-1], tf.stop_gradient(targets.values)
        )
      )
    if settings.entropy_cost:
      loss -= settings.entropy_cost * tf.reduce_sum(
        losses.entropy(logits, settings.policy)
      )
    if settings.kl_cost:
      before = tf.stop_gradient(
        step.forward(step.before.params, unroll).policy_logits[:-1]
      )
      loss += settings.kl_cost * tf.reduce_sum(
        losses.kl(logits, before, settings.policy)
      )
  metrics['meta_loss'] = losses.mean(loss, unroll)
  return Outcome(gradient(tape, loss, params), step.after, metrics)


def bootstrap(
  step: Step, unrolls: Sequence[types.Unroll[tf.Tensor]], *, settings: Settings
) -> Outcome:
  """Distance to a bootstrapped target (BMG; Flennerhag et al. 2022).

  From theta_K, L - 1 more updates by the learned rule and one on the plain
  objective give the target. J' = sum KL(pi_target || pi_theta_K) + v' 1/2
  (v_target - v_theta_K)^2, on the states of the plain step's sample; nothing
  differentiates through the target. The agent goes on from theta_{K + L - 1}:
  the plain step is thrown away.

  unrolls: L of them, [T + 1, B, ...]; B' of the last are matched on.
  """
  *further, last = unrolls
  going_on = step.after
  for unroll in further:
    going_on = step.learn(going_on, unroll)
  target = step.learn_plainly(going_on, last)
  unroll = tf.nest.map_structure(
    lambda x: x[:, : settings.meta_batch_size], last
  )
  goal = tf.nest.map_structure(
    tf.stop_gradient, step.forward(target.params, unroll)
  )
  params = step.after.params
  with tf.GradientTape() as tape:
    tape.watch(params)
    outputs = step.forward(params, unroll)
    loss = tf.reduce_sum(
      losses.kl(
        goal.policy_logits[:-1], outputs.policy_logits[:-1], settings.policy
      )
    )
    if settings.value_cost:
      loss += settings.value_cost * tf.reduce_sum(
        losses.baseline_loss(outputs.baseline[:-1], goal.baseline[:-1])
      )
  metrics = {'meta_loss': losses.mean(loss, unroll)}
  return Outcome(gradient(tape, loss, params), going_on, metrics)


def gauges(
  step: Step,
  cotangent: types.Nest,
  unroll: types.Unroll[tf.Tensor],
  meta_unroll: types.Unroll[tf.Tensor],
  *,
  rho_bar: float,
  policy: policies.Policy = policies.categorical,
) -> Metrics:
  """How an update and its judgement look, `GAUGES`.

  kl: KL(pi_theta' || pi_theta) on tau', mean per step, in nats. clipped_ratios
  and outer_clipped_ratios: the share of importance ratios above rho_bar, at
  theta on tau and at theta' on tau'. update_norm: of theta' - theta;
  cotangent_norm: of dJ'/dtheta'.
  """
  before = step.forward(step.before.params, meta_unroll).policy_logits[:-1]
  after = step.forward(step.after.params, meta_unroll).policy_logits
  inner = step.forward(step.before.params, unroll).policy_logits
  moved = tf.nest.map_structure(
    tf.subtract, step.after.params, step.before.params
  )
  return {
    'kl': tf.reduce_mean(losses.kl(after[:-1], before, policy)),
    'clipped_ratios': _clipped_share(inner, unroll, rho_bar, policy),
    'outer_clipped_ratios': _clipped_share(after, meta_unroll, rho_bar, policy),
    'update_norm': tf.linalg.global_norm(tf.nest.flatten(moved)),
    'cotangent_norm': tf.linalg.global_norm(tf.nest.flatten(cotangent)),
  }


def _clipped_share(
  policy_logits: tf.Tensor,
  unroll: types.Unroll[tf.Tensor],
  rho_bar: float,
  policy: policies.Policy,
) -> tf.Tensor:
  log_rhos = losses.log_ratios(policy_logits, unroll, policy)
  clipped = log_rhos > tf.math.log(tf.constant(rho_bar, log_rhos.dtype))
  return tf.reduce_mean(tf.cast(clipped, tf.float32))


def gradient(
  tape: tf.GradientTape, loss: tf.Tensor, params: types.Nest
) -> types.Nest:
  """d loss / d params, zeros where there is no path."""
  return tape.gradient(
    loss, params, unconnected_gradients=tf.UnconnectedGradients.ZERO
  )


def _policy_gradient_loss(
  outputs: types.NetworkOutput,
  unroll: types.Unroll[tf.Tensor],
  settings: Settings,
) -> tuple[tf.Tensor, Metrics]:
  """The sum of the policy-gradient terms, and how its advantages are."""
  targets = _targets(losses.with_outer_baseline(outputs), unroll, settings)
  # Cut here: dJ'/dtheta' is a policy gradient.
  advantages = tf.stop_gradient(targets.advantages)
  loss = tf.reduce_sum(
    losses.policy_gradient_loss(
      outputs.policy_logits[:-1],
      unroll.agent_outputs.action[:-1],
      advantages,
      settings.policy,
    )
  )
  return loss, {
    'outer_advantage': losses.mean(tf.reduce_sum(advantages), unroll)
  }


def _targets(
  outputs: types.NetworkOutput,
  unroll: types.Unroll[tf.Tensor],
  settings: Settings,
) -> types.Targets:
  return losses.vtrace_targets(
    outputs,
    settings.discount,
    settings.lambda_,
    unroll,
    policy=settings.policy,
    **settings.targets,
  )


GAUGES = (
  'kl',
  'clipped_ratios',
  'outer_clipped_ratios',
  'update_norm',
  'cotangent_norm',
)
OBJECTIVES: dict[str, Callable[..., Outcome]] = {
  'policy_gradient': policy_gradient,
  'actor_critic': actor_critic,
  'bootstrap': bootstrap,
}
