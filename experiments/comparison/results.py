"""What a study's folder holds of each run: done, failed, or not run.

study.toml                            the study
runs/<game>/<variant>/seed_<n>/       a workdir of training, and in it
    evaluation/<protocol>/            episodes.csv and summary.json
failed/<game>/<variant>/seed_<n>.json what failed, until it is tried again
logs/, starts/                        output of the commands; start states
"""

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

Columns = dict[str, np.ndarray]  # Columns of metrics.csv by name.


class Evaluation(NamedTuple):
  """The summary of an evaluation, as far as a report uses it."""

  mean: float  # Raw score.
  starts: str  # How its episodes began, in words.


class Result(NamedTuple):
  """How a run stands; what it lacks is empty or None, never filled in."""

  run: study_lib.Run
  status: str
  reason: str  # Why it failed.
  env_frames: int
  evaluations: dict[str, Evaluation]  # By protocol.
  # Once it is finished: frames, returns and what was learned, over training.
  curves: Columns | None


def run_folder(workdir: pathlib.Path, run: study_lib.Run) -> pathlib.Path:
  """The workdir of a run's training."""
  return workdir / 'runs' / run.name


def evaluation_folder(
  workdir: pathlib.Path, run: study_lib.Run, protocol: str
) -> pathlib.Path:
  """The folder that is there once a run was evaluated."""
  return run_folder(workdir, run) / 'evaluation' / protocol


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
    )
    if trained
    else None
  )
  return Result(run, status, reason, env_frames, evaluations, curves)


def read_columns(path: pathlib.Path, names: tuple[str, ...]) -> Columns:
  """Columns of numbers of a CSV file.

  Raises:
    ValueError: the file lacks a column, or a number is none.
  """
  rows = csv_files.read(path, names)
  return {name: np.array([row.number(name) for row in rows]) for name in names}


def _env_frames(workdir: pathlib.Path, run: study_lib.Run) -> int:
  path = run_folder(workdir, run) / 'summary.json'
  if not path.exists():
    return 0
  env_frames: int = _json(path, env_frames=int)['env_frames']
  return env_frames


def _evaluation(path: pathlib.Path) -> Evaluation:
  fields = _json(path, mean=float, interval=list, episodes=int)
  return Evaluation(float(fields['mean']), str(fields.get('starts', '')))


def _json(path: pathlib.Path, **types: type) -> dict[str, Any]:
  """A JSON object with at least these fields."""
  try:
    fields = files.read_json(path)
    for name, kind in types.items():
      wanted = (int, float) if kind is float else kind
      if not isinstance(fields[name], wanted):
        raise TypeError
  except (ValueError, KeyError, TypeError):
    raise ValueError(
      f'{path} is damaged: it must be an object with {", ".join(types)}.'
    ) from None
  assert isinstance(fields, dict)
  return fields
