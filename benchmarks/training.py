"""`seed-metagrad train` as a user runs it, watched from outside."""

from collections.abc import Iterator
import contextlib
import csv
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import measurement
from experiments.launch import processes
from seed_metagrad import config as config_lib
from seed_metagrad import environments

Results = Iterator[measurement.Result]

_PRESET = 'local'
_VARIANTS = ((), ('discount', 'lambda_'))  # What is learned.
_START_SECS = 300.0  # To the first update; a busy machine is slow.
_WARM_UP_SECS = 20.0  # From the first update on.
_POLL_SECS = 0.02
_RSS_SECS = 1.0  # Between looks at the memory.
_MEMORY_ENVS = 8  # In each group of the actor.
_STOP_SECS = 90.0
_SETTLED = 1 / 6  # Part of a run, when memory should have stopped to grow.
_MEBIBYTE = 1 << 20
_ACTOR_IMPORTS = ('actors.main', 'seed_metagrad.environments.atari')


class Run:
  """A run of `seed-metagrad train` in processes of its own."""

  def __init__(self, folder: str, **settings: object):
    self._metrics = pathlib.Path(folder) / 'run' / 'metrics.csv'
    self._log = (pathlib.Path(folder) / 'log').open('w+b')
    arguments = {'preset': _PRESET, 'workdir': self._metrics.parent, **settings}
    self._process = subprocess.Popen(
      [
        sys.executable,
        '-m',
        'experiments.cli',
        'train',
        *(f'--{name}={value}' for name, value in arguments.items()),
      ],
      cwd=processes.ROOT,
      stdout=self._log,
      stderr=self._log,
      process_group=0,
    )

  def wait_for_update(self) -> None:
    """Waits for the first row of metrics.

    Raises:
      RuntimeError: training ended, or took too long.
    """
    deadline = time.monotonic() + _START_SECS
    while not self.rows():
      if self._process.poll() is not None or time.monotonic() > deadline:
        self._log.seek(0)
        raise RuntimeError(f'no update: {self._log.read()[-2000:].decode()}')
      time.sleep(_POLL_SECS)

  def rows(self) -> list[dict[str, float]]:
    """The rows of metrics so far."""
    try:
      with open(self._metrics, newline='', encoding='utf-8') as file:
        whole = [line for line in file if line.endswith('\n')]
    except FileNotFoundError:
      return []
    return [
      {name: float(value) for name, value in row.items()}
      for row in csv.DictReader(whole)
    ]

  def resident_mib(self) -> dict[str, float]:
    """Resident memory, MiB, of the learner and of one actor."""
    mib: dict[str, float] = {}
    for pid, arguments in _children(self._process.pid):
      for role, module in (
        ('learner', 'learner.main'),
        ('actor', 'actors.main'),
      ):
        if module in arguments:
          mib[role] = max(mib.get(role, 0.0), _resident_mib(pid))
    return mib

  def cpu_secs(self) -> float:
    """CPU time of the learner and its actors so far."""
    return sum(
      measurement.cpu_secs(pid) for pid, _ in _children(self._process.pid)
    )

  def close(self) -> None:
    """Stops it as Ctrl-C does."""
    self._process.send_signal(signal.SIGINT)
    try:
      self._process.wait(_STOP_SECS)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
    self._log.close()


@contextlib.contextmanager
def _run(**settings: object) -> Iterator[Run]:
  with tempfile.TemporaryDirectory() as folder:
    started = Run(folder, **settings)
    try:
      yield started
    finally:
      started.close()


def startup(options: measurement.Options) -> Results:
  """From the command to the first update; from Python to a ready actor."""
  for network in options.networks:
    for learned in _VARIANTS:
      start = time.monotonic()
      with _run(
        env=options.env,
        network=network,
        metrics_secs=1e-3,
        learned=','.join(learned),
      ) as run:
        run.wait_for_update()
        secs = time.monotonic() - start
      yield measurement.Result(
        'startup.first_update_s',
        secs,
        's',
        {'env': options.env, 'preset': _PRESET},
        network,
        measurement.variant(learned),
      )
  program = (
    'import time; start = time.perf_counter(); '
    f'import {", ".join(_ACTOR_IMPORTS)}; '
    'print(time.perf_counter() - start)'
  )
  times = [
    float(
      subprocess.run(
        [sys.executable, '-c', program],
        text=True,
        check=True,
        cwd=processes.ROOT,
        capture_output=True,
      ).stdout
    )
    for _ in range(1 + options.repeats)
  ]
  yield measurement.Result(
    'startup.actor_import_s', statistics.median(times[1:]), 's'
  )


def train(options: measurement.Options) -> Results:
  """Training from end to end, in its steady state."""
  spec = environments.spec(options.env)
  for network in options.networks:
    for learned in _VARIANTS:
      with _run(
        env=options.env,
        network=network,
        metrics_secs=1,
        learned=','.join(learned),
      ) as run:
        run.wait_for_update()
        time.sleep(_WARM_UP_SECS)
        before = run.rows()[-1]
        time.sleep(options.secs)
        after = run.rows()[-1]
      frames, secs = (
        after[name] - before[name] for name in ('env_frames', 'seconds')
      )
      yield measurement.Result(
        'train.env_steps_per_s',
        frames / secs / spec.action_repeat,
        'env steps/s',
        {'env': options.env, 'preset': _PRESET},
        network,
        measurement.variant(learned),
      )


def memory(options: measurement.Options) -> Results:
  """Resident memory of a run, and how much it grew after its first sixth."""
  network, learned = options.networks[0], _VARIANTS[-1]
  with _run(
    env=options.env,
    network=network,
    learned=','.join(learned),
    envs_per_group=_MEMORY_ENVS,
  ) as run:
    run.wait_for_update()
    samples, start = [], time.monotonic()
    while (now := time.monotonic() - start) < options.secs:
      samples.append((now, run.resident_mib()))
      time.sleep(min(_RSS_SECS, options.secs / 10))
  num_envs = config_lib.GROUPS_PER_ACTOR * _MEMORY_ENVS
  settings = {
    'env': options.env,
    'preset': _PRESET,
    'secs': options.secs,
    'envs_per_actor': num_envs,
  }
  settled = [mib for now, mib in samples if now >= _SETTLED * options.secs]
  variant = measurement.variant(learned)
  for role in ('learner', 'actor'):
    first, last = settled[0][role], settled[-1][role]
    yield measurement.Result(
      f'memory.{role}_mib', last, 'MiB', settings, network, variant
    )
    yield measurement.Result(
      f'memory.{role}_growth',
      100 * (last - first) / first,
      '%',
      settings,
      network,
      variant,
    )


def _children(pid: int) -> Iterator[tuple[int, list[str]]]:
  """The processes that a process started: their ids and arguments."""
  for folder in pathlib.Path('/proc').glob('[0-9]*'):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
      stat = (folder / 'stat').read_text()
      parent = int(stat.rpartition(')')[2].split()[1])
      if parent == pid:
        yield int(folder.name), (folder / 'cmdline').read_text().split('\0')


def _resident_mib(pid: int) -> float:
  pages = int(pathlib.Path(f'/proc/{pid}/statm').read_text().split()[1])
  return pages * os.sysconf('SC_PAGE_SIZE') / _MEBIBYTE
