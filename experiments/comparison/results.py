"""What a study's folder holds of each run: done, failed, or not run.

study.toml                            the study
runs/<game>/<variant>/seed_<n>/       a workdir of training, and in it
    evaluation/<protocol>/            episodes.csv and summary.json
failed/<game>/<variant>/seed_<n>.json what failed, until it is tried again
logs/, starts/                        output of the commands; start states
"""

import csv
import pathlib
from typing import Any, NamedTuple

import numpy as np

from experiments.comparison import study as study_lib
from learner.storage import files

STUDY = 'study.toml'
DONE, FAILED = 'done', 'failed'
UNFINISHED, NOT_RUN = 'unfinished', 'not run'
_CURVES = ('env_frames', 'mean_return_100', 'discount', 'lambda_')


class Result(NamedTuple):
  """How a run stands; what it lacks is empty or None, never filled in."""

  run: study_lib.Run
  status: str
  reason: str  # Of a failure.
  env_frames: int
  evaluations: dict[str, dict[str, Any]]  # Summaries by protocol.
  curves: dict[str, np.ndarray] | None  # Of training, once it is finished.


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
      evaluations[protocol] = _json(path, ('mean', 'interval', 'episodes'))
  if failure_path(workdir, run).exists():
    status = FAILED
    failure = _json(failure_path(workdir, run), ('stage', 'status', 'reason'))
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
    read_columns(run_folder(workdir, run) / 'metrics.csv', _CURVES)
    if trained
    else None
  )
  return Result(run, status, reason, env_frames, evaluations, curves)


def read_columns(
  path: pathlib.Path, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
  """Columns of numbers of a CSV file.

  Raises:
    ValueError: the file lacks a column, or a number is none.
  """
  with open(path, newline='', encoding='utf-8') as file:
    rows = csv.DictReader(file)
    missing = sorted(set(names) - set(rows.fieldnames or ()))
    if missing:
      raise ValueError(f'{path} has no column {missing[0]!r}.')
    try:
      values = [[float(row[name]) for name in names] for row in rows]
    except (TypeError, ValueError):
      raise ValueError(
        f'{path}, line {rows.line_num}: a number is missing or is none.'
      ) from None
  return dict(zip(names, np.array(values).reshape(-1, len(names)).T))


def _env_frames(workdir: pathlib.Path, run: study_lib.Run) -> int:
  path = run_folder(workdir, run) / 'summary.json'
  return _json(path, ('env_frames',))['env_frames'] if path.exists() else 0


def _json(path: pathlib.Path, keys: tuple[str, ...]) -> dict[str, Any]:
  try:
    fields = files.read_json(path)
    for key in keys:
      fields[key]
  except (ValueError, KeyError, TypeError):
    raise ValueError(
      f'{path} is damaged: it must be an object with {", ".join(keys)}.'
    ) from None
  return fields
