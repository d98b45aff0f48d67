"""The training loop: unrolls in, updates, parameters and numbers out."""

import collections
from collections.abc import Callable, Iterator
import pathlib
import queue
import threading
import time
from typing import Any

from absl import logging
import numpy as np
import tensorflow as tf

from learner.distributed import hosts as hosts_lib
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker as inference_lib
from learner.reporting import metrics as metrics_lib
from learner.storage import checkpoints
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types

_POLL_SECS = 0.2  # How long a wait for unrolls may hide a request to stop.
_ROUND_SECS = 2.0  # How long a host waits before it hears the others.
_WINDOW = 100  # Episodes of the mean return.


class NotFiniteError(Exception):
  """Too many updates in a row were not finite."""


class Learner:
  """Owns the training state; the thread that calls `run` trains.

  Other threads only read, and put into `unrolls`. In lock-step
  `unrolls` is to be replaced by what `lockstep` makes of it.
  """

  def __init__(
    self,
    config: config_lib.Config,
    state: types.LearnerState,
    update: Callable[..., Any],
    workdir: pathlib.Path,
    hosts: hosts_lib.Hosts | None = None,
  ):
    self.unrolls: queue.Queue[unrolls_lib.Finished] = queue.Queue(
      config.queue_unrolls
    )  # Bounded: the only back-pressure.
    self.pending: list[unrolls_lib.Finished] = []  # Taken, to be trained on.
    self.state = state
    self.published = _published(state)
    self.episodes = 0
    self.skipped_updates = 0
    self._config = config
    self._hosts = hosts or hosts_lib.Hosts()
    self._batch_size = config.batch_size // self._hosts.num  # Of this host.
    self._update = tf.function(
      update, autograph=False, jit_compile=config.xla or None
    )
    self._workdir = workdir
    self._writer = None  # While `run` runs.
    self._returns = collections.deque(maxlen=_WINDOW)
    self._lengths = collections.deque(maxlen=_WINDOW)
    self._lags = collections.deque(maxlen=_WINDOW)
    self._skipped_in_row = 0
    self._run_start, self._seconds_before = time.monotonic(), 0.0
    self._last_row = self._run_start, self.env_frames

  @property
  def env_frames(self) -> int:
    """Frames consumed by updates, action repeat included."""
    return int(self.state.env_frames)

  @property
  def seconds(self) -> float:
    """Time spent in `run`, over all runs on this workdir."""
    return self._seconds_before + time.monotonic() - self._run_start

  @property
  def frames_per_s(self) -> float:
    """Over all runs on this workdir; waiting for actors counts."""
    return _rate((0.0, 0), (self.seconds, self.env_frames))

  @property
  def policy_lag(self) -> float:
    """Updates from an unroll's start to its training, mean of the newest."""
    return _mean(list(self._lags))

  def run(
    self,
    stop: threading.Event,
    take_episodes: Callable[[], list[inference_lib.Episode]],
    saved: Callable[[], dict[str, Any]],
  ):
    """Trains until all frames are done or `stop` is set; saves what is new.

    take_episodes() gives the episodes that ended since the last call; saved()
    what a checkpoint holds besides the learner's own.

    Raises:
      NotFiniteError: `max_skipped_updates` in a row were not finite.
      hosts.LostError: another learner host is gone; all is saved.
    """
    config = self._config
    self._run_start = time.monotonic()
    self._last_row = self._run_start, self.env_frames
    self._writer = metrics_lib.Writer(
      self._workdir,
      total_env_frames=config.total_env_frames,
      restored_env_frames=self.env_frames,
    )
    started_at = self.env_frames
    try:
      self._train(stop, take_episodes, saved)
      if self.env_frames > started_at:
        self.save(saved())
    except hosts_lib.LostError:
      self.save(saved())  # All updates before are whole.
      raise
    finally:
      self._writer.close()

  def _train(self, stop, take_episodes, saved):
    config, last_save, metrics = self._config, time.monotonic(), None
    for unrolls, meta_unroll in self._batches(stop):
      metrics = self._step(unrolls, meta_unroll)
      self._add_episodes(take_episodes())
      self._writer.advance(self.env_frames)
      now = time.monotonic()
      if config.lockstep or now - self._last_row[0] >= config.metrics_secs:
        self._writer.write(self._row(metrics))
      if now - last_save >= config.checkpoint_secs:
        last_save = now
        self.save(saved())
    if metrics and self.env_frames > self._last_row[1]:
      self._writer.write(self._row(metrics))

  def _batches(
    self, stop: threading.Event
  ) -> Iterator[tuple[list[types.Unroll], types.Unroll | None]]:
    """The unrolls of one iteration after the other: T, and later ones T'.

    T' is the first part of the batch that is trained on next, so every unroll
    is used for theta, and B' of B for eta as well: no further data.
    """
    size = self._batch_size
    used = self._config.inner_updates * size
    later = size if self._config.learned else 0
    while self.env_frames < self._config.total_env_frames and self._gather(
      used + later, stop
    ):
      unrolls = [finished.unroll for finished in self.pending]
      self._lags.extend(
        self.published.num_updates - finished.num_updates
        for finished in self.pending[:used]
      )
      del self.pending[:used]
      meta_unroll = None
      if later:
        meta_size = self._config.meta_batch_size // self._hosts.num
        meta_unroll = unrolls_lib.batch(unrolls[used : used + meta_size])
      yield (
        [
          unrolls_lib.batch(unrolls[start : start + size])
          for start in range(0, used, size)
        ],
        meta_unroll,
      )

  def _gather(self, count: int, stop: threading.Event) -> bool:
    """Waits until every host has `count` unrolls; false once one stops."""
    while True:
      self._take(count, stop)
      stopping, waiting = self._hosts.sum(
        [stop.is_set(), len(self.pending) < count]
      )
      if stopping:
        stop.set()
      if stopping or not waiting:
        return not stopping

  def _take(self, count: int, stop: threading.Event):
    deadline = time.monotonic() + _ROUND_SECS
    while (
      len(self.pending) < count
      and not stop.is_set()
      and time.monotonic() < deadline
    ):
      try:
        self.pending.append(self.unrolls.get(timeout=_POLL_SECS))
      except queue.Empty:
        continue

  def _step(self, unrolls, meta_unroll) -> dict[str, Any]:
    with self._hosts.watched():
      state, metrics = self._update(self.state, unrolls, meta_unroll)
      skipped = int(metrics.pop('skipped'))
    self.state, self.published = state, _published(state)
    if skipped:
      self.skipped_updates += 1
      self._skipped_in_row += 1
      if self._skipped_in_row >= self._config.max_skipped_updates:
        self._give_up(unrolls, metrics)
    else:
      self._skipped_in_row = 0
    return metrics

  def _give_up(self, unrolls, metrics):
    path = checkpoints.save(
      self._workdir / 'post_mortem', (self.state, unrolls), extra={}, keep=1
    )
    raise NotFiniteError(
      f'{self._skipped_in_row} updates in a row were not finite; the last '
      f'had { ({name: float(x) for name, x in metrics.items()}) }. The '
      f'parameters and the batch are in {path}.'
    )

  def _add_episodes(self, episodes: list[inference_lib.Episode]):
    self.episodes += len(episodes)
    for episode in episodes:
      self._returns.append(episode.raw_return)
      self._lengths.append(episode.length)
      self._writer.add_episode(self.env_frames, *episode)

  def values(self) -> dict[str, float]:
    """What can be learned, by name: its value now, learned or fixed."""
    return agent_lib.hyperparameters(self._config, self.state.eta)

  def summary(self) -> metrics_lib.Summary:
    """How the run stands."""
    values = self.values()
    return metrics_lib.Summary(
      env_frames=self.env_frames,
      num_updates=int(self.state.num_updates),
      mean_return_100=_mean(self._returns),
      episodes=self.episodes,
      discount=values['discount'],
      lambda_=values['lambda_'],
      frames_per_s=self.frames_per_s,
      learned=self._config.learned,
      game=self._config.env,
      seconds=self.seconds,
    )

  def _row(self, metrics) -> metrics_lib.Row:
    """One row of metrics.csv; frames_per_s since the last one."""
    now = time.monotonic(), self.env_frames
    frames_per_s = _rate(self._last_row, now)
    self._last_row = now
    steps = self._config.batch_size * self._config.unroll_length
    per_step = ('loss', 'policy_gradient_loss', 'baseline_loss', 'entropy')
    return {
      'env_frames': self.env_frames,
      'num_updates': int(self.state.num_updates),
      'seconds': self.seconds,
      'frames_per_s': frames_per_s,
      'episodes': self.episodes,
      'mean_return_100': _mean(self._returns),
      'mean_length_100': _mean(self._lengths),
      **self.values(),
      'policy_lag': self.policy_lag,
      'queue': self.unrolls.qsize(),
      'skipped_updates': self.skipped_updates,
      **{
        name: float(value) / (steps if name in per_step else 1)
        for name, value in metrics.items()
      },
    }

  def save(self, others: dict[str, Any]):
    """Writes a checkpoint; a disk that is full is logged, training goes on.

    The chief alone writes, for all hosts.
    """
    self._writer.flush()
    if not self._hosts.is_chief:
      return
    extra = {
      'seconds': self.seconds,
      'episodes': self.episodes,
      'returns': list(self._returns),
      'lengths': list(self._lengths),
      'lags': list(self._lags),
      'skipped_updates': self.skipped_updates,
      **others,
    }
    try:
      checkpoints.save(
        self._workdir / 'checkpoints',
        self.state,
        extra=extra,
        keep=self._config.checkpoints_kept,
      )
    except OSError as error:
      logging.error('%s', error)

  def restore(self) -> dict[str, Any] | None:
    """Goes back to the newest checkpoint; its extra, or None without one.

    Every host goes to the chief's state; what is in `extra` is the chief's own.
    """
    restored = None
    if self._hosts.is_chief:
      restored = checkpoints.restore(self._workdir / 'checkpoints', self.state)
    if restored:
      arrays, extra = restored
      self.state = tf.nest.map_structure(tf.constant, arrays)
      self._seconds_before, self.episodes = extra['seconds'], extra['episodes']
      self._returns.extend(extra['returns'])
      self._lengths.extend(extra['lengths'])
      self._lags.extend(extra.get('lags', ()))
      self.skipped_updates = extra['skipped_updates']
    self.state = self._hosts.from_chief(self.state)
    self.published = _published(self.state)
    return extra if restored else None


def _published(state: types.LearnerState) -> inference_lib.Published:
  return inference_lib.Published(
    state.params, state.eta, int(state.num_updates)
  )


def _mean(values) -> float:
  return float(np.mean(values)) if values else float('nan')


def _rate(before: tuple[float, int], after: tuple[float, int]) -> float:
  seconds, frames = (b - a for a, b in zip(before, after))
  return frames / max(seconds, 1e-9)
