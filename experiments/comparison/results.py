"""What a study's folder holds of each run: done, failed, or not run.

study.toml                            the study
runs/<game>/<variant>/seed_<n>/       a workdir of training, and in it
    machine.json                      what it was trained on, and the commit
    evaluation/<protocol>/            episodes.csv and summary.json
failed/<game>/<variant>/seed_<n>.json what failed, until it is tried again
logs/, starts/                        output of the commands; start states
"""

from collections.abc import Mapping
import pathlib
from typing import Any, NamedTuple

import numpy as np

from experiments.comparison import csv_files
from experiments.comparison import study as study_lib
from learner.storage import files

STUDY = 'study.toml'
DONE, FAILED = 'done', 'failed'
UNFINISHED, NOT_RUN = 'unfinished', 'not run'
ENV_FRAMES, MEAN_RETURN = 'env_frames', 'mean_return_100'
NUM_UPDATES, SECONDS = 'num_updates', 'seconds'
OUTER_ADVANTAGE = 'outer_advantage'
# These stand before the name of a learned meta-parameter.
TRAVELLED, SIGNAL = 'travelled_', 'signal_to_noise_'
SIGN_AGREEMENT = 'sign_agreement_'

Columns = dict[str, np.ndarray]  # Columns of metrics.csv by name.


class Evaluation(NamedTuple):
  """The summary of an evaluation, as far as a report uses it."""

  mean: float  # Raw score.
  starts: str  # How its episodes began, in words.
  low: float  # 95% interval of the mean over episodes.
  high: float
  episodes: int


class Cost(NamedTuple):
  """What a run's training took; None where an older one does not say."""

  seconds: float | None
  frames_per_s: float | None


class Machine(NamedTuple):
  """Where a run was trained; empty where that was not written down."""

  commit: str = ''
  cpu: str = ''
  cores: int = 0


class Result(NamedTuple):
  """How a run stands; what it lacks is empty or None, never filled in."""

  run: study_lib.Run
  status: str
  reason: str  # Why it failed.
  env_frames: int
  evaluations: dict[str, Evaluation]  # By protocol.
  # Once it is finished: frames, returns, what was learned and, where it was
  # logged, updates, seconds and gauges, over training.
  curves: Columns | None
  cost: Cost = Cost(None, None)
  machine: Machine = Machine()
  config: Mapping[str, Any] = {}  # As the run wrote it; empty if it did not.


def run_folder(workdir: pathlib.Path, run: study_lib.Run) -> pathlib.Path:
  """The workdir of a run's training."""
  return workdir / 'runs' / run.name


def evaluation_folder(
  workdir: pathlib.Path, run: study_lib.Run, protocol: str
) -> pathlib.Path:
  """The folder that is there once a run was evaluated."""
  return run_folder(workdir, run) / 'evaluation' / protocol


def machine_path(workdir: pathlib.Path, run: study_lib.Run) -> pathlib.Path:
  """The file that says where a run was trained."""
  return run_folder(workdir, run) / 'machine.json'


def failure_path(workdir: pathlib.Path, run: study_lib.Run) -> pathlib.Path:
  """The file that is there while a run is failed."""
  return workdir / 'failed' / f'{run.name}.json'


def start_states_path(
  study: study_lib.Study, workdir: pathlib.Path, game: str
) -> pathlib.Path:
  """The file of start states of a game."""
  return pathlib.Path(study.start_states or workdir / 'starts') / f'{game}.json'


def read_study(workdir: pathlib.Path) -> study_lib.Study:
  """The study of a folder.

  Raises:
    FileNotFoundError, ValueError: the folder is of no study.
  """
  if not (workdir / STUDY).exists():
    raise FileNotFoundError(
      f'{workdir} holds no {STUDY}: it is no folder of `seed-metagrad compare`.'
    )
  return study_lib.read(workdir / STUDY)


def is_trained(
  study: study_lib.Study, workdir: pathlib.Path, run: study_lib.Run
) -> bool:
  """Whether a run has learned from all its frames."""
  return _env_frames(workdir, run) >= study.config(run).total_env_frames


def read(study: study_lib.Study, workdir: pathlib.Path) -> list[Result]:
  """How all runs stand.

  Raises:
    ValueError: a file is damaged.
  """
  return [_read(study, workdir, run) for run in study.runs()]


def _read(
  study: study_lib.Study, workdir: pathlib.Path, run: study_lib.Run
) -> Result:
  env_frames, reason = _env_frames(workdir, run), ''
  trained = is_trained(study, workdir, run)
  evaluations = {}
  for protocol in study.protocols:
    path = evaluation_folder(workdir, run, protocol) / 'summary.json'
    if trained and path.exists():
      evaluations[protocol] = _evaluation(path)
  if failure_path(workdir, run).exists():
    status = FAILED
    failure = _json(
      failure_path(workdir, run), stage=str, status=int, reason=str
    )
    reason = (
      f'{failure["stage"]}, status {failure["status"]}: {failure["reason"]}'
    )
  elif trained and len(evaluations) == len(study.protocols):
    status = DONE
  elif run_folder(workdir, run).exists():
    status = UNFINISHED
  else:
    status = NOT_RUN
  curves = (
    read_columns(
      run_folder(workdir, run) / 'metrics.csv',
      (ENV_FRAMES, MEAN_RETURN, *run.variant.learned),
      optional=_optional(run.variant.learned),
    )
    if trained
    else None
  )
  return Result(
    run,
    status,
    reason,
    env_frames,
    evaluations,
    curves,
    _cost(run_folder(workdir, run) / 'summary.json'),
    _machine(machine_path(workdir, run)),
    _config(run_folder(workdir, run) / 'config.json'),
  )


def _optional(learned: tuple[str, ...]) -> tuple[str, ...]:
  """The columns that runs of before, or shortened ones, do not have."""
  gauges = (
    f'{gauge}{name}'
    for gauge in (TRAVELLED, SIGNAL, SIGN_AGREEMENT)
    for name in learned
  )
  return NUM_UPDATES, SECONDS, OUTER_ADVANTAGE, *gauges


def read_columns(
  path: pathlib.Path, names: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Columns:
  """Columns of numbers of a CSV file.

  optional: columns that may be missing, or empty in some rows: NaN there.

  Raises:
    ValueError: the file lacks a column, or a number is none.
  """
  rows = csv_files.read(path, names)
  columns = {
    name: np.array([row.number(name) for row in rows]) for name in names
  }
  for name in optional:
    if rows and name in rows[0].fields:
      columns[name] = np.array(
        [row.number(name) if row.fields[name] else np.nan for row in rows]
      )
  return columns


def _env_frames(workdir: pathlib.Path, run: study_lib.Run) -> int:
  path = run_folder(workdir, run) / 'summary.json'
  if not path.exists():
    return 0
  env_frames: int = _json(path, env_frames=int)['env_frames']
  return env_frames


def _evaluation(path: pathlib.Path) -> Evaluation:
  fields = _json(path, mean=float, interval=list, episodes=int)
  try:
    low, high = map(float, fields['interval'])
  except (TypeError, ValueError):
    raise ValueError(
      f'{path} is damaged: interval must be two numbers, got'
      f' {fields["interval"]!r}.'
    ) from None
  return Evaluation(
    float(fields['mean']),
    str(fields.get('starts', '')),
    low,
    high,
    fields['episodes'],
  )


def _cost(path: pathlib.Path) -> Cost:
  fields = _json(path) if path.exists() else {}
  found = (fields.get(name) for name in Cost._fields)
  return Cost(
    *(float(x) if isinstance(x, (int, float)) else None for x in found)
  )


def _config(path: pathlib.Path) -> Mapping[str, Any]:
  return _json(path) if path.exists() else {}


def _machine(path: pathlib.Path) -> Machine:
  if not path.exists():
    return Machine()
  fields = _json(path, commit=str, cpu=str, cores=int)
  return Machine(*(fields[name] for name in Machine._fields))


def _json(path: pathlib.Path, **types: type) -> dict[str, Any]:
  """A JSON object with at least these fields."""
  try:
    fields = files.read_json(path)
    if not isinstance(fields, dict):
      raise TypeError
    for name, kind in types.items():
      wanted = (int, float) if kind is float else kind
      if not isinstance(fields[name], wanted):
        raise TypeError
  except (ValueError, KeyError, TypeError):
    raise ValueError(
      f'{path} is damaged: it must be an object'
      f'{" with " * bool(types)}{", ".join(types)}.'
    ) from None
  return fields
