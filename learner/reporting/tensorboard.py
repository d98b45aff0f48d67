"""Scalars, hyperparameters and a figure for TensorBoard."""

from collections.abc import Mapping
import contextlib
import os
import pathlib
from typing import Any

from absl import logging
from tensorboard.plugins.hparams import summary_v2 as hparams
import tensorflow as tf

from learner.reporting import csv_table
from seed_metagrad import config as config_lib

# What TensorFlow raises for ENOSPC and EFBIG, where it makes a file and later.
_FULL = (RuntimeError, IndexError, tf.errors.OpError)

_STEP = 'env_frames'
# The groups of scalars, by how columns begin.
_GROUPS = {
  'return': ('mean_', 'episodes'),
  'eta': (*config_lib.LEARNABLE, 'logit_', 'travelled_'),
  'meta': (
    *('meta_', 'signal_', 'sign_', 'outer_', 'cotangent_', 'update_'),
    *('kl', 'clipped_'),
  ),
  'speed': (
    *('num_updates', 'seconds', 'frames_per_s', 'policy_lag', 'queue'),
    'skipped_',
  ),
}


def tag(column: str) -> str:
  """Names the scalar of a column: group/column; losses are what is left."""
  for group, starts in _GROUPS.items():
    if column.startswith(starts):
      return f'{group}/{column}'
  return f'loss/{column}'


def tagged(row: csv_table.Row) -> csv_table.Row:
  """A row whose columns are named by their `tag`, but for env_frames."""
  return {
    name if name == _STEP else tag(name): value for name, value in row.items()
  }


class Events:
  """Writes every column of a row as a scalar, by its `tag`, at its env_frames.

  On a resume TensorBoard drops its scalars of frames after
  `restored_env_frames`. A full disk costs scalars, with an error in the log.
  """

  def __init__(
    self, folder: str | os.PathLike[str], restored_env_frames: int
  ) -> None:
    self._folder = pathlib.Path(folder)
    self._writer: tf.compat.v1.summary.FileWriter | None = None
    try:
      self._writer = _open(self._folder, restored_env_frames)
      # What TensorBoard drops at: the steps from here on of earlier files.
      self._writer.add_session_log(
        tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START),
        global_step=restored_env_frames + 1,
      )
    except _FULL as error:
      logging.error('TensorBoard lacks the start of this run: %s', error)
      self._writer = None

  def write(self, row: csv_table.Row) -> None:
    """Writes the scalars of a row and gives them to the system."""
    env_frames = int(row[_STEP])
    values = [
      tf.compat.v1.Summary.Value(tag=name, simple_value=float(value))
      for name, value in tagged(row).items()
      if name != _STEP
    ]
    try:
      self._writer = self._writer or _open(self._folder, env_frames)
      self._writer.add_summary(
        tf.compat.v1.Summary(value=values), global_step=env_frames
      )
      self._writer.flush()
    except _FULL as error:
      logging.error(
        'TensorBoard lacks the row of %d frames: %s', env_frames, error
      )
      self._writer = None  # It has closed itself: a new file, with room.

  def close(self) -> None:
    """Closes the file."""
    if self._writer:
      # All rows are flushed: a full disk costs the mark of a start at most.
      with contextlib.suppress(*_FULL):
        self._writer.close()


def write_hparams(
  folder: str | os.PathLike[str], config: Mapping[str, Any]
) -> None:
  """Writes what the page of hyperparameters shows, into a file of its own."""
  values = {
    name: ','.join(value) if isinstance(value, tuple) else value
    for name, value in config.items()
  }
  summary = hparams.hparams_pb(values).SerializeToString()
  _write_once(folder, 'hparams', summary, 0)


def write_figure(
  folder: str | os.PathLike[str], path: str | os.PathLike[str], env_frames: int
) -> None:
  """Writes a PNG as the image `curves`, into a file of its own."""
  image = tf.compat.v1.Summary.Image(
    encoded_image_string=pathlib.Path(path).read_bytes()
  )
  value = tf.compat.v1.Summary.Value(tag='curves', image=image)
  summary = tf.compat.v1.Summary(value=[value])
  _write_once(folder, 'curves', summary.SerializeToString(), env_frames)


def _write_once(
  folder: str | os.PathLike[str], name: str, summary: bytes, env_frames: int
) -> None:
  try:
    writer = _open_file(pathlib.Path(folder), name)
    writer.add_summary(summary, global_step=env_frames)
    writer.close()
  except (RuntimeError, IndexError) as error:  # As in Events.
    logging.error('TensorBoard lacks a summary: %s', error)


def _open(
  folder: pathlib.Path, env_frames: int
) -> tf.compat.v1.summary.FileWriter:
  """A new file of rows; named so that they sort."""
  return _open_file(folder, f'{env_frames:012d}')


def _open_file(
  folder: pathlib.Path, suffix: str
) -> tf.compat.v1.summary.FileWriter:
  """A new file; two of one second and one suffix would be the same."""
  with tf.Graph().as_default():  # FileWriter refuses eager mode.
    return tf.compat.v1.summary.FileWriter(
      str(folder), filename_suffix=f'.{suffix}'
    )
