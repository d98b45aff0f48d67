"""The figures of the illustrative experiments."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TYPE_CHECKING

from matplotlib import figure
from matplotlib import ticker
import matplotlib.axes
import numpy as np

from experiments.illustrative import markov_processes
from experiments.illustrative import prediction
from seed_metagrad.environments import chain

if TYPE_CHECKING:
  from experiments.illustrative import chain_control

_HIGH, _LOW = '#0072b2', '#d55e00'  # Blue and vermilion: safe for all eyes.
_GRAY = '#666666'
_NAMES = {'discount': 'discount $\\gamma$', 'lambda_': '$\\lambda$'}


class Band(NamedTuple):
  """Mean, 20% and 80% quantile over seeds, [K] each."""

  mean: np.ndarray
  low: np.ndarray
  high: np.ndarray


def bands(
  process: markov_processes.Process, learned: np.ndarray
) -> dict[str, Band]:
  """The values over updates by kind of state.

  learned: [K, S, N]. For each seed the mean over the states of a kind counts;
  without the first state, which no transition enters: its value is not used.
  """
  result = {}
  for kind, chosen in (
    (process.high_kind, process.high),
    (process.low_kind, ~process.high),
  ):
    of_seeds = np.mean(learned[:, :, 1:][:, :, chosen[1:]], axis=2)
    low, high = np.quantile(of_seeds, [0.2, 0.8], axis=1)
    result[kind] = Band(np.mean(of_seeds, axis=1), low, high)
  return result


def figure1(
  outcomes: Mapping[str, prediction.Outcome], mu: float, inner_updates: int
) -> figure.Figure:
  """MGRL's figure 1: learned values over episodes; their ends, by state."""
  made = figure.Figure(figsize=(4.6 * len(outcomes), 6), layout='constrained')
  columns = made.subplots(2, len(outcomes), squeeze=False).T
  for (name, outcome), (above, below) in zip(outcomes.items(), columns):
    _draw_curves(above, outcome, mu, inner_updates)
    above.set_title(f'{name}: {_NAMES[outcome.process.learned]} per state')
    above.legend(frameon=False, loc='best')
    _draw_violins(below, outcome.process, outcome.learned[mu][-1])
  return made


def trace(
  outcomes: Mapping[str, prediction.Outcome], inner_updates: int
) -> figure.Figure:
  """How fast and where the values end, for each mu."""
  mus = list(next(iter(outcomes.values())).learned)
  made = figure.Figure(
    figsize=(2.3 * len(mus), 0.6 + 2.1 * len(outcomes)), layout='constrained'
  )
  rows = made.subplots(
    len(outcomes), len(mus), squeeze=False, sharex=True, sharey=True
  )
  for (name, outcome), row in zip(outcomes.items(), rows):
    for axes, mu in zip(row, mus):
      _draw_curves(axes, outcome, mu, inner_updates)
      axes.set_title(f'{name}, $\\mu$ = {mu:g}', fontsize=10)
    row[0].legend(frameon=False, fontsize=8, loc='best')
  for axes in rows.flat:
    axes.label_outer()
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4, prune='upper'))
  return made


def control(curves: Mapping[str, 'chain_control.Curves']) -> figure.Figure:
  """The chain: each seed's discount; how often the policies wait."""
  made = figure.Figure(figsize=(9, 3.4), layout='constrained')
  left, right = made.subplots(1, 2)
  learned = curves['learned'].discount
  updates = np.arange(1, learned.shape[1] + 1)
  left.plot(updates, learned.T, color=_HIGH, linewidth=1, alpha=0.6)
  for value, text in (
    (chain.BEST_DISCOUNT, 'the best discount'),
    (chain.THRESHOLD_DISCOUNT, 'from here waiting pays'),
  ):
    left.axhline(value, color=_GRAY, linestyle='--', linewidth=1)
    left.text(
      updates[-1],
      value + 0.01,
      text,
      color=_GRAY,
      ha='right',
      va='bottom',
      fontsize=9,
    )
  left.set_ylabel(f'learned {_NAMES["discount"]}, each seed')
  for (name, of), color in zip(curves.items(), (_GRAY, _HIGH, _LOW)):
    low, high = np.quantile(of.waiting, [0.2, 0.8], axis=0)
    right.fill_between(updates, low, high, color=color, alpha=0.2, linewidth=0)
    right.plot(
      updates,
      np.mean(of.waiting, axis=0),
      color=color,
      label=f'{name} {_NAMES["discount"]}',
    )
  right.set_ylabel('probability of waiting')
  right.legend(frameon=False, fontsize=9, loc='center right')
  for axes in (left, right):
    axes.set_xlim(0, updates[-1])
    axes.set_xlabel('updates')
    _finish(axes)
  left.set_ylim(0.4, 1.02)
  return made


def _draw_curves(
  axes: matplotlib.axes.Axes,
  outcome: prediction.Outcome,
  mu: float,
  inner_updates: int,
) -> None:
  process = outcome.process
  for (kind, band), color in zip(
    bands(process, outcome.learned[mu]).items(), (_HIGH, _LOW)
  ):
    episodes = inner_updates * np.arange(1, len(band.mean) + 1)
    axes.fill_between(
      episodes, band.low, band.high, color=color, alpha=0.2, linewidth=0
    )
    axes.plot(episodes, band.mean, color=color, label=f'{kind} states')
  axes.set_xlim(0, episodes[-1])
  axes.set_xlabel('episodes')
  axes.set_ylabel(_NAMES[process.learned])
  _finish(axes)


def _draw_violins(
  axes: matplotlib.axes.Axes,
  process: markov_processes.Process,
  final: np.ndarray,
) -> None:
  """The values at the end, of each state; final: [S, N]."""
  states = np.arange(1, len(process.high) + 1)
  for kind, chosen, color in (
    (process.high_kind, process.high, _HIGH),
    (process.low_kind, ~process.high, _LOW),
  ):
    used = chosen & (states > 1)
    parts = axes.violinplot(
      final[:, used], states[used], widths=0.8, showextrema=False
    )
    bodies: Any = parts['bodies']  # Its stub says one.
    for body in bodies:
      body.set(facecolor=color, alpha=0.3)
    axes.plot(
      np.broadcast_to(states[used], final[:, used].shape),
      final[:, used],
      '.',
      color=color,
      markersize=3,
    )
    axes.plot(
      states[used],
      np.median(final[:, used], axis=0),
      '_',
      color=color,
      markersize=12,
      label=f'{kind} states',
    )
  axes.plot(1, np.mean(final[:, 0]), 'o', color=_GRAY, fillstyle='none')
  axes.text(1, 0.55, 'unused', ha='center', fontsize=8, color=_GRAY)
  axes.xaxis.set_major_locator(ticker.FixedLocator(states.tolist()))
  axes.set_xlim(0.3, states[-1] + 0.7)
  axes.set_xlabel('state')
  axes.set_ylabel(f'final {_NAMES[process.learned]}')
  _finish(axes)


def _finish(axes: matplotlib.axes.Axes) -> None:
  axes.set_ylim(-0.02, 1.02)
  axes.spines[['top', 'right']].set_visible(False)
  axes.grid(axis='y', alpha=0.3)
