"""When a process that has ended is started again: the same here and on Ray."""

from collections.abc import Callable
import time

from experiments.launch import processes
from learner.reporting import idle

_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 5.0, 60.0  # Before a restart.
_UNREACHABLE = 3  # An actor's status when it has not reached the learner;
_UNREACHABLE_SECS = 600.0  # that takes it --reconnect_secs, and is a failure.
_MAX_FAILURES = 5  # In a row, each within _LONGEST_PAUSE_SECS of its start.


class Supervised:
  """A process that is started again until that cannot help any more.

  `status` is None until then, and the last exit status afterwards.
  """

  def __init__(
    self,
    name: str,
    start: Callable[[], None],
    *,
    log: str,
    final: tuple[int, ...] = (),
  ):
    """Starts the process.

    log: where its output is, for messages. final: exit statuses after which
    another start would change nothing.
    """
    self.status: int | None = None
    self._name = name
    self._start = start
    self._log = log
    self._final = final
    self._failures = 0
    self._restart_at: float | None
    self._run()

  def tend(self, status: int | None) -> None:
    """Starts the process again once it has ended and its pause is over.

    status: of the process that was started last; None while it runs.
    """
    if status is None or self.status is not None:
      return
    if self._restart_at is None:
      self._restart_at = self._after(status)
    elif time.monotonic() >= self._restart_at:
      processes.say(
        f'{self._name} ended with status {status} and starts again:'
        f' see {self._log}.{self._error()}'
      )
      self._run()

  def _run(self) -> None:
    self._start()
    self._started = time.monotonic()
    self._restart_at = None

  def _error(self) -> str:
    error = idle.last_error(self._log)
    return f' It says: {error}' if error else ''

  def _after(self, status: int) -> float | None:
    """When to start again after an end; None where it would be in vain."""
    now = time.monotonic()
    lived = now - self._started
    short = _LONGEST_PAUSE_SECS if status != _UNREACHABLE else _UNREACHABLE_SECS
    self._failures = 1 if lived > short else self._failures + 1
    if status in self._final:
      self.status = status
      return None
    if self._failures > _MAX_FAILURES:
      self.status = status
      processes.say(
        f'{self._name} ended {self._failures} times in a row, with status'
        f' {status} at last, and is given up: see {self._log}.{self._error()}'
      )
      return None
    if status == 0:  # An actor: training is over, or else somebody ended it.
      return now + _LONGEST_PAUSE_SECS
    return now + min(
      _FIRST_PAUSE_SECS * 2.0 ** (self._failures - 1), _LONGEST_PAUSE_SECS
    )
