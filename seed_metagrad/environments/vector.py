"""Environments that step E games at once, by Gymnasium's VectorEnv.

`vector:<id>` is an id with an entry point of that kind, such as CartPole-v1.
"""

import importlib
from typing import Any, Protocol

import gymnasium
from gymnasium import vector
import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment
from seed_metagrad.environments import gym_spaces

_SETTINGS = ('kwargs', 'import')


class VectorEnv(Protocol):
  """What is stepped: a gymnasium.vector.VectorEnv, or one of EnvPool."""

  def reset(self) -> tuple[Any, dict[str, Any]]:
    """Starts all E."""

  def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """Steps all E; returns observations, rewards, ends, cuts and infos."""

  def close(self) -> None:
    """Closes them."""


class Batch:
  """E games of an environment that steps them at once.

  One that restarts in the step after an end (AutoresetMode.NEXT_STEP) answers
  that step with the next episode's first observation and no reward. That is
  taken as a step of the episode that ends there: the end is said one step late,
  and an episode is one step longer than it was.
  """

  def __init__(
    self,
    name: str,
    env: VectorEnv,
    num_envs: int,
    spec: types.EnvSpec,
    action_space: gymnasium.Space[Any],
    *,
    seed: int | None,
    next_step: bool,
  ):
    self.num_envs, self.spec = num_envs, spec
    self._name, self._env = name, env
    self._to_theirs = gym_spaces.to_theirs(action_space)
    self._limits = environment.Limits(spec)
    self._next_step = next_step
    self._seed = {} if seed is None else {'seed': seed}
    self._num_steps = 0
    self._late = np.zeros((2, num_envs), bool)  # Ends that are not said yet.

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Starts E episodes; the first call seeds them."""
    seed, self._seed = self._seed, {}
    self._late = np.zeros((2, self.num_envs), bool)
    with environment.told(self._name, 'at a reset'):
      observation, _ = self._env.reset(**seed)
    return environment.first_output(self._observation(observation))

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Steps every game."""
    environment.check_actions(actions, self.num_envs, self.spec)
    self._num_steps += 1
    theirs = np.stack([self._to_theirs(action) for action in actions])
    with environment.told(self._name, f'at step {self._num_steps}'):
      observation, reward, terminated, truncated, info = self._env.step(theirs)
    ends = np.stack(
      [
        self._array('terminated', terminated, (self.num_envs,), 'b'),
        self._array('truncated', truncated, (self.num_envs,), 'b'),
      ]
    )
    ends[1] &= ~ends[0]
    if self._next_step:
      ends, self._late = self._late, ends
    reward = self._array('reward', reward, (self.num_envs,), 'biuf')
    if not (abs(reward) <= environment.MAX_REWARD).all():  # Nor NaN.
      raise self._unlike('rewards must be finite', reward)
    return types.EnvOutput(
      reward=reward.astype(np.float32),
      terminated=ends[0],
      truncated=ends[1],
      life_lost=self._life_lost(info) & ~ends.any(axis=0),
      observation=self._observation(observation),
    )

  def close(self) -> None:
    """Closes all."""
    with environment.told(self._name, 'in close'):
      self._env.close()

  def _life_lost(self, info: dict[str, Any]) -> np.ndarray:
    del info
    return np.zeros(self.num_envs, bool)

  def _observation(self, observation: Any) -> np.ndarray:
    shape = (self.num_envs, *self.spec.observation_shape)
    array = self._array('observation', observation, shape, 'biuf')
    array = array.astype(self.spec.observation_dtype)  # A copy: theirs changes.
    outside = self._limits.find_outside(array)
    if outside is not None:
      raise self._unlike(
        f'observation of environment {outside[0]} must be finite and within, '
        'or near, its space',
        array[outside].item(),
      )
    return array

  def _array(
    self, what: str, value: Any, shape: tuple[int, ...], kinds: str
  ) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != shape or array.dtype.kind not in kinds:
      raise self._unlike(
        f'{what} must be of shape {shape}', f'{array.dtype} of {array.shape}'
      )
    return array

  def _unlike(self, what: str, value: Any) -> environment.Failed:
    return environment.Failed(
      f'{self._name} at step {self._num_steps}: {what}, got {value}.'
    )


def _make(
  env_id: str, num_envs: int, settings: types.Settings
) -> vector.VectorEnv:
  name = f'vector:{env_id}'
  environment.check_settings(name, settings, _SETTINGS)
  if module := settings.get('import'):
    with environment.told(name, f'in the import of {module}'):
      importlib.import_module(module)
  try:
    with environment.told(name, 'in its constructor'):
      return gymnasium.make_vec(
        env_id,
        num_envs,
        vectorization_mode='vector_entry_point',
        **settings.get('kwargs', {}),
      )
  except environment.Failed as error:
    if isinstance(error.__cause__, (gymnasium.error.Error, ImportError)):
      raise ValueError(f'Cannot make {name}: {error.__cause__}') from error
    raise


def _spec(env_id: str, env: vector.VectorEnv) -> types.EnvSpec:
  return gym_spaces.spec_of(
    f'vector:{env_id}', env.single_observation_space, env.single_action_space
  )


def spec(env_id: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the spec of an id; makes and closes one of it.

  Raises:
    ValueError: there is none that steps many at once, or its spaces are of
      another kind.
    environment.Failed: it raised.
  """
  env = _make(env_id, 1, settings)
  try:
    return _spec(env_id, env)
  finally:
    env.close()


def make(
  env_id: str,
  num_envs: int,
  *,
  seed: int,
  num_threads: int,
  settings: types.Settings,
) -> Batch:
  """Makes E of them.

  Raises:
    ValueError: as of `spec`; or they do not restart by themselves.
  """
  env = _make(env_id, num_envs, settings)
  modes = vector.AutoresetMode
  mode = modes(env.metadata.get('autoreset_mode', modes.NEXT_STEP))
  if mode == modes.DISABLED:
    env.close()
    raise ValueError(
      f'vector:{env_id} must restart by itself, got autoreset_mode {mode}.'
    )
  return Batch(
    f'vector:{env_id}',
    env,
    num_envs,
    _spec(env_id, env),
    env.single_action_space,
    seed=seed,
    next_step=mode == modes.NEXT_STEP,
  )
