"""Environments, updates and acting, each alone, on one thread of TensorFlow."""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # noqa: F401  # isort: skip

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import measurement
from learner.inference import parameter_store
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker as inference_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import networks
from seed_metagrad import types
from seed_metagrad.networks import frames

Results = Iterator[measurement.Result]

_SEED = 1
_ENVS, _ENV_THREADS, _STEPS = 32, 2, 20  # Those of the preset local.
_BATCH_SIZE, _META_BATCH_SIZE = 32, 8  # The paper's; T 20 as well.
_INFERENCE_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def pin_threads() -> None:
  """Lets TensorFlow compute on one thread, in this process."""
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)


def env(options: measurement.Options) -> Results:
  """How fast environments step with random actions, and nothing else."""
  envs = environments.make(
    options.env, _ENVS, seed=_SEED, num_threads=_ENV_THREADS
  )
  envs.reset()
  rng = np.random.default_rng(_SEED)
  actions = rng.integers(envs.spec.num_actions, size=(_STEPS, _ENVS)).astype(
    np.int32
  )

  def steps() -> None:
    for row in actions:
      envs.step(row)

  secs = measurement.median_secs(steps, options)
  envs.close()
  yield measurement.Result(
    'env.steps_per_s',
    _ENVS * _STEPS / secs,
    'env steps/s',
    {'env': options.env, 'envs': _ENVS, 'threads': _ENV_THREADS},
  )


def update(options: measurement.Options) -> Results:
  """Plain and meta-updates of the paper's size, per network."""
  pin_threads()
  spec = environments.spec(options.env)
  for network in options.networks:
    secs = {}
    for kind, learned in (('plain', ()), ('meta', ('discount', 'lambda_'))):
      config = config_lib.preset(
        'paper',
        network=network,
        learned=learned,
        batch_size=_BATCH_SIZE,
        meta_batch_size=_META_BATCH_SIZE,
      )
      secs[kind] = _update_secs(config, spec, options)
      yield measurement.Result(
        f'update.{kind}_ms',
        1e3 * secs[kind],
        'ms',
        _sizes(config),
        network,
        measurement.variant(learned),
      )
    yield measurement.Result(
      'update.meta_per_plain',
      secs['meta'] / secs['plain'],
      'ratio',
      _sizes(config),
      network,
      measurement.variant(learned),
    )
    yield measurement.Result(
      'update.forward_backward_ms_per_frame',
      1e3
      * _forward_backward_secs(config, spec, options)
      / ((config.unroll_length + 1) * config.batch_size),
      'ms/frame',
      _sizes(config),
      network,
    )


def _sizes(config: config_lib.Config) -> dict[str, int]:
  return {
    'T': config.unroll_length,
    'B': config.batch_size,
    "B'": config.meta_batch_size,
    'threads': 1,
  }


def _update_secs(
  config: config_lib.Config, spec: types.EnvSpec, options: measurement.Options
) -> float:
  agent = agent_lib.make(config, spec)
  # Not 0: in one update of many the costly gauges are looked at.
  state = agent.init(_SEED)._replace(num_updates=tf.constant(1, tf.int64))
  unroll = random_unroll(config, spec)
  meta_unrolls = [
    unrolls_lib.columns(unroll, 0, size) for size in meta_batch_sizes(config)
  ]
  step = tf.function(agent.update, autograph=False)

  def call() -> None:
    _, metrics = step(state, [unroll], meta_unrolls)
    assert not metrics['skipped']  # Also waits for the result.

  return measurement.median_secs(call, options)


def meta_batch_sizes(config: config_lib.Config) -> list[int]:
  """Unrolls of what judges an update of a config."""
  sizes = agent_lib.samples(config)
  last = [sizes.meta_batch] if sizes.meta_batch else []
  return [config.batch_size] * sizes.further + last


def _forward_backward_secs(
  config: config_lib.Config, spec: types.EnvSpec, options: measurement.Options
) -> float:
  """The network alone: the gradient of the sum of its outputs."""
  network = networks.make(config.network, spec)
  params = [tf.constant(p) for p in network.init(_SEED)]
  unroll = random_unroll(config, spec)

  def step(
    params: list[tf.Tensor], unroll: types.Unroll[tf.Tensor]
  ) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
      tape.watch(params)
      outputs = network.apply(params, frames.stack_unroll(unroll), None)
      total = tf.add_n([tf.reduce_sum(x) for x in tf.nest.flatten(outputs)])
    gradients: Any = tape.gradient(total, params)
    return list(gradients)

  compiled = tf.function(step, autograph=False)

  def call() -> None:
    compiled(params, unroll)[0].numpy()

  return measurement.median_secs(call, options)


def random_unroll(
  config: config_lib.Config, spec: types.EnvSpec
) -> types.Unroll[np.ndarray]:
  """A batch of unrolls of noise, [T + 1, B, ...]."""
  rng = np.random.default_rng(_SEED)
  shape = (config.unroll_length + 1, config.batch_size)
  nothing = np.zeros(shape, bool)
  core_state: types.Nest = ()
  if config.core == 'lstm':
    core_state = types.CoreState(
      np.zeros([1, config.batch_size, 2 * config.core_units], np.float32),
      np.zeros([1, config.batch_size], np.int32),
    )
  return types.Unroll(
    memory=np.moveaxis(
      frames.previous(frames.empty(spec, config.batch_size)), 0, 1
    ),
    env_outputs=types.EnvOutput(
      reward=rng.integers(-1, 2, shape).astype(np.float32),
      terminated=rng.random(shape) < 0.01,
      truncated=nothing,
      life_lost=nothing,
      observation=_observations(rng, shape, spec),
    ),
    agent_outputs=types.AgentOutput(
      action=rng.integers(spec.num_actions, size=shape).astype(np.int32),
      policy_logits=np.zeros((*shape, spec.num_actions), np.float32),
      baseline=np.zeros(shape, np.float32),
    ),
    core_state=core_state,
  )


def _observations(
  rng: np.random.Generator, shape: tuple[int, ...], spec: types.EnvSpec
) -> np.ndarray:
  return rng.integers(256, size=(*shape, *spec.observation_shape)).astype(
    spec.observation_dtype
  )


def inference(options: measurement.Options) -> Results:
  """Acting in E environments, their frame stacks and unrolls included."""
  pin_threads()
  spec = environments.spec(options.env)
  rng = np.random.default_rng(_SEED)
  for network in options.networks:
    config = config_lib.preset('paper', network=network)
    agent = agent_lib.make(config, spec)
    state = agent.init(_SEED)
    published = parameter_store.Published(state.params, state.eta, 0)
    acting = inference_lib.make(
      agent,
      spec,
      parameter_store.ParameterStore(published),
      unroll_length=config.unroll_length,
      seed=_SEED,
    )
    for size in _INFERENCE_SIZES:
      secs = measurement.median_secs(acts(acting, size, spec, rng), options)
      settings = {'envs': size, 'threads': 1}
      yield measurement.Result(
        'inference.ms', 1e3 * secs, 'ms', settings, network
      )
      yield measurement.Result(
        'inference.env_steps_per_s',
        size / secs,
        'env steps/s',
        settings,
        network,
      )


def acts(
  acting: inference_lib.Inference,
  size: int,
  spec: types.EnvSpec,
  rng: np.random.Generator,
) -> Callable[[], None]:
  """A function that acts once in `size` environments."""
  nothing = np.zeros(size, bool)
  outputs = types.EnvOutput(
    np.zeros(size, np.float32),
    nothing,
    nothing,
    nothing,
    _observations(rng, (size,), spec),
  )

  def call() -> None:
    env_ids = np.arange(size, dtype=np.int32)
    acting.record(acting.act(env_ids, nothing, outputs))

  return call


def tiny_published(spec: types.EnvSpec) -> parameter_store.Published:
  """What `tiny_act` acts with."""
  return parameter_store.Published(
    tf.zeros([spec.frame_stack, spec.num_actions]), {}, 0
  )


def tiny_act(spec: types.EnvSpec) -> agent_lib.Act:
  """An agent's act: one pixel of each of the stacked frames is looked at."""

  def act(
    params: types.Nest,
    eta: types.Eta,
    stacked: tf.Tensor,
    seed: tf.Tensor,
    core_step: types.CoreStep[tf.Tensor] | tuple[()] = (),
  ) -> agent_lib.Acted:
    del eta, core_step
    pixels = tf.reshape(stacked, [tf.shape(stacked)[0], -1, spec.frame_stack])
    logits = tf.cast(pixels[:, 0], tf.float32) @ params
    actions = tf.random.stateless_categorical(logits, 1, seed, dtype=tf.int32)[
      :, 0
    ]
    outputs = types.AgentOutput(actions, logits, logits[:, 0])
    return agent_lib.Acted(outputs, ())

  return act
