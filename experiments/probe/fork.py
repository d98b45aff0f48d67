"""The true effect of a meta-parameter: training goes on with it moved.

From one state, N updates with a logit moved up and N with it moved down, and
held; the same seeds act in both. What the meta-gradient says of the sign can
then be compared with what returns say.
"""

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from learner.inference import parameter_store
from learner.inference import serial
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types


class Effect(NamedTuple):
  """Mean returns of the episodes of the last half, by seed."""

  up: np.ndarray
  down: np.ndarray

  @property
  def difference(self) -> float:
    """How much better returns are with the logit moved up, mean of seeds."""
    return float(np.mean(self.up - self.down))


def run(
  config: config_lib.Config,
  agent: agent_lib.Agent,
  state: types.LearnerState,
  name: str,
  *,
  delta: float,
  num_updates: int,
  num_envs: int,
  seeds: range,
) -> Effect:
  """Trains on from `state` with the logit of `name` at + and - `delta`."""
  update = tf.function(agent.update, autograph=False)

  def one(sign: int, seed: int) -> float:
    moved = {**state.eta, name: state.eta[name] + sign * delta}
    return _train(
      config,
      agent,
      update,
      state._replace(eta=moved),
      num_updates=num_updates,
      num_envs=num_envs,
      seed=seed,
    )

  return Effect(
    np.array([one(1, seed) for seed in seeds]),
    np.array([one(-1, seed) for seed in seeds]),
  )


def _train(
  config: config_lib.Config,
  agent: agent_lib.Agent,
  update: agent_lib.Update,
  state: types.LearnerState,
  *,
  num_updates: int,
  num_envs: int,
  seed: int,
) -> float:
  """Mean return of the second half; eta is put back after each update."""
  spec = environments.spec(config.env, config.env_settings())
  env = environments.make(
    config.env,
    num_envs,
    seed=seed,
    num_threads=config.env_threads,
    settings=config.env_settings(),
  )
  parameters = parameter_store.ParameterStore(parameter_store.published(state))
  inference = worker.make(
    agent, spec, parameters, unroll_length=config.unroll_length, seed=seed
  )
  finished = serial.finished(env, inference)
  sizes = agent_lib.samples(config)
  held, returns = state.eta, []

  def batch(size: int) -> types.Unroll[np.ndarray]:
    return unrolls_lib.batch(
      [one.unroll for one in itertools.islice(finished, size)]
    )

  try:
    for k in range(num_updates):
      unrolls = [batch(config.batch_size) for _ in range(sizes.updates)]
      meta_unrolls = [batch(config.batch_size) for _ in range(sizes.further)]
      meta_unrolls.append(batch(sizes.meta_batch))
      state, _ = update(state, unrolls, meta_unrolls)
      state = state._replace(eta=held)
      parameters.publish(parameter_store.published(state))
      episodes = inference.take_episodes()
      if k >= num_updates // 2:
        returns += [episode.raw_return for episode in episodes]
  finally:
    env.close()
  return float(np.mean(returns)) if returns else float('nan')
