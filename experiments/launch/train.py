"""Trains: one learner process and its actors, here or on a Ray cluster.

Ctrl-C saves and stops; the same command on the same --workdir goes on.
"""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from absl import flags

from experiments.launch import processes
from learner import config_flags
from seed_metagrad import config as config_lib

_LEARNER, _ACTOR = 'learner.main', 'actors.main'
_POLL_SECS = 0.2
_LEARNER_GRACE_SECS = 60.0  # To finish an update, save and draw.
_ACTOR_GRACE_SECS = 5.0
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 5.0, 60.0  # Before a restart.
_MAX_FAILURES = 5  # In a row, each within _LONGEST_PAUSE_SECS of its start.


def define_flags(flag_values: flags.FlagValues):
  """Defines the config's flags, --restart and those of the launcher."""
  config_flags.define(flag_values)
  flags.DEFINE_bool(
    'restart',
    False,
    'Move the old contents of the workdir aside and start anew.',
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'metrics_port',
    0,
    "Of the learner's page for Prometheus on 127.0.0.1; 0 is none.",
    lower_bound=0,
    upper_bound=65535,
    flag_values=flag_values,
  )
  flags.DEFINE_enum(
    'launcher',
    'here',
    ['here', 'ray'],
    'Where to: processes of this machine, or a Ray cluster.',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'ray_address',
    '',
    'Of the cluster; by default the one that Ray finds,'
    ' or else a new one on this machine.',
    flag_values=flag_values,
  )
  flags.DEFINE_float(
    'learner_cpus',
    1.0,
    'What Ray keeps for the learner.',
    lower_bound=0.0,
    flag_values=flag_values,
  )
  flags.DEFINE_float(
    'learner_gpus',
    None,
    'By default one, if the cluster has one.',
    lower_bound=0.0,
    flag_values=flag_values,
  )
  flags.DEFINE_float(
    'actor_cpus',
    1.0,
    'What Ray keeps for each actor.',
    lower_bound=0.0,
    flag_values=flag_values,
  )


def run(flag_values: flags.FlagValues) -> int:
  """Trains until the learner ends; returns its exit status."""
  try:
    config = config_flags.read(flag_values)
  except ValueError as error:
    sys.exit(f'seed-metagrad train: {error}')
  names = [
    'preset',
    'metrics_port',
    *(field.name for field in dataclasses.fields(config)),
  ]
  passed = [
    flag_values[name].serialize() for name in names if flag_values[name].present
  ]
  if flag_values.launcher == 'ray':
    return _run_on_ray(config, passed, flag_values)
  return _run_here(config, passed + ['--restart'] * flag_values.restart)


def _run_on_ray(
  config: config_lib.Config, passed: list[str], flag_values: flags.FlagValues
) -> int:
  try:
    from experiments.launch import ray_launcher  # Needs an extra.
  except ModuleNotFoundError as error:
    sys.exit(
      f'seed-metagrad train: {error}. --launcher=ray needs'
      " pip install 'seed-metagrad[ray]'."
    )
  return ray_launcher.run(
    config,
    passed,
    restart=flag_values.restart,
    address=flag_values.ray_address,
    resources=ray_launcher.Resources(
      flag_values.learner_cpus, flag_values.learner_gpus, flag_values.actor_cpus
    ),
  )


def _run_here(config: config_lib.Config, passed: list[str]) -> int:
  # Half of the cores: the other half steps environments.
  os.environ.setdefault(
    'TF_NUM_INTRAOP_THREADS', str(max(1, os.cpu_count() // 2))
  )
  with (
    tempfile.TemporaryDirectory() as folder,
    processes.stop_signals() as signals,
  ):
    address_file = pathlib.Path(folder) / 'address'
    learner = processes.start(
      _LEARNER,
      [*passed, '--address=127.0.0.1:0', f'--address_file={address_file}'],
    )
    actors = []
    try:
      _wait_for_address(learner, address_file, signals)
      if address_file.exists() and not signals:
        actors = _make_actors(config, address_file.read_text())
      return _tend(learner, actors, signals)
    finally:
      processes.end([learner], _LEARNER_GRACE_SECS)
      theirs = [actor.process for actor in actors]
      if not signals:
        processes.wait(theirs, _ACTOR_GRACE_SECS)  # The learner told them.
      processes.end(theirs, _ACTOR_GRACE_SECS)


class _Actor:
  """An actor process that is started again when it ends too early."""

  def __init__(self, index: int, arguments: list[str], log: pathlib.Path):
    self.process = None
    self.given_up = False
    self._name = f'actor-{index}'
    self._arguments = arguments
    self._log = log
    self._failures = 0
    self._start()

  def _start(self):
    with open(self._log, 'ab') as log:
      self.process = processes.start(_ACTOR, self._arguments, log)
    self._started = time.monotonic()
    self._start_again = None

  def tend(self):
    """Starts the process again after a pause if it has ended."""
    status, now = self.process.poll(), time.monotonic()
    if status is None or self.given_up:
      return
    if self._start_again is None:
      lived = now - self._started
      self._failures = 1 if lived > _LONGEST_PAUSE_SECS else self._failures + 1
      pause = min(
        _FIRST_PAUSE_SECS * 2 ** (self._failures - 1), _LONGEST_PAUSE_SECS
      )
      if status == 0:  # Training is over, or else somebody ended it.
        pause = _LONGEST_PAUSE_SECS
      self._start_again = now + pause
    elif self._failures > _MAX_FAILURES:
      self.given_up = True
      processes.say(
        f'{self._name} ended {self._failures} times in a row, with status'
        f' {status} at last, and is given up: see {self._log}.'
      )
    elif now >= self._start_again:
      processes.say(
        f'{self._name} ended with status {status} and starts again:'
        f' see {self._log}.'
      )
      self._start()


def _make_actors(config: config_lib.Config, address: str) -> list[_Actor]:
  logs = pathlib.Path(config.workdir) / 'logs'
  logs.mkdir(exist_ok=True)
  return [
    _Actor(
      index,
      [f'--address={address.strip()}', *processes.actor_flags(config, index)],
      logs / f'actor-{index}.log',
    )
    for index in range(config.num_actors)
  ]


def _wait_for_address(
  learner: subprocess.Popen, address_file: pathlib.Path, signals: list[int]
):
  while learner.poll() is None and not signals and not address_file.exists():
    time.sleep(_POLL_SECS)


def _tend(
  learner: subprocess.Popen, actors: list[_Actor], signals: list[int]
) -> int:
  """Keeps the actors going until the end; returns the exit status."""
  while learner.poll() is None and not signals:
    for actor in actors:
      actor.tend()
    if actors and all(actor.given_up for actor in actors):
      processes.say('No actor is left: stopping.')
      processes.end([learner], _LEARNER_GRACE_SECS)
      return 1
    time.sleep(_POLL_SECS)
  if learner.poll() is None:
    _stop(learner, signals)
  if signals and learner.returncode == -signal.SIGTERM:
    return 0  # It had just been started.
  if learner.returncode < 0:
    name = signal.Signals(-learner.returncode).name
    processes.say(f'The learner was ended by {name}.')
    return 128 - learner.returncode
  return learner.returncode


def _stop(learner: subprocess.Popen, signals: list[int]):
  """Lets the learner save, but not for ever and not against the user."""
  processes.say('Stopping: the learner saves. Once more to stop at once.')
  learner.terminate()
  deadline = time.monotonic() + _LEARNER_GRACE_SECS
  while (
    learner.poll() is None and len(signals) < 2 and time.monotonic() < deadline
  ):
    time.sleep(_POLL_SECS)
  learner.kill()  # Does nothing to a process that has ended.
  learner.wait()
