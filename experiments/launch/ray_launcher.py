"""Trains on a Ray cluster: Ray places, watches and replaces the processes.

The learner runs where its GPU is, actors wherever there are CPUs; those that
find no room wait until the cluster grows. Each is the process that is started
by hand elsewhere, in a Ray actor that carries its address, token, certificate
and log. A process that dies is started again here, one whose node or Ray worker
dies by Ray; the learner goes on from its checkpoint.
"""

import os
import signal
import sys
import time
from typing import NamedTuple

import ray
from ray import exceptions
from ray.util import scheduling_strategies

from experiments.launch import processes
from experiments.launch import ray_processes
from seed_metagrad import config as config_lib

_POLL_SECS = 0.5
_LEARNER_GRACE_SECS = 60.0  # To finish an update, save and draw.
_ACTOR_GRACE_SECS = 5.0
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 5.0, 60.0  # Before a restart.
_MAX_FAILURES = 5  # In a row, each within _LONGEST_PAUSE_SECS of its start.
_FINAL = (0, 4)  # The learner's: done, and not finite: again would not help.
_PLACE_SECS = 30.0  # Then the user hears that the learner found no node.


class Resources(NamedTuple):
  """What Ray keeps free for a process."""

  learner_cpus: float
  learner_gpus: float | None  # None is one where the cluster has one.
  actor_cpus: float


def run(
  config: config_lib.Config,
  passed: list[str],
  *,
  restart: bool,
  address: str,
  resources: Resources,
) -> int:
  """Trains until the learner ends; returns its exit status.

  passed: the config's flags for the learner. address: of a cluster; '' is the
  one of RAY_ADDRESS or of this machine, or else a new one here.
  """
  os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
  ray.init(
    address=address or None,
    log_to_driver=False,
    include_dashboard=False,
    logging_level='warning',
    runtime_env={'env_vars': {'PYTHONPATH': processes.python_path()}},
  )
  # After Ray has set handlers of its own.
  with processes.stop_signals() as signals:
    try:
      launch = _Launch(config, passed, restart, resources)
      return launch.run(signals)
    finally:
      ray.shutdown()  # Ends all that still runs.


class Job:
  """A process that starts again until it is done or fails too often."""

  def __init__(self, name: str, handle, start, final: tuple[int, ...]):
    self.name = name
    self.handle = handle
    self.status = None  # Once it is over.
    self._start = start
    self._final = final
    self._failures = 0
    self._run(0.0)

  def _run(self, pause_secs: float):
    self._started = time.monotonic() + pause_secs
    self.reference = self._start(pause_secs)

  def ended(self):
    """Starts the process again if that may help."""
    try:
      status = ray.get(self.reference)
    except exceptions.RayError as error:
      processes.say(f'{self.name}: {error}')
      status = 1
    if status in self._final:
      self.status = status
      return
    lived = time.monotonic() - self._started
    self._failures = 1 if lived > _LONGEST_PAUSE_SECS else self._failures + 1
    if self._failures > _MAX_FAILURES:
      self.status = status
      processes.say(
        f'{self.name} ended {self._failures} times in a row, with'
        f' status {status} at last, and is given up.'
      )
      return
    processes.say(
      f'{self.name} ended with status {status} and starts again:'
      f' see logs/{self.name}.log in the workdir.'
    )
    self._run(
      min(_FIRST_PAUSE_SECS * 2 ** (self._failures - 1), _LONGEST_PAUSE_SECS)
    )


class _Launch:
  """The processes of one run."""

  def __init__(
    self,
    config: config_lib.Config,
    passed: list[str],
    restart: bool,
    resources: Resources,
  ):
    self._config = config
    self._resources = resources
    workdir = os.path.abspath(config.workdir)
    here = scheduling_strategies.NodeAffinitySchedulingStrategy(
      ray.get_runtime_context().get_node_id(), soft=False
    )
    self._board = ray_processes.Board.options(scheduling_strategy=here).remote(
      workdir
    )
    self._learner = self._start_learner(
      [*passed, f'--workdir={workdir}'], restart
    )
    self._actors = []

  def run(self, signals: list[int]) -> int:
    """Tends all processes until the end; returns the learner's status."""
    self._wait_for_learner(signals)
    if not signals and self._learner.status is None:
      self._actors = [
        self._start_actor(index) for index in range(self._config.num_actors)
      ]
    while self._learner.status is None and not signals:
      self._tend([self._learner, *self._actors])
      if self._actors and all(actor.status for actor in self._actors):
        processes.say('No actor is left: stopping.')
        self._stop_learner(signals)
        return 1
    if self._learner.status is None:
      return self._stop_learner(signals)
    # The learner told them.
    ray.wait(
      [actor.reference for actor in self._actors] or [self._learner.reference],
      num_returns=max(1, len(self._actors)),
      timeout=_ACTOR_GRACE_SECS,
    )
    self._echo()
    status = self._learner.status
    return status if status >= 0 else 128 - status  # Of a signal.

  def _start_learner(self, arguments: list[str], restart: bool) -> Job:
    cpus, gpus, _ = self._resources
    if gpus is None:
      gpus = min(1, ray.cluster_resources().get('GPU', 0))
    # Kept for the learner, whoever waits for CPUs while it starts again.
    place = ray.util.placement_group(
      [{'CPU': cpus, 'GPU': gpus} if gpus else {'CPU': cpus}]
    )
    handle = ray_processes.Process.options(
      num_cpus=cpus,
      num_gpus=gpus,
      scheduling_strategy=(
        scheduling_strategies.PlacementGroupSchedulingStrategy(place)
      ),
    ).remote('learner')
    self._wanted = f'{cpus:g} CPUs and {gpus:g} GPUs'
    return Job(
      'learner',
      handle,
      lambda pause_secs: handle.learn.remote(
        self._board, arguments, restart, pause_secs
      ),
      _FINAL,
    )

  def _start_actor(self, index: int) -> Job:
    name = f'actor-{index}'
    handle = ray_processes.Process.options(
      num_cpus=self._resources.actor_cpus, scheduling_strategy='SPREAD'
    ).remote(name)
    arguments = processes.actor_flags(self._config, index)
    return Job(
      name,
      handle,
      lambda pause_secs: handle.act.remote(self._board, arguments, pause_secs),
      (0,),
    )

  def _wait_for_learner(self, signals: list[int]):
    hint = time.monotonic() + _PLACE_SECS
    while (
      not ray.get(self._board.contact.remote())
      and not signals
      and self._learner.status is None
    ):
      self._tend([self._learner])
      if time.monotonic() > hint:
        hint = float('inf')
        processes.say(
          f'Waiting for the learner, that needs {self._wanted} on one node.'
        )

  def _tend(self, jobs: list[Job]):
    running = [job for job in jobs if job.status is None]
    ended, _ = ray.wait(
      [job.reference for job in running],
      num_returns=len(running),
      timeout=_POLL_SECS,
    )
    for job in running:
      if job.reference in ended:
        job.ended()
    self._echo()

  def _stop_learner(self, signals: list[int]) -> int:
    """Lets the learner save, but not for ever and not against the user."""
    processes.say('Stopping: the learner saves. Once more to stop at once.')
    self._learner.handle.stop.remote()
    deadline = time.monotonic() + _LEARNER_GRACE_SECS
    ended = []
    while not ended and len(signals) < 2 and time.monotonic() < deadline:
      ended, _ = ray.wait([self._learner.reference], timeout=_POLL_SECS)
      self._echo()
    if not ended:
      return 128 + signal.SIGKILL
    try:
      status = ray.get(ended[0])
    except exceptions.RayError as error:  # Its worker was lost while it saved.
      processes.say(f'learner: {error}')
      return 1
    return 0 if status == -signal.SIGTERM else status  # It had just started.

  def _echo(self):
    """Prints what the learner printed."""
    sys.stderr.write(ray.get(self._board.read.remote()))
    sys.stderr.flush()
