"""The figures of the small experiments, with the published values drawn in."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib import figure
import matplotlib.axes
import numpy as np

if TYPE_CHECKING:
  from experiments.illustrative import discounting_chain
  from experiments.illustrative import two_colours

NAMES = {
  'fixed': 'A2C, nothing learned',
  'mg': 'MG',
  'mg_context': 'MG, context',
  'mg_outer_critic': 'MG, outer critic',
  'bmg': 'BMG',
  'bmg_context': 'BMG, context',
}
# Safe for all eyes.
_COLORS = {
  'fixed': '#666666',
  'mg': '#d55e00',
  'mg_context': '#e69f00',
  'mg_outer_critic': '#0072b2',
  'bmg': '#cc79a7',
  'bmg_context': '#009e73',
}


def discount_and_return(
  curves: Mapping[str, 'discounting_chain.Curves'],
  published: Mapping[str, tuple[float, float]],
  row_every: int,
) -> figure.Figure:
  """Discount and return over updates; dashed, where the published ended."""
  made = figure.Figure(figsize=(9, 3.6), layout='constrained')
  left, right = made.subplots(1, 2)
  for variant, of in curves.items():
    updates = row_every * np.arange(1, len(of.discount) + 1) / 1000
    _draw(left, variant, updates, of.discount)
    _draw(right, variant, updates, of.returns)
    for axes, value in zip((left, right), published[variant]):
      axes.axhline(
        value, color=_COLORS[variant], linestyle='--', linewidth=1, alpha=0.7
      )
  left.set_ylabel('discount $\\gamma$')
  right.set_ylabel('return')
  for axes in (left, right):
    axes.set_xlabel('updates, thousands')
    axes.set_xlim(0, updates[-1])
    _finish(axes)
  right.plot([], [], color='black', linestyle='--', label='published, at 50')
  right.legend(frameon=False, fontsize=8, loc=(0.03, 0.45))
  return made


def return_and_entropy_cost(
  curves: Mapping[str, 'two_colours.Seen'],
  published: Mapping[str, float],
  row_steps: int,
  flip_every: int,
) -> figure.Figure:
  """Total return over steps, dashed as published; the entropy cost."""
  made = figure.Figure(figsize=(10, 3.8), layout='constrained')
  left, right = made.subplots(1, 2)
  for variant, seen in curves.items():
    steps = row_steps * np.arange(1, len(seen.rewards) + 1) / 1e6
    _draw(left, variant, steps, np.cumsum(seen.rewards, axis=0) / 1e6)
    _draw(right, variant, steps, seen.entropy_cost)
    ends = np.array([0.0, steps[-1]])
    left.plot(
      ends,
      published[variant] * ends,
      color=_COLORS[variant],
      linestyle='--',
      linewidth=1,
      alpha=0.7,
    )
  for flip in np.arange(flip_every / 1e6, steps[-1], flip_every / 1e6):
    right.axvline(flip, color='black', linewidth=0.5, alpha=0.2)
  left.set_ylabel('total return, millions')
  right.set_ylabel('entropy cost')
  left.plot([], [], color='black', linestyle='--', label='published, per step')
  for axes in (left, right):
    axes.set_xlabel('steps, millions')
    axes.set_xlim(0, steps[-1])
    axes.set_ylim(bottom=0)
    _finish(axes)
  left.legend(frameon=False, fontsize=8, loc='upper left')
  return made


def _draw(
  axes: matplotlib.axes.Axes, variant: str, x: np.ndarray, table: np.ndarray
) -> None:
  """Mean over seeds, and from the lowest to the highest; table: [K, S]."""
  color = _COLORS[variant]
  axes.fill_between(
    x,
    np.min(table, axis=1),
    np.max(table, axis=1),
    color=color,
    alpha=0.2,
    linewidth=0,
  )
  axes.plot(x, np.mean(table, axis=1), color=color, label=NAMES[variant])


def _finish(axes: matplotlib.axes.Axes) -> None:
  axes.spines[['top', 'right']].set_visible(False)
  axes.grid(axis='y', alpha=0.3)
