"""All that a run logs while it trains."""

from collections.abc import Callable, Sequence
import os
import pathlib

from learner.reporting import csv_table
from learner.reporting import progress
from learner.reporting import tensorboard
from learner.reporting import trackers


class Writer:
  """Writes metrics.csv, episodes.csv and TensorBoard's events; shows progress.

  One thread calls it.
  """

  def __init__(
    self,
    workdir: str | os.PathLike[str],
    *,
    total_env_frames: int,
    restored_env_frames: int = 0,
    learned: Sequence[str] = (),
    tracker: trackers.Tracker | None = None,
    num_actors: Callable[[], int] = lambda: 0,
  ) -> None:
    """Opens the files; rows after `restored_env_frames` are truncated.

    tracker: gets the rows as well, in TensorBoard's groups; whoever made it
    closes it. num_actors: how many hold a lease.
    """
    self._tracker = tracker
    workdir = pathlib.Path(workdir)
    self._rows = csv_table.Table(workdir / 'metrics.csv', restored_env_frames)
    self._episodes = csv_table.Table(
      workdir / 'episodes.csv', restored_env_frames
    )
    self._events = tensorboard.Events(
      workdir / 'tensorboard', restored_env_frames
    )
    self._progress = progress.make(
      total_env_frames, restored_env_frames, learned, num_actors
    )

  def write(self, row: csv_table.Row) -> None:
    """Writes one row; its keys are those of the first row that is written.

    It holds at least env_frames, seconds, and what the progress line shows:
    mean_return_100, policy_lag and the meta-parameters.
    """
    self._rows.append(row)
    self._progress.show(row)
    self.flush()
    self._events.write(row)
    if self._tracker:
      self._tracker.write(tensorboard.tagged(row))

  def add_episode(
    self, env_frames: int, raw_return: float, length: int
  ) -> None:
    """Records a finished episode of `length` env steps; buffered."""
    self._episodes.append(
      {'env_frames': env_frames, 'return': raw_return, 'length': length}
    )

  def advance(self, env_frames: int) -> None:
    """Moves the progress line; cheap enough for every update."""
    self._progress.advance(env_frames)

  def flush(self) -> None:
    """Gives buffered rows to the system; to be called before a checkpoint."""
    self._rows.flush()
    self._episodes.flush()

  def close(self) -> None:
    """Ends the progress line and closes the files."""
    self._progress.close()
    self._rows.close()
    self._episodes.close()
    self._events.close()
