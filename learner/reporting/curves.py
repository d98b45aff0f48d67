"""A figure of a run: curves.png."""

from collections.abc import Sequence
import csv
import os
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from matplotlib import figure


def plot(
  workdir: str | os.PathLike[str], learned: Sequence[str]
) -> pathlib.Path:
  """Writes what `draw` draws to curves.png."""
  path = pathlib.Path(workdir) / 'curves.png'
  draw(workdir, learned).savefig(path)
  return path


def draw(
  workdir: str | os.PathLike[str], learned: Sequence[str]
) -> 'figure.Figure':
  """Draws returns and meta-parameters over frames, from metrics.csv.

  learned: the names of the meta-parameters.

  Raises:
    ValueError: metrics.csv has no row.
  """
  from matplotlib import figure  # Slow to import: only when a run ends.

  workdir = pathlib.Path(workdir)
  with open(workdir / 'metrics.csv', newline='', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  if not rows:
    raise ValueError(f'{workdir / "metrics.csv"} has no row to plot.')

  def column(name: str) -> list[float]:
    return [float(row[name] or 'nan') for row in rows]

  millions = [frames / 1e6 for frames in column('env_frames')]
  plotted = figure.Figure(figsize=(8, 6), dpi=120, layout='constrained')
  panels = plotted.subplots(1 + bool(learned), sharex=True, squeeze=False)[:, 0]
  panels[0].plot(millions, column('mean_return_100'))
  panels[0].set_ylabel('raw return, mean of 100 episodes')
  for name in learned:
    panels[1].plot(millions, column(name), label=name.strip('_'))
  if learned:
    panels[1].set_ylabel('value')
    panels[1].legend()
  panels[-1].set_xlabel('million frames')
  for axes in panels:
    axes.grid(alpha=0.3)
  return plotted
