"""What a suite is given and gives: options, results, medians, the machine."""

from collections.abc import Callable, Iterable
import importlib.metadata
import os
import pathlib
import platform
import statistics
import subprocess
import time
from typing import Any, NamedTuple

from experiments.launch import processes
from learner.storage import files


class Options(NamedTuple):
  """What is measured, and for how long."""

  env: str
  networks: tuple[str, ...]
  repeats: int  # Calls whose median counts, at most.
  secs: float  # To watch a running system, or to repeat a call.
  figure: str  # File to draw the scaling of the server to; '' for none.


class Result(NamedTuple):
  """One number, with what it depends on."""

  name: str  # suite.quantity
  value: float
  unit: str
  settings: dict[str, Any] = {}
  network: str = ''
  variant: str = ''  # Which meta-parameters are learned.


def median_secs(function: Callable[[], Any], options: Options) -> float:
  """Seconds of a call, after one to warm up; the median of the repeats."""
  function()
  times: list[float] = []
  end = time.perf_counter() + options.secs
  while len(times) < options.repeats:
    start = time.perf_counter()
    function()
    times.append(time.perf_counter() - start)
    if time.perf_counter() > end:
      break
  return statistics.median(times)


def cpu_secs(pid: int) -> float:
  """CPU time that a process has used, all threads together."""
  fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
  return sum(map(int, fields.split()[11:13])) / os.sysconf('SC_CLK_TCK')


def variant(learned: Iterable[str]) -> str:
  """The name of the agent that learns these; {} learns none."""
  return f'{{{",".join(learned)}}}'


def machine() -> dict[str, Any]:
  """What the numbers were measured on, and how busy it was before."""
  return {
    'cpu': _cpu(),
    'cores': os.cpu_count(),
    'load': round(os.getloadavg()[0], 1),  # Mean of the last minute.
    'system': platform.platform(),
    'python': platform.python_version(),
    'tensorflow': importlib.metadata.version('tensorflow'),
    'commit': _commit(),
  }


def line(result: Result) -> str:
  """The result as a line of text."""
  settings = ', '.join(f'{k} {v}' for k, v in result.settings.items())
  about = '; '.join(filter(None, [result.network, result.variant, settings]))
  return f'{result.name:<38} {result.value:>10.4g} {result.unit:<12} {about}'


def write_json(
  path: str, results: Iterable[Result], where: dict[str, Any]
) -> None:
  """Writes one JSON object a line: the result's fields and the machine."""
  lines = [
    files.to_json({**result._asdict(), 'machine': where}, indent=None)
    for result in results
  ]
  files.write_atomic(path, ''.join(f'{line}\n' for line in lines))


def _cpu() -> str:
  try:
    text = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8')
  except OSError:
    return platform.processor()
  names = [
    row.partition(':')[2].strip()
    for row in text.splitlines()
    if row.startswith('model name')
  ]
  return names[0] if names else platform.processor()


def _commit() -> str:
  """The commit, with -dirty where files differ from it; '' if unknown."""
  try:
    done = subprocess.run(
      ['git', 'describe', '--always', '--dirty'],
      text=True,
      cwd=processes.ROOT,
      capture_output=True,
      check=False,
    )
  except OSError:  # No git here.
    return ''
  return done.stdout.strip()
