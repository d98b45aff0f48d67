"""The figures of a report as PNG files, for pages without JavaScript."""

import io
import math

from matplotlib import figure
import matplotlib.axes
import numpy as np

from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import curves
from experiments.report import verdicts as verdicts_lib

_POINTS = 200  # Along a curve.
_COLUMNS = 3  # Games side by side.
_MOST_PERCENT = 200.0  # Intervals are cut there, and beyond every value.
_COLORS = {verdicts_lib.BETTER: 'tab:green', verdicts_lib.WORSE: 'tab:red'}


def pngs(
  study: study_lib.Study,
  found: list[contenders.Contender],
  verdicts: list[verdicts_lib.Verdict],
) -> dict[str, bytes]:
  """{file name: PNG} of what can be drawn."""
  images = {}
  for name, drawn in all_figures(study, found, verdicts).items():
    buffer = io.BytesIO()
    drawn.savefig(buffer, format='png', dpi=110)
    images[name] = buffer.getvalue()
  return images


def all_figures(
  study: study_lib.Study,
  found: list[contenders.Contender],
  verdicts: list[verdicts_lib.Verdict],
) -> dict[str, figure.Figure]:
  """{file name: figure} of what can be drawn."""
  drawn: dict[str, figure.Figure | None] = {
    f'improvement_{protocol}': improvements(
      [
        verdict
        for verdict in verdicts_lib.main(verdicts)
        if verdict.protocol == protocol
      ]
    )
    for protocol in study.protocols
  }
  drawn['returns'] = returns(study.games, found)
  names = dict.fromkeys(
    name
    for contender in found
    if contender.variant
    for name in contender.variant.learned
  )
  for name in sorted(names):
    drawn[name.rstrip('_')] = learned_values(study.games, found, name)
  return {name: made for name, made in drawn.items() if made}


def improvements(verdicts: list[verdicts_lib.Verdict]) -> figure.Figure | None:
  """A forest plot for each contender over its {}; None without a verdict."""
  plots: dict[str, list[verdicts_lib.Verdict]] = {}
  for verdict in verdicts:
    if verdict.percent:
      title = f'{verdict.ours}\nagainst {verdict.theirs}'
      plots.setdefault(title, []).append(verdict)
  if not plots:
    return None
  most = max(map(len, plots.values()))
  made = figure.Figure(
    figsize=(4.4 * len(plots), 1.7 + 0.28 * most), layout='constrained'
  )
  for axes, (title, rows) in zip(
    made.subplots(1, len(plots), squeeze=False)[0], plots.items()
  ):
    _forest(axes, rows)
    axes.set(title=title, xlabel='improvement (%), 95% interval')
  return made


def _forest(
  axes: matplotlib.axes.Axes, rows: list[verdicts_lib.Verdict]
) -> None:
  """From the top: all games, then the games by their improvement."""
  values = {verdict.game: verdict.percent for verdict in rows}
  kinds = {verdict.game: verdict.says for verdict in rows}

  def key(game: str) -> tuple[bool, float]:
    percent = values[game]
    return not game, percent.value if percent else math.nan

  games = sorted(values, key=key)
  ends = [0.0]
  for place, game in enumerate(games):
    percent = values[game]
    assert percent
    color = _COLORS.get(kinds[game], 'tab:gray')
    if percent.low is not None and percent.high is not None:
      axes.hlines(place, percent.low, percent.high, color=color, linewidth=2)
      ends += [percent.low, percent.high]
    axes.plot([percent.value], [place], 'o', color=color)
    ends.append(percent.value)
  axes.set_yticks(range(len(games)), [game or 'all games' for game in games])
  axes.axvline(0, color='black', linewidth=0.8)
  most = max(
    _MOST_PERCENT,
    *(1.2 * abs(percent.value) for percent in values.values() if percent),
  )
  low, high = max(min(ends), -most), min(max(ends), most)
  margin = 0.05 * (high - low) or 1.0
  axes.set_xlim(low - margin, high + margin)
  axes.grid(axis='x', alpha=0.3)


def returns(
  games: tuple[str, ...], found: list[contenders.Contender]
) -> figure.Figure | None:
  """Training returns over frames by game; None without a finished run."""
  return _grid(games, found, results_lib.MEAN_RETURN, 'raw return')


def learned_values(
  games: tuple[str, ...], found: list[contenders.Contender], name: str
) -> figure.Figure | None:
  """A meta-parameter over frames by game; None where nobody learned it."""
  return _grid(games, found, name, name.rstrip('_'))


def _grid(
  games: tuple[str, ...],
  found: list[contenders.Contender],
  name: str,
  label: str,
) -> figure.Figure | None:
  lines = {
    game: {
      number: runs
      for number, contender in enumerate(found)
      if (runs := curves.lines(contender, game, name))
    }
    for game in games
  }
  shown = [game for game in games if lines[game]]
  if not shown:
    return None
  rows, columns = math.ceil(len(shown) / _COLUMNS), min(len(shown), _COLUMNS)
  made = figure.Figure(
    figsize=(4.6 * columns, 3.3 * rows), layout='constrained'
  )
  grid = made.subplots(rows, columns, squeeze=False).ravel()
  for axes, game in zip(grid, shown):
    for number, runs in lines[game].items():
      _draw(axes, found[number].title, f'C{number}', runs)
    axes.set(title=game, xlabel='million frames', ylabel=label)
    axes.grid(alpha=0.3)
  for axes in grid[len(shown) :]:
    axes.set_axis_off()
  _legend(made, grid, columns + 1 if columns > 1 else 1)
  return made


def _legend(made: figure.Figure, grid: np.ndarray, most_columns: int) -> None:
  handles = {
    label: handle
    for axes in grid
    for handle, label in zip(*axes.get_legend_handles_labels())
  }
  made.legend(
    handles.values(),
    handles.keys(),
    loc='outside lower center',
    ncols=min(len(handles), most_columns),
  )


def _draw(
  axes: matplotlib.axes.Axes, label: str, color: str, runs: list[curves.Line]
) -> None:
  """The mean over seeds and its 95% interval, where all seeds have values."""
  grid = np.linspace(
    max(x[0] for x, _ in runs), min(x[-1] for x, _ in runs), _POINTS
  )
  mean, low, high = curves.band(runs, grid)
  axes.plot(grid / 1e6, mean, color=color, label=label)
  if len(runs) > 1:
    axes.fill_between(
      grid / 1e6, low, high, color=color, alpha=0.2, linewidth=0
    )
