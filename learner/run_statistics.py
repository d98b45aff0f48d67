"""What is counted over a run, all runs on its workdir included."""

import collections
from collections.abc import Iterable, Sequence
import time
from typing import NamedTuple

import numpy as np

from learner.inference import worker
from learner.storage import run_state

_WINDOW = 100  # Episodes of the mean return; unrolls of the policy lag.


class _Moment(NamedTuple):
  seconds: float
  env_frames: int


class RunStatistics:
  """Episodes, policy lag, skipped updates and time of a run.

  saved: what `save` returned before, or that of `run_state.fresh`.
  """

  def __init__(self, env_frames: int, saved: run_state.Statistics):
    self.episodes = saved.episodes
    self.skipped_updates = saved.skipped_updates
    self.skipped_in_row = 0
    self._returns = collections.deque(saved.returns, maxlen=_WINDOW)
    self._lengths = collections.deque(saved.lengths, maxlen=_WINDOW)
    self._lags = collections.deque(saved.lags, maxlen=_WINDOW)
    self._seconds_before = saved.seconds
    self.start(env_frames)

  def start(self, env_frames: int) -> None:
    """Starts the clock of this process."""
    self._start = time.monotonic()
    self._last_row = _Moment(self.seconds, env_frames)

  def save(self) -> run_state.Statistics:
    """Returns all of it, for a checkpoint."""
    return run_state.Statistics(
      seconds=self.seconds,
      episodes=self.episodes,
      returns=list(self._returns),
      lengths=list(self._lengths),
      lags=list(self._lags),
      skipped_updates=self.skipped_updates,
    )

  @property
  def seconds(self) -> float:
    """Time spent in training, over all runs on this workdir."""
    return self._seconds_before + time.monotonic() - self._start

  @property
  def mean_return(self) -> float:
    """Raw return, mean of the newest episodes; NaN without one."""
    return _mean(self._returns)

  @property
  def policy_lag(self) -> float:
    """Updates from an unroll's start to its training, mean of the newest."""
    return _mean(self._lags)

  def add_lags(self, lags: Iterable[int]) -> None:
    """Adds the policy lags of unrolls that are trained on."""
    self._lags.extend(lags)

  def add_episodes(self, episodes: Sequence[worker.Episode]) -> None:
    """Adds episodes that ended."""
    self.episodes += len(episodes)
    self._returns.extend(episode.raw_return for episode in episodes)
    self._lengths.extend(episode.length for episode in episodes)

  def add_update(self, *, skipped: bool) -> None:
    """Counts an update."""
    self.skipped_updates += skipped
    self.skipped_in_row = self.skipped_in_row + 1 if skipped else 0

  def secs_since_row(self) -> float:
    """Seconds since the last `row`, or the start."""
    return self.seconds - self._last_row.seconds

  def is_new(self, env_frames: int) -> bool:
    """Tells whether frames were trained on since the last `row`."""
    return env_frames > self._last_row.env_frames

  def frames_per_s(self, env_frames: int) -> float:
    """Over all runs on this workdir; waiting for actors counts."""
    return env_frames / max(self.seconds, 1e-9)

  def row(self, env_frames: int) -> dict[str, float | int]:
    """The columns of a row of metrics.csv; frames_per_s since the last one."""
    last, self._last_row = self._last_row, _Moment(self.seconds, env_frames)
    secs = self._last_row.seconds - last.seconds
    return {
      'seconds': self._last_row.seconds,
      'frames_per_s': (env_frames - last.env_frames) / max(secs, 1e-9),
      'episodes': self.episodes,
      'mean_return_100': self.mean_return,
      'mean_length_100': _mean(self._lengths),
    }


def _mean(values: Iterable[float]) -> float:
  values = list(values)
  return float(np.mean(values)) if values else float('nan')
