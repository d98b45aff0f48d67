"""The training loop: unrolls in, updates, parameters and numbers out."""

from collections.abc import Callable
import contextlib
import pathlib
import threading
import time
from typing import Any, Protocol

from absl import logging
import numpy as np
import tensorflow as tf

from learner import batches as batches_lib
from learner import health
from learner import run_statistics
from learner.distributed import hosts as hosts_lib
from learner.inference import graphs
from learner.inference import parameter_store
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker as inference_lib
from learner.reporting import csv_table
from learner.reporting import summary as summary_lib
from learner.reporting import trackers
from learner.reporting import writer as writer_lib
from learner.storage import checkpoints
from learner.storage import run_state
from learner.storage import workdir as workdir_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types
from seed_metagrad.meta_gradients import gauges

_LOCKSTEP_ROW = 16  # Updates from row to row, where nothing heeds the clock.


class NotFiniteError(Exception):
  """Too many updates in a row were not finite."""


class Acting(Protocol):
  """What a learner needs of those who act: `worker.Inference` or `lockstep`."""

  def take_episodes(self) -> list[inference_lib.Episode]:
    """The episodes that ended since the last call."""

  def save(self) -> run_state.Acting:
    """What a checkpoint holds of them."""


_Updated = tuple[types.LearnerState, dict[str, Any]]
_Traced = Callable[[types.LearnerState, batches_lib.Batch], _Updated]


def restore(
  workdir: pathlib.Path,
  state: types.LearnerState,
  hosts: hosts_lib.Hosts | None = None,
) -> tuple[types.LearnerState, run_state.RunState]:
  """The states of the newest checkpoint; without one `state` and a fresh one.

  All hosts take the chief's training state; the run's is the chief's own.
  """
  hosts = hosts or hosts_lib.Hosts()
  saved = run_state.fresh()
  if hosts.is_chief and (
    restored := checkpoints.restore(workdir / 'checkpoints', state)
  ):
    arrays, extra = restored
    state = tf.nest.map_structure(tf.constant, arrays)
    saved = run_state.decode(extra)
  return hosts.from_chief(state), saved


class Learner:
  """Owns the training state; the thread that calls `run` trains.

  state, saved: of `restore`. Other threads only read. Every new state is
  published to `parameters`.
  """

  def __init__(
    self,
    config: config_lib.Config,
    state: types.LearnerState,
    update: agent_lib.Update,
    workdir: pathlib.Path,
    *,
    unrolls: batches_lib.UnrollSource,
    parameters: parameter_store.ParameterStore,
    saved: run_state.RunState,
    hosts: hosts_lib.Hosts | None = None,
  ):
    self.statistics = run_statistics.RunStatistics(
      int(state.env_frames), saved.statistics
    )
    self._health = health.Health(
      agent_lib.logits(state), config.meta_learning_rate, saved.health
    )
    self._state = state
    self._unrolls = unrolls
    self._parameters = parameters
    self._config = config
    self._hosts = hosts or hosts_lib.Hosts()
    self._batches = batches_lib.Batches(
      config, unrolls, self._hosts, unrolls_lib.from_arrays(saved.pending)
    )
    if config.xla:
      update = tf.function(update, autograph=False, jit_compile=True)
    self._update = tf.function(update, autograph=False)
    # The update as a graph, from the first batch on.
    self._traced: _Traced | None = None
    self._workdir = workdir
    self._is_workdir = workdir_lib.is_there(workdir)  # Not in every test.

  @property
  def env_frames(self) -> int:
    """Frames consumed by updates, action repeat included."""
    return int(self._state.env_frames)

  @property
  def num_updates(self) -> int:
    """Updates made."""
    return int(self._state.num_updates)

  @property
  def queue_size(self) -> int:
    """Finished unrolls that wait."""
    return self._unrolls.qsize()

  def run(
    self,
    stop: threading.Event,
    acting: Acting,
    tracker: trackers.Tracker | None = None,
    num_actors: Callable[[], int] = lambda: 0,
  ) -> None:
    """Trains until all frames are done or `stop` is set; saves what is new.

    tracker: gets the rows of metrics.csv. num_actors: how many hold a lease.

    Raises:
      NotFiniteError: `max_skipped_updates` in a row were not finite.
      hosts.LostError: another learner host is gone; all is saved.
    """
    started_at = self.env_frames
    self.statistics.start(started_at)
    writer = writer_lib.Writer(
      self._workdir,
      total_env_frames=self._config.total_env_frames,
      restored_env_frames=started_at,
      learned=self._config.learned,
      tracker=tracker,
      num_actors=num_actors,
    )
    with contextlib.closing(writer):
      try:
        self._train(stop, acting, writer)
      except hosts_lib.LostError:
        self._save(acting, writer)  # All updates before are whole.
        raise
      if self.env_frames > started_at:
        self._save(acting, writer)

  def _train(
    self, stop: threading.Event, acting: Acting, writer: writer_lib.Writer
  ) -> None:
    config, last_save, metrics = self._config, time.monotonic(), None
    while self.env_frames < config.total_env_frames and (
      taken := self._batches.take(stop)
    ):
      self.statistics.add_lags(
        self.num_updates - before for before in taken.num_updates
      )
      metrics = self._step(taken.batch)
      episodes = acting.take_episodes()
      self.statistics.add_episodes(episodes)
      for episode in episodes:
        writer.add_episode(self.env_frames, episode.raw_return, episode.length)
      writer.advance(self.env_frames)
      if self._is_row_due():
        writer.write(self._row(metrics))
      if time.monotonic() - last_save >= config.checkpoint_secs:
        last_save = time.monotonic()
        self._save(acting, writer)
    stopped = self.env_frames < config.total_env_frames
    if stopped and config.lockstep:  # Then a resume has the rows of one run.
      return
    if metrics and self.statistics.is_new(self.env_frames):
      writer.write(self._row(metrics))

  def _is_row_due(self) -> bool:
    if self._config.lockstep:
      return self.num_updates % _LOCKSTEP_ROW == 1  # From the first on.
    return self.statistics.secs_since_row() >= self._config.metrics_secs

  def _step(self, batch: batches_lib.Batch) -> dict[str, Any]:
    with self._hosts.watched():
      self._traced = self._traced or self._trace(batch)
      state, metrics = self._traced(self._state, batch)
      skipped = bool(metrics.pop('skipped'))
    self._state = state
    self._parameters.publish(parameter_store.published(state))
    self.statistics.add_update(skipped=skipped)
    if skipped:
      self._say_skipped(metrics)
    else:
      self._health.add(metrics)
    if self.statistics.skipped_in_row >= self._config.max_skipped_updates:
      self._give_up(batch, metrics)
    return metrics

  def _trace(self, batch: batches_lib.Batch) -> _Traced:
    graph = self._update.get_concrete_function(self._state, *batch)
    call = graphs.by_op(graph)

    def traced(state: types.LearnerState, batch: batches_lib.Batch) -> _Updated:
      updated: _Updated = tf.nest.pack_sequence_as(
        graph.structured_outputs, call(state, *batch)
      )
      return updated

    return traced

  def _say_skipped(self, metrics: dict[str, Any]) -> None:
    count = self.statistics.skipped_updates
    if count & (count - 1):  # Say the 1st, 2nd, 4th, 8th, ...
      return
    bad = [
      name
      for name, value in metrics.items()
      if not (np.isfinite(float(value)) or gauges.is_gauge(name))
    ]
    logging.warning(
      'Update %d was not finite and is skipped, number %d of the run (not'
      ' finite: %s)',
      self.num_updates,
      count,
      ', '.join(bad) or 'the new parameters',
    )

  def _give_up(self, batch: batches_lib.Batch, metrics: dict[str, Any]) -> None:
    path = checkpoints.save(
      self._workdir / 'post_mortem',
      (self._state, batch.unrolls),
      extra={},
      keep=1,
    )
    values = {name: float(x) for name, x in metrics.items()}
    raise NotFiniteError(
      f'{self.statistics.skipped_in_row} updates in a row were not finite; the'
      f' last had {values}. The parameters and the batch are in {path}.'
    )

  def values(self) -> dict[str, float]:
    """What can be learned, by name: its value now, learned or fixed."""
    return agent_lib.hyperparameters(self._config, self._state)

  def health_report(self) -> list[str]:
    """Says of each meta-parameter how far it came and could have come."""
    if self._config.replay_eta:  # No meta-gradient moved them.
      return []
    return self._health.report(agent_lib.logits(self._state), self.values())

  def summary(self) -> summary_lib.Summary:
    """How the run stands."""
    return summary_lib.Summary(
      env_frames=self.env_frames,
      num_updates=self.num_updates,
      mean_return_100=self.statistics.mean_return,
      episodes=self.statistics.episodes,
      hyperparameters=self.values(),
      frames_per_s=self.statistics.frames_per_s(self.env_frames),
      learned=self._config.learned,
      game=self._config.env,
      seconds=self.statistics.seconds,
    )

  def _row(self, metrics: dict[str, Any]) -> csv_table.Row:
    """One row of metrics.csv."""
    return {
      'env_frames': self.env_frames,
      'num_updates': self.num_updates,
      **self.statistics.row(self.env_frames),
      **self.values(),
      'policy_lag': self.statistics.policy_lag,
      'queue': self.queue_size,
      'skipped_updates': self.statistics.skipped_updates,
      **self._health.row(agent_lib.logits(self._state)),
      **{
        name: float(value)
        for name, value in metrics.items()
        if not gauges.is_gauge(name)
      },
    }

  def _save(self, acting: Acting, writer: writer_lib.Writer) -> None:
    """Writes a checkpoint; a disk that is full is logged, training goes on.

    The chief alone writes, for all hosts.
    """
    writer.flush()
    if not self._hosts.is_chief:
      return
    # Elsewhere than in lock-step, what is pending is acted anew.
    pending = self._batches.pending if self._config.lockstep else []
    saved = run_state.RunState(
      self.statistics.save(),
      acting.save(),
      unrolls_lib.to_arrays(pending),
      self._health.save(),
    )
    try:
      checkpoints.save(
        self._workdir / 'checkpoints',
        self._state,
        extra=run_state.encode(saved),
        keep=self._config.checkpoints_kept,
      )
    except OSError as error:
      logging.error('%s', error)
    if self._is_workdir and not workdir_lib.is_there(self._workdir):
      # Nothing holds the new folder: another learner could open it.
      workdir_lib.write_config(self._workdir, self._config)
      raise OSError(
        f'workdir {self._workdir} was deleted or moved during the run. The '
        'newest checkpoint is in it again: the same command resumes there.'
      )
