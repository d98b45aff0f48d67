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
from seed_metagrad.networks import policies


def log_probs(
  policy_logits: tf.Tensor,
  actions: tf.Tensor,
  policy: policies.Policy = policies.categorical,
) -> tf.Tensor:
  """log pi(a|x) of the actions taken, [T, B]."""
  actions = tf.convert_to_tensor(actions)
  if actions.dtype.is_floating:
    actions = tf.cast(actions, policy_logits.dtype)
  log_pi: tf.Tensor = policy(policy_logits).log_prob(actions)
  return log_pi


def policy_gradient_loss(
  policy_logits: tf.Tensor,
  actions: tf.Tensor,
  advantages: tf.Tensor,
  policy: policies.Policy = policies.categorical,
) -> tf.Tensor:
  """-A_t log pi(a_t|x_t); all [T, B, ...]."""
  return -advantages * log_probs(policy_logits, actions, policy)


def baseline_loss(baseline: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
  """1/2 (g_t - v(x_t))^2; both [T, B]."""
  return 0.5 * tf.square(targets - baseline)


def entropy(
  policy_logits: tf.Tensor, policy: policies.Policy = policies.categorical
) -> tf.Tensor:
  """H(pi(.|x_t)), in nats; policy_logits: [T, B, P]."""
  nats: tf.Tensor = policy(policy_logits).entropy()
  return nats


def log_ratios(
  policy_logits: tf.Tensor,
  unroll: types.Unroll[tf.Tensor],
  policy: policies.Policy = policies.categorical,
) -> tf.Tensor:
  """log pi(a_t|x_t) - log mu(a_t|x_t), [T, B]; policy_logits: [T + 1, B, P]."""
  actions = unroll.agent_outputs.action[:-1]
  behaviour_logits = tf.cast(
    unroll.agent_outputs.policy_logits[:-1], policy_logits.dtype
  )
  return log_probs(policy_logits[:-1], actions, policy) - log_probs(
    behaviour_logits, actions, policy
  )


def vtrace_targets(
  outputs: types.NetworkOutput | types.HeadOutput,
  discount: float | tf.Tensor,
  lambda_: float | tf.Tensor,
  unroll: types.Unroll[tf.Tensor],
  *,
  max_abs_reward: float = 1.0,
  reward_scale: float = 1.0,
  policy: policies.Policy = policies.categorical,
  **clips: Any,
) -> types.Targets:
  """Targets [T, B] of an unroll [T + 1, B] under the policy in `outputs`.

  The discount is 0 where the episode ended or a life was lost. A truncated
  transition is masked: its next observation belongs to another episode, so it
  has no advantage, and returns of earlier steps bootstrap before it.

  max_abs_reward, reward_scale: of `scale_and_clip`.
  clips: rho_bar, c_bar, rho_pg, policy_target and leak of `returns.vtrace`.
  """
  env_outputs = unroll.env_outputs
  dtype = outputs.baseline.dtype
  rewards = scale_and_clip(
    tf.cast(env_outputs.reward[1:], dtype), reward_scale, max_abs_reward
  )
  ended = tf.logical_or(env_outputs.terminated[1:], env_outputs.life_lost[1:])
  discounts = discount * tf.cast(tf.logical_not(ended), dtype)
  log_rhos = log_ratios(outputs.policy_logits, unroll, policy)
  truncated = env_outputs.truncated[1:]
  log_rhos = tf.where(truncated, -tf.cast(float('inf'), dtype), log_rhos)
  return returns.vtrace(
    rewards, discounts, outputs.baseline, log_rhos, lambda_, **clips
  )


def scale_and_clip(
  rewards: tf.Tensor, reward_scale: float, max_abs_reward: float
) -> tf.Tensor:
  """Rewards, times a scale, in [-max_abs_reward, max_abs_reward].

  Not clipped for a max_abs_reward of 0.
  """
  if reward_scale != 1.0:
    rewards = reward_scale * rewards
  if not max_abs_reward:
    return rewards
  clipped: tf.Tensor = tf.clip_by_value(
    rewards, -max_abs_reward, max_abs_reward
  )
  return clipped


def actor_critic_loss(
  online: types.NetworkOutput | types.HeadOutput,
  target: types.NetworkOutput | types.HeadOutput,
  hypers: types.Hypers,
  unroll: types.Unroll[tf.Tensor],
  *,
  policy: policies.Policy = policies.categorical,
  **target_settings: Any,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
  """The inner loss J (MGRL), a sum over steps, and means of it and its terms.

  -dJ/dtheta = p A dlog pi/dtheta + b (g - v) dv/dtheta + c dH/dtheta, with eta
  live in both the policy and the value term; p = 1 in MGRL, learned in STAC.

  online, target: [T + 1, B, ...]. hypers: `leak` may be missing.
  target_settings: of `vtrace_targets`.
  """
  targets = vtrace_targets(
    target,
    hypers['discount'],
    hypers['lambda_'],
    unroll,
    leak=hypers.get('leak'),
    policy=policy,
    **target_settings,
  )
  terms = {
    'policy_gradient_loss': policy_gradient_loss(
      online.policy_logits[:-1],
      unroll.agent_outputs.action[:-1],
      targets.advantages,
      policy,
    ),
    'baseline_loss': baseline_loss(online.baseline[:-1], targets.values),
    'entropy': entropy(online.policy_logits[:-1], policy),
  }
  loss = tf.reduce_sum(
    _weighted(hypers['policy_cost'], terms['policy_gradient_loss'])
    + hypers['baseline_cost'] * terms['baseline_loss']
    - hypers['entropy_cost'] * terms['entropy']
  )
  return loss, {'loss': mean(loss, unroll)} | {
    name: mean(tf.reduce_sum(term), unroll) for name, term in terms.items()
  }


def outer_critic_loss(
  online: types.NetworkOutput,
  target: types.NetworkOutput,
  discount: float,
  lambda_: float,
  unroll: types.Unroll[tf.Tensor],
  **target_settings: Any,
) -> tf.Tensor:
  """1/2 (g' - v_outer)^2 (Bonnet et al. 2022), a sum over steps.

  g' is the V-trace target of the outer critic itself, at gamma' and lambda': no
  meta-parameter is in it.
  """
  targets = vtrace_targets(
    with_outer_baseline(target), discount, lambda_, unroll, **target_settings
  )
  return tf.reduce_sum(
    baseline_loss(with_outer_baseline(online).baseline[:-1], targets.values)
  )


def with_outer_baseline(outputs: types.NetworkOutput) -> types.NetworkOutput:
  """The outputs with the outer critic, where there is one, as the baseline."""
  if isinstance(outputs.outer_baseline, tuple):
    return outputs
  return outputs._replace(baseline=outputs.outer_baseline)


def kl(
  policy_logits: tf.Tensor,
  other_logits: tf.Tensor,
  policy: policies.Policy = policies.categorical,
) -> tf.Tensor:
  """KL(pi || other), in nats; both [T, B, P]."""
  nats: tf.Tensor = tfp.distributions.kl_divergence(
    policy(policy_logits), policy(other_logits)
  )
  return nats


def reward_and_td_error(
  unroll: types.Unroll[tf.Tensor], discount: float | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Mean raw reward and mean r + gamma V(x') - V(x) of a rollout, [] each.

  V is the baseline with which the rollout was acted.
  """
  values = unroll.agent_outputs.baseline
  rewards = unroll.env_outputs.reward[1:]
  going_on = tf.cast(
    tf.logical_not(
      tf.logical_or(
        unroll.env_outputs.terminated[1:], unroll.env_outputs.truncated[1:]
      )
    ),
    values.dtype,
  )
  td_errors = rewards + discount * going_on * values[1:] - values[:-1]
  return tf.reduce_mean(rewards), tf.reduce_mean(td_errors)


def mean(total: tf.Tensor, unroll: types.Unroll[tf.Tensor]) -> tf.Tensor:
  """A sum over the steps of an unroll, as a mean per step.

  Divided, as TensorFlow's mean would change how the whole graph is optimized,
  and so the last digits of what is learned.
  """
  num_steps = tf.size(unroll.env_outputs.reward[1:])
  per_step: tf.Tensor = total / tf.cast(num_steps, total.dtype)
  return per_step


def _weighted(cost: float | tf.Tensor, terms: tf.Tensor) -> tf.Tensor:
  """cost * terms; a fixed cost of 1 leaves every bit as it is."""
  return terms if isinstance(cost, float) and cost == 1.0 else cost * terms
