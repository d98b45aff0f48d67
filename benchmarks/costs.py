"""What an env step costs: the CPU time of each part, measured alone."""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # noqa: F401  # isort: skip

from collections.abc import Callable
import tempfile
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks import computations
from benchmarks import measurement
from benchmarks import serving
from benchmarks import synthetic_actors
from benchmarks import training
from learner.inference import parameter_store
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker as inference_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types

_SEED = 1
_WARM_UP_SECS = 20.0


class Costs(NamedTuple):
  """Microseconds of one core, and bytes on the wire, per env step."""

  env_us: float  # The environment itself.
  wire_us: float  # The rest of the actor.
  serve_us: float  # The learner's end of the wire.
  act_us: float  # Frame stacks, the network, unrolls.
  learn_us: float  # Updates.
  bytes: float

  @property
  def total_us(self) -> float:
    """All parts together."""
    return sum(self.parts().values())

  def parts(self) -> dict[str, float]:
    """What takes time, by name."""
    return {
      name.removesuffix('_us'): value
      for name, value in self._asdict().items()
      if name.endswith('_us')
    }

  def text(self) -> str:
    """A table in Markdown."""
    rows = [
      f'| {name} | {value:,.1f} |' for name, value in self.parts().items()
    ]
    return '\n'.join(
      [
        '| part | us an env step |',
        '|---|---|',
        *rows,
        f'| sum | {self.total_us:,.1f} |',
        f'| bytes | {self.bytes:,.0f} |',
      ]
    )


def cpu_us_per_env_step(function: Callable[[], int], secs: float) -> float:
  """CPU time of calls that each do as many env steps as they return."""
  function()  # Makes its graph.
  steps, end, start = 0, time.monotonic() + secs, time.process_time()
  while not steps or time.monotonic() < end:
    steps += function()
  return 1e6 * (time.process_time() - start) / steps


def measure(config: config_lib.Config, secs: float, *, act_envs: int) -> Costs:
  """The costs of a config, of Pong.

  act_envs: environments of a batch when acting.
  """
  spec = environments.spec(config.env)
  options = measurement.Options(config.env, (), repeats=1, secs=secs, figure='')
  load = synthetic_actors.Load(
    config_lib.GROUPS_PER_ACTOR * config.num_actors, config.envs_per_group
  )
  served = {
    result.name.partition('.')[2]: result.value
    for result in serving.measure(options, spec, load)
  }
  agent = agent_lib.make(config, spec)
  state = agent.init(_SEED)
  tiny_us = cpu_us_per_env_step(
    _acting(
      config,
      spec,
      act_envs,
      computations.tiny_act(spec),
      computations.tiny_published(spec),
    ),
    secs,
  )
  act_us = cpu_us_per_env_step(
    _acting(
      config,
      spec,
      act_envs,
      agent.act,
      parameter_store.Published(state.params, state.eta, 0),
    ),
    secs,
  )
  return Costs(
    env_us=cpu_us_per_env_step(_stepping(config), secs),
    wire_us=served['actor_cpu_us_per_env_step'],
    serve_us=max(0.0, served['learner_cpu_us_per_env_step'] - tiny_us),
    act_us=act_us,
    learn_us=cpu_us_per_env_step(_learning(config, spec, agent, state), secs),
    bytes=serving.bytes_per_env_step(spec, config.envs_per_group).value,
  )


def measure_training(preset: str, secs: float) -> tuple[float, float]:
  """Env steps/s of a whole run here, and its CPU time, us an env step."""
  with tempfile.TemporaryDirectory() as folder:
    run = training.Run(folder, preset=preset, metrics_secs=1)
    try:
      run.wait_for_update()
      time.sleep(_WARM_UP_SECS)
      before, cpu_before = run.rows()[-1], run.cpu_secs()
      time.sleep(secs)
      after, cpu_after = run.rows()[-1], run.cpu_secs()
    finally:
      run.close()
  frames, elapsed = (
    after[name] - before[name] for name in ('env_frames', 'seconds')
  )
  spec = environments.spec(config_lib.preset(preset).env)
  steps = frames / spec.action_repeat
  return steps / elapsed, 1e6 * (cpu_after - cpu_before) / steps


def _stepping(config: config_lib.Config) -> Callable[[], int]:
  envs = environments.make(
    config.env,
    config.envs_per_group,
    seed=_SEED,
    num_threads=config.env_threads,
  )
  envs.reset()
  rng = np.random.default_rng(_SEED)

  def call() -> int:
    envs.step(
      rng.integers(envs.spec.num_actions, size=envs.num_envs).astype(np.int32)
    )
    return envs.num_envs

  return call


def _acting(
  config: config_lib.Config,
  spec: types.EnvSpec,
  num_envs: int,
  act: agent_lib.Act,
  published: parameter_store.Published,
) -> Callable[[], int]:
  acting = inference_lib.Inference(
    act,
    spec,
    parameter_store.ParameterStore(published),
    unrolls_lib.UnrollStore(config.unroll_length, spec),
    seed=_SEED,
  )
  call = computations.acts(acting, num_envs, spec, np.random.default_rng(_SEED))

  def counted() -> int:
    call()
    return num_envs

  return counted


def _learning(
  config: config_lib.Config,
  spec: types.EnvSpec,
  agent: agent_lib.Agent,
  state: types.LearnerState,
) -> Callable[[], int]:
  unroll = computations.random_unroll(config, spec)
  meta_unroll = unrolls_lib.columns(unroll, 0, config.meta_batch_size)
  step = tf.function(agent.update, autograph=False)

  def call() -> int:
    _, metrics = step(state, [unroll], [meta_unroll])
    assert not metrics['skipped']  # Also waits for the result.
    return config.unroll_length * config.batch_size

  return call
