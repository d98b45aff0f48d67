"""Any Gymnasium environment with a Box observation and a Discrete action."""

import functools

import gymnasium
from gymnasium import spaces
from gymnasium import vector
import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment


def _make(env_id: str) -> gymnasium.Env:
  try:
    return gymnasium.make(env_id)
  except (gymnasium.error.Error, ImportError) as error:
    raise ValueError(f'Cannot make gym:{env_id}: {error}') from error


def _spec(env_id: str, env: gymnasium.Env) -> types.EnvSpec:
  observations, actions = env.observation_space, env.action_space
  if not isinstance(observations, spaces.Box):
    raise ValueError(
      f'gym:{env_id} must have a Box observation, got {observations}.'
    )
  if not isinstance(actions, spaces.Discrete):
    raise ValueError(
      f'gym:{env_id} must have a Discrete action, got {actions}.'
    )
  dtype = 'uint8' if observations.dtype == np.uint8 else 'float32'
  return types.EnvSpec(observations.shape, dtype, int(actions.n))


def spec(env_id: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the spec of Gymnasium's `env_id`; makes and closes one of it.

  Raises:
    ValueError: Gymnasium cannot make it, or its spaces are of another kind.
  """
  environment.check_settings(f'gym:{env_id}', settings)
  env = _make(env_id)
  try:
    return _spec(env_id, env)
  finally:
    env.close()


class GymnasiumAdapter:
  """E environments of one id, stepped one after another.

  Observations are float32, or uint8 where the environment's are.
  """

  def __init__(self, env_id: str, num_envs: int, *, seed: int):
    self.spec = spec(env_id, {})
    self.num_envs = num_envs
    self._envs = vector.SyncVectorEnv(
      [functools.partial(_make, env_id)] * num_envs,
      copy=False,
      autoreset_mode=vector.AutoresetMode.SAME_STEP,
    )
    actions = self._envs.single_action_space
    assert isinstance(actions, spaces.Discrete)  # As `spec` has checked.
    self._first_action = int(actions.start)
    seeds = np.random.SeedSequence(seed).generate_state(num_envs)
    self._seeds = seeds.tolist()

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Starts E episodes; the first call seeds them."""
    observation, _ = self._envs.reset(seed=self._seeds)
    self._seeds = None
    return environment.first_output(self._copy(observation))

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Steps every environment."""
    environment.check_actions(actions, self.num_envs, self.spec.num_actions)
    observation, reward, terminated, truncated, _ = self._envs.step(
      actions + self._first_action
    )
    return types.EnvOutput(
      reward=reward.astype(np.float32),
      terminated=terminated,
      truncated=truncated & ~terminated,
      life_lost=np.zeros(self.num_envs, bool),
      observation=self._copy(observation),
    )

  def close(self) -> None:
    """Closes the environments."""
    self._envs.close()

  def _copy(self, observation: np.ndarray) -> np.ndarray:
    return np.array(observation, self.spec.observation_dtype)


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
  environment.check_settings(f'gym:{env_id}', settings)
  return GymnasiumAdapter(env_id, num_envs, seed=seed)
