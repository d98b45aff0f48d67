"""Starts and ends processes of ours, and the flags that actors get."""

from collections.abc import Callable, Iterator
import contextlib
import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import time
from typing import IO

from seed_metagrad import config as config_lib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def python_path() -> str:
  """PYTHONPATH with this package, installed or not, and the current folder."""
  paths = str(ROOT), os.getcwd(), os.environ.get('PYTHONPATH')
  return os.pathsep.join(filter(None, paths))


def start(
  module: str, arguments: list[str], output: int | IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
  """Starts a module that ends with this process.

  In a process group of its own: Ctrl-C reaches this process alone.

  output: a file or subprocess.PIPE for what it prints; None is our own.
  """
  return subprocess.Popen(
    [sys.executable, '-m', 'experiments.launch.child', module, *arguments],
    stdin=subprocess.PIPE,
    stdout=output,
    stderr=None if output is None else subprocess.STDOUT,
    process_group=0,
    env={**os.environ, 'PYTHONPATH': python_path()},
  )


def write_private(path: str | os.PathLike[str], data: bytes) -> str:
  """Writes a new file that its owner alone may read; returns its path."""
  with open(
    path, 'xb', opener=lambda path, flags: os.open(path, flags, 0o600)
  ) as file:
    file.write(data)
  return str(path)


def new_token() -> bytes:
  """Makes a secret that actors show to their learner."""
  return secrets.token_urlsafe(32).encode()


def wait(processes: list[subprocess.Popen[bytes]], secs: float) -> None:
  """Waits until all have ended, or for `secs` seconds."""
  deadline = time.monotonic() + secs
  for process in processes:
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(max(0.0, deadline - time.monotonic()))


def end(processes: list[subprocess.Popen[bytes]], grace_secs: float) -> None:
  """Asks those that still run to end, and forces them after a while."""
  for process in processes:
    process.terminate()
  wait(processes, grace_secs)
  for process in processes:
    process.kill()
    process.wait()


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
  """A list that grows by each signal which asks for the end."""
  arrived: list[int] = []
  with on_stop_signals(arrived.append):
    yield arrived


@contextlib.contextmanager
def on_stop_signals(handle: Callable[[int], None]) -> Iterator[None]:
  """Calls handle(number) at each signal which asks for the end."""
  before = {
    number: signal.signal(number, lambda number, _: handle(number))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
  }
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def quota_flag(config: config_lib.Config) -> str:
  """The learner's flag that lets an actor of `actor_flags` hold no more."""
  envs = config_lib.GROUPS_PER_ACTOR * config.envs_per_group
  return f'--actor_envs={envs}'


def actor_flags(config: config_lib.Config, index: int) -> list[str]:
  """The flags of actor `index` of a run, but for the learner's address."""
  return [
    f'--index={index}',
    f'--env={config.env}',
    f'--seed={config.seed}',
    f'--envs_per_group={config.envs_per_group}',
    f'--env_threads={config.env_threads}',
    f'--env_settings={json.dumps(config.env_settings())}',
  ]


def say(message: str) -> None:
  """Prints a line, in a terminal over the learner's live one."""
  with contextlib.suppress(OSError):  # The terminal may be closed.
    clear = '\r\x1b[K' if sys.stderr.isatty() else ''
    print(f'{clear}{message}', file=sys.stderr, flush=True)
