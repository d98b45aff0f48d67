"""The folder of one run: one learner at a time, one config throughout."""

from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
from importlib import metadata
import os
import pathlib
from typing import Any

from absl import logging

from learner.storage import files
from learner.storage import lock
from seed_metagrad import config as config_lib

# Fields that a resumed run may change: none of them changes what is learned
# from the same frames, but the learning rate decays over the new total.
CHANGEABLE = frozenset(
  {
    'total_env_frames',  # To train for longer.
    'decay_env_frames',
    'num_actors',  # On other machines, or beside other work.
    'env_threads',
    'inference_min_envs',
    'inference_max_envs',
    'inference_timeout_ms',
    'queue_unrolls',
    'lease_secs',
    'strategy',
    'xla',
    'workdir',  # The folder was moved.
    'checkpoint_secs',  # What is written, and when.
    'checkpoints_kept',
    'metrics_secs',
    'track',
    'track_project',
    'max_skipped_updates',  # When to give up.
  }
)

_CONFIG = 'config.json'


@contextlib.contextmanager
def open_workdir(
  path: str | os.PathLike[str],
  config: config_lib.Config,
  *,
  restart: bool = False,
) -> Iterator[pathlib.Path]:
  """Makes or reopens a workdir and holds it until the end of the block.

  Args:
    path: the folder.
    config: written to config.json; on a resume it must be that of the first
      run, but for the fields that are `CHANGEABLE`.
    restart: moves the folder's contents to a folder beside it first.

  Raises:
    lock.InUseError: another process holds the folder.
    ValueError: the folder is of another config, or is no workdir.
  """
  path = pathlib.Path(path).expanduser().resolve()
  path.mkdir(parents=True, exist_ok=True)
  if not (path / _CONFIG).exists():
    _check_empty(path)  # Before a lock is left in it.
  with contextlib.ExitStack() as stack:
    stack.enter_context(lock.held(path))
    if not (path / _CONFIG).exists():
      _check_empty(path)  # Again: now nobody else makes it.
    elif restart:
      _move_aside(path)
      path.mkdir()
      stack.close()  # Releases the folder that was moved.
      stack.enter_context(lock.held(path))
    else:
      _check_same(path, config)
    write_config(path, config)
    yield path


def write_config(path: pathlib.Path, config: config_lib.Config) -> None:
  """Writes config.json, as `read_config` reads it."""
  fields = {'version': _version(), **dataclasses.asdict(config)}
  files.write_json(path / _CONFIG, fields)


def is_there(path: pathlib.Path) -> bool:
  """Tells whether a folder is a workdir: has a config.json."""
  return (path / _CONFIG).exists()


def read_config(path: str | os.PathLike[str]) -> config_lib.Config:
  """Reads the config of a workdir.

  Raises:
    FileNotFoundError: there is no config.json.
    ValueError: it is damaged, or has a field that is unknown here, or an
      impossible value.
  """
  path = pathlib.Path(path) / _CONFIG
  fields = files.read_json(path)
  if not isinstance(fields, dict):
    raise ValueError(f'{path} must be an object, got {fields!r}.')
  fields.pop('version', None)
  known = {field.name for field in dataclasses.fields(config_lib.Config)}
  if fields.keys() - known:
    raise ValueError(
      f'{path} has unknown fields, {sorted(fields.keys() - known)}.'
    )
  values: dict[str, Any] = {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in fields.items()
  }
  config = config_lib.Config(**values)
  try:
    config_lib.check(config)
  except (TypeError, ValueError) as error:
    raise ValueError(f'{path}: {error}') from None
  return config


def _version() -> str | None:
  try:
    return metadata.version('seed-metagrad')
  except metadata.PackageNotFoundError:  # Run from the sources.
    return None


def _check_empty(path: pathlib.Path) -> None:
  others = sorted(set(os.listdir(path)) - {lock.NAME, f'{_CONFIG}.tmp', 'logs'})
  if others:
    raise ValueError(
      f'workdir {path} holds {others[0]} and no {_CONFIG}: it was not made by'
      ' this program. Name another one.'
    )


def _move_aside(path: pathlib.Path) -> None:
  now = datetime.datetime.now().strftime('%Y%m%d-%H%M%S-%f')
  old = path.with_name(f'{path.name}.{now}')
  path.rename(old)
  logging.info('Moved the old contents of %s to %s.', path, old)


def _check_same(path: pathlib.Path, config: config_lib.Config) -> None:
  if not _has_run(path):
    return
  before = read_config(path)
  _say_new_schedule(before, config)
  differences = [
    f'{field.name} was {getattr(before, field.name)!r},'
    f' is now {getattr(config, field.name)!r}'
    for field in dataclasses.fields(config)
    if field.name not in CHANGEABLE
    and getattr(before, field.name) != getattr(config, field.name)
  ]
  if differences:
    raise ValueError(
      f'workdir {path} belongs to another run: {"; ".join(differences)}. Name'
      ' another --workdir, or pass --restart to move it aside.'
    )


def _has_run(path: pathlib.Path) -> bool:
  """Tells whether anything was trained: a checkpoint, or a row."""
  rows = path / 'metrics.csv'
  return any((path / 'checkpoints').glob('checkpoint_*')) or (
    rows.exists() and rows.read_bytes().count(b'\n') > 1
  )


def _say_new_schedule(
  before: config_lib.Config, config: config_lib.Config
) -> None:
  """Warns where a longer run raises the learning rate again."""
  frames, now = config_lib.decay_frames(before), config_lib.decay_frames(config)
  low, high = config.final_learning_rate, config.learning_rate
  if now <= frames or low == high:
    return
  logging.warning(
    'The learning rate now falls until %d frames, not %d: there it is %.3g and'
    ' not %.3g. --decay_env_frames=%d keeps it as it was.',
    now,
    frames,
    low + (high - low) * (now - frames) / now,
    low,
    frames,
  )
