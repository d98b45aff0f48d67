"""The 57 games: human-normalised scores and what was published.

The scores are in atari57.csv; README.md says where they come from.
"""

import csv
import functools
import pathlib
from typing import NamedTuple

_SCORES = pathlib.Path(__file__).parent / 'atari57.csv'
# Protocol to the columns of its constants.
_STARTS = {'noop': 'noop_starts', 'start_states': 'human_starts'}
PROTOCOLS = tuple(_STARTS)


class Cell(NamedTuple):
  """One place of MGRL's table 1."""

  learned: tuple[str, ...]
  protocol: str
  reference_discount: float


def _cells(
  learned: tuple[str, ...],
  human_starts: tuple[float, float],
  noop_starts: tuple[float, float],
) -> dict[Cell, float]:
  return {
    Cell(learned, protocol, discount): median
    for protocol, medians in (
      ('start_states', human_starts),
      ('noop', noop_starts),
    )
    for discount, median in zip((0.99, 0.995), medians)
  }


# Median human-normalised score in %, 57 games, 200M frames, conditioned on the
# meta-parameters (Xu et al. 2018, table 1; 191.8 is Espeholt et al. 2018).
PUBLISHED_MEDIANS = {
  **_cells((), (144.4, 211.9), (191.8, 257.1)),
  **_cells(('lambda_',), (156.6, 214.2), (185.5, 246.5)),
  **_cells(('discount',), (233.2, 267.9), (280.9, 275.5)),
  **_cells(('discount', 'lambda_'), (221.6, 292.9), (242.6, 287.6)),
}
# {discount} from human starts, reference discount .995, without conditioning.
PUBLISHED_UNCONDITIONED = {Cell(('discount',), 'start_states', 0.995): 183.0}


@functools.cache
def games() -> tuple[str, ...]:
  """The names of the 57 games, as ale-py has them, sorted."""
  return tuple(sorted(_scores()))


def has_human_score(game: str) -> bool:
  """Whether the game is one of the 57."""
  return game in _scores()


def human_normalised(game: str, score: float, protocol: str) -> float:
  """100 (score - random) / |human - random|, in %, by the protocol's constants.

  From human starts the human lost to the random policy at Video Pinball, and
  there alone: with the sign as it is, better agents would score lower.

  protocol: 'noop' or 'start_states', which has those of human starts.

  Raises:
    ValueError: the game is not one of the 57, or no such protocol.
  """
  if not has_human_score(game):
    raise ValueError(
      f'human scores are known of the Atari-57 games only, got {game!r}.'
    )
  if protocol not in _STARTS:
    raise ValueError(f'protocol must be one of {PROTOCOLS}, got {protocol!r}.')
  random, human = (
    _scores()[game][f'{who}_{_STARTS[protocol]}'] for who in ('random', 'human')
  )
  return 100 * (score - random) / abs(human - random)


def published_impala(game: str, network: str) -> float | None:
  """The published raw score from no-ops; None where there is none.

  network: 'shallow' or 'deep'.
  """
  if game not in _scores():
    return None
  return _scores()[game][f'impala_{network}_noop_starts']


@functools.cache
def _scores() -> dict[str, dict[str, float]]:
  with open(_SCORES, newline='', encoding='utf-8') as file:
    return {
      row.pop('game'): {name: float(value) for name, value in row.items()}
      for row in csv.DictReader(file)
    }
