"""`train --launcher=ray` as a process, and how to look at it."""

import json
import os
import pathlib
import subprocess
import sys
import time

from tests.repository import sources

# Ray's workers are nice by default: others of this machine would starve them.
SETTINGS = {'RAY_worker_niceness': '0', 'RAY_USAGE_STATS_ENABLED': '0'}


def start(workdir: str, address: str, *flags: str) -> subprocess.Popen:
  """Starts to train Catch on the cluster at `address`."""
  return subprocess.Popen(
    [
      sys.executable,
      '-m',
      'experiments.cli',
      'train',
      '--launcher=ray',
      '--preset=smoke',
      f'--workdir={workdir}',
      f'--ray_address={address}',
      *flags,
    ],
    cwd=sources.ROOT,
    env={**os.environ, **SETTINGS},
  )


def pids(*words: str) -> list[int]:
  """The processes whose command line has all these words."""
  found = []
  for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
    try:
      command = path.read_text()
    except OSError:  # It has ended.
      continue
    if all(word in command for word in words):
      found.append(int(path.parent.name))
  return found


def wait_until(holds, secs: float):
  """Waits until holds() is true.

  Raises:
    TimeoutError: it was not in time.
  """
  deadline = time.monotonic() + secs
  while not holds():
    if time.monotonic() > deadline:
      raise TimeoutError(f'{holds} did not hold within {secs} s.')
    time.sleep(0.2)


def env_frames(workdir: str) -> int:
  """The frames of the last row of metrics.csv."""
  path = pathlib.Path(workdir) / 'metrics.csv'
  rows = path.read_text().splitlines()[1:] if path.exists() else []
  return int(rows[-1].split(',')[0]) if rows else 0


def summary(workdir: str) -> dict:
  """summary.json."""
  return json.loads((pathlib.Path(workdir) / 'summary.json').read_text())
