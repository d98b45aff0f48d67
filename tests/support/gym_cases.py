"""Gymnasium environments that break assumptions; registered on import."""

import os

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


class Bounded(Endless):
  """Shows its own bound."""

  def __init__(self, low, high, dtype, shape=(3,)):
    self.observation_space = spaces.Box(low, high, shape, np.dtype(dtype).type)

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    return self.observation_space.high, {}

  def step(self, action):
    return self.observation_space.high, float(action), False, False, {}


class Answers(Endless):
  """Returns from reset and step what it was given, or raises it.

  at: the step of an episode that does.
  """

  def __init__(self, reset=None, step=None, at=1, close=None):
    self._reset, self._step, self._at, self._close = reset, step, at, close

  def reset(self, *, seed=None, options=None):
    self.steps = 0
    return self._say(
      super().reset(seed=seed) if self._reset is None else self._reset
    )

  def step(self, action):
    self.steps += 1
    if self._step and self.steps == self._at:
      return self._say(self._step)
    return super().step(action)

  def close(self):
    if self._close is not None:
      self._close.append(self)

  def _say(self, what):
    if isinstance(what, BaseException):
      raise what
    return what


class Raises(Answers):
  """With as many actions as the fake learner takes."""

  action_space = spaces.Discrete(3)


class Infos(Endless):
  """Infos that no two steps or environments have alike."""

  def reset(self, *, seed=None, options=None):
    observation, _ = super().reset(seed=seed)
    self.steps = 0
    return observation, {'path': np.zeros(0)}

  def step(self, action):
    self.steps += 1
    infos = (
      {'path': np.zeros(self.steps)},
      {'path': None},
      {'path': 'text'},
      {'path': {'deep': 1.0}},
      {},
      None,
      {1: object()},
    )
    *others, _ = super().step(action)
    return (
      *others[:2],
      self.steps % 5 == 0,
      False,
      infos[(self.steps + int(action)) % 7],
    )


class Noted(Endless):
  """Appends a line to $NOTED when it is made, steps and is closed.

  fail_at: which one of a process cannot be made.
  """

  action_space = spaces.Discrete(3)  # As the fake learner takes.
  made = 0

  def __init__(self, fail_at=None):
    Noted.made += 1
    self._number = Noted.made
    if self._number == fail_at:
      raise RuntimeError('no licence left')
    self._note('made')

  def step(self, action):
    self._note('step')
    return super().step(action)

  def close(self):
    self._note('closed')

  def _note(self, what):
    with open(os.environ['NOTED'], 'a', encoding='utf-8') as file:
      file.write(f'{what} {self._number}\n')


gymnasium.register('NotedTest-v0', Noted)
gymnasium.register('UnmakeableTest-v0', Noted, kwargs=dict(fail_at=1))
gymnasium.register('ThirdFailsTest-v0', Noted, kwargs=dict(fail_at=3))
gymnasium.register(
  'RaisesTest-v0', Raises, kwargs=dict(step=RuntimeError('fell over'), at=3)
)
gymnasium.register('EndlessTest-v0', Endless)
gymnasium.register('InfosTest-v0', Infos)
gymnasium.register('BoundedTest-v0', Bounded)
gymnasium.register('NanObservationTest-v0', NanObservation)


def doubled(env):
  """A wrapper: observations, and their bounds, twice as large."""
  low, high = 2 * env.observation_space.low, 2 * env.observation_space.high
  return gymnasium.wrappers.TransformObservation(
    env, lambda x: 2 * x, spaces.Box(low, high, dtype=low.dtype.type)
  )
