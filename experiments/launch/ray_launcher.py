"""Trains on a Ray cluster: Ray places, watches and replaces the processes.

The learner runs where its GPU is, actors wherever there are CPUs; those that
find no room wait until the cluster grows. Each is the process that is started
by hand elsewhere, in a Ray actor that carries its address, token, certificate
and log. A process that dies is started again here, one whose node or Ray worker
dies by Ray; the learner goes on from its checkpoint.
"""

from collections.abc import Callable
import os
import signal
import sys
import time
from typing import Any, NamedTuple

import ray
from ray import exceptions
from ray.util import scheduling_strategies

from experiments.launch import processes
from experiments.launch import ray_processes
from experiments.launch import supervisor
from seed_metagrad import config as config_lib

_POLL_SECS = 0.5
_LEARNER_GRACE_SECS = 60.0  # To finish an update, save and draw.
_ACTOR_GRACE_SECS = 5.0
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
  """A process of ours in a Ray actor, started again where that may help."""

  def __init__(
    self, name: str, launch: Callable[[], Any], final: tuple[int, ...] = ()
  ):
    """Starts the process; launch() gives the reference to its exit status."""
    self.reference: Any
    self._name = name
    self._launch = launch
    self._ended: int | None
    self._supervised = supervisor.Supervised(
      name, self._start, log=f'logs/{name}.log in the workdir', final=final
    )

  @property
  def status(self) -> int | None:
    """The last exit status, once it is not started again; else None."""
    return self._supervised.status

  def tend(self) -> None:
    """Starts the process again after a pause if it has ended."""
    if self._ended is None and ray.wait([self.reference], timeout=0)[0]:
      self._ended = self.result()
    self._supervised.tend(self._ended)

  def result(self) -> int:
    """Waits for the exit status; 1 where Ray lost it."""
    try:
      status: int = ray.get(self.reference)
    except exceptions.RayError as error:
      processes.say(f'{self._name}: {error}')
      return 1
    return status

  def _start(self) -> None:
    self.reference, self._ended = self._launch(), None


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
    self._coordinator = ray.remote(num_cpus=0, scheduling_strategy=here)(
      ray_processes.Coordinator
    ).remote(workdir)
    self._start_learner(
      [*passed, processes.quota_flag(config), f'--workdir={workdir}'], restart
    )
    self._actors: list[Job] = []

  def run(self, signals: list[int]) -> int:
    """Tends all processes until the end; returns the learner's status."""
    self._wait_for_learner(signals)
    if not signals and self._learner.status is None:
      self._actors = [
        self._start_actor(index) for index in range(self._config.num_actors)
      ]
    while self._learner.status is None and not signals:
      self._tend([self._learner, *self._actors])
      if self._actors and all(job.status is not None for job in self._actors):
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
    return _exit_status(self._learner.status)

  def _start_learner(self, arguments: list[str], restart: bool) -> None:
    cpus, gpus = self._resources.learner_cpus, self._resources.learner_gpus
    if gpus is None:
      gpus = min(1, ray.cluster_resources().get('GPU', 0))
    # Kept for the learner, whoever waits for CPUs while it starts again.
    place = ray.util.placement_group(
      [{'CPU': cpus, 'GPU': gpus} if gpus else {'CPU': cpus}]
    )
    self._learner_process = _remote_process(
      'learner',
      num_cpus=cpus,
      num_gpus=gpus,
      scheduling_strategy=(
        scheduling_strategies.PlacementGroupSchedulingStrategy(place)
      ),
    )
    self._wanted = f'{cpus:g} CPUs and {gpus:g} GPUs'
    self._learner = Job(
      'learner',
      lambda: self._learner_process.learn.remote(
        self._coordinator, arguments, restart
      ),
      _FINAL,
    )

  def _start_actor(self, index: int) -> Job:
    name = f'actor-{index}'
    process = _remote_process(
      name, num_cpus=self._resources.actor_cpus, scheduling_strategy='SPREAD'
    )
    arguments = processes.actor_flags(self._config, index)
    return Job(name, lambda: process.act.remote(self._coordinator, arguments))

  def _wait_for_learner(self, signals: list[int]) -> None:
    hint = time.monotonic() + _PLACE_SECS
    while (
      not ray.get(self._coordinator.contact.remote())
      and not signals
      and self._learner.status is None
    ):
      self._tend([self._learner])
      if time.monotonic() > hint:
        hint = float('inf')
        processes.say(
          f'Waiting for the learner, that needs {self._wanted} on one node.'
        )

  def _tend(self, jobs: list[Job]) -> None:
    for job in jobs:
      job.tend()
    self._echo()
    time.sleep(_POLL_SECS)

  def _stop_learner(self, signals: list[int]) -> int:
    """Lets the learner save, but not for ever and not against the user."""
    processes.say('Stopping: the learner saves. Once more to stop at once.')
    self._learner_process.stop.remote()
    deadline = time.monotonic() + _LEARNER_GRACE_SECS
    while len(signals) < 2 and time.monotonic() < deadline:
      ended, _ = ray.wait([self._learner.reference], timeout=_POLL_SECS)
      self._echo()
      if ended:
        status = self._learner.result()
        # Ended by our signal where it had just been started.
        return 0 if status == -signal.SIGTERM else _exit_status(status)
    return 128 + signal.SIGKILL

  def _echo(self) -> None:
    """Prints what the learner printed."""
    sys.stderr.write(ray.get(self._coordinator.read.remote()))
    sys.stderr.flush()


def _remote_process(name: str, **resources: Any) -> Any:
  """The handle of a Ray actor that Ray starts again, elsewhere if need be."""
  return ray.remote(
    max_restarts=-1, max_task_retries=-1, max_concurrency=2, **resources
  )(ray_processes.Process).remote(name)


def _exit_status(status: int) -> int:
  """As a shell has it: 128 + n where signal n ended the process."""
  return status if status >= 0 else 128 - status
