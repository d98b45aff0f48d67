"""Checks this machine for training and says what to change.

Prints a line a check: ok, a warning, or what keeps a run from starting, with
what to do about it. Exit status 1 where a run would not start.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import platform
import resource
import shutil
import socket
import sys
from typing import NamedTuple

from absl import flags

from protos import address as address_lib
from seed_metagrad import types

_PYTHONS = ((3, 11), (3, 13))  # As in pyproject.toml.
_LEAST_OPEN_FILES = 1024  # Connections of actors, checkpoints, logs.
_LEAST_FREE_BYTES = 2 * 10**9  # Checkpoints and their temporary files.
_LEAST_CORES = 2
_STEPS = 200  # That an environment is tried for.


class Finding(NamedTuple):
  """What one check found."""

  level: str  # ok, warning or error.
  what: str
  found: str
  advice: str = ''


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  flags.DEFINE_string(
    'workdir', 'runs', 'Folder that runs go into.', flag_values=flag_values
  )
  flags.DEFINE_string(
    'address',
    '',
    'Address to serve at, or of a learner to join, host:port (empty: only this'
    ' machine).',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'env', '', 'Environment to try as well.', flag_values=flag_values
  )


def run(flag_values: flags.FlagValues) -> int:
  """Checks and prints; returns 1 where a run would not start."""
  checks: list[Callable[[], Iterator[Finding]]] = [
    _python,
    _cores,
    open_files,
    lambda: disk(pathlib.Path(flag_values.workdir)),
    lambda: port(flag_values.address),
    lambda: proxies(flag_values.address),
    _games,
    lambda: environment(flag_values.env),
    _tensorflow,
  ]
  levels = []
  for check in checks:
    for finding in check():
      levels.append(finding.level)
      print(f'{finding.level:<8} {finding.what:<12} {finding.found}')
      if finding.advice:
        print(f'{"":<21} -> {finding.advice}')
  counts = [f'{levels.count(level)} {level}' for level in dict.fromkeys(levels)]
  print(', '.join(counts))
  return int('error' in levels)


def _python() -> Iterator[Finding]:
  version = platform.python_version()
  low, high = _PYTHONS
  if low <= sys.version_info[:2] <= high:
    yield Finding('ok', 'Python', version)
  else:
    yield Finding(
      'error', 'Python', version, 'TensorFlow needs Python 3.11 to 3.13.'
    )


def _cores() -> Iterator[Finding]:
  count = len(os.sched_getaffinity(0))
  text = f'{count} of {os.cpu_count()} may be used'
  if count < _LEAST_CORES:
    advice = 'Learner and actors share one core: expect half the speed or less.'
    yield Finding('warning', 'cores', text, advice)
  else:
    yield Finding('ok', 'cores', text)


def open_files() -> Iterator[Finding]:
  """Checks the limit of open files."""
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  if soft != resource.RLIM_INFINITY and soft < _LEAST_OPEN_FILES:
    advice = f'ulimit -n {_LEAST_OPEN_FILES} before a run with many actors.'
    yield Finding('warning', 'open files', f'at most {soft}', advice)
  else:
    yield Finding('ok', 'open files', f'at most {soft}, hard limit {hard}')


def disk(workdir: pathlib.Path) -> Iterator[Finding]:
  """Checks that a workdir can be written, and the room there."""
  folder = workdir.absolute()
  while not folder.exists():
    folder = folder.parent
  if not folder.is_dir() or not os.access(folder, os.W_OK):
    advice = 'Name a folder that you may write to by --workdir.'
    yield Finding('error', 'disk', f'{folder} cannot be written', advice)
    return
  free = shutil.disk_usage(folder).free
  text = f'{free / 1e9:.1f} GB free at {folder}'
  if free < _LEAST_FREE_BYTES:
    advice = 'Make room, or lower --checkpoints_kept.'
    yield Finding('warning', 'disk', text, advice)
  else:
    yield Finding('ok', 'disk', text)


def port(address: str) -> Iterator[Finding]:
  """Checks that a socket can be bound, or that somebody serves there."""
  host, _, number = (address or '127.0.0.1:0').rpartition(':')
  if not number.isdecimal():
    advice = 'An address is host:port.'
    yield Finding('error', 'port', f'{address} is no address', advice)
    return
  with contextlib.closing(socket.socket()) as bound:
    try:
      bound.bind((host, int(number)))
    except OSError as error:
      with contextlib.closing(socket.socket()) as client:
        client.settimeout(3.0)
        if not client.connect_ex((host, int(number))):
          yield Finding('ok', 'port', f'somebody serves at {address}')
          return
      advice = (
        'To serve: another port. To join: is the learner up, and does the'
        ' firewall let it through?'
      )
      yield Finding('error', 'port', f'{address}: {error}', advice)
      return
  yield Finding('ok', 'port', f'{address or "127.0.0.1"} can be served at')


def proxies(address: str) -> Iterator[Finding]:
  """Checks that gRPC reaches the address without a proxy."""
  variable = address_lib.proxy(address) if address else ''
  if variable and not address_lib.is_local(address):
    host = address.rpartition(':')[0]
    advice = f'Where that is not meant: export no_proxy={host}.'
    yield Finding('warning', 'proxy', f'{variable} is for {address}', advice)
  else:
    yield Finding('ok', 'proxy', f'none for {address or "this machine"}')


def _games() -> Iterator[Finding]:
  from seed_metagrad import environments  # Imports ale-py.

  try:
    with contextlib.closing(environments.make('pong', 1, seed=1)) as env:
      env.reset()
  except Exception as error:  # A doctor names whatever it is.
    advice = "pip install --force-reinstall 'ale-py>=0.12', which has the ROMs."
    yield Finding('error', 'Atari', str(error), advice)
    return
  yield Finding('ok', 'Atari', 'pong starts; ROMs are those of ale-py')


def environment(name: str) -> Iterator[Finding]:
  """Steps an environment with random actions; nothing for no name."""
  if not name:
    return
  import numpy as np

  from seed_metagrad import environments

  rng = np.random.default_rng(1)
  try:
    with contextlib.closing(environments.make(name, 1, seed=1)) as env:
      spec = env.spec
      env.reset()
      for _ in range(_STEPS):
        action: np.ndarray
        if spec.action_dims:
          action = rng.normal(size=[1, spec.action_dims]).astype(np.float32)
        else:
          sizes = spec.action_sizes or spec.num_actions
          size = (1, *spec.action_shape)
          action = rng.integers(sizes, size=size, dtype=np.int32)
        env.step(action)
  except Exception as error:  # A doctor names whatever it is.
    advice = 'docs/how_to/environment.md says what it must keep.'
    yield Finding('error', 'environment', str(error), advice)
    return
  found = (
    f'{name}: {_STEPS} steps; shows {spec.observation_dtype} '
    f'{list(spec.observation_shape)}, takes {_kind_of_action(spec)}'
  )
  yield Finding('ok', 'environment', found)


def _kind_of_action(spec: types.EnvSpec) -> str:
  if spec.action_dims:
    return f'{spec.action_dims} continuous numbers'
  if spec.action_sizes:
    return f'choices of {list(spec.action_sizes)}'
  return f'one of {spec.num_actions} actions'


def _tensorflow() -> Iterator[Finding]:
  try:
    # Slow, and what has failed most often: last.
    from learner import quiet_tensorflow  # noqa: F401  # isort: skip
    import tensorflow as tf
  except ImportError as error:
    advice = 'pip install seed-metagrad in a new environment.'
    yield Finding('error', 'TensorFlow', str(error), advice)
    return
  yield Finding('ok', 'TensorFlow', tf.__version__)
  gpus = tf.config.list_physical_devices('GPU')
  for gpu in gpus:
    name = tf.config.experimental.get_device_details(gpu).get('device_name', '')
    yield Finding('ok', 'GPU', f'{name}, {gpu.name}')
  if gpus:
    yield memory_growth()
  elif shutil.which('nvidia-smi'):
    advice = "pip install 'seed-metagrad[cuda]', and see nvidia-smi's driver."
    yield Finding('warning', 'GPU', 'there, but not for TensorFlow', advice)
  else:
    yield Finding('ok', 'GPU', 'none: the learner runs on the CPU')


def memory_growth() -> Finding:
  """Whether TensorFlow takes the memory of a GPU bit by bit."""
  if os.environ.get('TF_FORCE_GPU_ALLOW_GROWTH') == 'true':
    return Finding('ok', 'GPU memory', 'taken as needed')
  advice = 'unset TF_FORCE_GPU_ALLOW_GROWTH: a second process fits beside it.'
  return Finding('warning', 'GPU memory', 'all taken at once', advice)
