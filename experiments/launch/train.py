"""Trains: one learner process and its actors, here or on a Ray cluster.

Ctrl-C saves and stops; the same command on the same --workdir goes on.
"""

import dataclasses
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from absl import flags

from experiments.launch import processes
from experiments.launch import supervisor
from learner import config_flags
from seed_metagrad import config as config_lib

_LEARNER, _ACTOR = 'learner.main', 'actors.main'
_POLL_SECS = 0.2
_LEARNER_GRACE_SECS = 60.0  # To finish an update, save and draw.
_ACTOR_GRACE_SECS = 5.0


def define_flags(flag_values: flags.FlagValues) -> None:
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
    "Port for the learner's Prometheus endpoint on 127.0.0.1 (0: off).",
    lower_bound=0,
    upper_bound=65535,
    flag_values=flag_values,
  )
  flags.DEFINE_enum(
    'launcher',
    'here',
    ['here', 'ray'],
    'Processes on this machine, or on a Ray cluster.',
    flag_values=flag_values,
  )
  _define_ray_flags(flag_values)


def _define_ray_flags(flag_values: flags.FlagValues) -> None:
  flags.DEFINE_string(
    'ray_address',
    '',
    'Address of the Ray cluster; by default the one that Ray finds, or else a'
    ' new one on this machine.',
    flag_values=flag_values,
  )
  for name, default, text in (
    ('learner_cpus', 1.0, 'CPUs that Ray keeps for the learner.'),
    (
      'learner_gpus',
      None,
      'GPUs that Ray keeps for the learner; by default one if the cluster has'
      ' one.',
    ),
    ('actor_cpus', 1.0, 'CPUs that Ray keeps for each actor.'),
  ):
    flags.DEFINE_float(
      name, default, text, lower_bound=0.0, flag_values=flag_values
    )


def run(flag_values: flags.FlagValues) -> int:
  """Trains until the learner ends; returns its exit status."""
  config = config_flags.read(flag_values)
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
  # Before TensorFlow starts: it cannot be made, or is misspelt.
  from seed_metagrad import environments  # Slow: it brings NumPy.

  environments.spec(config.env, config.env_settings())
  return _run_here(config, passed + ['--restart'] * flag_values.restart)


def _run_on_ray(
  config: config_lib.Config, passed: list[str], flag_values: flags.FlagValues
) -> int:
  try:
    from experiments.launch import ray_launcher  # Needs an extra.
  except ModuleNotFoundError as error:
    raise ValueError(
      f"{error}. --launcher=ray needs pip install 'seed-metagrad[ray]'."
    ) from None
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
    'TF_NUM_INTRAOP_THREADS', str(max(1, (os.cpu_count() or 1) // 2))
  )
  with (
    tempfile.TemporaryDirectory() as folder,
    processes.stop_signals() as signals,
  ):
    address_file = pathlib.Path(folder) / 'address'
    # Other users of this machine reach the port, and not this folder.
    token_file = processes.write_private(
      f'{folder}/token', processes.new_token()
    )
    learner = processes.start(
      _LEARNER,
      [
        *passed,
        processes.quota_flag(config),
        '--address=127.0.0.1:0',
        f'--address_file={address_file}',
        f'--token_file={token_file}',
      ],
    )
    actors: list[_Actor] = []
    try:
      _wait_for_address(learner, address_file, signals)
      if address_file.exists() and not signals:
        actors = _make_actors(
          config,
          [
            f'--address={address_file.read_text().strip()}',
            f'--token_file={token_file}',
          ],
        )
      return _tend(learner, actors, signals)
    finally:
      processes.end([learner], _LEARNER_GRACE_SECS)
      theirs = [actor.process for actor in actors]
      if not signals:
        processes.wait(theirs, _ACTOR_GRACE_SECS)  # The learner told them.
      processes.end(theirs, _ACTOR_GRACE_SECS)


class _Actor:
  """An actor process, started again when it ends too early."""

  def __init__(self, index: int, arguments: list[str], log: pathlib.Path):
    self.process: subprocess.Popen[bytes]
    self._arguments = arguments
    self._log = log
    self._supervised = supervisor.Supervised(
      f'actor-{index}', self._start, log=str(log)
    )

  @property
  def given_up(self) -> bool:
    """Whether it ended too often."""
    return self._supervised.status is not None

  def tend(self) -> None:
    """Starts the process again after a pause if it has ended."""
    self._supervised.tend(self.process.poll())

  def _start(self) -> None:
    with open(self._log, 'ab') as log:
      self.process = processes.start(_ACTOR, self._arguments, log)


def _make_actors(config: config_lib.Config, contact: list[str]) -> list[_Actor]:
  """Starts the actors; contact: flags by which they reach the learner."""
  logs = pathlib.Path(config.workdir) / 'logs'
  logs.mkdir(exist_ok=True)
  return [
    _Actor(
      index,
      [*contact, *processes.actor_flags(config, index)],
      logs / f'actor-{index}.log',
    )
    for index in range(config.num_actors)
  ]


def _wait_for_address(
  learner: subprocess.Popen[bytes],
  address_file: pathlib.Path,
  signals: list[int],
) -> None:
  while learner.poll() is None and not signals and not address_file.exists():
    time.sleep(_POLL_SECS)


def _tend(
  learner: subprocess.Popen[bytes], actors: list[_Actor], signals: list[int]
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


def _stop(learner: subprocess.Popen[bytes], signals: list[int]) -> None:
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
