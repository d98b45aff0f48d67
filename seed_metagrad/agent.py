"""The agent as two pure functions, act and update, made from a config."""

import functools
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from seed_metagrad import config as config_lib
from seed_metagrad import frames
from seed_metagrad import losses
from seed_metagrad import meta
from seed_metagrad import meta_parameters
from seed_metagrad import networks
from seed_metagrad import optimizers
from seed_metagrad import types

_HIGHEST_INITIAL_LAMBDA = 0.99  # sigmoid(4.6): a logit cannot start at 1.


class Agent(NamedTuple):
  """What a learner runs.

  init(seed) -> types.LearnerState
  act(params, eta, stacked, seed) -> types.AgentOutput; stacked and the outputs
      are [E, ...], seed is int32 [2]
  update(state, unrolls, meta_unroll) -> (state, metrics), as of meta.update
  """

  init: Any
  act: Any
  update: Any


def make(
  config: config_lib.Config,
  spec: types.EnvSpec,
  *,
  dtype: str = 'float32',
  all_reduce=None,
) -> Agent:
  """The agent of a config, for environments of a spec.

  all_reduce: of meta.Rules, where several replicas call `update` together.
  """
  network = networks.make(
    config.network,
    spec,
    dtype=dtype,
    num_conditioning=len(config.learned) if config.conditioning else 0,
    embedding_size=config.embedding_size,
  )
  rules = make_rules(config, network)
  if all_reduce:
    rules = rules._replace(all_reduce=all_reduce)
  conditioned = rules.conditioned

  def init(seed: int):
    params = [tf.constant(p) for p in network.init(seed)]
    initial_values = {name: getattr(config, name) for name in config.learned}
    if 'lambda_' in initial_values:
      initial_values['lambda_'] = min(
        initial_values['lambda_'], _HIGHEST_INITIAL_LAMBDA
      )
    return meta.init(
      rules, params, meta_parameters.init(initial_values, dtype=dtype)
    )

  def act(params, eta, stacked, seed):
    conditioning = meta_parameters.conditioning(eta) if conditioned else None
    outputs = network.apply(params, stacked[tf.newaxis], conditioning)
    logits = outputs.policy_logits[0]
    actions = tfp.distributions.Categorical(logits=logits).sample(seed=seed)
    return types.AgentOutput(actions, logits, outputs.baseline[0])

  def update(state, unrolls, meta_unroll):
    return _checked_update(config, spec, rules, state, unrolls, meta_unroll)

  return Agent(init, act, update)


def make_rules(config: config_lib.Config, network: types.Network) -> meta.Rules:
  """The algorithm's functions with a config's constants in them."""
  settings = dict(
    rho_bar=config.rho_bar,
    c_bar=config.c_bar,
    rho_pg=config.rho_pg,
    policy_target=config.policy_target,
    max_abs_reward=config.max_abs_reward,
  )
  fixed = types.Hypers(
    *(getattr(config, name) for name in types.Hypers._fields)
  )

  def forward(params, unroll, conditioning):
    return network.apply(params, frames.stack_unroll(unroll), conditioning)

  return meta.Rules(
    forward=forward,
    loss=functools.partial(losses.actor_critic_loss, **settings),
    meta_loss=lambda outputs, unroll: losses.meta_policy_gradient_loss(
      outputs,
      config.reference_discount,
      config.reference_lambda,
      unroll,
      **settings,
    ),
    hypers=lambda eta, unroll: meta_parameters.hypers(eta, fixed),
    optimizer={
      'rmsprop': lambda: optimizers.rmsprop(
        decay=config.rms_decay, epsilon=config.rms_epsilon
      ),
      'adam': optimizers.adam,
    }[config.optimizer](),
    meta_optimizer={'sgd': optimizers.sgd, 'adam': optimizers.adam}[
      config.meta_optimizer
    ](),
    max_gradient_norm=config.max_gradient_norm,
    meta_learning_rate=config.meta_learning_rate,
    trace_decay=config.trace_decay,
    conditioned=config.conditioning and bool(config.learned),
  )


def _checked_update(config, spec, rules, state, unrolls, meta_unroll):
  """One update, or the state as it was where a number is not finite."""
  remaining = tf.cast(
    tf.maximum(config.total_env_frames - state.env_frames, 0), tf.float64
  )
  learning_rate = tf.cast(
    config.final_learning_rate
    + (config.learning_rate - config.final_learning_rate)
    * remaining
    / config.total_env_frames,
    tf.nest.flatten(state.params)[0].dtype,
  )
  new, metrics = meta.update(
    state, unrolls, meta_unroll, learning_rate, rules=rules
  )
  finite = tf.reduce_all(
    [
      tf.reduce_all(tf.math.is_finite(x))
      for x in tf.nest.flatten((new.eta, metrics))
    ]
  )
  # A choice, where tf.where would copy all parameters.
  kept = tf.cond(finite, lambda: new, lambda: state)
  steps = sum(tf.size(unroll.env_outputs.reward[1:]) for unroll in unrolls)
  kept = kept._replace(
    num_updates=state.num_updates + 1,
    env_frames=state.env_frames
    + rules.all_reduce(tf.cast(steps * spec.action_repeat, tf.int64)),
  )
  return kept, {
    **metrics,
    'learning_rate': learning_rate,
    'skipped': tf.cast(~finite, tf.int32),
  }


def hyperparameters(config: config_lib.Config, eta) -> dict[str, float]:
  """What can be learned, by name: its value now, learned or fixed.

  Of a table, one per state, the mean.
  """
  fixed = {name: getattr(config, name) for name in meta_parameters.BOUNDS}
  learned = {
    name: float(tf.reduce_mean(value))
    for name, value in meta_parameters.values(eta).items()
  }
  return fixed | learned
