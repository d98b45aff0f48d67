"""Aggregates of scores with 95% stratified bootstrap intervals.

`runs` holds an array for each game with one score for each seed; resampling
draws seeds within a game (Agarwal et al. 2021, 2108.13264). Games may have
different numbers of seeds. A game with one seed says nothing about seeds: then
there is no interval.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

_SETTINGS: dict[str, Any] = dict(
  vectorized=True, method='percentile', n_resamples=2000, confidence_level=0.95
)

Runs = Sequence[np.ndarray]


class Estimate(NamedTuple):
  """A value and its interval; None without one."""

  value: float
  low: float | None
  high: float | None


def mean(scores: np.ndarray) -> Estimate:
  """The mean of one sample."""
  return _bootstrap([scores], lambda sample: sample.mean(axis=-1))


def median(runs: Runs) -> Estimate:
  """The median over games of the means over seeds."""
  return _bootstrap(
    runs,
    lambda *games: np.median([game.mean(axis=-1) for game in games], axis=0),
  )


def interquartile_mean(runs: Runs) -> Estimate:
  """The mean of the middle half of all runs of all games."""
  return _bootstrap(
    runs,
    lambda *games: stats.trim_mean(
      np.concatenate(games, axis=-1), 0.25, axis=-1
    ),
  )


def probability_of_improvement(runs: Runs, baseline: Runs) -> Estimate:
  """How likely a run beats one of the baseline in a game drawn at random.

  Ties count a half. Raw scores will do: only the order within a game counts.
  """

  def statistic(*games: np.ndarray) -> np.ndarray:
    ours, theirs = games[: len(runs)], games[len(runs) :]
    wins = [
      stats.mannwhitneyu(x, y, axis=-1, method='asymptotic').statistic
      / (x.shape[-1] * y.shape[-1])
      for x, y in zip(ours, theirs)
    ]
    return np.asarray(np.mean(wins, axis=0))

  return _bootstrap([*runs, *baseline], statistic)


def band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The interval of the mean over seeds at each point, curves [seeds, T]."""
  interval = stats.bootstrap(
    [curves], np.mean, axis=0, **_SETTINGS, rng=np.random.default_rng(0)
  ).confidence_interval
  return np.asarray(interval.low), np.asarray(interval.high)


def _bootstrap(samples: Runs, statistic: Callable[..., np.ndarray]) -> Estimate:
  samples = [np.asarray(sample, np.float64) for sample in samples]
  value = float(statistic(*samples))
  if min(map(len, samples)) < 2:
    return Estimate(value, None, None)
  interval = stats.bootstrap(  # Each sample is resampled by itself.
    samples,
    lambda *drawn, axis: statistic(*drawn),
    axis=-1,
    **_SETTINGS,
    rng=np.random.default_rng(0),
  ).confidence_interval
  return Estimate(value, float(interval.low), float(interval.high))
