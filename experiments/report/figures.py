"""The figures of a report."""

from collections.abc import Callable, Iterator
import math

from matplotlib import figure
import matplotlib.axes
import numpy as np

from experiments.comparison import results as results_lib
from experiments.report import contenders
from experiments.scores import atari57
from experiments.scores import estimates

_POINTS = 200  # Along a curve.
_COLUMNS = 3  # Games side by side.


def improvements(
  found: list[contenders.Contender], protocol: str
) -> figure.Figure | None:
  """Bars of relative improvement over {}; None without two to compare."""
  bars = []
  for contender in found:
    other = contenders.baseline(contender, found)
    if other:
      values = sorted(
        relative_improvements(contender, other, protocol),
        key=lambda bar: bar[1],
      )
      if values:
        bars.append((f'{contender.title}\nover {other.title}', values))
  if not bars:
    return None
  most = max(len(values) for _, values in bars)
  made = figure.Figure(
    figsize=(4.2 * len(bars), 1.6 + 0.24 * most), layout='constrained'
  )
  for axes, (title, values) in zip(
    made.subplots(1, len(bars), squeeze=False)[0], bars
  ):
    games, percents = zip(*values)
    axes.barh(
      games,
      percents,
      color=[
        'tab:green' if percent >= 0 else 'tab:red' for percent in percents
      ],
    )
    axes.axvline(0, color='black', linewidth=0.8)
    axes.set(title=title, xlabel='relative improvement (%)')
  return made


def relative_improvements(
  contender: contenders.Contender, other: contenders.Contender, protocol: str
) -> Iterator[tuple[str, float]]:
  """100 (score - other's) / (max(human, other's) - random) of common games.

  As in Wang et al. 2016 (1511.06581, eq. 10), with |human - random| as in
  `atari57.human_normalised`; games with a human score only.
  """
  for game in contenders.common_games(contender, other, protocol):
    if atari57.has_human_score(game):
      # Normalised scores: random is 0, |human - random| is 100.
      ours, theirs = (
        atari57.human_normalised(
          game, float(x.scores[protocol][game].mean()), protocol
        )
        for x in (contender, other)
      )
      yield game, 100 * (ours - theirs) / max(100.0, theirs)


def returns(
  games: tuple[str, ...], found: list[contenders.Contender]
) -> figure.Figure | None:
  """Training returns over frames by game; None without a finished run."""

  def draw(axes: matplotlib.axes.Axes, game: str) -> None:
    for number, contender in enumerate(found):
      curves = contender.curves.get(game, [])
      if curves:
        _draw(
          axes,
          contender.title,
          f'C{number}',
          [(curve.env_frames, curve.mean_returns) for curve in curves],
        )
    axes.set_ylabel('raw return')

  return _grid(
    [
      game
      for game in games
      if any(game in contender.curves for contender in found)
    ],
    draw,
  )


def learned_values(
  games: tuple[str, ...], found: list[contenders.Contender], name: str
) -> figure.Figure | None:
  """A meta-parameter over frames by game; None where nobody learned it."""
  learners = [
    (number, contender)
    for number, contender in enumerate(found)
    if contender.variant and name in contender.variant.learned
  ]

  def draw(axes: matplotlib.axes.Axes, game: str) -> None:
    for number, contender in learners:
      runs = contender.learned.get(game, [])
      if runs:
        _draw(
          axes,
          contender.title,
          f'C{number}',
          [(run[results_lib.ENV_FRAMES], run[name]) for run in runs],
        )
    axes.set_ylabel(name.rstrip('_'))

  return _grid(
    [
      game
      for game in games
      if any(game in contender.learned for _, contender in learners)
    ],
    draw,
  )


def _grid(
  games: list[str], draw: Callable[[matplotlib.axes.Axes, str], None]
) -> figure.Figure | None:
  if not games:
    return None
  rows, columns = math.ceil(len(games) / _COLUMNS), min(len(games), _COLUMNS)
  made = figure.Figure(
    figsize=(4.6 * columns, 3.3 * rows), layout='constrained'
  )
  grid = made.subplots(rows, columns, squeeze=False).ravel()
  for axes, game in zip(grid, games):
    draw(axes, game)
    axes.set(title=game, xlabel='million frames')
    axes.grid(alpha=0.3)
  for axes in grid[len(games) :]:
    axes.set_axis_off()
  handles = {
    label: handle
    for axes in grid
    for handle, label in zip(*axes.get_legend_handles_labels())
  }
  made.legend(
    handles.values(),
    handles.keys(),
    loc='outside lower center',
    ncols=min(len(handles), columns + 1) if columns > 1 else 1,
  )
  return made


def _draw(
  axes: matplotlib.axes.Axes,
  label: str,
  color: str,
  curves: list[tuple[np.ndarray, np.ndarray]],
) -> None:
  """The mean over seeds and its 95% interval, where all seeds have values."""
  start = max(env_frames[0] for env_frames, _ in curves)
  end = min(env_frames[-1] for env_frames, _ in curves)
  grid = np.linspace(start, end, _POINTS)
  values = np.stack([np.interp(grid, *curve) for curve in curves])
  axes.plot(grid / 1e6, values.mean(axis=0), color=color, label=label)
  if len(curves) > 1:
    low, high = estimates.band(values)
    axes.fill_between(
      grid / 1e6, low, high, color=color, alpha=0.2, linewidth=0
    )


def all_figures(
  games: tuple[str, ...], found: list[contenders.Contender]
) -> dict[str, tuple[str, figure.Figure]]:
  """{file name: (title, figure)} of what can be drawn."""
  drawn: dict[str, tuple[str, figure.Figure | None]] = {}
  for protocol in atari57.PROTOCOLS:
    drawn[f'improvement_{protocol}'] = (
      f'Relative improvement over {{}} by game ({protocol})',
      improvements(found, protocol),
    )
  drawn['returns'] = 'Returns during training', returns(games, found)
  names = dict.fromkeys(
    name
    for contender in found
    if contender.variant
    for name in contender.variant.learned
  )
  for name in sorted(names):
    plain = name.rstrip('_')
    drawn[plain] = (
      f'Learned {plain.replace("_", " ")}',
      learned_values(games, found, name),
    )
  return {name: (title, made) for name, (title, made) in drawn.items() if made}
