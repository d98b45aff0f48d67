"""The policy of a checkpoint, to be played."""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # noqa: F401  # isort: skip

import os
import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from learner.inference import parameter_store
from learner.storage import checkpoints
from learner.storage import workdir as workdir_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import frames
from seed_metagrad import types


class Policy:
  """Acts in E environments at once; `reset` comes first."""

  def __init__(
    self,
    workdir: pathlib.Path,
    config: config_lib.Config,
    spec: types.EnvSpec,
    agent: agent_lib.Agent,
    state: types.LearnerState,
  ):
    self.workdir = workdir
    self.config = config
    self.spec = spec
    self.num_updates = int(state.num_updates)
    self.env_frames = int(state.env_frames)
    self.hyperparameters = agent_lib.hyperparameters(config, state)
    published = parameter_store.published(state)
    self._params, self._eta = tf.nest.map_structure(
      tf.constant, (published.params, published.eta)
    )
    self._act = tf.function(agent.act, reduce_retracing=True, autograph=False)
    self.reset(0)

  def reset(self, num_envs: int) -> None:
    """Makes place for E environments."""
    self._stacks = frames.empty(self.spec, num_envs)

  def act(
    self, observations: np.ndarray, reset: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Policy logits [E, A] and values [E] at the newest observations.

    reset: bool [E], where the observation is the first of its episode.
    """
    self._stacks = frames.push(self._stacks, observations, reset)
    # The sampled actions are not used: each episode has its own RNG.
    outputs = self._act(
      self._params, self._eta, self._stacks, np.zeros(2, np.int32)
    )
    return outputs.policy_logits.numpy(), outputs.baseline.numpy()


class Loaded(NamedTuple):
  """A checkpoint, and the agent that it is of."""

  workdir: pathlib.Path
  config: config_lib.Config
  spec: types.EnvSpec
  agent: agent_lib.Agent
  state: types.LearnerState  # Of tensors.


def load(checkpoint: str | os.PathLike[str], env: str = '') -> Policy:
  """Loads the policy of a checkpoint, as `load_state`."""
  loaded = load_state(checkpoint, env)
  return Policy(
    loaded.workdir, loaded.config, loaded.spec, loaded.agent, loaded.state
  )


def load_state(checkpoint: str | os.PathLike[str], env: str = '') -> Loaded:
  """Loads a checkpoint, or the newest one of a workdir.

  checkpoint: the .npz file in its workdir, or the workdir.
  env: what the checkpoint must have been trained on, if given.

  Raises:
    FileNotFoundError: no checkpoint, or none in a workdir.
    ValueError: the checkpoint is damaged, or does not fit `env` or the config
      of its workdir.
  """
  path = _newest(pathlib.Path(checkpoint))
  workdir = path.parent.parent
  try:
    config = workdir_lib.read_config(workdir)
  except FileNotFoundError as error:
    raise FileNotFoundError(
      f'{path} is in no workdir: {error.filename} is missing.'
    ) from None
  if env and env != config.env:
    raise ValueError(f'{path} was trained on {config.env!r}, not on {env!r}.')
  spec = environments.spec(config.env, config.env_settings())
  agent = agent_lib.make(config, spec)
  try:
    state, _ = checkpoints.load(path, agent.init(seed=0))
  except checkpoints.DamagedError as error:
    raise ValueError(str(error)) from None
  for array in tf.nest.flatten((state.params, state.eta)):
    if not np.isfinite(array).all():
      raise ValueError(
        f'{path} has parameters that are not finite: its training diverged.'
      )
  state = tf.nest.map_structure(tf.constant, state)
  return Loaded(workdir, config, spec, agent, state)


def _newest(path: pathlib.Path) -> pathlib.Path:
  if path.is_file():
    return path.resolve()
  if not path.is_dir():
    raise FileNotFoundError(f'no checkpoint {path}.')
  found = checkpoints.paths(path / 'checkpoints')
  if not found:
    raise FileNotFoundError(f'{path} holds no checkpoint.')
  return found[0].resolve()
