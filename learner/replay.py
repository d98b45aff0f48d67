"""Meta-parameters that follow those of another run instead of a gradient.

Was it the adaptation that helped, or a better constant? A fresh seed trains
with eta(t) of a run, or with the values that it ended at.
"""

from collections.abc import Sequence
import csv
import pathlib
from typing import Any, NamedTuple

from absl import logging
import numpy as np
import tensorflow as tf

from learner.storage import files
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types
from seed_metagrad.meta_gradients import meta_parameters
from seed_metagrad.meta_gradients import rules as rules_lib

_FINAL = ':final'


class Recording(NamedTuple):
  """Logits by frames: each holds until the next one's frames."""

  env_frames: np.ndarray  # int64 [N], rising.
  logits: dict[str, np.ndarray]  # float32 [N], by name.

  def at(self, env_frames: tf.Tensor) -> dict[str, tf.Tensor]:
    """The logits at so many frames, before the first row those of it."""
    index = tf.searchsorted(
      self.env_frames, tf.reshape(env_frames, [1]), side='right'
    )[0]
    index = tf.maximum(index - 1, 0)
    return {name: tf.constant(x)[index] for name, x in self.logits.items()}


def read(run: str, config: config_lib.Config) -> Recording:
  """Reads the values of config.learned from a run's metrics.csv.

  run: its workdir; with `:final` at the end, its last row alone.

  Raises:
    OSError: there is no such file.
    ValueError: no rows, no column of that name, or a value out of its bounds.
  """
  folder = pathlib.Path(run.removesuffix(_FINAL)).expanduser()
  path = folder / 'metrics.csv'
  try:
    rows = list(csv.DictReader(files.read_text(path).splitlines()))
    rows = rows[-1:] if run.endswith(_FINAL) else rows
    if not rows:
      raise ValueError('it has no row')
    recording = _recording(rows, config)
  except (ValueError, csv.Error) as error:
    message = str(error).rstrip('.')
    raise ValueError(f'replay_eta: {path}: {message}.') from None
  logging.info(
    'Meta-parameters are those of %s, %d rows to %d frames',
    path,
    len(rows),
    recording.env_frames[-1],
  )
  return recording


def _recording(
  rows: list[dict[str, str]], config: config_lib.Config
) -> Recording:
  names = ('env_frames', *config.learned)
  for name in names:
    if name not in rows[0]:
      raise ValueError(f'it has no column {name}')
  columns = {
    name: [float(row[name] or 'nan') for row in rows] for name in names
  }
  bounds = config_lib.bounds(config)
  eta = [
    meta_parameters.init(dict(zip(config.learned, values)), bounds)
    for values in zip(*(columns[name] for name in config.learned))
  ]
  env_frames = np.array(columns['env_frames'], np.int64)
  if (np.diff(env_frames) <= 0).any():
    raise ValueError('env_frames do not rise from row to row')
  return Recording(
    env_frames,
    {
      name: np.array([one[name] for one in eta], np.float32)
      for name in config.learned
    },
  )


def start(
  recording: Recording, state: types.LearnerState
) -> types.LearnerState:
  """The state with the meta-parameters of its frames."""
  return state._replace(eta=recording.at(state.env_frames))


def follow(recording: Recording, update: agent_lib.Update) -> agent_lib.Update:
  """The update, but for what it makes of the meta-parameters."""

  def followed(
    state: types.LearnerState,
    unrolls: Sequence[types.Unroll[Any]],
    meta_unrolls: Sequence[types.Unroll[Any]],
  ) -> tuple[types.LearnerState, rules_lib.Metrics]:
    new, metrics = update(state, unrolls, meta_unrolls)
    return start(recording, new), metrics

  return followed
