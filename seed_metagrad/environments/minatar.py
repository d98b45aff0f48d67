"""MinAtar: five small games of 10 x 10 planes (Young and Tian 2019).

The games are those of the package `minatar`, an extra: it needs pandas and
seaborn, and its license is the GPL.
"""

import importlib
import json
from typing import Any

import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment

GAMES = ('asterix', 'breakout', 'freeway', 'seaquest', 'space_invaders')
STICKY_ACTIONS = 0.1  # The package's default, which its authors trained with.

_SETTINGS = ('sticky_actions',)
# What never changes in a game, and the generator that all share.
_NO_STATE = ('action_map', 'channels', 'ramping', 'random')


def _game(game: str, sticky_actions: float = 0.0) -> Any:
  """Makes one of the package's environments."""
  try:
    minatar = importlib.import_module('minatar')
  except ImportError as error:
    raise ValueError(
      f"minatar:{game} needs pip install 'seed-metagrad[minatar]': {error}."
    ) from error
  return minatar.Environment(game, sticky_action_prob=sticky_actions)


def spec(game: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the game's spec; makes one of it.

  Raises:
    ValueError: no such game or setting, or the extra is not installed.
  """
  if game not in GAMES:
    raise ValueError(
      f'env must be minatar:<one of {", ".join(GAMES)}>, got minatar:{game}.'
    )
  environment.check_settings(f'minatar:{game}', settings, _SETTINGS)
  one = _game(game)
  return types.EnvSpec(
    tuple(one.state_shape()), 'float32', num_actions=one.num_actions()
  )


class MinAtar:
  """E games, stepped one after another; the planes are 0 or 1.

  Every game has the full set of six actions, as its authors trained with: no
  move, left, up, right, down, fire. It becomes harder as it goes on. The
  setting `sticky_actions` is the probability that a step repeats the last
  action, across the end of an episode as well.
  """

  def __init__(
    self, game: str, num_envs: int, *, seed: int, settings: types.Settings
  ):
    self.spec = spec(game, settings)
    sticky_actions = settings.get('sticky_actions', STICKY_ACTIONS)
    if not 0 <= sticky_actions <= 1:
      raise ValueError(
        f'sticky_actions must be in [0, 1], got {sticky_actions}.'
      )
    self.num_envs = num_envs
    self._random = np.random.RandomState(
      np.random.MT19937(np.random.SeedSequence(seed))
    )
    self._games = [_game(game, sticky_actions) for _ in range(num_envs)]
    for one in self._games:
      one.random = one.env.random = self._random

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Starts E games."""
    for one in self._games:
      one.reset()
    return environment.first_output(self._observation())

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Steps every game."""
    environment.check_actions(actions, self.num_envs, self.spec)
    rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
    for i, (one, action) in enumerate(zip(self._games, actions.tolist())):
      rewards[i], terminated[i] = one.act(action)
      if terminated[i]:
        one.reset()
    nothing = np.zeros(self.num_envs, bool)
    return types.EnvOutput(
      rewards.astype(np.float32),
      terminated,
      nothing,
      nothing,
      self._observation(),
    )

  def close(self) -> None:
    """Does nothing."""

  def get_state(self) -> bytes:
    """Returns all that `set_state` needs to go on exactly from here."""
    return json.dumps(
      {
        'rng': self._random.get_state(legacy=False),
        'last_actions': [one.last_action for one in self._games],
        'games': [
          {k: v for k, v in vars(one.env).items() if k not in _NO_STATE}
          for one in self._games
        ],
      },
      default=_encode,
    ).encode()

  def set_state(self, state: bytes) -> None:
    """Goes back to where `get_state` was called, with as many environments."""
    saved = json.loads(state, object_hook=_decode)
    games = saved['games']
    if len(games) != self.num_envs:
      raise ValueError(
        f'state must be of {self.num_envs} games, got {(len(games),)}.'
      )
    self._random.set_state(saved['rng'])
    for one, last, fields in zip(self._games, saved['last_actions'], games):
      one.last_action = last
      vars(one.env).update(fields)

  def _observation(self) -> np.ndarray:
    return np.array([one.state() for one in self._games], np.float32)


def _encode(value: np.ndarray | np.generic) -> object:
  """Turns NumPy's types into those of JSON."""
  if isinstance(value, np.ndarray):
    return {'array': value.tolist(), 'dtype': value.dtype.name}
  return value.item()


def _decode(fields: dict[str, Any]) -> Any:
  if fields.keys() == {'array', 'dtype'}:
    return np.array(fields['array'], fields['dtype'])
  return fields


def make(
  game: str,
  num_envs: int,
  *,
  seed: int,
  num_threads: int,
  settings: types.Settings,
) -> MinAtar:
  """Makes E games, in one thread.

  Raises:
    ValueError: as of `spec`, or a setting out of its range.
  """
  return MinAtar(game, num_envs, seed=seed, settings=settings)
