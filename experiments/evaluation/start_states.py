"""Files of start states: where in a game an episode of evaluation begins.

The human start points of the papers were never published; this is a format for
one's own. A file is one JSON object:

  format    1
  game      ale-py's name, 'breakout'
  rom_md5   digest of the ROM that was played, 32 hexadecimal digits
  source    who played, in words
  starts    a list of starts, any number but none; a start is the list of ALE
            actions, 0 to 17, one for each frame from power-on to the start

Every game is deterministic from power-on without sticky actions, so a start
needs no emulator state and works with any build of the same ROM.
"""

import json
import os
from typing import NamedTuple

import numpy as np

from experiments.evaluation import atari_game
from learner.storage import files

_FORMAT = 1
_MAX_NO_OPS = 30
_KEYS = {'format', 'game', 'rom_md5', 'source', 'starts'}


class StartStates(NamedTuple):
  """The contents of a file."""

  game: str
  source: str
  starts: list[bytes]  # ALE actions, one a frame.


def write(path: str | os.PathLike[str], states: StartStates) -> None:
  """Writes a file, one start a line."""
  starts = ',\n'.join(
    json.dumps(list(start), separators=(',', ':')) for start in states.starts
  )
  head = files.to_json(
    {
      'format': _FORMAT,
      'game': states.game,
      'rom_md5': atari_game.rom_md5(states.game),
      'source': states.source,
    },
    indent=None,
  )
  files.write_atomic(path, f'{head[:-1]}, "starts": [\n{starts}]}}\n')


def read(path: str | os.PathLike[str], game: str) -> StartStates:
  """Reads the start states of a game.

  Raises:
    FileNotFoundError: no such file.
    ValueError: it is of another game, ROM or format, or holds no start.
  """
  fields = files.read_json(path)
  if not isinstance(fields, dict) or fields.keys() != _KEYS:
    raise ValueError(f'{path} must be an object of {sorted(_KEYS)}.')
  for key, expected in (
    ('format', _FORMAT),
    ('game', game),
    ('rom_md5', atari_game.rom_md5(game)),
  ):
    if fields[key] != expected:
      raise ValueError(
        f'{path} has {key} {fields[key]!r}, expected {expected!r}.'
      )
  if not isinstance(fields['starts'], list) or not fields['starts']:
    raise ValueError(f'{path} holds no start.')
  if not isinstance(fields['source'], str):
    raise ValueError(
      f'{path} has source {fields["source"]!r}, expected a text.'
    )
  try:
    starts = [bytes(list(start)) for start in fields['starts']]
  except (TypeError, ValueError):
    raise ValueError(
      f'{path} has a start that is no list of actions.'
    ) from None
  return StartStates(game, fields['source'], starts)


def cut(
  games: list[bytes], num_starts: int, rng: np.random.Generator
) -> list[bytes]:
  """Starts from whole games: each game in turn, up to a uniform frame of it."""
  return [
    game[: rng.integers(1, len(game))]
    for game in (games[n % len(games)] for n in range(num_starts))
  ]


def no_ops(num_episodes: int, seed: int) -> list[bytes]:
  """Starts of 1 to 30 no-ops, each number equally often, in a random order.

  Drawn independently, as the papers do, a few dozen episodes would have too
  many even or odd numbers, on which scores of some games depend.
  """
  rng = np.random.default_rng([seed, 0])
  starts = [bytes(number) for number in range(1, _MAX_NO_OPS + 1)]
  return sample(starts, num_episodes, rng)


def sample(
  starts: list[bytes], num_episodes: int, rng: np.random.Generator
) -> list[bytes]:
  """A start for each episode: all of them before one comes again."""
  order = np.concatenate(
    [
      rng.permutation(len(starts))
      for _ in range(-(-num_episodes // len(starts)))
    ]
  )
  return [starts[n] for n in order[:num_episodes]]
