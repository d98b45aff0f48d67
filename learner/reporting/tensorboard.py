"""Scalars for TensorBoard."""

import contextlib
import os
import pathlib

from absl import logging
import tensorflow as tf

from learner.reporting import csv_table


class Events:
  """Writes every column of a row as a scalar at its env_frames.

  On a resume TensorBoard drops its scalars of frames after
  `restored_env_frames`. A full disk costs scalars, with an error in the log.
  """

  def __init__(
    self, folder: str | os.PathLike[str], restored_env_frames: int
  ) -> None:
    self._folder = pathlib.Path(folder)
    self._writer = _open(self._folder, restored_env_frames)
    # What TensorBoard drops at: the steps from here on of earlier files.
    self._writer.add_session_log(
      tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START),
      global_step=restored_env_frames + 1,
    )

  def write(self, row: csv_table.Row) -> None:
    """Writes the scalars of a row and gives them to the system."""
    env_frames = int(row['env_frames'])
    values = [
      tf.compat.v1.Summary.Value(tag=name, simple_value=float(value))
      for name, value in row.items()
      if name != 'env_frames'
    ]
    try:
      self._writer = self._writer or _open(self._folder, env_frames)
      self._writer.add_summary(
        tf.compat.v1.Summary(value=values), global_step=env_frames
      )
      self._writer.flush()
    except (RuntimeError, IndexError) as error:  # For ENOSPC and EFBIG.
      logging.error(
        'TensorBoard lacks the row of %d frames: %s', env_frames, error
      )
      self._writer = None  # It has closed itself: a new file, with room.

  def close(self) -> None:
    """Closes the file."""
    if self._writer:
      # All rows are flushed: a full disk costs the mark of a start at most.
      with contextlib.suppress(RuntimeError, IndexError):
        self._writer.close()


def _open(
  folder: pathlib.Path, env_frames: int
) -> tf.compat.v1.summary.FileWriter:
  """A new file of events; named so that they sort."""
  with tf.Graph().as_default():  # FileWriter refuses eager mode.
    return tf.compat.v1.summary.FileWriter(
      str(folder), filename_suffix=f'.{env_frames:012d}'
    )
