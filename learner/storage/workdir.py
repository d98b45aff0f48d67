"""The folder of one run: one learner at a time, one config for good."""

from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import fcntl
from importlib import metadata
import os
import pathlib

from absl import logging

from learner.storage import files
from seed_metagrad import config as config_lib

# What a resumed run may set anew: none of these changes what is learned from
# the same frames, except that the learning rate decays over the new total.
CHANGEABLE = frozenset(
  {
    'total_env_frames',  # To train for longer.
    'num_actors',  # Other machines, or other work on this one.
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
    'max_skipped_updates',  # When to give up.
  }
)

_CONFIG = 'config.json'
_LOCK = 'lock'


class InUseError(Exception):
  """Another learner holds the workdir."""


@contextlib.contextmanager
def open_workdir(
  path: str | os.PathLike, config: config_lib.Config, *, restart: bool = False
) -> Iterator[pathlib.Path]:
  """Makes or reopens a workdir and holds it until the end of the block.

  Args:
    path: the folder.
    config: written to config.json; on a resume it must be that of the first
      run, but for the fields that are `CHANGEABLE`.
    restart: moves what the folder holds to a folder beside it and starts anew.

  Raises:
    InUseError: another learner holds the folder.
    ValueError: the folder is of another config, or is no workdir.
  """
  path = pathlib.Path(path).resolve()
  path.mkdir(parents=True, exist_ok=True)
  lock = _lock(path)
  try:
    if not (path / _CONFIG).exists():
      _check_empty(path)
    elif restart:
      _move_aside(path)
      path.mkdir()
      lock.close()
      lock = _lock(path)
    else:
      _check_same(path, config)
    fields = {'version': _version(), **dataclasses.asdict(config)}
    files.write_json(path / _CONFIG, fields)
    yield path
  finally:
    lock.close()


def read_config(path: str | os.PathLike) -> config_lib.Config:
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
  config = config_lib.Config(
    **{
      name: tuple(value) if isinstance(value, list) else value
      for name, value in fields.items()
    }
  )
  config_lib.check(config)
  return config


def _version() -> str | None:
  try:
    return metadata.version('seed-metagrad')
  except metadata.PackageNotFoundError:  # Run from the sources.
    return None


def _lock(path: pathlib.Path):
  file = open(path / _LOCK, 'a+', encoding='utf-8')
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    file.seek(0)
    holder = file.read().strip()
    file.close()
    raise InUseError(
      f'workdir {path} is in use by the learner with pid {holder}.'
    ) from None
  file.truncate(0)
  file.write(f'{os.getpid()}\n')
  file.flush()
  return file


def _check_empty(path: pathlib.Path):
  others = sorted(set(os.listdir(path)) - {_LOCK, f'{_CONFIG}.tmp', 'logs'})
  if others:
    raise ValueError(
      f'workdir {path} holds {others[0]} and no {_CONFIG}: it is'
      ' not a folder of this program. Name another one.'
    )


def _move_aside(path: pathlib.Path):
  now = datetime.datetime.now().strftime('%Y%m%d-%H%M%S-%f')
  old = path.with_name(f'{path.name}.{now}')
  path.rename(old)
  logging.info('Moved the old contents of %s to %s.', path, old)


def _check_same(path: pathlib.Path, config: config_lib.Config):
  before = read_config(path)
  differences = [
    f'{field.name} was {getattr(before, field.name)!r},'
    f' is now {getattr(config, field.name)!r}'
    for field in dataclasses.fields(config)
    if field.name not in CHANGEABLE
    and getattr(before, field.name) != getattr(config, field.name)
  ]
  if differences:
    raise ValueError(
      f'workdir {path} is of another run: {"; ".join(differences)}. Name'
      ' another --workdir, or pass --restart to move it aside.'
    )
