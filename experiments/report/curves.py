"""Curves over training against frames, updates or seconds, for the page.

`charts` is what the script of the page draws: everything as plain numbers.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.scores import estimates
from experiments.scores import successors

_MOST_POINTS, _LEAST_POINTS = 100, 40  # Along a curve.
_ALL_POINTS = 2_500  # About as many, of all curves of a quantity.
_DIGITS = 5

Line = tuple[np.ndarray, np.ndarray]  # x and y of one run.


class Axis(NamedTuple):
  """What curves are drawn against."""

  name: str
  column: str  # A name in metrics.csv.
  unit: str
  size: float  # What one unit is.


def axes(seconds: float) -> tuple[Axis, ...]:
  """The three axes; time in a unit that fits so many seconds."""
  unit, size = 'seconds', 1.0
  for longer, length in (('minutes', 60.0), ('hours', 3600.0)):
    if seconds > 10 * length:
      unit, size = longer, length
  return (
    Axis('frames', results_lib.ENV_FRAMES, 'million frames', 1e6),
    Axis('updates', results_lib.NUM_UPDATES, 'thousand updates', 1e3),
    Axis('time', results_lib.SECONDS, unit, size),
  )


def charts(
  study: study_lib.Study, found: list[contenders.Contender]
) -> dict[str, Any]:
  """Titles of the contenders, axes, quantities and their charts."""
  ends = [
    float(np.nanmax(run[results_lib.SECONDS]))
    for run in _runs(found)
    if results_lib.SECONDS in run
  ]
  used = axes(max(ends, default=0.0))
  num_points = int(
    np.clip(
      _ALL_POINTS // (len(found) * len(study.games)),
      _LEAST_POINTS,
      _MOST_POINTS,
    )
  )
  drawn = []
  for name, title in _quantities(found).items():
    by_game = {
      game: {
        axis.name: made
        for axis in used
        if (made := _chart(found, game, name, axis, num_points))
      }
      for game in study.games
    }
    by_game = {game: made for game, made in by_game.items() if made}
    if by_game:
      drawn.append({'name': name, 'title': title, 'games': by_game})
  return {
    'titles': [contender.title for contender in found],
    'axes': [{'name': axis.name, 'unit': axis.unit} for axis in used],
    'quantities': drawn,
    'published': _published(study, found),
  }


def lines(
  contender: contenders.Contender,
  game: str,
  name: str,
  column: str = results_lib.ENV_FRAMES,
) -> list[Line]:
  """(x, y) of each finished run, where both are known."""
  if contender.variant is None:
    if (name, column) != (results_lib.MEAN_RETURN, results_lib.ENV_FRAMES):
      return []
    curves = contender.curves.get(game, [])
    return [(curve.env_frames, curve.mean_returns) for curve in curves]
  found = []
  for run in contender.learned.get(game, []):
    if name in run and column in run:
      known = np.isfinite(run[name]) & np.isfinite(run[column])
      if known.any():
        found.append((run[column][known], run[name][known]))
  return found


def band(
  runs: list[Line], grid: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The mean over runs and its 95% interval; NaN where a run has no values."""
  start = max(x[0] for x, _ in runs)
  end = min(x[-1] for x, _ in runs)
  inside = (grid >= start) & (grid <= end)
  values = np.stack([np.interp(grid[inside], x, y) for x, y in runs])
  mean, low, high = (np.full(len(grid), np.nan) for _ in range(3))
  mean[inside] = values.mean(axis=0)
  if len(runs) > 1 and inside.any():
    low[inside], high[inside] = estimates.band(values)
  return mean, low, high


def _chart(
  found: list[contenders.Contender],
  game: str,
  name: str,
  axis: Axis,
  num_points: int,
) -> dict[str, Any] | None:
  """x, and for each contender, by number, mean, low and high."""
  runs = {
    number: drawn
    for number, contender in enumerate(found)
    if (drawn := lines(contender, game, name, axis.column))
  }
  if not runs:
    return None
  every = [line for drawn in runs.values() for line in drawn]
  grid = np.linspace(
    min(x[0] for x, _ in every), max(x[-1] for x, _ in every), num_points
  )
  return {
    'x': _plain(grid / axis.size),
    'series': {
      str(number): [_plain(values) for values in band(drawn, grid)]
      for number, drawn in runs.items()
    },
  }


def _quantities(found: list[contenders.Contender]) -> Mapping[str, str]:
  """What there may be curves of: {column: title}."""
  titles = {results_lib.MEAN_RETURN: 'Return (mean of 100 episodes)'}
  names = dict.fromkeys(
    name
    for contender in found
    if contender.variant
    for name in contender.variant.learned
  )
  plain = {name: name.rstrip('_').replace('_', ' ') for name in names}
  titles |= {name: f'Learned {plain[name]}' for name in names}
  titles |= {
    f'{results_lib.TRAVELLED}{name}': f'Logits that {plain[name]} travelled'
    for name in names
  }
  titles |= {
    f'{results_lib.SIGNAL}{name}': f'Signal to noise of {plain[name]}'
    for name in names
  }
  titles[results_lib.OUTER_ADVANTAGE] = 'Mean outer advantage'
  return titles


def _published(
  study: study_lib.Study, found: list[contenders.Contender]
) -> dict[str, list[dict[str, Any]]]:
  """Published returns by game; number: the contender that is alike."""
  points: dict[str, list[dict[str, Any]]] = {}
  for game in study.games:
    alike = contenders.published(study, game, found)
    numbers = {
      name: number
      for number, contender in enumerate(found)
      for name, other in alike.items()
      if other is contender
    }
    points[game] = [
      {
        'title': point.variant,
        'x': point.env_frames / 1e6,
        'y': point.mean,
        'spread': point.spread,
        'number': numbers.get(point.variant),
      }
      for point in successors.published(game)
    ]
  return {game: drawn for game, drawn in points.items() if drawn}


def _runs(found: list[contenders.Contender]) -> Iterable[results_lib.Columns]:
  for contender in found:
    for runs in contender.learned.values():
      yield from runs


def _plain(values: np.ndarray) -> list[float | None]:
  """For JSON: few digits, and null where there is no value."""
  return [
    float(f'{value:.{_DIGITS}g}') if np.isfinite(value) else None
    for value in values
  ]
