"""A panel or a line in a terminal; in a log file a line now and then."""

from collections.abc import Callable, Sequence
import contextlib
import os
import sys
from typing import Protocol, TextIO

from absl import logging
import tqdm
from tqdm import contrib

from learner.reporting import csv_table
from learner.reporting import panel

_LOG_SECS = 30.0  # Between the lines in a log file.
_LIVE_FORMAT = '{n_fmt}/{total_fmt}|{bar}|ETA {remaining} {rate_fmt} {desc}'
_LOG_FORMAT = '{n_fmt}/{total_fmt} frames, ETA {remaining}, {rate_fmt}, {desc}'


class Display(Protocol):
  """What shows how a run goes."""

  def advance(self, env_frames: int) -> None:
    """Moves; cheap enough for every update."""

  def show(self, row: csv_table.Row) -> None:
    """Shows a row of metrics.csv."""

  def close(self) -> None:
    """Ends."""


def make(
  total_env_frames: int,
  env_frames: int,
  learned: Sequence[str],
  num_actors: Callable[[], int],
) -> Display:
  """A panel in a terminal that has room for it, lines elsewhere."""
  if sys.stderr.isatty():
    size = os.get_terminal_size(sys.stderr.fileno())
    if size.lines >= panel.LEAST_HEIGHT and size.columns >= panel.LEAST_WIDTH:
      return panel.Panel(total_env_frames, env_frames, learned, num_actors)
  return Progress(total_env_frames, env_frames, learned)


class Progress:
  """Shows frames, mean return, policy lag and the meta-parameters' values.

  learned: the names of the meta-parameters.
  """

  def __init__(
    self, total_env_frames: int, env_frames: int, learned: Sequence[str]
  ) -> None:
    self._learned = learned
    self._live = sys.stderr.isatty()
    self._out: TextIO
    if self._live:
      self._out = sys.stderr
      # Log messages go above the progress line and not through it.
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

  def advance(self, env_frames: int) -> None:
    """Moves the line; cheap enough for every update."""
    with contextlib.suppress(OSError):  # The terminal may be closed.
      self._bar.update(env_frames - self._bar.n)

  def show(self, row: csv_table.Row) -> None:
    """Shows a row of metrics.csv."""
    # Short, so that 80 columns hold the line of two meta-parameters.
    values = [
      f'{name.strip("_")} {f"{row[name]:.3f}".removeprefix("0")}'
      for name in self._learned
    ]
    self._bar.set_description_str(
      ' '.join(
        [
          f'return {row["mean_return_100"]:.3g}',
          f'lag {row["policy_lag"]:.0f}',
          *values,
        ]
      ),
      refresh=False,
    )
    self.advance(int(row['env_frames']))
    if not self._live and row['seconds'] >= self._next_log:
      self._next_log = row['seconds'] + _LOG_SECS
      logging.info('%s', self._bar)

  def close(self) -> None:
    """Ends the line."""
    with contextlib.suppress(OSError):
      self._bar.close()
    if self._live:
      _redirect_stderr(self._out)
    else:
      self._out.close()


def _redirect_stderr(stream: TextIO | contrib.DummyTqdmFile) -> None:
  sys.stderr = stream
  logging.get_absl_handler().python_handler.setStream(stream)
