"""Atari games through ale-py's vector environment.

One 84 x 84 grey frame per step leaves here (the learner stacks four), with the
raw reward: clipping belongs to the loss. ale-py's own life-loss modes restart
the game at each life, so `life_lost` is made of the number of lives instead.
"""

import difflib
import functools
import re

import ale_py
from ale_py import roms
from ale_py import vector_env
import numpy as np

from seed_metagrad import environments
from seed_metagrad import types
from seed_metagrad.environments import environment

_SETTINGS = ('sticky_actions',)
_TWO_PLAYERS = ('combat', 'joust', 'maze_craze', 'warlords')
_GYMNASIUM_NAME = re.compile(
  r'(?:.*:)?(?:ALE/)?(?P<name>\w+?)(?:-ram|Deterministic|NoFrameskip)*-v\d+'
)
MAX_EPISODE_FRAMES = 108_000  # Half an hour of play, no-ops not counted.

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)


def spec(game: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the game's spec; the first call loads its ROM.

  Raises:
    ValueError: ale-py has no such game, or there is no such setting.
  """
  environment.check_settings(game, settings, _SETTINGS)
  return _spec(game)


@functools.cache
def _spec(game: str) -> types.EnvSpec:
  if game in _TWO_PLAYERS:
    raise ValueError(
      f'{game} is for two players, and ale-py has no ROM of it for one.'
    )
  games = roms.get_all_rom_ids()
  if game not in games:
    own = find_game(game)
    nearest = (
      [own] if own else difflib.get_close_matches(game, games, n=3, cutoff=0.5)
    )
    hint = f' Did you mean {", ".join(nearest)}?' if nearest else ''
    raise ValueError(
      f'env must be of a family ({", ".join(environments.FAMILIES)}) or the '
      f'ale-py name of a game, got {game!r}.{hint}'
    )
  ale = ale_py.ALEInterface()
  path = roms.get_rom_path(game)
  assert path, f'{game} has no ROM, though ale-py lists it.'
  ale.loadROM(path)
  return types.EnvSpec(
    observation_shape=(84, 84),
    observation_dtype='uint8',
    num_actions=len(ale.getMinimalActionSet()),
    frame_stack=4,
    action_repeat=4,
  )


def find_game(name: str) -> str | None:
  """Returns the game of a name such as ALE/Pong-v5 or PongNoFrameskip-v4."""
  match = _GYMNASIUM_NAME.fullmatch(name)
  bare = (match['name'] if match else name).lower().replace('_', '')
  for game in roms.get_all_rom_ids():
    if game.replace('_', '') == bare and game not in _TWO_PLAYERS:
      return str(game)
  return None


class Atari:
  """E games; every episode begins with 0 to 29 no-ops, without a FIRE.

  A frame is the maximum of its step's last two grey screens, then averaged
  down over areas; an episode's first frame is of one screen. The setting
  `sticky_actions` is the probability that a frame repeats the last action.
  """

  def __init__(
    self,
    game: str,
    num_envs: int,
    *,
    seed: int,
    num_threads: int,
    settings: types.Settings,
  ):
    environment.check_settings(game, settings, _SETTINGS)
    sticky_actions = settings.get('sticky_actions', 0.0)
    if not 0 <= sticky_actions <= 1:
      raise ValueError(
        f'sticky_actions must be in [0, 1], got {sticky_actions}.'
      )
    self.spec = _spec(game)
    self.num_envs = num_envs
    self._envs = vector_env.AtariVectorEnv(
      game,
      num_envs,
      num_threads=num_threads,
      max_num_frames_per_episode=MAX_EPISODE_FRAMES,
      repeat_action_probability=sticky_actions,
      autoreset_mode='SameStep',
      stack_num=1,
      frameskip=self.spec.action_repeat,
      noop_max=30,
      use_fire_reset=False,
      episodic_life=False,
      life_loss_info=False,
      reward_clipping=False,
    )
    # A seeded reset loads the ROM again: only the first one is seeded.
    self._seeds: np.ndarray | None = (
      np.random.SeedSequence(seed).generate_state(num_envs) >> 1
    )
    self._lives: np.ndarray | None = None

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Starts E games; the first call seeds them."""
    frames, info = self._envs.reset(seed=self._seeds)
    self._seeds = None
    self._lives = info['lives']
    return environment.first_output(frames[:, 0])

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Repeats each action for four frames."""
    assert self._lives is not None, 'reset() comes before step().'
    # An action out of range would make ale-py wait forever.
    environment.check_actions(actions, self.num_envs, self.spec)
    frames, rewards, terminated, truncated, info = self._envs.step(
      actions.astype(np.int32, copy=False)
    )
    lives = info['lives']  # Those of the next game where one has ended.
    life_lost = (lives < self._lives) & ~(terminated | truncated)
    self._lives = lives
    return types.EnvOutput(
      reward=rewards.astype(np.float32),
      terminated=terminated,
      truncated=truncated & ~terminated,
      life_lost=life_lost,
      observation=frames[:, 0],
    )

  def close(self) -> None:
    """Closes the games."""
    self._envs.close()


def make(
  game: str,
  num_envs: int,
  *,
  seed: int,
  num_threads: int,
  settings: types.Settings,
) -> Atari:
  """Makes E games.

  Raises:
    ValueError: as of `Atari`.
  """
  return Atari(
    game, num_envs, seed=seed, num_threads=num_threads, settings=settings
  )
