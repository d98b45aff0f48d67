"""The live panel of a terminal: how a run goes, where its values go."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import datetime
import math
import sys
import time
from typing import TextIO

from absl import logging
from rich import box
from rich import console as console_lib
from rich import live
from rich import panel
from rich import progress_bar
from rich import table
from rich import text

from learner.reporting import csv_table

LEAST_HEIGHT, LEAST_WIDTH = 14, 60  # A smaller terminal gets a line.
_REFRESH_SECS = 0.25
_SPARKS = '▁▂▃▄▅▆▇█'
_SPARKLINE = 20  # Rows of metrics.csv: four columns of text fit 80.
_VALUE_WIDTH = 12
_NOISE = 0.02  # Signal to noise of a meta-gradient that is only noise.
_LEAST_UPDATES = 1000  # Before noise is said.


class Panel:
  """Shows rows of metrics.csv; log messages go above it.

  learned: the names of the meta-parameters. num_actors: how many hold a lease.
  """

  def __init__(
    self,
    total_env_frames: int,
    env_frames: int,
    learned: Sequence[str],
    num_actors: Callable[[], int],
  ) -> None:
    self._total, self._env_frames = total_env_frames, env_frames
    self._learned, self._num_actors = learned, num_actors
    self._rows: list[csv_table.Row] = []  # The newest.
    self._next_refresh = 0.0
    self._stderr = sys.stderr
    self._live = live.Live(
      console=_Console(file=sys.stderr),
      auto_refresh=False,
      redirect_stdout=False,
      get_renderable=self._draw,
    )
    self._live.start()
    _log_to(sys.stderr)  # Now rich's own.

  def advance(self, env_frames: int) -> None:
    """Moves the bar; cheap enough for every update."""
    self._env_frames = env_frames
    if time.monotonic() >= self._next_refresh:
      self._next_refresh = time.monotonic() + _REFRESH_SECS
      self._refresh()

  def show(self, row: csv_table.Row) -> None:
    """Shows a row of metrics.csv."""
    self._rows = [*self._rows[1 - _SPARKLINE :], row]
    self._env_frames = int(row['env_frames'])
    self._refresh()

  def close(self) -> None:
    """Leaves the panel as it stands."""
    self._refresh()
    with contextlib.suppress(OSError):
      self._live.stop()
    sys.stderr = self._stderr
    _log_to(self._stderr)

  def _refresh(self) -> None:
    with contextlib.suppress(OSError):  # The terminal may be closed.
      self._live.refresh()

  def _draw(self) -> panel.Panel:
    lines = table.Table.grid(padding=(0, 2))
    name_width = max(map(len, (*self._learned, 'frames')))
    for width in (name_width, _VALUE_WIDTH, _SPARKLINE, 1):
      lines.add_column(min_width=width, no_wrap=True, overflow='ellipsis')
    lines.add_row(
      'frames',
      f'{_short(self._env_frames)} of {_short(self._total)}',
      progress_bar.ProgressBar(self._total, self._env_frames, width=_SPARKLINE),
      self._speed(),
    )
    if self._rows:
      self._add_values(lines)
    body: list[console_lib.RenderableType] = [lines]
    if self._rows:
      found = warnings(self._rows[-1], self._num_actors(), self._learned)
      body += [text.Text(f'! {line}', style='yellow') for line in found]
    return panel.Panel(
      console_lib.Group(*body), title='seed_metagrad', box=box.ROUNDED
    )

  def _speed(self) -> str:
    if not self._rows:
      return 'waiting for the first row'
    speed = float(self._rows[-1]['frames_per_s'])
    left = max(self._total - self._env_frames, 0) / max(speed, 1e-9)
    eta = datetime.timedelta(seconds=min(round(left), 10**8))
    return f'{speed:,.0f} frames/s, ETA {eta}'

  def _add_values(self, lines: table.Table) -> None:
    row = self._rows[-1]
    for name, shown, digits in (
      ('mean_return_100', 'return', 2),
      *((name, name.strip('_'), 4) for name in self._learned),
    ):
      values = [float(row[name]) for row in self._rows]
      more = ''
      if name in self._learned:
        more = _learning(row, name)
      lines.add_row(
        shown,
        f'{values[-1]:.{digits}f} {trend(values)}',
        sparkline(values),
        more,
      )
    lines.add_row(
      'actors',
      str(self._num_actors()),
      f'lag {row["policy_lag"]:.1f} updates',
      f'{row["queue"]:.0f} wait, {row["episodes"]:,.0f} episodes',
    )


class _Console(console_lib.Console):
  """Leaves the cursor as it is: a process that is killed cannot restore it."""

  def show_cursor(self, show: bool = True) -> bool:
    del show
    return False


def sparkline(values: Sequence[float]) -> str:
  """A bar a value, the lowest to the highest; a space where it is NaN."""
  finite = [value for value in values if math.isfinite(value)]
  low, high = min(finite, default=0.0), max(finite, default=0.0)
  scale = (len(_SPARKS) - 1) / ((high - low) or 1.0)
  return ''.join(
    _SPARKS[round((value - low) * scale)] if math.isfinite(value) else ' '
    for value in values
  )


def trend(values: Sequence[float]) -> str:
  """Where the values go, by the means of their older and newer half."""
  half = len(values) // 2
  older, newer = sum(values[:half]), sum(values[len(values) - half :])
  return '↑' if newer > older else '↓' if newer < older else ' '


def warnings(
  row: csv_table.Row, num_actors: int, learned: Sequence[str]
) -> Iterator[str]:
  """What is wrong with a run, a line each."""
  if not num_actors:
    yield 'no actor is connected'
  if row['skipped_updates']:
    yield f'{row["skipped_updates"]:.0f} updates were not finite and skipped'
  if row['num_updates'] >= _LEAST_UPDATES:
    for name in learned:
      ratio = abs(row.get(f'signal_to_noise_{name}', math.nan))
      if ratio < _NOISE:
        yield f'the meta-gradient of {name.strip("_")} is noise ({ratio:.3f})'


def _learning(row: csv_table.Row, name: str) -> str:
  """How far a logit came, and how clear its meta-gradient is."""
  travelled = row.get(f'travelled_{name}', math.nan)
  ratio = row.get(f'signal_to_noise_{name}', math.nan)
  return f'logit {travelled:+.2f}, s/n {abs(ratio):.2f}'


def _short(frames: int) -> str:
  for unit, size in (('M', 10**6), ('k', 10**3)):
    if frames >= size:
      return f'{frames / size:.3g}{unit}'
  return str(frames)


def _log_to(stream: TextIO) -> None:
  logging.get_absl_handler().python_handler.setStream(stream)
