"""The agent as two pure functions, act and update, made from a config."""

from collections.abc import Sequence
import functools
from typing import Any, NamedTuple, Protocol

import tensorflow as tf
import tensorflow_probability as tfp

from seed_metagrad import config as config_lib
from seed_metagrad import frames
from seed_metagrad import losses
from seed_metagrad import meta
from seed_metagrad import meta_parameters
from seed_metagrad import networks
from seed_metagrad import optimizers
from seed_metagrad import outer
from seed_metagrad import types


class Init(Protocol):
  """Makes the state that training starts from."""

  def __call__(self, seed: int) -> types.LearnerState:
    """Equal seeds make equal states."""


class Act(Protocol):
  """Samples actions at the newest observation of E environments."""

  def __call__(
    self,
    params: types.Nest,
    eta: types.Eta,
    stacked: tf.Tensor,
    seed: tf.Tensor,
  ) -> types.AgentOutput[tf.Tensor]:
    """Returns outputs [E, ...].

    stacked: stacks of frames [E, ..., S]. seed: int32 [2].
    """


class Update(Protocol):
  """One update of parameters and meta-parameters, as of `meta.update`."""

  def __call__(
    self,
    state: types.LearnerState,
    unrolls: Sequence[types.Unroll[tf.Tensor]],
    meta_unroll: types.Unroll[tf.Tensor] | None,
  ) -> tuple[types.LearnerState, meta.Metrics]:
    """Returns (state, metrics); `skipped` is 1 where nothing was learned."""


class Agent(NamedTuple):
  """What a learner runs."""

  init: Init
  act: Act
  update: Update


def make(
  config: config_lib.Config,
  spec: types.EnvSpec,
  *,
  dtype: str = 'float32',
  all_reduce: meta.AllReduce | None = None,
) -> Agent:
  """The agent of a config, for environments of a spec.

  all_reduce: of meta.Rules, where several replicas call `update` together.

  Raises:
    ValueError: an unknown name; a network that does not fit the spec; a value
      that a meta-parameter cannot start at.
  """
  eta = initial_eta(config, dtype=dtype)
  seen = conditioning(config)(eta)
  network = networks.make(
    config.network,
    spec,
    dtype=dtype,
    num_conditioning=0 if seen is None else int(seen.shape[0] or 0),
    embedding_size=config.embedding_size,
  )
  rules = make_rules(config, network)
  if all_reduce:
    rules = rules._replace(all_reduce=all_reduce)

  def init(seed: int) -> types.LearnerState:
    params = [tf.constant(p) for p in network.init(seed)]
    return meta.init(rules, params, eta)

  def act(
    params: types.Nest, eta: types.Eta, stacked: tf.Tensor, seed: tf.Tensor
  ) -> types.AgentOutput[tf.Tensor]:
    outputs = network.apply(
      params, stacked[tf.newaxis], rules.conditioning(eta)
    )
    logits = outputs.policy_logits[0]
    actions = tfp.distributions.Categorical(logits=logits).sample(seed=seed)
    return types.AgentOutput(actions, logits, outputs.baseline[0])

  def update(
    state: types.LearnerState,
    unrolls: Sequence[types.Unroll[tf.Tensor]],
    meta_unroll: types.Unroll[tf.Tensor] | None,
  ) -> tuple[types.LearnerState, meta.Metrics]:
    return _checked_update(config, spec, rules, state, unrolls, meta_unroll)

  return Agent(init, act, update)


def initial_eta(
  config: config_lib.Config, *, dtype: tf.DType | str = tf.float32
) -> types.Eta:
  """The logits that a config's meta-parameters start at."""
  return meta_parameters.init(
    {name: getattr(config, name) for name in config.learned}, dtype=dtype
  )


def conditioning(config: config_lib.Config) -> meta.Conditioning:
  """What a config's network sees of eta."""
  if config.conditioning:
    return meta_parameters.conditioning
  return lambda eta: None


def _hypers(config: config_lib.Config, eta: types.Eta) -> types.Hypers:
  fixed = {name: getattr(config, name) for name in config_lib.BOUNDS}
  return meta_parameters.hypers(eta, fixed)


def make_rules(config: config_lib.Config, network: types.Network) -> meta.Rules:
  """The algorithm's functions with a config's constants in them."""
  target_settings: dict[str, Any] = dict(
    rho_bar=config.rho_bar,
    c_bar=config.c_bar,
    rho_pg=config.rho_pg,
    policy_target=config.policy_target,
    max_abs_reward=config.max_abs_reward,
  )

  def forward(
    params: types.Nest,
    unroll: types.Unroll[tf.Tensor],
    conditioning: tf.Tensor | None,
  ) -> types.NetworkOutput:
    return network.apply(params, frames.stack_unroll(unroll), conditioning)

  if config.outer_objective not in outer.OBJECTIVES:
    raise ValueError(
      f'outer_objective must be one of {sorted(outer.OBJECTIVES)}, got'
      f' {config.outer_objective!r}.'
    )

  def make_optimizer(name: str) -> types.Optimizer:
    return optimizers.make(
      name, rms_decay=config.rms_decay, rms_epsilon=config.rms_epsilon
    )

  return meta.Rules(
    forward=forward,
    loss=functools.partial(losses.actor_critic_loss, **target_settings),
    outer_objective=functools.partial(
      outer.OBJECTIVES[config.outer_objective],
      discount=config.reference_discount,
      lambda_=config.reference_lambda,
      **target_settings,
    ),
    hypers=lambda eta, unroll: _hypers(config, eta),
    conditioning=conditioning(config),
    optimizer=make_optimizer(config.optimizer),
    meta_optimizer=make_optimizer(config.meta_optimizer),
    max_gradient_norm=config.max_gradient_norm,
    meta_learning_rate=config.meta_learning_rate,
    trace_decay=config.trace_decay,
  )


def _checked_update(
  config: config_lib.Config,
  spec: types.EnvSpec,
  rules: meta.Rules,
  state: types.LearnerState,
  unrolls: Sequence[types.Unroll[tf.Tensor]],
  meta_unroll: types.Unroll[tf.Tensor] | None,
) -> tuple[types.LearnerState, meta.Metrics]:
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


def hyperparameters(
  config: config_lib.Config, eta: types.Eta
) -> dict[str, float]:
  """What can be learned, by name: its value now, learned or fixed.

  Of a table, one per state, the mean.
  """
  return {
    name: value if isinstance(value, float) else float(tf.reduce_mean(value))
    for name, value in _hypers(config, eta).items()
  }
