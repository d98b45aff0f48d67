"""Searches a study file for the settings that score best, by Optuna.

What the study's variants leave open, lists and ranges, is the space; the score
is the mean of the evaluations of its seeds. Trials are kept in trials.db, which
Optuna's own tools read, and in trials.csv. The same command goes on after an
interruption, and with more --trials it searches on.
"""

import collections
from concurrent import futures
import csv
import io
import pathlib
import shlex
import threading
import tomllib
from typing import Any

from absl import flags

from experiments.comparison import results
from experiments.comparison import running
from experiments.comparison import study as study_lib
from experiments.launch import processes
from experiments.tuning import space as space_lib
from learner import extras
from learner.storage import files
from learner.storage import lock

_SPACE, _TRIALS, _DATABASE = 'space.toml', 'trials.csv', 'trials.db'
_RESUMES = 'resumes'  # Attribute of a trial that repeats an interrupted one.


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  running.define_flags(flag_values)
  flags.DEFINE_integer(
    'trials',
    None,
    'Trials in all, those of earlier calls included.',
    required=True,
    lower_bound=1,
    flag_values=flag_values,
  )


def run(flag_values: flags.FlagValues) -> int:
  """Returns 0 when all is done, 1 if a trial failed, 130 after a signal."""
  extras.find('optuna', 'tune')
  space = space_lib.read(flag_values.study)
  study_lib.check_games(space.check())
  workdir = pathlib.Path(flag_values.workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  stop = threading.Event()
  with (
    lock.held(workdir),
    processes.on_stop_signals(lambda unused_number: stop.set()),
  ):
    _adopt(pathlib.Path(flag_values.study), workdir)
    search = _Search(space, workdir, flag_values.trials, stop)
    return search.run(running.num_parallel(flag_values))


def _adopt(path: pathlib.Path, workdir: pathlib.Path) -> None:
  """Copies the space, unless the folder is of another."""
  copy = workdir / _SPACE
  text = files.read_text(path)
  if copy.exists():
    was, now = (tomllib.loads(one) for one in (files.read_text(copy), text))
    was['title'] = now['title']
    if was != now:
      raise ValueError(
        f'{workdir} is of another space, in {copy}: name another --workdir.'
      )
  files.write_atomic(copy, text)


class _Search:
  """A search that goes on from what its folder holds."""

  def __init__(
    self,
    space: space_lib.Space,
    workdir: pathlib.Path,
    num_trials: int,
    stop: threading.Event,
  ):
    self._space, self._workdir, self._stop = space, workdir, stop
    self._optuna = _open(workdir)
    self._num_left = num_trials - len(self._trials('COMPLETE'))
    self._num_failed = 0
    self._clock = running.Clock(self._num_left)
    # Guards all of the above; what is being trained, by the name of its folder.
    self._lock = threading.Lock()
    self._training: dict[str, threading.Lock] = collections.defaultdict(
      threading.Lock
    )

  def run(self, parallel: int) -> int:
    """Does the trials that are left; returns the exit status."""
    with futures.ThreadPoolExecutor(parallel) as executor:
      for future in [executor.submit(self._work) for _ in range(parallel)]:
        future.result()
    if self._stop.is_set():
      running.say('Stopped. The same command goes on.')
      return 130
    self._say_best()
    return 1 if self._num_failed else 0

  def _work(self) -> None:
    try:
      self._do_trials()
    except BaseException:
      self._stop.set()  # The others need not go on.
      raise

  def _do_trials(self) -> None:
    while not self._stop.is_set():
      with self._lock:
        if self._num_left <= 0:
          return
        self._num_left -= 1
        trial = self._optuna.ask()
        try:
          sample = self._space.sample(trial)
        except ValueError as error:
          self._end(trial, None, f'not tried: {error}')
          continue
        trial.set_user_attr('values', sample.values)
        trial.set_user_attr('train', _command(sample.study))
        training = self._training[sample.study.variants[0].name]
      with training:  # Two may have drawn the same: the second is free.
        score = self._score(trial.number, sample.study)
      if score is None and self._stop.is_set():
        return  # It stays open, for the same command.
      with self._lock:
        values = _named(sample.values)
        shown = 'failed' if score is None else f'{score:g}'
        self._end(trial, score, f'{shown} with {values}')

  def _score(self, number: int, study: study_lib.Study) -> float | None:
    """Mean score of the seeds; None if one failed, or after a signal."""
    runs = study.runs()
    for index, this in enumerate(runs, 1):
      title = f'trial {number} [{index}/{len(runs)}] {this.name}'
      if not running.do(study, self._workdir, this, [], self._stop, title):
        return None
    (protocol,) = study.protocols
    done = results.read(study, self._workdir)
    return sum(one.evaluations[protocol].mean for one in done) / len(done)

  def _end(self, trial: Any, score: float | None, message: str) -> None:
    import optuna

    if score is None:
      self._num_failed += 1
      self._optuna.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
      self._optuna.tell(trial, score)
    files.write_atomic(self._workdir / _TRIALS, _table(self._trials()))
    running.say(f'trial {trial.number}: {message}; {self._clock.one_more()}')

  def _trials(self, *states: str) -> list[Any]:
    trials = self._optuna.get_trials(deepcopy=False)
    return [one for one in trials if not states or one.state.name in states]

  def _say_best(self) -> None:
    done = self._trials('COMPLETE')
    if not done:
      return
    best = max(done, key=lambda trial: trial.value)
    running.say(
      f'Best of {len(done)} trials is {best.number}: {best.value:g} with'
      f' {_named(best.user_attrs["values"])}.\n'
      f'  {best.user_attrs["train"]}\n'
      'The best of many is lucky too: try it with seeds that were not searched.'
    )


def _open(workdir: pathlib.Path) -> Any:
  """The study of Optuna in a folder; what was interrupted comes first."""
  import optuna

  optuna.logging.set_verbosity(optuna.logging.WARNING)
  study = optuna.create_study(
    storage=f'sqlite:///{workdir / _DATABASE}',
    study_name='tune',
    direction='maximize',
    load_if_exists=True,
  )
  trials = study.get_trials()
  # With one seed a resumed search would draw the first trials again.
  study.sampler = optuna.samplers.TPESampler(seed=len(trials))
  for trial in trials:
    if trial.state.name == 'RUNNING':  # By nobody: the folder is ours.
      study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
      study.enqueue_trial(trial.params, {_RESUMES: trial.number})
  return study


def _command(study: study_lib.Study) -> str:
  fields = study.fields(study.runs()[0])
  del fields['seed']
  return shlex.join(['seed-metagrad', 'train', *running.flags_of(fields)])


def _named(values: dict[str, Any]) -> str:
  return ', '.join(f'{name} {_text(value)}' for name, value in values.items())


def _text(value: Any) -> str:
  return ','.join(value) or 'none' if isinstance(value, list) else f'{value}'


def _table(trials: list[Any]) -> str:
  """Trials as CSV: what each had chosen, and its score."""
  chosen = [trial.user_attrs.get('values', {}) for trial in trials]
  interrupted = {trial.user_attrs.get(_RESUMES) for trial in trials}
  names = [*dict.fromkeys(name for values in chosen for name in values)]
  out = io.StringIO()
  writer = csv.writer(out, lineterminator='\n')
  writer.writerow(['trial', 'state', 'score', *names])
  for trial, values in zip(trials, chosen):
    state = trial.state.name.lower()
    if trial.number in interrupted:
      state = 'interrupted'
    score = '' if trial.value is None else trial.value
    texts = [_text(values[name]) if name in values else '' for name in names]
    writer.writerow([trial.number, state, score, *texts])
  return out.getvalue()
