"""Any Gymnasium environment of Boxes and discrete numbers.

Numbers and vectors in a Dict or Tuple become one vector, discrete ones one-hot:
gymnasium.spaces.flatten.
"""

import contextlib
import importlib
from typing import Any, NamedTuple

import gymnasium
from gymnasium import spaces
import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment
from seed_metagrad.environments import gym_spaces

# The constructor's arguments; a module to import, and a wrapper, by name;
# whether images are [C, H, W].
_SETTINGS = ('kwargs', 'import', 'wrapper', 'channels_first')


def _make(env_id: str, settings: types.Settings) -> gymnasium.Env:
  environment.check_settings(f'gym:{env_id}', settings, _SETTINGS)
  if module := settings.get('import'):
    with environment.told(f'gym:{env_id}', f'in the import of {module}'):
      importlib.import_module(module)
  try:
    with environment.told(f'gym:{env_id}', 'in its constructor'):
      # Its own checks print pages; what counts is checked below.
      env = gymnasium.make(
        env_id, disable_env_checker=True, **settings.get('kwargs', {})
      )
  except environment.Failed as error:
    cause = error.__cause__
    if isinstance(cause, (gymnasium.error.Error, ImportError)):
      said = environment.short(cause)
      raise ValueError(
        f'Cannot make gym:{env_id}: {said}{_atari_hint(env_id)}'
      ) from cause
    raise
  if type(env.unwrapped).__module__.partition('.')[0] == 'ale_py':
    env.close()
    own = env.unwrapped.spec.kwargs if env.unwrapped.spec else {}
    raise ValueError(
      f'gym:{env_id} is an Atari game, whose frames would be miscounted here.'
      f'{_atari_hint(own.get("game", env_id))}'
    )
  env = _wrap(env_id, env, settings.get('wrapper', ''))
  if settings.get('channels_first'):
    return _turn_round(env_id, env)
  if gym_spaces.are_vectors(env.observation_space):
    with environment.told(f'gym:{env_id}', 'in its observation space'):
      return gymnasium.wrappers.FlattenObservation(env)
  return env


def _wrap(env_id: str, env: gymnasium.Env, name: str) -> gymnasium.Env:
  if not name:
    return env
  module, _, function = name.partition(':')
  with contextlib.ExitStack() as undo:
    undo.callback(env.close)
    with environment.told(f'gym:{env_id}', f'in the wrapper {name}'):
      env = getattr(importlib.import_module(module), function)(env)
    if not isinstance(env, gymnasium.Env):
      raise environment.Failed(
        f'gym:{env_id} in the wrapper {name}: it must return an environment, '
        f'got {environment.short(repr(env))}.'
      )
    undo.pop_all()
  return env


def _turn_round(env_id: str, env: gymnasium.Env) -> gymnasium.Env:
  """Images [C, H, W] as [H, W, C]."""
  space = env.observation_space
  if not isinstance(space, spaces.Box) or len(space.shape) != 3:
    env.close()
    raise ValueError(
      f'gym:{env_id} must show images [channels, height, width] with '
      f'--channels_first, got {environment.short(space)}.'
    )
  turned = spaces.Box(
    np.moveaxis(space.low, 0, -1),
    np.moveaxis(space.high, 0, -1),
    dtype=space.dtype.type,
  )
  return gymnasium.wrappers.TransformObservation(
    env, lambda image: np.moveaxis(image, 0, -1), turned
  )


def _atari_hint(env_id: str) -> str:
  # Loads ale-py, which Gymnasium's own games do without.
  atari = importlib.import_module('seed_metagrad.environments.atari')
  game = atari.find_game(env_id)
  return f' Take --env={game}.' if game else ''


def spec(env_id: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the spec of Gymnasium's `env_id`; makes and closes one of it.

  Raises:
    ValueError: Gymnasium cannot make it, or its spaces are of another kind.
    environment.Failed: it raised.
  """
  env = _make(env_id, settings)
  try:
    return gym_spaces.spec_of(
      f'gym:{env_id}', env.observation_space, env.action_space
    )
  finally:
    with environment.told(f'gym:{env_id}', 'in close'):
      env.close()


class _Step(NamedTuple):
  """One step of one environment, checked."""

  observation: np.ndarray
  reward: np.float32 = np.float32(0)
  terminated: bool = False
  truncated: bool = False


class _One:
  """One environment, which restarts by itself."""

  def __init__(self, env_id: str, index: int, settings: types.Settings):
    self.env = _make(env_id, settings)
    self._env_id = env_id
    self._index = index
    self._num_steps = 0  # In this episode.
    self._where = ''  # What it did last.

  def reset(self, seed: int | None = None) -> _Step:
    """Starts an episode."""
    self._num_steps = 0
    where = self._where = f'at a reset (environment {self._index})'
    with environment.told(f'gym:{self._env_id}', where):
      observation, _ = self.env.reset(seed=seed)
    return _Step(self._check(observation, where))

  def step(self, action: Any) -> _Step:
    """Steps; where the episode has ended, the observation is the next one's."""
    self._num_steps += 1
    where = self._where = (
      f'at step {self._num_steps} of an episode (environment {self._index}, '
      f'action {environment.short(action)})'
    )
    with environment.told(f'gym:{self._env_id}', where):
      observation, reward, terminated, truncated, _ = self.env.step(action)
    step = _Step(
      self._check(observation, where),
      self._number(reward, where),
      self._flag('terminated', terminated, where),
      self._flag('truncated', truncated, where),
    )
    if step.terminated or step.truncated:
      return step._replace(observation=self.reset().observation)
    return step

  def close(self) -> None:
    """Closes it."""
    with environment.told(
      f'gym:{self._env_id}', f'in close (environment {self._index})'
    ):
      self.env.close()

  def outside(self, value: float) -> environment.Failed:
    """Returns the error for a number in the newest observation."""
    return self._unlike(
      'observation must be finite and within, or near, '
      f'{self.env.observation_space}',
      value,
      self._where,
    )

  def _check(self, observation: Any, where: str) -> np.ndarray:
    space = self.env.observation_space
    assert space.shape is not None and space.dtype is not None
    try:
      array = np.asarray(observation)
    except ValueError:  # Ragged.
      array = np.asarray(None)
    if array.shape == space.shape and array.dtype.kind in 'biuf':
      if np.can_cast(array.dtype, space.dtype, 'same_kind'):
        return array
      if array.dtype.kind in 'iu':
        cast = array.astype(space.dtype)
        if (cast == array).all():
          return cast
    raise self._unlike(f'observation must be in {space}', observation, where)

  def _number(self, reward: Any, where: str) -> np.float32:
    if np.ndim(reward) == 0 and np.asarray(reward).dtype.kind in 'biuf':
      with np.errstate(over='ignore'):
        number = np.float32(reward)
      if abs(number) <= environment.MAX_REWARD:
        return number
    raise self._unlike(
      'reward must be one finite number of at most '
      f'{environment.MAX_REWARD:g} in size',
      reward,
      where,
    )

  def _flag(self, name: str, value: Any, where: str) -> bool:
    if np.ndim(value) == 0 and np.asarray(value).dtype.kind in 'biu':
      return bool(value)
    raise self._unlike(f'{name} must be a bool', value, where)

  def _unlike(self, what: str, value: Any, where: str) -> environment.Failed:
    shape = (
      f' of shape {value.shape} and dtype {value.dtype}'
      if isinstance(value, np.ndarray)
      else ''
    )
    shown = environment.short(repr(value))
    return environment.Failed(
      f'gym:{self._env_id} {where}: {what}, got {shown}{shape}.'
    )


class GymnasiumAdapter:
  """E environments of one id, stepped one after another.

  Observations are float32, or uint8 where the environment's are. Infos are not
  looked at.
  """

  def __init__(
    self,
    env_id: str,
    num_envs: int,
    *,
    seed: int,
    settings: types.Settings | None = None,
  ):
    self.num_envs = num_envs
    with contextlib.ExitStack() as stack:  # Closes them where one fails.
      self._envs = []
      for index in range(num_envs):
        one = _One(env_id, index, settings or {})
        stack.callback(one.close)
        self._envs.append(one)
        own = gym_spaces.spec_of(
          f'gym:{env_id}', one.env.observation_space, one.env.action_space
        )
        if not index:
          self.spec = own
        elif own != self.spec:
          raise environment.Failed(
            f'gym:{env_id} must have equal spaces each time, got {self.spec} '
            f'and {own}.'
          )
      self._open = stack.pop_all()
    self._limits = environment.Limits(self.spec)
    self._to_theirs = gym_spaces.to_theirs(self._envs[0].env.action_space)
    seeds = np.random.SeedSequence(seed).generate_state(num_envs)
    self._seeds: list[int | None] = seeds.tolist()

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Starts E episodes; the first call seeds them."""
    steps = [one.reset(seed) for one, seed in zip(self._envs, self._seeds)]
    self._seeds = [None] * self.num_envs
    return environment.first_output(self._stack(steps))

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Steps every environment."""
    environment.check_actions(actions, self.num_envs, self.spec)
    steps = [
      one.step(self._to_theirs(action))
      for one, action in zip(self._envs, actions)
    ]
    terminated = np.array([step.terminated for step in steps])
    return types.EnvOutput(
      reward=np.array([step.reward for step in steps]),
      terminated=terminated,
      truncated=np.array([step.truncated for step in steps]) & ~terminated,
      life_lost=np.zeros(self.num_envs, bool),
      observation=self._stack(steps),
    )

  def close(self) -> None:
    """Closes all, also where one fails to; a second call does nothing."""
    self._open.close()

  def _stack(self, steps: list[_Step]) -> np.ndarray:
    with np.errstate(over='ignore'):
      stacked = np.array(
        [step.observation for step in steps], self.spec.observation_dtype
      )
    outside = self._limits.find_outside(stacked)
    if outside is not None:
      raise self._envs[outside[0]].outside(stacked[outside].item())
    return stacked


def make(
  env_id: str,
  num_envs: int,
  *,
  seed: int,
  num_threads: int,
  settings: types.Settings,
) -> GymnasiumAdapter:
  """Makes E of them, in one thread.

  Raises:
    ValueError: as of `spec`.
  """
  return GymnasiumAdapter(env_id, num_envs, seed=seed, settings=settings)
