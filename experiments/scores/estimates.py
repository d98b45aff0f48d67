"""Aggregates of scores with 95% stratified bootstrap intervals.

`runs` holds an array for each game with one score for each seed; resampling
draws seeds within a game (Agarwal et al. 2021, 2108.13264). Games may have
different numbers of seeds. A game with one seed says nothing about seeds: then
there is no interval.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
import warnings

import numpy as np
from scipy import stats

_CONFIDENCE = 0.95
_SETTINGS: dict[str, Any] = dict(
  vectorized=True,
  method='percentile',
  n_resamples=2000,
  confidence_level=_CONFIDENCE,
)

Runs = Sequence[np.ndarray]


class Estimate(NamedTuple):
  """A value and its interval; None without one."""

  value: float
  low: float | None
  high: float | None


class Difference(NamedTuple):
  """A difference of means, its interval and p-value; None without these."""

  value: float
  low: float | None
  high: float | None
  p_value: float | None  # Two-sided, of no difference.


def difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
  """Ours less theirs, by Welch's t-test, which holds with a few seeds too."""
  value = float(np.mean(ours) - np.mean(theirs))
  if min(len(ours), len(theirs)) < 2 or not np.ptp(ours) + np.ptp(theirs):
    return Difference(value, None, None, None)
  with warnings.catch_warnings():  # One of them may be all the same.
    warnings.simplefilter('ignore', RuntimeWarning)
    test = stats.ttest_ind(ours, theirs, equal_var=False)
  interval = test.confidence_interval(_CONFIDENCE)
  return Difference(
    value, float(interval.low), float(interval.high), float(test.pvalue)
  )


def mean_difference(
  runs: Runs, baseline: Runs, scales: Sequence[float]
) -> Difference:
  """The mean over games of the difference of means over seeds, over a scale.

  Welch's t-test where seeds are drawn within each game: the variances of all
  means add up, with the degrees of freedom of Satterthwaite (1946, eq. 17). One
  game: `difference` over its scale.
  """
  terms = [
    (x, sign / (scale * len(runs)))
    for ours, theirs, scale in zip(runs, baseline, scales, strict=True)
    for x, sign in ((ours, 1.0), (theirs, -1.0))
  ]
  value = float(sum(weight * np.mean(x) for x, weight in terms))
  if min(len(x) for x, _ in terms) < 2:
    return Difference(value, None, None, None)
  variances = [weight**2 * np.var(x, ddof=1) / len(x) for x, weight in terms]
  if not sum(variances):
    return Difference(value, None, None, None)
  freedom = sum(variances) ** 2 / sum(
    variance**2 / (len(x) - 1) for variance, (x, _) in zip(variances, terms)
  )
  error = float(np.sqrt(sum(variances)))
  half = error * float(stats.t.ppf((1 + _CONFIDENCE) / 2, freedom))
  p_value = 2 * float(stats.t.sf(abs(value) / error, freedom))
  return Difference(value, value - half, value + half, p_value)


def corrected(p_values: Sequence[float | None]) -> list[float | None]:
  """P-values for many tests at once (Benjamini and Hochberg 1995).

  Of those that are called significant below .05, 5% are so by chance. None
  stays None and does not count.
  """
  known = [p for p in p_values if p is not None]
  found = iter(stats.false_discovery_control(known) if known else ())
  return [None if p is None else float(next(found)) for p in p_values]


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
