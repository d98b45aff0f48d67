"""The agent as two pure functions, act and update, made from a config."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from seed_metagrad import agent_rules
from seed_metagrad import config as config_lib
from seed_metagrad import losses
from seed_metagrad import networks
from seed_metagrad import types
from seed_metagrad.meta_gradients import gauges
from seed_metagrad.meta_gradients import meta
from seed_metagrad.meta_gradients import meta_parameters
from seed_metagrad.meta_gradients import rules as rules_lib
from seed_metagrad.networks import policies


class Init(Protocol):
  """Makes the state that training starts from."""

  def __call__(self, seed: int) -> types.LearnerState:
    """Equal seeds make equal states."""


class Acted(NamedTuple):
  """What the agent did, and what its core remembers of it."""

  outputs: types.AgentOutput[tf.Tensor]
  core_state: types.CoreState[tf.Tensor] | tuple[()]  # () without a core.


class Act(Protocol):
  """Samples actions at the newest observation of E environments."""

  def __call__(
    self,
    params: types.Nest,
    eta: types.Eta,
    stacked: tf.Tensor,
    seed: tf.Tensor,
    core_step: types.CoreStep[tf.Tensor] | tuple[()] = (),
  ) -> Acted:
    """Returns outputs [E, ...].

    stacked: stacks of frames [E, ..., S]. seed: int32 [2]. core_step: ()
    without a core.
    """


class Update(Protocol):
  """One update of parameters and meta-parameters, as of `meta.update`."""

  def __call__(
    self,
    state: types.LearnerState,
    unrolls: Sequence[types.Unroll[Any]],
    meta_unrolls: Sequence[types.Unroll[Any]],
  ) -> tuple[types.LearnerState, rules_lib.Metrics]:
    """Returns (state, metrics); `skipped` is 1 where nothing was learned."""


class Agent(NamedTuple):
  """What a learner runs."""

  init: Init
  act: Act
  update: Update
  rules: rules_lib.Rules  # What `update` is made of.
  initial_state: types.NetworkInitialState
  parameter_names: types.Nest = ()  # Nested as the parameters are.


def make(
  config: config_lib.Config,
  spec: types.EnvSpec,
  *,
  dtype: str = 'float32',
  all_reduce: rules_lib.AllReduce | None = None,
) -> Agent:
  """The agent of a config, for environments of a spec.

  all_reduce: of rules_lib.Rules, where several replicas call `update` together.

  Raises:
    ValueError: an unknown name; a network that does not fit the spec; a value
      that a meta-parameter cannot start at.
  """
  eta = initial_eta(config, dtype=dtype)
  seen = agent_rules.conditioning(config)(eta)
  network = networks.make(
    config.network,
    spec,
    dtype=dtype,
    num_conditioning=int(seen.values.shape[0] or 0) if seen else 0,
    embedding_size=config.embedding_size,
    outer_critic=config.outer_critic if config.learned else 'none',
    auxiliary_heads=config.auxiliary_heads,
    core_units=config.core_units if config.core == 'lstm' else 0,
    core_sees_action=config.core_sees_action,
  )
  policy = policies.make(spec)
  rules = agent_rules.make(config, network, policy)
  if all_reduce:
    rules = rules._replace(all_reduce=all_reduce)

  def init(seed: int) -> types.LearnerState:
    params = tf.nest.map_structure(tf.constant, network.init(seed))
    if config.eta == 'meta_network' and eta:
      return meta.init(
        rules,
        params,
        meta_parameters.init_meta_network(eta, seed),
        meta_parameters.init_context(dtype),
      )
    return meta.init(rules, params, eta)

  def act(
    params: types.Nest,
    eta: types.Eta,
    stacked: tf.Tensor,
    seed: tf.Tensor,
    core_step: types.CoreStep[tf.Tensor] | tuple[()] = (),
  ) -> Acted:
    core_input = None
    if core_step:
      state, reward, starts = core_step
      core_input = types.CoreInput(
        state,
        state.action[tf.newaxis][1:],  # None in between.
        losses.scale_and_clip(
          reward, config.reward_scale, config.max_abs_reward
        )[tf.newaxis],
        starts[tf.newaxis],
      )
    outputs = network.apply(
      params, stacked[tf.newaxis], rules.conditioning(eta), core_input
    )
    logits = outputs.policy_logits[0]
    actions = policy(logits).sample(seed=seed)
    return Acted(
      types.AgentOutput(actions, logits, outputs.baseline[0]),
      ()
      if isinstance(outputs.lstm, tuple)
      else types.CoreState(outputs.lstm, actions),
    )

  def update(
    state: types.LearnerState,
    unrolls: Sequence[types.Unroll[tf.Tensor]],
    meta_unrolls: Sequence[types.Unroll[tf.Tensor]],
  ) -> tuple[types.LearnerState, rules_lib.Metrics]:
    return _checked_update(config, spec, rules, state, unrolls, meta_unrolls)

  return Agent(init, act, update, rules, network.initial_state, network.names)


class Samples(NamedTuple):
  """What an update is made of, in unrolls."""

  updates: int  # K, batches of B that are learned from.
  further: int  # Batches of B that the outer objective learns from as well.
  meta_batch: int  # Unrolls that it judges by; 0 where nothing is learned.
  later: bool  # Whether these are of the batch that is learned from next.


def samples(config: config_lib.Config) -> Samples:
  """How many unrolls an update of a config takes."""
  if not config.learned:
    return Samples(config.inner_updates, 0, 0, later=False)
  if config.outer == 'bootstrap':  # The last batch is one of the plain step.
    return Samples(
      config.inner_updates,
      config.bootstrap_updates - 1,
      config.batch_size,
      later=True,
    )
  return Samples(
    config.inner_updates,
    0,
    config.meta_batch_size,
    later=config.meta_sample == 'later',
  )


def initial_eta(
  config: config_lib.Config, *, dtype: tf.DType | str = tf.float32
) -> types.Eta:
  """The logits that a config's meta-parameters start at, by name."""
  initial = {name: getattr(config, name) for name in config.learned}
  for head in range(1, 1 + config.auxiliary_heads):
    for name in config.learned:
      initial[meta_parameters.auxiliary(name, head)] = initial[name]
  return meta_parameters.init(initial, config_lib.bounds(config), dtype=dtype)


def hyperparameters(
  config: config_lib.Config, state: types.LearnerState
) -> dict[str, float]:
  """What can be learned, by name: its value now, learned or fixed.

  Of a table, one per state, the mean.
  """
  fixed = {name: getattr(config, name) for name in config_lib.LEARNABLE}
  logits = meta_parameters.logits(state.eta, state.context)
  values = meta_parameters.hypers(logits, fixed, config_lib.bounds(config))
  return {
    name: value if isinstance(value, float) else float(tf.reduce_mean(value))
    for name, value in values.items()
  }


def logits(state: types.LearnerState) -> dict[str, float]:
  """The logits of the meta-parameters by name; of a table, the mean."""
  by_name = meta_parameters.logits(state.eta, state.context)
  return {name: float(tf.reduce_mean(x)) for name, x in by_name.items()}


def _scheduled_learning_rate(
  config: config_lib.Config, env_frames: tf.Tensor
) -> tf.Tensor:
  """The linear decay, float64."""
  decay_frames = config_lib.decay_frames(config)
  remaining = tf.cast(tf.maximum(decay_frames - env_frames, 0), tf.float64)
  rate: tf.Tensor = (
    config.final_learning_rate
    + (config.learning_rate - config.final_learning_rate)
    * remaining
    / decay_frames
  )
  return rate


def _checked_update(
  config: config_lib.Config,
  spec: types.EnvSpec,
  rules: rules_lib.Rules,
  state: types.LearnerState,
  unrolls: Sequence[types.Unroll[tf.Tensor]],
  meta_unrolls: Sequence[types.Unroll[tf.Tensor]],
) -> tuple[types.LearnerState, rules_lib.Metrics]:
  """One update, or the state as it was where a number is not finite."""
  learning_rate = tf.cast(
    _scheduled_learning_rate(config, state.env_frames),
    tf.nest.flatten(state.params)[0].dtype,
  )
  new, metrics = meta.update(
    state, unrolls, meta_unrolls, learning_rate, rules=rules
  )
  checked = {
    name: value
    for name, value in metrics.items()
    if not gauges.is_gauge(name)  # NaN but for one update in many.
  }
  # A sum is not finite where one of its terms is not.
  total = tf.add_n([tf.reduce_sum(p) for p in tf.nest.flatten(new.params)])
  finite = tf.reduce_all(
    [
      tf.reduce_all(tf.math.is_finite(x))
      for x in tf.nest.flatten((new.eta, checked, total))
    ]
  )
  # A choice, where tf.where would copy all parameters.
  kept = tf.cond(finite, lambda: new, lambda: state)
  trained_on = [*unrolls, *meta_unrolls[:-1]]  # The last is for later.
  steps = sum(tf.size(unroll.env_outputs.reward[1:]) for unroll in trained_on)
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
