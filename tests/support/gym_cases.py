"""Gymnasium environments that break assumptions; registered on import."""

import gymnasium
from gymnasium import spaces
import numpy as np


class Endless(gymnasium.Env):
  """Never ends an episode; pays the action."""

  observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
  action_space = spaces.Discrete(2)

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    return np.zeros(3, np.float32), {}

  def step(self, action):
    return np.zeros(3, np.float32), float(action), False, False, {}


class NanObservation(Endless):
  """Shows NaN after some steps."""

  def step(self, action):
    observation, *others = super().step(action)
    if self.np_random.random() < 0.1:
      observation[1] = np.nan
    return observation, *others


gymnasium.register('EndlessTest-v0', Endless)
gymnasium.register('NanObservationTest-v0', NanObservation)
