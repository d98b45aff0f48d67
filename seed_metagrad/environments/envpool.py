"""EnvPool's environments, `envpool:<id>`, in its own threads (an extra).

Atari's are made with the frames, repeats and no-ops of the 2018 papers, as
`atari` is: one grey frame a step, whole games.
"""

from typing import Any

import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment
from seed_metagrad.environments import gym_spaces
from seed_metagrad.environments import vector

_REPEAT, _STACK = 4, 4
_ATARI = dict(
  stack_num=1,
  frame_skip=_REPEAT,
  noop_max=30,
  episodic_life=False,
  reward_clip=False,
  full_action_space=False,
  max_episode_steps=27_000,  # 108,000 frames.
)


class _Games(vector.Batch):
  """Atari games: the frame without its axis of one, and lives."""

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Starts E games; the first call seeds them."""
    self._lives = np.zeros(self.num_envs, np.int64)
    return super().reset()

  def _observation(self, observation: Any) -> np.ndarray:
    return super()._observation(np.asarray(observation)[:, 0])

  def _life_lost(self, info: dict[str, Any]) -> np.ndarray:
    lives = np.array(info['lives'])
    lost = (lives < self._lives) & (lives > 0)
    self._lives = lives
    return lost


def _make(
  env_id: str, num_envs: int, settings: types.Settings, **kwargs: Any
) -> Any:
  name = f'envpool:{env_id}'
  environment.check_settings(name, settings, ('kwargs', 'sticky_actions'))
  try:
    import envpool
  except (ImportError, OSError) as error:  # Or a file of it is missing.
    raise ValueError(
      f'{name} needs EnvPool: pip install "seed-metagrad[envpool]" ({error}).'
    ) from None
  try:
    with environment.told(name, 'in its constructor'):
      if _is_atari(envpool.make_spec(env_id)):
        sticky = settings.get('sticky_actions', 0.0)
        kwargs |= _ATARI | {'repeat_action_probability': sticky}
      return envpool.make(
        env_id,
        env_type='gymnasium',
        num_envs=num_envs,
        **kwargs | dict(settings.get('kwargs', {})),
      )
  except environment.Failed as error:
    raise ValueError(f'Cannot make {name}: {error.__cause__}') from error


def _is_atari(thing: Any) -> bool:
  return type(thing).__name__.startswith('Atari')


def _spec(env_id: str, env: Any) -> types.EnvSpec:
  own = gym_spaces.spec_of(
    f'envpool:{env_id}', env.observation_space, env.action_space
  )
  if not _is_atari(env):
    return own
  return own._replace(
    observation_shape=own.observation_shape[1:],
    frame_stack=_STACK,
    action_repeat=_REPEAT,
  )


def spec(env_id: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the spec of an id; makes and closes one of it.

  Raises:
    ValueError: EnvPool is not installed or has none, or its spaces are of
      another kind.
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
) -> vector.Batch:
  """Makes E of them, stepped by that many threads.

  Raises:
    ValueError: as of `spec`.
  """
  # EnvPool takes 31 bits.
  own_seed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
  env = _make(
    env_id, num_envs, settings, seed=own_seed, num_threads=num_threads
  )
  spec = _spec(env_id, env)
  kind = _Games if _is_atari(env) else vector.Batch
  return kind(
    f'envpool:{env_id}',
    env,
    num_envs,
    spec,
    env.action_space,
    seed=None,  # It was seeded where it was made.
    next_step=True,
  )
