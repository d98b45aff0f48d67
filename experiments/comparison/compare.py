"""Trains and evaluates the runs of a study that are missing.

The same command goes on after an interruption: what is finished is not done
again, a run in progress continues from its checkpoint, and one that failed is
tried again. Games, seeds and variants may be added to the study meanwhile.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
import os
import pathlib
import shlex
import threading
import time
import tomllib
from typing import NamedTuple

from absl import flags

from experiments.comparison import results
from experiments.comparison import study as study_lib
from experiments.evaluation import record_starts
from experiments.evaluation import start_states
from experiments.launch import processes
from learner.storage import files
from learner.storage import lock
from seed_metagrad import environments

_NUM_STARTS, _MAX_START_FRAMES = 100, 18_000
_CLI = 'experiments.cli'
_POLL_SECS = 0.2


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
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
  flags.DEFINE_bool(
    'dry_run',
    False,
    'Lists the runs, their settings and which of them are trained; no more.',
    flag_values=flag_values,
  )
  flags.DEFINE_enum(
    'launcher',
    'here',
    ['here', 'ray'],
    'Processes on this machine, or on a Ray cluster: of `train`.',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'ray_address', '', 'Address of the Ray cluster.', flag_values=flag_values
  )


class _Stage(NamedTuple):
  """A step of a run: training, or an evaluation."""

  name: str
  is_done: Callable[[], bool]
  arguments: list[str]  # What follows `seed-metagrad`.


def run(flag_values: flags.FlagValues) -> int:
  """Returns 0 when all is done, 1 if a run failed, 130 after a signal."""
  workdir = pathlib.Path(flag_values.workdir)
  study = study_lib.read(flag_values.study)
  if flag_values.dry_run:
    return _list_runs(study, workdir)
  study_lib.check_games(study)
  workdir.mkdir(parents=True, exist_ok=True)
  stop = threading.Event()
  with (
    lock.held(workdir),
    processes.on_stop_signals(lambda unused_number: stop.set()),
  ):
    _adopt(pathlib.Path(flag_values.study), study, workdir)
    if 'start_states' in study.protocols:
      _make_start_states(study, workdir, stop)
    launcher = [
      flag_values[name].serialize()
      for name in ('launcher', 'ray_address')
      if flag_values[name].present
    ]
    parallel = flag_values.parallel or max(1, (os.cpu_count() or 1) // 2)
    return _do_all(study, workdir, parallel, launcher, stop)


def _list_runs(study: study_lib.Study, workdir: pathlib.Path) -> int:
  runs = study.runs()
  trained = [results.is_trained(study, workdir, this) for this in runs]
  for number, (this, is_trained) in enumerate(zip(runs, trained), 1):
    print(f'[{number}/{len(runs)}] {this.name}', '(trained)' * is_trained)
    print('   ', shlex.join(_flags(study.fields(this))))
  print(f'{sum(trained)} of {len(runs)} runs are trained.')
  return 0


def _adopt(
  path: pathlib.Path, study: study_lib.Study, workdir: pathlib.Path
) -> None:
  """Copies the study, unless the folder is of one that does not go with it."""
  copy = workdir / results.STUDY
  if copy.exists():
    before = results.read_study(workdir)._replace(
      start_states=_start_states(copy)
    )
    study = study._replace(start_states=_start_states(path))
    for name in ('preset', 'protocols', 'episodes', 'settings', 'start_states'):
      was, now = getattr(before, name), getattr(study, name)
      if was != now:
        raise ValueError(
          f'{workdir} is of a study with {name} {was!r}, now'
          f' {now!r}: name another --workdir.'
        )
  files.write_atomic(copy, files.read_text(path))


def _start_states(study: pathlib.Path) -> str:
  """As it is written there: the copy lies in another folder."""
  fields = tomllib.loads(files.read_text(study))
  return str(fields.get('start_states', ''))


def _make_start_states(
  study: study_lib.Study, workdir: pathlib.Path, stop: threading.Event
) -> None:
  """Checks or records a file of start states for each game, until `stop`."""
  for game in study.games:
    path = _start_states_path(study, workdir, game)
    if study.start_states:
      start_states.read(path, game)
    elif not path.exists():
      _say(f'{game}: records {_NUM_STARTS} start states of a random policy.')
      path.parent.mkdir(exist_ok=True)
      starts = record_starts.record(
        game,
        record_starts.RandomPolicy(environments.spec(game)),
        _NUM_STARTS,
        max_start_frames=_MAX_START_FRAMES,
        seed=1,
        is_stopped=stop.is_set,
      )
      if stop.is_set():
        return
      start_states.write(
        path, start_states.StartStates(game, 'a random policy', starts)
      )


def _start_states_path(
  study: study_lib.Study, workdir: pathlib.Path, game: str
) -> pathlib.Path:
  return pathlib.Path(study.start_states or workdir / 'starts') / f'{game}.json'


def _do_all(
  study: study_lib.Study,
  workdir: pathlib.Path,
  parallel: int,
  launcher: list[str],
  stop: threading.Event,
) -> int:
  runs = study.runs()
  clock = _Clock(
    sum(not results.is_trained(study, workdir, this) for this in runs)
  )

  def do(number: int, this: study_lib.Run) -> bool:
    title = f'[{number}/{len(runs)}] {this.name}'
    was_trained = results.is_trained(study, workdir, this)
    is_done = _do(study, workdir, this, launcher, stop, title)
    if is_done and not was_trained:
      _say(f'{title}: done; {clock.one_more()}')
    return is_done

  with futures.ThreadPoolExecutor(parallel) as executor:
    done = list(executor.map(do, range(1, len(runs) + 1), runs))
  if stop.is_set():
    _say('Stopped. The same command goes on.')
    return 130
  _say(f'{sum(done)} of {len(runs)} runs are done.')
  return 0 if all(done) else 1


class _Clock:
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


def _do(
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
    _say(f'{title}: {stage.name}; see {log}')
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
      _say(f'{title}: {stage.name} failed with status {status}: {reason}')
      return False
    _say(f'{title}: {stage.name} took {time.monotonic() - start:.0f} s')
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
    'training',
    lambda: results.is_trained(study, workdir, this),
    ['train', *launcher, *_flags({**study.fields(this), 'workdir': folder})],
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
      path = _start_states_path(study, workdir, this.game)
      arguments.append(f'--starts={path}')
    yield _Stage(f'evaluation ({protocol})', out.exists, arguments)


def _flags(fields: Mapping[str, object]) -> list[str]:
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


def _say(message: str) -> None:
  print(message, flush=True)
