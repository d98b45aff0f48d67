"""The policy of a checkpoint, to be played."""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # noqa: F401  # isort: skip

import os

import numpy as np
import tensorflow as tf

from learner.inference import parameter_store
from learner.storage import model_files
from seed_metagrad import agent as agent_lib
from seed_metagrad import types
from seed_metagrad.networks import frames


class Policy:
  """Acts in E environments at once; `reset` comes first."""

  def __init__(self, model: model_files.Model):
    state = model.state
    self.workdir = model.folder
    self.config = model.config
    self.spec = model.spec
    self.num_updates = int(state.num_updates)
    self.env_frames = int(state.env_frames)
    self.hyperparameters = agent_lib.hyperparameters(model.config, state)
    published = parameter_store.published(state)
    self._params, self._eta = tf.nest.map_structure(
      tf.constant, (published.params, published.eta)
    )
    self._initial_state = model.agent.initial_state
    self._act = tf.function(
      model.agent.act, reduce_retracing=True, autograph=False
    )
    self.reset(0)

  def reset(self, num_envs: int) -> None:
    """Makes place for E environments."""
    self._stacks = frames.empty(self.spec, num_envs)
    self._core = self._initial_state(num_envs)

  def act(
    self,
    observations: np.ndarray,
    reset: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
  ) -> tuple[np.ndarray, np.ndarray]:
    """Policy logits [E, A] and values [E] at the newest observations.

    reset: bool [E], where the observation is the first of its episode. actions,
    rewards: [E, ...] and [E], what led to the observation; not looked at where
    it is the first.
    """
    frames.push(self._stacks, observations, reset)
    core_step: types.Nest = ()
    if self._core:
      self._core = self._core._replace(action=actions)
      core_step = (types.CoreStep(self._core, rewards, reset),)
    # The sampled actions are not used: each episode has its own RNG.
    acted = self._act(
      self._params, self._eta, self._stacks, np.zeros(2, np.int32), *core_step
    )
    self._core = acted.core_state
    return acted.outputs.policy_logits.numpy(), acted.outputs.baseline.numpy()


def load(checkpoint: str | os.PathLike[str], env: str = '') -> Policy:
  """Loads a policy; the arguments and errors are those of model_files.read."""
  return Policy(model_files.read(checkpoint, env))
