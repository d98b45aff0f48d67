"""Experiment trackers, W&B or trackio, in a process of their own.

A tracker that fails, hangs or exits costs its rows, with one error in the log:
it never stops training and never makes it wait.
"""

from collections.abc import Mapping
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any
import uuid

from absl import flags
from absl import logging

from learner import extras
from learner.reporting import csv_table
from learner.storage import files
from seed_metagrad import config as config_lib

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_RUNS = 'trackers.json'  # The run's name at each tracker: a resume goes on.
_MOST_WAITING = 2**24  # Bytes of rows that a tracker has not read.
_CLOSE_SECS = 60.0  # To write, and to upload where it is not offline.


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of a command that sends what it found to a tracker."""
  flags.DEFINE_enum(
    'track',
    '',
    ['', *config_lib.TRACKERS],
    'Experiment tracker to send it to: wandb, trackio, or none.',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'track_project',
    config_lib.Config.track_project,
    'Project at the tracker.',
    flag_values=flag_values,
  )


class Tracker:
  """Sends rows and files to a tracker's process; one thread calls it.

  kind: `wandb` or `trackio`. config: what the run is, by name.

  Raises:
    ValueError: the tracker is not installed.
  """

  def __init__(
    self,
    kind: str,
    workdir: str | os.PathLike[str],
    *,
    project: str,
    config: Mapping[str, Any],
    close_secs: float = _CLOSE_SECS,
  ) -> None:
    workdir = pathlib.Path(workdir)
    extras.find(kind, kind)
    self._kind = kind
    self._close_secs = close_secs
    self._waiting = bytearray()
    (workdir / 'logs').mkdir(exist_ok=True)
    self._log = workdir / 'logs' / f'{kind}.log'
    settings = {
      'workdir': str(workdir),
      'project': project,
      'name': _name(workdir, kind),
      'config': dict(config),
    }
    with open(self._log, 'ab') as log:
      self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
        [
          sys.executable,
          '-m',
          'learner.reporting.tracker_process',
          kind,
          json.dumps(settings),
        ],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        process_group=0,  # Ctrl-C is not for it: it ends with its input.
        env={**os.environ, 'PYTHONPATH': _python_path()},
      )
    assert self._process.stdin
    os.set_blocking(self._process.stdin.fileno(), False)

  def write(self, row: csv_table.Row) -> None:
    """Sends a row of metrics.csv."""
    self._send('row', dict(row))

  def file(self, name: str, path: str | os.PathLike[str]) -> None:
    """Sends an image, a video or a page, by its suffix; it must stay there."""
    self._send('file', [name, str(path)])

  def close(self) -> None:
    """Waits for the tracker to finish, but not for ever."""
    deadline = time.monotonic() + self._close_secs
    while self._process and self._waiting and time.monotonic() < deadline:
      self._flush()
      time.sleep(0.05)
    if not self._process:
      return
    assert self._process.stdin
    self._process.stdin.close()
    try:
      status = self._process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
      self._give_up(f'did not finish in {self._close_secs:g} s')
    else:
      if status:
        self._give_up(f'failed with status {status}')
    self._process = None

  def _send(self, kind: str, value: object) -> None:
    if self._process:
      self._waiting += json.dumps([kind, value]).encode() + b'\n'
      self._flush()

  def _flush(self) -> None:
    """Writes what the pipe takes now."""
    assert self._process and self._process.stdin
    try:
      while self._waiting:
        count = os.write(self._process.stdin.fileno(), self._waiting)
        del self._waiting[:count]
    except BlockingIOError:
      if len(self._waiting) > _MOST_WAITING:
        self._give_up('hangs')
    except BrokenPipeError:
      self._give_up('failed')

  def _give_up(self, how: str) -> None:
    assert self._process
    self._process.kill()
    self._process.wait()
    self._process = None
    logging.error(
      'The tracker %s %s: training goes on without it. See %s.',
      self._kind,
      how,
      self._log,
    )


def _name(workdir: pathlib.Path, kind: str) -> str:
  """The run's name at a tracker, kept in the workdir."""
  path = workdir / _RUNS
  names = files.read_json(path) if path.exists() else {}
  if kind not in names:
    names[kind] = f'{workdir.resolve().name}-{uuid.uuid4().hex[:8]}'
    files.write_json(path, names)
  return str(names[kind])


def _python_path() -> str:
  paths = str(_ROOT), os.environ.get('PYTHONPATH')
  return os.pathsep.join(filter(None, paths))
