"""The rules of a config's agent: which functions, with which constants."""

from collections.abc import Callable
import functools
from typing import Any

import tensorflow as tf

from seed_metagrad import config as config_lib
from seed_metagrad import losses
from seed_metagrad import optimizers
from seed_metagrad import types
from seed_metagrad.meta_gradients import meta_parameters
from seed_metagrad.meta_gradients import outer
from seed_metagrad.meta_gradients import rules as rules_lib
from seed_metagrad.networks import frames
from seed_metagrad.networks import policies


def make(
  config: config_lib.Config,
  network: types.Network,
  policy: policies.Policy = policies.categorical,
) -> rules_lib.Rules:
  """The algorithm's functions with a config's constants in them."""
  if config.outer not in outer.OBJECTIVES:
    raise ValueError(
      f'outer must be one of {sorted(outer.OBJECTIVES)}, got {config.outer!r}.'
    )
  bounds = config_lib.bounds(config)

  def forward(
    params: types.Nest,
    unroll: types.Unroll[tf.Tensor],
    conditioning: types.Conditioning | None,
  ) -> types.NetworkOutput:
    return network.apply(
      params,
      frames.stack_unroll(unroll),
      conditioning,
      _core_input(unroll, config),
    )

  def make_optimizer(name: str) -> types.Optimizer:
    return optimizers.make(
      name, rms_decay=config.rms_decay, rms_epsilon=config.rms_epsilon
    )

  return rules_lib.Rules(
    forward=forward,
    loss=_loss(config, policy),
    outer_objective=functools.partial(
      outer.OBJECTIVES[config.outer], settings=_outer_settings(config, policy)
    ),
    hypers=lambda logits, unroll: meta_parameters.hypers(
      logits, _fixed(config), bounds
    ),
    reference_hypers=_fixed(config)
    | dict(
      discount=config.reference_discount,
      lambda_=config.reference_lambda,
      policy_cost=config.outer_policy_cost,
      baseline_cost=config.outer_baseline_cost,
      entropy_cost=config.outer_entropy_cost,
    ),
    logits=meta_parameters.logits,
    conditioning=conditioning(config),
    learning_rate=_learning_rate(config),
    next_context=_next_context(config),
    gauges=functools.partial(
      outer.gauges, rho_bar=config.rho_bar, policy=policy
    ),
    optimizer=make_optimizer(config.optimizer),
    meta_optimizer=make_optimizer(config.meta_optimizer),
    max_gradient_norm=config.max_gradient_norm,
    meta_learning_rate=config.meta_learning_rate,
    trace_decay=config.trace_decay,
    max_meta_gradient_norm=config.max_meta_gradient_norm,
    mixed=config.mixed_meta_gradients,
    fresh=config.meta_sample == 'fresh',
  )


def _core_input(
  unroll: types.Unroll[tf.Tensor], config: config_lib.Config
) -> types.CoreInput | None:
  """What a core is given in an unroll."""
  if not unroll.core_state:
    return None
  env_outputs = unroll.env_outputs
  return types.CoreInput(
    tf.nest.map_structure(lambda x: x[0], unroll.core_state),
    unroll.agent_outputs.action[:-1],
    losses.scale_and_clip(
      env_outputs.reward, config.reward_scale, config.max_abs_reward
    ),
    tf.logical_or(env_outputs.terminated, env_outputs.truncated),
  )


def _fixed(config: config_lib.Config) -> dict[str, float | tf.Tensor]:
  """The hyperparameters of the inner loss where they are not learned."""
  fixed = {name: getattr(config, name) for name in config_lib.LEARNABLE}
  if config.leak == 1.0:
    del fixed['leak']  # V-trace as it was: no bit of it changes.
  return fixed


def _target_settings(config: config_lib.Config) -> dict[str, Any]:
  return dict(
    rho_bar=config.rho_bar,
    c_bar=config.c_bar,
    rho_pg=config.rho_pg,
    policy_target=config.policy_target,
    max_abs_reward=config.max_abs_reward,
    reward_scale=config.reward_scale,
  )


def _loss(
  config: config_lib.Config, policy: policies.Policy
) -> rules_lib.InnerLoss:
  """The main head's loss, the auxiliary heads' and the outer critic's."""
  target_settings = _target_settings(config) | {'policy': policy}

  def loss(
    online: types.NetworkOutput,
    target: types.NetworkOutput,
    hypers: types.Hypers,
    unroll: types.Unroll[tf.Tensor],
  ) -> tuple[tf.Tensor, rules_lib.Metrics]:
    total, metrics = losses.actor_critic_loss(
      online, target, hypers, unroll, **target_settings
    )
    for head, (ours, goal) in enumerate(
      zip(online.auxiliary, target.auxiliary), 1
    ):
      total += losses.actor_critic_loss(
        ours,
        goal,
        meta_parameters.of_head(hypers, head),
        unroll,
        **target_settings,
      )[0]
    if not isinstance(online.outer_baseline, tuple):
      critic_loss = losses.outer_critic_loss(
        online,
        target,
        config.reference_discount,
        config.reference_lambda,
        unroll,
        **target_settings,
      )
      total += config.outer_critic_cost * critic_loss
      metrics['outer_critic_loss'] = losses.mean(critic_loss, unroll)
    return total, metrics

  return loss


def _outer_settings(
  config: config_lib.Config, policy: policies.Policy
) -> outer.Settings:
  return outer.Settings(
    discount=config.reference_discount,
    lambda_=config.reference_lambda,
    policy_cost=config.outer_policy_cost,
    baseline_cost=config.outer_baseline_cost,
    entropy_cost=config.outer_entropy_cost,
    kl_cost=config.outer_kl_cost,
    value_cost=config.bootstrap_value_cost,
    meta_batch_size=config.meta_batch_size,
    targets=_target_settings(config) | {'rho_pg': config.outer_rho_pg},
    policy=policy,
  )


def conditioning(config: config_lib.Config) -> rules_lib.Conditioning:
  """What a config's network sees of the meta-parameters."""
  if not config.conditioning:
    return lambda logits: None
  reference = None
  if config.outer_critic == 'conditioned':
    reference = dict(
      discount=config.reference_discount, lambda_=config.reference_lambda
    )
  return functools.partial(
    meta_parameters.conditioning,
    bounds=config_lib.bounds(config),
    reference=reference,
  )


def _learning_rate(
  config: config_lib.Config,
) -> Callable[[types.Eta, tf.Tensor], tf.Tensor]:
  """The schedule, times what is learned of it."""
  if 'learning_rate' not in config.learned:
    return lambda logits, scheduled: scheduled
  bounds = config_lib.bounds(config)

  def learning_rate(logits: types.Eta, scheduled: tf.Tensor) -> tf.Tensor:
    own = {'learning_rate': logits['learning_rate']}
    value = meta_parameters.values(own, bounds)['learning_rate']
    return scheduled * value / config.learning_rate

  return learning_rate


def _next_context(
  config: config_lib.Config,
) -> Callable[[types.Nest, types.Unroll[tf.Tensor], types.Hypers], types.Nest]:
  """Pushes a rollout's mean reward and TD error where eta is a network."""
  if config.eta != 'meta_network':
    return lambda context, unroll, hypers: context

  def next_context(
    context: tf.Tensor, unroll: types.Unroll[tf.Tensor], hypers: types.Hypers
  ) -> tf.Tensor:
    return meta_parameters.push_context(
      context, *losses.reward_and_td_error(unroll, hypers['discount'])
    )

  return next_context
