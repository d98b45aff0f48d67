"""Runs of other systems for a report: --external=NAME:PATH.

PATH is a CSV file with the columns game, seed, env_frames and mean_return, a
row for each point of a curve; or a folder with TensorBoard events of each run
in <game>/<seed>/, whose steps are frames with action repeat. mean_return is raw
and of whole games.
"""

import pathlib
from typing import NamedTuple

import numpy as np

from experiments.comparison import csv_files

_COLUMNS = ('game', 'seed', 'env_frames', 'mean_return')
_WHOLE = 0.99  # Part of the frames: batches end a little before or after them.


class Curve(NamedTuple):
  """The mean return of one run over its frames."""

  env_frames: np.ndarray  # Ascending.
  mean_returns: np.ndarray

  def score(self, env_frames: int) -> float | None:
    """The mean return after so many frames; None if there were not as many."""
    if self.env_frames[-1] < _WHOLE * env_frames:
      return None
    return float(np.interp(env_frames, self.env_frames, self.mean_returns))


Runs = dict[tuple[str, int], Curve]  # By game and seed.


def read(argument: str, tag: str = '') -> tuple[str, Runs]:
  """Reads NAME:PATH; tag names the returns among TensorBoard's scalars.

  Raises:
    FileNotFoundError: no such path.
    ValueError: the file is damaged, the folder holds no run, or no such tag.
  """
  name, colon, rest = argument.partition(':')
  if not (name and colon and rest):
    raise ValueError(f'--external must be NAME:PATH, got {argument!r}.')
  path = pathlib.Path(rest)
  if not path.exists():
    raise FileNotFoundError(f'--external={argument}: there is no {path}.')
  if not path.is_dir():
    return name, _read_csv(path)
  if not tag:
    raise ValueError(
      f'{path} is a folder of events: --external_tag must name the scalar.'
    )
  return name, _read_events(path, tag)


def _read_csv(path: pathlib.Path) -> Runs:
  points: dict[tuple[str, int], list[tuple[float, float]]] = {}
  for row in csv_files.read(path, _COLUMNS):
    key = row.fields['game'].strip(), row.integer('seed')
    point = row.number('env_frames'), row.number('mean_return')
    points.setdefault(key, []).append(point)
  if not points:
    raise ValueError(f'{path} holds no run.')
  return {
    (game, seed): _curve(run, f'{path}, {game}, seed {seed},')
    for (game, seed), run in points.items()
  }


def _read_events(folder: pathlib.Path, tag: str) -> Runs:
  runs = {}
  for path in sorted(folder.glob('*/*/')):
    if not path.name.isdecimal():
      raise ValueError(f'{path} must be called by its seed: <game>/<seed>.')
    runs[path.parent.name, int(path.name)] = _curve(
      _points(path, tag), f'{tag!r} of {path}'
    )
  if not runs:
    raise ValueError(f'{folder} holds no folder <game>/<seed>.')
  return runs


def _points(path: pathlib.Path, tag: str) -> list[tuple[float, float]]:
  from tensorboard.backend.event_processing import event_accumulator
  from tensorboard.util import tensor_util

  events = event_accumulator.EventAccumulator(
    str(path), {event_accumulator.SCALARS: 0, event_accumulator.TENSORS: 0}
  )
  events.Reload()
  tags = events.Tags()
  if tag in tags['scalars']:
    return [(event.step, event.value) for event in events.Scalars(tag)]
  if tag in tags['tensors']:  # TensorFlow 2's tf.summary.scalar.
    return [
      (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
      for event in events.Tensors(tag)
    ]
  raise ValueError(
    f'{path} has no scalar {tag!r}, but'
    f' {sorted(tags["scalars"] + tags["tensors"])}.'
  )


def _curve(points: list[tuple[float, float]], where: str) -> Curve:
  """Without the points that have no return: none has ended at first."""
  known = [point for point in points if np.isfinite(point).all()]
  if not known:
    raise ValueError(f'{where} has no finite return.')
  env_frames, mean_returns = np.array(sorted(known)).T
  return Curve(env_frames, mean_returns)
