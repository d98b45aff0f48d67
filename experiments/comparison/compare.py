"""Trains and evaluates the runs of a study that are missing.

The same command goes on after an interruption: what is finished is not done
again, a run in progress continues from its checkpoint, and one that failed is
tried again. Games, seeds and variants may be added to the study meanwhile.
"""

from concurrent import futures
import pathlib
import shlex
import threading
import tomllib

from absl import flags

from experiments.comparison import results
from experiments.comparison import running
from experiments.comparison import study as study_lib
from experiments.evaluation import record_starts
from experiments.evaluation import start_states
from experiments.launch import processes
from learner.storage import files
from learner.storage import lock
from seed_metagrad import environments

_NUM_STARTS, _MAX_START_FRAMES = 100, 18_000


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  running.define_flags(flag_values)
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
    return _do_all(
      study, workdir, running.num_parallel(flag_values), launcher, stop
    )


def _list_runs(study: study_lib.Study, workdir: pathlib.Path) -> int:
  runs = study.runs()
  trained = [results.is_trained(study, workdir, this) for this in runs]
  for number, (this, is_trained) in enumerate(zip(runs, trained), 1):
    print(f'[{number}/{len(runs)}] {this.name}', '(trained)' * is_trained)
    print('   ', shlex.join(running.flags_of(study.fields(this))))
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
    path = results.start_states_path(study, workdir, game)
    if study.start_states:
      start_states.read(path, game)
    elif not path.exists():
      running.say(
        f'{game}: records {_NUM_STARTS} start states of a random policy.'
      )
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


def _do_all(
  study: study_lib.Study,
  workdir: pathlib.Path,
  parallel: int,
  launcher: list[str],
  stop: threading.Event,
) -> int:
  runs = study.runs()
  clock = running.Clock(
    sum(not results.is_trained(study, workdir, this) for this in runs)
  )

  def do(number: int, this: study_lib.Run) -> bool:
    title = f'[{number}/{len(runs)}] {this.name}'
    was_trained = results.is_trained(study, workdir, this)
    is_done = running.do(study, workdir, this, launcher, stop, title)
    if is_done and not was_trained:
      running.say(f'{title}: done; {clock.one_more()}')
    return is_done

  with futures.ThreadPoolExecutor(parallel) as executor:
    done = list(executor.map(do, range(1, len(runs) + 1), runs))
  if stop.is_set():
    running.say('Stopped. The same command goes on.')
    return 130
  running.say(f'{sum(done)} of {len(runs)} runs are done.')
  return 0 if all(done) else 1
