"""Logs what peers cause, a limited number of lines of each kind.

A flood fills no disk: what was left out is counted.
"""

from collections.abc import Callable
import dataclasses
import time
from typing import Any

from absl import logging

_BURST = 200.0  # Lines of a kind at once,
_PER_SEC = 0.2  # and from then on, or again after a pause.


@dataclasses.dataclass
class _Kind:
  """How many more lines of one kind may be written."""

  allowed: float
  at: float
  left_out: int = 0


class LimitedLog:
  """A log whose lines are of kinds that do not crowd out one another.

  Kinds are plural nouns: "refusals".
  """

  def __init__(self, clock: Callable[[], float] = time.monotonic):
    self._clock = clock
    self._kinds: dict[str, _Kind] = {}

  @logging.skip_log_prefix
  def info(self, kind: str, message: str, *args: Any) -> None:
    """Logs a line that is expected, or counts it."""
    self._log(logging.INFO, kind, message, args)

  @logging.skip_log_prefix
  def warning(self, kind: str, message: str, *args: Any) -> None:
    """Logs a line that somebody should see, or counts it."""
    self._log(logging.WARNING, kind, message, args)

  def flush(self) -> None:
    """Says what was left out, of the kinds that may have a line again."""
    for name, kind in self._kinds.items():
      if kind.left_out and self._take(kind):
        logging.warning('%d more %s, not logged', kind.left_out, name)
        kind.left_out = 0

  @logging.skip_log_prefix
  def _log(
    self, level: int, name: str, message: str, args: tuple[Any, ...]
  ) -> None:
    kind = self._kinds.setdefault(name, _Kind(_BURST, self._clock()))
    if kind.left_out or not self._take(kind):
      kind.left_out += 1  # The next line of the kind says how many.
    else:
      logging.log(level, message, *args)

  def _take(self, kind: _Kind) -> bool:
    now = self._clock()
    refill = _PER_SEC * (now - kind.at)
    kind.allowed, kind.at = min(_BURST, kind.allowed + refill), now
    if kind.allowed < 1.0:
      return False
    kind.allowed -= 1.0
    return True
