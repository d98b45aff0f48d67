"""Trains on this machine: one learner process and its actors.

Ctrl-C saves and stops; the same command on the same --workdir goes on.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from absl import flags

from learner import config_flags
from seed_metagrad import config as config_lib

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_LEARNER, _ACTOR = 'learner.main', 'actors.main'
_POLL_SECS = 0.2
_LEARNER_GRACE_SECS = 60.0  # To finish an update, save and draw.
_ACTOR_GRACE_SECS = 5.0
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 5.0, 60.0  # Before a restart.
_MAX_FAILURES = 5  # In a row, each within _LONGEST_PAUSE_SECS of its start.


def define_flags(flag_values: flags.FlagValues):
  """Defines the config's flags and --restart."""
  config_flags.define(flag_values)
  flags.DEFINE_bool(
      'restart', False, 'Move the old contents of the workdir aside and start'
      ' anew.', flag_values=flag_values)


def run(flag_values: flags.FlagValues) -> int:
  """Trains until the learner ends; returns its exit status."""
  try:
    config = config_flags.read(flag_values)
  except ValueError as error:
    sys.exit(f'seed-metagrad train: {error}')
  names = [field.name for field in dataclasses.fields(config)]
  passed = [flag_values[name].serialize()
            for name in ('preset', 'restart', *names)
            if flag_values[name].present]
  with tempfile.TemporaryDirectory() as folder, _stop_signals() as signals:
    address_file = pathlib.Path(folder) / 'address'
    learner = _start(_LEARNER, [
        *passed, '--address=127.0.0.1:0', f'--address_file={address_file}'])
    actors = []
    try:
      _wait_for_address(learner, address_file, signals)
      if address_file.exists() and not signals:
        actors = _make_actors(config, address_file.read_text())
      return _tend(learner, actors, signals)
    finally:
      _end([learner], _LEARNER_GRACE_SECS)
      processes = [actor.process for actor in actors]
      if not signals:
        _wait(processes, _ACTOR_GRACE_SECS)  # The learner told them.
      _end(processes, _ACTOR_GRACE_SECS)


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
  """A list that grows by each signal which asks for the end."""
  arrived = []
  before = {
      number: signal.signal(number, lambda number, _: arrived.append(number))
      for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
  try:
    yield arrived
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


class _Actor:
  """An actor process that is started again when it ends too early."""

  def __init__(self, index: int, arguments: list[str], log: pathlib.Path):
    self.process = None
    self.given_up = False
    self._name = f'actor-{index}'
    self._arguments = arguments
    self._log = log
    self._failures = 0
    self._start()

  def _start(self):
    with open(self._log, 'ab') as log:
      self.process = _start(_ACTOR, self._arguments, log)
    self._started = time.monotonic()
    self._start_again = None

  def tend(self):
    """Starts the process again after a pause if it has ended."""
    status, now = self.process.poll(), time.monotonic()
    # Status 0: the learner told it that training is over.
    if not status or self.given_up:
      return
    if self._start_again is None:
      lived = now - self._started
      self._failures = 1 if lived > _LONGEST_PAUSE_SECS else self._failures + 1
      pause = _FIRST_PAUSE_SECS * 2**(self._failures - 1)
      self._start_again = now + min(pause, _LONGEST_PAUSE_SECS)
    elif self._failures > _MAX_FAILURES:
      self.given_up = True
      _say(f'{self._name} ended {self._failures} times in a row, with status'
           f' {status} at last, and is given up: see {self._log}.')
    elif now >= self._start_again:
      _say(f'{self._name} ended with status {status} and starts again: see'
           f' {self._log}.')
      self._start()


def _make_actors(config: config_lib.Config, address: str) -> list[_Actor]:
  logs = pathlib.Path(config.workdir) / 'logs'
  logs.mkdir(exist_ok=True)
  return [
      _Actor(index, [
          f'--address={address.strip()}', f'--index={index}',
          f'--env={config.env}', f'--seed={config.seed}',
          f'--envs_per_group={config.envs_per_group}',
          f'--env_threads={config.env_threads}',
          f'--sticky_actions={config.sticky_actions}',
      ], logs / f'actor-{index}.log')
      for index in range(config.num_actors)]


def _wait_for_address(learner: subprocess.Popen, address_file: pathlib.Path,
                      signals: list[int]):
  while learner.poll() is None and not signals and not address_file.exists():
    time.sleep(_POLL_SECS)


def _tend(learner: subprocess.Popen, actors: list[_Actor],
          signals: list[int]) -> int:
  """Keeps the actors going until the end; returns the exit status."""
  while learner.poll() is None and not signals:
    for actor in actors:
      actor.tend()
    if actors and all(actor.given_up for actor in actors):
      _say('No actor is left: stopping.')
      _end([learner], _LEARNER_GRACE_SECS)
      return 1
    time.sleep(_POLL_SECS)
  if learner.poll() is None:
    _stop(learner, signals)
  if learner.returncode < 0:
    name = signal.Signals(-learner.returncode).name
    _say(f'The learner was ended by {name}.')
    return 128 - learner.returncode
  return learner.returncode


def _stop(learner: subprocess.Popen, signals: list[int]):
  """Lets the learner save, but not for ever and not against the user."""
  _say('Stopping: the learner saves. Once more to stop at once.')
  learner.terminate()
  deadline = time.monotonic() + _LEARNER_GRACE_SECS
  while (learner.poll() is None and len(signals) < 2
         and time.monotonic() < deadline):
    time.sleep(_POLL_SECS)
  learner.kill()  # Does nothing to a process that has ended.
  learner.wait()


def _start(module: str, arguments: list[str], log=None) -> subprocess.Popen:
  """Starts a module that ends with this process.

  In a process group of its own: Ctrl-C reaches this process alone.
  """
  path = os.pathsep.join(
      filter(None, [str(_ROOT), os.environ.get('PYTHONPATH')]))
  return subprocess.Popen(
      [sys.executable, '-m', 'experiments.child', module, *arguments],
      stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0,
      env={**os.environ, 'PYTHONPATH': path})


def _wait(processes: list[subprocess.Popen], secs: float):
  """Waits until all have ended, or for `secs` seconds."""
  deadline = time.monotonic() + secs
  for process in processes:
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(max(0.0, deadline - time.monotonic()))


def _end(processes: list[subprocess.Popen], grace_secs: float):
  """Asks those that still run to end, and forces them after a while."""
  for process in processes:
    process.terminate()
  _wait(processes, grace_secs)
  for process in processes:
    process.kill()
    process.wait()


def _say(message: str):
  """Prints a line, in a terminal over the learner's live one."""
  clear = '\r\x1b[K' if sys.stderr.isatty() else ''
  print(f'{clear}{message}', file=sys.stderr, flush=True)
