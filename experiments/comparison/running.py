"""Trains and evaluates one run of a study, by our own commands."""

from collections.abc import Callable, Iterator, Mapping
import os
import pathlib
import threading
import time
from typing import NamedTuple

from absl import flags

from benchmarks import measurement
from experiments.comparison import results
from experiments.comparison import study as study_lib
from experiments.launch import processes
from learner.storage import files

_CLI = 'experiments.cli'
_POLL_SECS = 0.2
_TRAINING = 'training'


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of a command that runs many."""
  flags.DEFINE_string(
    'study', None, 'Study file.', required=True, flag_values=flag_values
  )
  flags.DEFINE_string(
    'workdir',
    None,
    'Folder for its results.',
    required=True,
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'parallel',
    0,
    'Runs at a time (0: one for every two cores).',
    lower_bound=0,
    flag_values=flag_values,
  )


def num_parallel(flag_values: flags.FlagValues) -> int:
  """Runs at a time."""
  parallel: int = flag_values.parallel
  return parallel or max(1, (os.cpu_count() or 1) // 2)


class _Stage(NamedTuple):
  """A step of a run: training, or an evaluation."""

  name: str
  is_done: Callable[[], bool]
  arguments: list[str]  # What follows `seed-metagrad`.


class Clock:
  """How long the runs that are not trained yet will take."""

  def __init__(
    self, num_left: int, clock: Callable[[], float] = time.monotonic
  ):
    self._num_left, self._num_done = num_left, 0
    self._clock, self._start = clock, clock()
    self._lock = threading.Lock()  # Guards the counts.

  def one_more(self) -> str:
    """Counts a run; says what is left, at the pace so far."""
    with self._lock:
      self._num_left, self._num_done = self._num_left - 1, self._num_done + 1
      secs = self._num_left * (self._clock() - self._start) / self._num_done
      num_left = self._num_left
    minutes = round(secs / 60)
    return f'{num_left} left, about {minutes // 60}:{minutes % 60:02d} hours'


def do(
  study: study_lib.Study,
  workdir: pathlib.Path,
  this: study_lib.Run,
  launcher: list[str],
  stop: threading.Event,
  title: str,
) -> bool:
  """Trains and evaluates one run; returns whether it is done."""
  folder = results.run_folder(workdir, this)
  failed = results.failure_path(workdir, this)
  for stage in _stages(study, workdir, this, launcher, folder):
    if stop.is_set():
      return False
    if stage.is_done():
      continue
    failed.unlink(missing_ok=True)
    log = workdir / 'logs' / f'{this.name}.log'
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f'{title}: {stage.name}; see {log}')
    start = time.monotonic()
    status = _run_command(stage.arguments, log, stop)
    if stop.is_set():
      return False
    if not stage.is_done():
      reason = _last_line(log)
      failed.parent.mkdir(parents=True, exist_ok=True)
      files.write_json(
        failed, {'stage': stage.name, 'status': status, 'reason': reason}
      )
      say(f'{title}: {stage.name} failed with status {status}: {reason}')
      return False
    if stage.name == _TRAINING:
      files.write_json(
        results.machine_path(workdir, this), measurement.machine()
      )
    say(f'{title}: {stage.name} took {time.monotonic() - start:.0f} s')
  return True


def _stages(
  study: study_lib.Study,
  workdir: pathlib.Path,
  this: study_lib.Run,
  launcher: list[str],
  folder: pathlib.Path,
) -> Iterator[_Stage]:
  """What a run goes through."""
  yield _Stage(
    _TRAINING,
    lambda: results.is_trained(study, workdir, this),
    ['train', *launcher, *flags_of({**study.fields(this), 'workdir': folder})],
  )
  for protocol in study.protocols:
    out = results.evaluation_folder(workdir, this, protocol)
    arguments = [
      'evaluate',
      f'--checkpoint={folder}',
      f'--env={this.game}',
      f'--protocol={protocol}',
      f'--seed={this.seed}',
      f'--out={out}',
    ]
    if study.episodes:
      arguments.append(f'--episodes={study.episodes}')
    if protocol == 'start_states':
      path = results.start_states_path(study, workdir, this.game)
      arguments.append(f'--starts={path}')
    yield _Stage(f'evaluation ({protocol})', out.exists, arguments)


def flags_of(fields: Mapping[str, object]) -> list[str]:
  """Fields of the config as flags of `train`."""
  return [f'--{name}={_flag(value)}' for name, value in fields.items()]


def _flag(value: object) -> str:
  if isinstance(value, (tuple, list)):
    return ','.join(value)
  return str(value)


def _run_command(
  arguments: list[str], log: pathlib.Path, stop: threading.Event
) -> int:
  """Runs one of our commands, that ends with us; returns its status."""
  with open(log, 'ab') as output:
    process = processes.start(_CLI, arguments, output)
  while process.poll() is None:
    if stop.wait(_POLL_SECS):
      process.terminate()  # Training saves.
      process.wait()
  assert process.stdin is not None
  process.stdin.close()
  return process.returncode


def _last_line(log: pathlib.Path) -> str:
  lines = log.read_text(encoding='utf-8', errors='replace').split('\n')
  return next((line for line in reversed(lines) if line.strip()), 'no output')


def say(message: str) -> None:
  """Prints a line at once."""
  print(message, flush=True)
