"""Says on the console that a run does not get on, and what its actors said."""

from collections.abc import Callable
import os
import pathlib
import re
import threading
import time

from absl import logging

_FIRST_SECS, _LONGEST_SECS = 30.0, 600.0  # Between two such lines.
_POLL_SECS = 1.0
_TAIL_BYTES = 1 << 14
_LOG_PREFIX = re.compile(r'(?P<level>[IWEF])\d{4} \S+ +\d+ \S+\] ')  # absl's.


class Watch:
  """Knows since when nothing has been trained.

  logs: the folder of the actors' logs, where this machine has it.
  """

  def __init__(
    self,
    logs: pathlib.Path,
    num_actors: Callable[[], int],
    num_updates: Callable[[], int],
    clock: Callable[[], float] = time.monotonic,
  ):
    self._logs = logs
    self._num_actors = num_actors
    self._num_updates = num_updates
    self._clock = clock
    self._last = num_updates()
    self._since = clock()
    self._next_secs = _FIRST_SECS

  def check(self) -> None:
    """Logs a line after 30 s without an update, then ever less often."""
    now, updates = self._clock(), self._num_updates()
    if updates != self._last:
      self._last, self._since, self._next_secs = updates, now, _FIRST_SECS
    secs = now - self._since
    if secs < self._next_secs:
      return
    self._next_secs += min(self._next_secs, _LONGEST_SECS)
    num_actors = self._num_actors()
    if num_actors:
      what = (
        f'Nothing was trained for {secs:.0f} s; {num_actors} actors joined.'
      )
    else:
      what = f'No actor has joined, and nothing was trained for {secs:.0f} s.'
    logging.warning('%s%s', what, self._actors_error())

  def _actors_error(self) -> str:
    logs = sorted(self._logs.glob('actor-*.log'), key=os.path.getmtime)
    for log in reversed(logs):
      if error := last_error(log):
        return f' At last {log.name} says: {error}'
    return ''


def run(watch: Watch, stop: threading.Event) -> None:
  """Checks every second, until it is stopped."""
  while not stop.wait(_POLL_SECS):
    watch.check()


def last_error(log: str | os.PathLike[str]) -> str:
  """The last line of a log that is no information; empty where there is none.

  What an exception prints is such a line, too.
  """
  try:
    with open(log, 'rb') as file:
      file.seek(max(0, os.path.getsize(log) - _TAIL_BYTES))
      lines = file.read().decode(errors='replace').splitlines()
  except OSError:
    return ''
  for line in reversed(lines):
    prefix = _LOG_PREFIX.match(line)
    if line.strip() and not (prefix and prefix['level'] == 'I'):
      return line[prefix.end() if prefix else 0 :].strip()[:500]
  return ''
