"""What a person sees of a run: rows, scalars, live line, summary, picture.

A resumed run goes on without a fold: what was written for frames after the
restored checkpoint is dropped, since these frames are trained on again.
"""

from collections.abc import Iterable
import contextlib
import csv
import io
import os
import pathlib
import sys
from typing import Any, NamedTuple, TextIO

from absl import logging
import tensorflow as tf
import tqdm
from tqdm import contrib

from learner.storage import files

Row = dict[str, float | int]

_EPISODE_COLUMNS = ('env_frames', 'return', 'length')
_LOG_SECS = 30.0  # Between the lines that stand for the live one in a log.
_LIVE_FORMAT = '{n_fmt}/{total_fmt}|{bar}|ETA {remaining} {rate_fmt} {desc}'
_LOG_FORMAT = '{n_fmt}/{total_fmt} frames, ETA {remaining}, {rate_fmt}, {desc}'


class Summary(NamedTuple):
  """How a run ended: the keys of summary.json."""

  env_frames: int
  num_updates: int
  mean_return_100: float  # Raw; NaN, null in the file, without an episode.
  episodes: int
  discount: float
  lambda_: float
  frames_per_s: float
  learned: tuple[str, ...]
  game: str
  seconds: float


class Writer:
  """Writes metrics.csv, episodes.csv, TensorBoard's events and a live line.

  One thread calls it.
  """

  def __init__(
    self,
    workdir: str | os.PathLike,
    *,
    total_env_frames: int,
    restored_env_frames: int = 0,
  ):
    """Opens the files, dropping what lies after `restored_env_frames`."""
    workdir = self._workdir = pathlib.Path(workdir)
    self._rows = _Table(workdir / 'metrics.csv', restored_env_frames)
    self._episodes = _Table(workdir / 'episodes.csv', restored_env_frames)
    self._events = _open_events(workdir, restored_env_frames)
    # TensorBoard drops the steps from here on of the events before.
    self._events.add_session_log(
      tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START),
      global_step=restored_env_frames + 1,
    )
    self._progress = _Progress(total_env_frames, restored_env_frames)

  def write(self, row: Row):
    """Writes one row; its keys are those of the first row of the file.

    It holds at least env_frames, seconds and what the live line shows:
    mean_return_100, discount, lambda_ and policy_lag.
    """
    self._rows.append(row)
    self._progress.show(row)
    self.flush()
    self._write_event(row)

  def add_episode(self, env_frames: int, raw_return: float, length: int):
    """Notes a finished episode of `length` env steps; buffered."""
    self._episodes.append(
      dict(zip(_EPISODE_COLUMNS, (env_frames, raw_return, length)))
    )

  def advance(self, env_frames: int):
    """Moves the live line; cheap enough for every update."""
    self._progress.advance(env_frames)

  def flush(self):
    """Gives buffered rows to the system; to be called before a checkpoint."""
    self._rows.flush()
    self._episodes.flush()

  def close(self):
    """Ends the live line and closes the files."""
    self._progress.close()
    self._rows.close()
    self._episodes.close()
    if self._events:
      # All rows are flushed: a full disk costs the mark of a start at most.
      with contextlib.suppress(RuntimeError, IndexError):
        self._events.close()

  def _write_event(self, row: Row):
    values = [
      tf.compat.v1.Summary.Value(tag=name, simple_value=float(value))
      for name, value in row.items()
      if name != 'env_frames'
    ]
    try:
      self._events = self._events or _open_events(
        self._workdir, row['env_frames']
      )
      self._events.add_summary(
        tf.compat.v1.Summary(value=values), global_step=row['env_frames']
      )
      self._events.flush()
    except (RuntimeError, IndexError) as error:  # So it says ENOSPC and EFBIG.
      logging.error(
        'TensorBoard lacks the row of %d frames: %s', row['env_frames'], error
      )
      self._events = None  # It has closed itself: a new file, with room.


def _open_events(workdir: pathlib.Path, env_frames: int):
  """A new file of events; named so that they sort."""
  with tf.Graph().as_default():  # FileWriter refuses eager mode.
    return tf.compat.v1.summary.FileWriter(
      str(workdir / 'tensorboard'), filename_suffix=f'.{env_frames:012d}'
    )


def write_summary(workdir: str | os.PathLike, summary: Summary):
  """Writes summary.json; NaN and infinity become null."""
  files.write_json(pathlib.Path(workdir) / 'summary.json', summary._asdict())


def plot(workdir: str | os.PathLike) -> pathlib.Path:
  """Draws curves.png, returns and learned values over frames, from the rows.

  Raises:
    ValueError: metrics.csv has no row.
  """
  from matplotlib import figure  # Slow to import: only when a run ends.

  workdir = pathlib.Path(workdir)
  with open(workdir / 'metrics.csv', newline='', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  if not rows:
    raise ValueError(f'{workdir / "metrics.csv"} has no row to draw.')
  columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
  millions = [frames / 1e6 for frames in columns['env_frames']]
  picture = figure.Figure(figsize=(8, 6), layout='constrained')
  above, below = picture.subplots(2, sharex=True)
  above.plot(millions, columns['mean_return_100'])
  above.set_ylabel('raw return, mean of 100 episodes')
  prefix = 'meta_gradient_'
  learned = [
    name.removeprefix(prefix) for name in columns if name.startswith(prefix)
  ]
  for name in dict.fromkeys(['discount', 'lambda_', *learned]):
    fixed = '' if name in learned else ' (fixed)'
    below.plot(millions, columns[name], label=name.rstrip('_') + fixed)
  below.set_ylabel('value')
  below.set_xlabel('million frames')
  below.legend()
  for axes in (above, below):
    axes.grid(alpha=0.3)
  path = workdir / 'curves.png'
  picture.savefig(path, dpi=120)
  return path


class _Table:
  """A CSV file that rows are added to; its first row names the columns.

  Rows that find the disk full wait until there is room.
  """

  def __init__(self, path: pathlib.Path, restored_env_frames: int):
    rows = _whole_rows(path)
    self._columns = rows[0] if rows else None
    if rows:
      index = rows[0].index('env_frames')
      kept = [
        row for row in rows[1:] if float(row[index]) <= restored_env_frames
      ]
      lines = [','.join(row) + '\n' for row in [rows[0], *kept]]
      files.write_atomic(path, ''.join(lines))
    self._file = open(path, 'ab', buffering=0)
    self._waiting = bytearray()

  def append(self, row: Row):
    if self._columns is None:
      self._columns = list(row)
      self._add(self._columns)
    if set(row) != set(self._columns):
      raise ValueError(
        f'{self._file.name} has the columns {self._columns},'
        f' got a row of {list(row)}.'
      )
    self._add(row[name] for name in self._columns)

  def flush(self):
    try:
      while self._waiting:
        del self._waiting[: self._file.write(self._waiting)]
    except OSError as error:
      logging.error('Rows of %s wait: %s', self._file.name, error)

  def close(self):
    self.flush()
    self._file.close()

  def _add(self, values: Iterable[Any]):
    line = io.StringIO()
    csv.writer(line, lineterminator='\n').writerow(values)
    self._waiting += line.getvalue().encode()


def _whole_rows(path: pathlib.Path) -> list[list[str]]:
  """The header and the rows; the last one may have been cut by a crash."""
  if not path.exists():
    return []
  with open(path, newline='', encoding='utf-8') as file:
    lines = [line for line in file if line.endswith('\n')]
  return list(csv.reader(lines))


class _Progress:
  """The live line of a terminal; a line now and then in a log file."""

  def __init__(self, total_env_frames: int, env_frames: int):
    self._live = sys.stderr.isatty()
    if self._live:
      self._out = sys.stderr
      # Log lines go above the live one and not through it.
      _redirect_stderr(contrib.DummyTqdmFile(sys.stderr))
    else:
      self._out = open(os.devnull, 'w', encoding='utf-8')
    self._next_log = 0.0
    self._bar = tqdm.tqdm(
      total=total_env_frames,
      initial=env_frames,
      unit='f',
      unit_scale=True,
      dynamic_ncols=True,
      file=self._out,
      bar_format=_LIVE_FORMAT if self._live else _LOG_FORMAT,
    )

  def advance(self, env_frames: int):
    self._bar.update(env_frames - self._bar.n)

  def show(self, row: Row):
    # Short, so that 80 columns hold it all.
    discount, lambda_ = (
      f'{row[name]:.3f}'.removeprefix('0') for name in ('discount', 'lambda_')
    )
    self._bar.set_description_str(
      f'return {row["mean_return_100"]:.3g} discount {discount}'
      f' lambda {lambda_} lag {row["policy_lag"]:.0f}',
      refresh=False,
    )
    self.advance(row['env_frames'])
    if not self._live and row['seconds'] >= self._next_log:
      self._next_log = row['seconds'] + _LOG_SECS
      logging.info('%s', self._bar)

  def close(self):
    self._bar.close()
    if self._live:
      _redirect_stderr(self._out)
    else:
      self._out.close()


def _redirect_stderr(stream: TextIO):
  sys.stderr = stream
  logging.get_absl_handler().python_handler.setStream(stream)
