"""Who acts: from a request to finished unrolls."""

import queue
from typing import NamedTuple

import tensorflow as tf

from learner import batches
from learner import learner as learner_lib
from learner.inference import batcher as batcher_lib
from learner.inference import lockstep as lockstep_lib
from learner.inference import parameter_store
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker
from learner.storage import run_state
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types


class Pipeline(NamedTuple):
  """What a request passes, in this order, and what is saved of it."""

  batcher: batcher_lib.Batcher
  max_envs: int
  inference: worker.Inference
  unrolls: batches.UnrollSource
  saves: learner_lib.Acting
  env_states: dict[str, bytes]  # By peer; where a run in lock-step resumes.


def make(
  config: config_lib.Config,
  spec: types.EnvSpec,
  agent: agent_lib.Agent,
  parameters: parameter_store.ParameterStore,
  seed: int,
  saved: run_state.Acting,
) -> Pipeline:
  """Makes it, as it was where a run is resumed.

  Raises:
    ValueError: in lock-step, where environments do not fill batches.
  """
  inference = worker.make(
    agent,
    spec,
    parameters,
    unroll_length=config.unroll_length,
    seed=seed,
    num_calls=saved.num_calls,
    # A group's unrolls would end at once, more than the learner takes at once.
    staggered=config.envs_per_group > config.batch_size and not config.lockstep,
  )
  if config.lockstep:
    return _in_lockstep(config, inference, saved.lockstep)
  batcher = batcher_lib.Batcher(
    config.inference_min_envs,
    config.inference_max_envs,
    config.inference_timeout_ms,
  )
  # Bounded: the only back-pressure.
  unrolls: queue.Queue[unrolls_lib.Finished] = queue.Queue(config.queue_unrolls)
  return Pipeline(
    batcher, config_lib.MAX_ENVS, inference, unrolls, inference, {}
  )


def _in_lockstep(
  config: config_lib.Config,
  inference: worker.Inference,
  saved: run_state.LockStep | None,
) -> Pipeline:
  tf.config.experimental.enable_op_determinism()
  num_envs = lockstep_lib.num_envs(config)
  batcher = batcher_lib.Batcher(num_envs, num_envs, None)
  lockstep = lockstep_lib.LockStep(inference, batcher)
  env_states = {}
  if saved:
    lockstep.restore(saved)
    env_states = saved.env_states
  return Pipeline(batcher, num_envs, inference, lockstep, lockstep, env_states)
