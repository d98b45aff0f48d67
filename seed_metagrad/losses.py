"""The terms of the actor-critic loss, a number per step [T, B], and their sum.

`online` outputs carry the gradient; `target` outputs are what the returns are
made of. The two are the same numbers: semi-gradients come from differentiating
with respect to the parameters behind `online` only.
"""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from seed_metagrad import returns
from seed_metagrad import types


def log_probs(policy_logits: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
  """log pi(a|x) of the actions taken; shaped as `actions`."""
  policy = tfp.distributions.Categorical(logits=policy_logits)
  log_pi: tf.Tensor = policy.log_prob(actions)
  return log_pi


def policy_gradient_loss(
  policy_logits: tf.Tensor, actions: tf.Tensor, advantages: tf.Tensor
) -> tf.Tensor:
  """-A_t log pi(a_t|x_t); all [T, B, ...]."""
  return -advantages * log_probs(policy_logits, actions)


def baseline_loss(baseline: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
  """1/2 (g_t - v(x_t))^2; both [T, B]."""
  return 0.5 * tf.square(targets - baseline)


def entropy(policy_logits: tf.Tensor) -> tf.Tensor:
  """H(pi(.|x_t)), in nats; policy_logits: [T, B, A]."""
  policy = tfp.distributions.Categorical(logits=policy_logits)
  nats: tf.Tensor = policy.entropy()
  return nats


def vtrace_targets(
  outputs: types.NetworkOutput,
  discount: float | tf.Tensor,
  lambda_: float | tf.Tensor,
  unroll: types.Unroll[tf.Tensor],
  *,
  max_abs_reward: float = 1.0,
  **clips: Any,
) -> types.Targets:
  """Targets [T, B] of an unroll [T + 1, B] under the policy in `outputs`.

  The discount is 0 where the episode ended or a life was lost. A truncated
  transition is masked: its next observation belongs to another episode, so it
  has no advantage, and returns of earlier steps bootstrap before it.

  max_abs_reward: the clip of rewards, 0 for none.
  clips: rho_bar, c_bar, rho_pg and policy_target of `returns.vtrace`.
  """
  env_outputs, agent_outputs = unroll.env_outputs, unroll.agent_outputs
  dtype = outputs.baseline.dtype
  rewards = tf.cast(env_outputs.reward[1:], dtype)
  if max_abs_reward:
    rewards = tf.clip_by_value(rewards, -max_abs_reward, max_abs_reward)
  ended = tf.logical_or(env_outputs.terminated[1:], env_outputs.life_lost[1:])
  discounts = discount * tf.cast(tf.logical_not(ended), dtype)
  actions = agent_outputs.action[:-1]
  log_rhos = log_probs(outputs.policy_logits[:-1], actions) - log_probs(
    tf.cast(agent_outputs.policy_logits[:-1], dtype), actions
  )
  truncated = env_outputs.truncated[1:]
  log_rhos = tf.where(truncated, -tf.cast(float('inf'), dtype), log_rhos)
  return returns.vtrace(
    rewards, discounts, outputs.baseline, log_rhos, lambda_, **clips
  )


def actor_critic_loss(
  online: types.NetworkOutput,
  target: types.NetworkOutput,
  hypers: types.Hypers,
  unroll: types.Unroll[tf.Tensor],
  **target_settings: Any,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
  """The inner loss J (MGRL), a sum over steps, and means of it and its terms.

  -dJ/dtheta = A dlog pi/dtheta + b (g - v) dv/dtheta + c dH/dtheta, with eta
  live in both the policy and the value term.

  online, target: [T + 1, B, ...]; target_settings: of `vtrace_targets`.
  """
  targets = vtrace_targets(
    target, hypers['discount'], hypers['lambda_'], unroll, **target_settings
  )
  terms = {
    'policy_gradient_loss': policy_gradient_loss(
      online.policy_logits[:-1],
      unroll.agent_outputs.action[:-1],
      targets.advantages,
    ),
    'baseline_loss': baseline_loss(online.baseline[:-1], targets.values),
    'entropy': entropy(online.policy_logits[:-1]),
  }
  loss = tf.reduce_sum(
    terms['policy_gradient_loss']
    + hypers['baseline_cost'] * terms['baseline_loss']
    - hypers['entropy_cost'] * terms['entropy']
  )
  return loss, {'loss': mean(loss, unroll)} | {
    name: mean(tf.reduce_sum(term), unroll) for name, term in terms.items()
  }


def mean(total: tf.Tensor, unroll: types.Unroll[tf.Tensor]) -> tf.Tensor:
  """A sum over the steps of an unroll, as a mean per step.

  Divided, as TensorFlow's mean would change how the whole graph is optimized,
  and so the last digits of what is learned.
  """
  num_steps = tf.size(unroll.env_outputs.reward[1:])
  per_step: tf.Tensor = total / tf.cast(num_steps, total.dtype)
  return per_step
