"""Recall: say at the end what was shown at the beginning.

The least task that a network without memory cannot do (compare the T-maze of
Bakker 2001).
"""

import json

import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment

LENGTH = 12  # Steps of an episode.
CUES = 4


class Recall:
  """E of them; an action is a cue; +1 for the right one at the end, else 0.

  The observation is the cue at step 0, one-hot [4], with a last element that is
  1 at step 11, where it is asked for. Actions before that change nothing. Who
  does not remember is right in a quarter of the episodes.
  """

  spec = types.EnvSpec((CUES + 1,), 'float32', num_actions=CUES)

  def __init__(self, num_envs: int, *, seed: int):
    self.num_envs = num_envs
    self._rng = np.random.default_rng(np.random.SeedSequence(seed))
    self._step = np.zeros(num_envs, np.int64)
    self._cue = np.zeros(num_envs, np.int64)

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Shows E new cues."""
    self._begin(np.ones(self.num_envs, bool))
    return environment.first_output(self._observation())

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Moves on by a step, and takes the answers of those that are asked."""
    environment.check_actions(actions, self.num_envs, self.spec)
    self._step += 1
    ended = self._step == LENGTH
    reward = (ended & (actions == self._cue)).astype(np.float32)
    self._begin(ended)
    nothing = np.zeros(self.num_envs, bool)
    return types.EnvOutput(reward, ended, nothing, nothing, self._observation())

  def close(self) -> None:
    """Does nothing."""

  def get_state(self) -> bytes:
    """Returns all that `set_state` needs to go on exactly from here."""
    return json.dumps(
      {
        'rng': self._rng.bit_generator.state,
        'steps_and_cues': [self._step.tolist(), self._cue.tolist()],
      }
    ).encode()

  def set_state(self, state: bytes) -> None:
    """Goes back to where `get_state` was called, with as many environments."""
    saved = json.loads(state)
    steps_and_cues = np.array(saved['steps_and_cues'], np.int64)
    if steps_and_cues.shape != (2, self.num_envs):
      raise ValueError(
        f'state must be of {self.num_envs} environments, got '
        f'{steps_and_cues.shape[1:]}.'
      )
    self._rng.bit_generator.state = saved['rng']
    self._step, self._cue = steps_and_cues

  def _begin(self, where: np.ndarray) -> None:
    self._step[where] = 0
    self._cue[where] = self._rng.integers(CUES, size=where.sum())

  def _observation(self) -> np.ndarray:
    shown = np.zeros((self.num_envs, CUES + 1), np.float32)
    shown[np.arange(self.num_envs), self._cue] = self._step == 0
    shown[:, CUES] = self._step == LENGTH - 1
    return shown


def spec(argument: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the spec.

  Raises:
    ValueError: the name has an argument, or there is a setting.
  """
  environment.check_name('recall', argument, settings)
  return Recall.spec


def make(
  argument: str,
  num_envs: int,
  *,
  seed: int,
  num_threads: int,
  settings: types.Settings,
) -> Recall:
  """Makes E of them; `num_threads` is not used.

  Raises:
    ValueError: the name has an argument, or there is a setting.
  """
  environment.check_name('recall', argument, settings)
  return Recall(num_envs, seed=seed)
