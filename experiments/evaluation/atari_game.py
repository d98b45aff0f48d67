"""One Atari game that starts where it is told to and records its actions.

The training environment cannot do that: it is ale-py's vector environment.
Here a single `ALEInterface` gives the same frames, to the pixel.
"""

from collections.abc import Iterable, Iterator
import hashlib
import pathlib
from typing import NamedTuple

import ale_py
from ale_py import roms
import numpy as np

from seed_metagrad import environments

NOOP = 0  # ALE's action; the other 17 follow.
_NUM_ALE_ACTIONS = 18
_SIZE = 84
FRAME_SHAPE = (_SIZE, _SIZE)


class Step(NamedTuple):
  """What an action led to."""

  reward: float  # Raw.
  over: bool
  frame: np.ndarray  # uint8 [84, 84].


class _Table(NamedTuple):
  """Which pixels each of 84 averages, and how much of each: [84, K] both."""

  pixels: np.ndarray
  weights: np.ndarray


class Game:
  """A game from its power-on; actions are the agent's, of the minimal set.

  Every start loads the ROM again, as at power-on: after a reset, and even from
  a saved state, some games go on differently. The same actions give the same
  game, always.
  """

  def __init__(self, name: str):
    """Loads the ROM.

    Raises:
      ValueError: ale-py has no such game.
    """
    self._action_repeat = environments.spec(name).action_repeat
    self._ale = ale_py.ALEInterface()
    self._ale.setFloat('repeat_action_probability', 0.0)
    self._ale.setInt('random_seed', 0)  # By default it is the time.
    self._rom = _rom_path(name)
    self._power_on()
    self._actions = [action.value for action in self._ale.getMinimalActionSet()]
    height, width = self._ale.getScreenDims()
    self._rows, self._columns = _area_table(height), _area_table(width)
    self.played = bytearray()  # ALE actions since power-on, one a frame.
    self._start_frames = 0

  @property
  def frames(self) -> int:
    """Frames since the start."""
    return len(self.played) - self._start_frames

  def start(self, ale_actions: Iterable[int]) -> np.ndarray:
    """Plays one ALE action a frame from power-on; returns the first frame.

    Raises:
      ValueError: no ALE action, or the game is over before the last one.
    """
    if self.played:  # It takes a tenth of a second.
      self._power_on()
      self.played.clear()
    for action in ale_actions:
      if action not in range(_NUM_ALE_ACTIONS):
        raise ValueError(f'an ALE action is in 0..17, got {action}.')
      self._act(action)
      if self._ale.game_over():
        raise ValueError(
          f'a start ends its game: it is over after {len(self.played)} frames.'
        )
    self._start_frames = len(self.played)
    return self._frame(self._ale.getScreenGrayscale())

  def step(
    self,
    action: int,
    rng: np.random.Generator | None = None,
    sticky_actions: float = 0.0,
  ) -> Step:
    """Repeats an action of the minimal set for four frames, or to the end.

    With the probability `sticky_actions` a frame repeats the frame before.
    """
    reward, screens = 0.0, []
    for frame in range(self._action_repeat):
      sticks = rng and self.played and rng.random() < sticky_actions
      reward += self._act(self.played[-1] if sticks else self._actions[action])
      over = self._ale.game_over()
      if over or frame >= self._action_repeat - 2:
        screens.append(self._ale.getScreenGrayscale())
      if over:
        break
    return Step(reward, over, self._frame(np.max(screens, axis=0)))

  def replay(self, played: bytes) -> Iterator[tuple[float, np.ndarray]]:
    """Plays what `played` held: (reward, uint8 RGB screen) of each frame."""
    self.start(())
    for action in played:
      yield self._act(action), self._ale.getScreenRGB()

  def ram(self) -> np.ndarray:
    """The emulator's memory, uint8 [128]."""
    return np.array(self._ale.getRAM())

  def _power_on(self) -> None:
    self._ale.loadROM(self._rom)
    self._ale.reset_game()

  def _act(self, ale_action: int) -> float:
    self.played.append(ale_action)
    return float(self._ale.act(ale_action))

  def _frame(self, screen: np.ndarray) -> np.ndarray:
    """Averages over areas, adding up in the order that ale-py's resize does."""
    rows, columns = self._rows, self._columns
    narrow = np.zeros((len(screen), _SIZE), np.float32)
    for pixels, weights in zip(columns.pixels.T, columns.weights.T):
      narrow += screen[:, pixels] * weights
    small = np.zeros((_SIZE, _SIZE), np.float32)
    for pixels, weights in zip(rows.pixels.T, rows.weights.T):
      small += narrow[pixels] * weights[:, np.newaxis]
    return np.rint(small).astype(np.uint8)


def exists(env: str) -> bool:
  """Whether ale-py has a game of this name."""
  return env in roms.get_all_rom_ids()


def rom_md5(game: str) -> str:
  """The digest of the game's ROM.

  Raises:
    ValueError: ale-py has no such game.
  """
  environments.spec(game)  # Names the nearest games.
  return hashlib.md5(_rom_path(game).read_bytes()).hexdigest()


def _rom_path(game: str) -> pathlib.Path:
  path = roms.get_rom_path(game)
  assert path is not None, game
  return path


def _area_table(size_in: int) -> _Table:
  """The averages over areas; in float32, so that halves round as in ale-py."""
  edges = np.linspace(0, size_in, _SIZE + 1)
  first = np.floor(edges[:-1] + 1e-3).astype(int)
  pixels = first[:, None] + np.arange(int(np.ceil(size_in / _SIZE)) + 1)
  overlaps = np.minimum(edges[1:, None], pixels + 1) - np.maximum(
    edges[:-1, None], pixels
  )
  overlaps[overlaps < 1e-3] = 0
  weights = (overlaps * _SIZE / size_in).astype(np.float32)
  return _Table(np.minimum(pixels, size_in - 1), weights)
