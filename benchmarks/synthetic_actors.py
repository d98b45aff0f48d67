"""Actors whose environments cost nothing: they load a learner's server.

All but the environment is an actor's own code.
"""

import asyncio
from collections.abc import Sequence
import multiprocessing
from multiprocessing import connection as connection_lib
from multiprocessing import context as context_lib
import time
from typing import NamedTuple

import numpy as np

from actors import actor
from actors import client as client_lib
from benchmarks import exchange
from benchmarks import measurement
from seed_metagrad import types
from seed_metagrad.environments import environment

# At most; the actors are shared out among them. With a period, no more than one
# to a process: an environment that waits for its turn holds up the others.
_PROCESSES = 4
_RECONNECT_SECS = 30.0

Connection = connection_lib.Connection
SpawnProcess = context_lib.SpawnProcess


class Load(NamedTuple):
  """How many actors ask for how many environments, and how often."""

  num_actors: int
  num_envs: int  # In one actor's only group, and so in one request.
  period_secs: float = 0.0  # Between an actor's requests; 0: at once.


class Reply(NamedTuple):
  """When a request was answered, by time.monotonic, and how late."""

  time: float
  latency_secs: float


class Env:
  """Environments that show the same frames for ever."""

  def __init__(self, spec: types.EnvSpec, load: Load, delay_secs: float):
    self.spec = spec
    self.num_envs = load.num_envs
    self.replies: list[Reply] = []
    self._period_secs = load.period_secs
    self._next = time.monotonic() + delay_secs
    self._outputs = environment.first_output(
      np.random.default_rng(0)
      .integers(256, size=(load.num_envs, *spec.observation_shape))
      .astype(spec.observation_dtype)
    )

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Waits for its turn to start."""
    return self._wait()

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Records when the actions came."""
    environment.check_actions(actions, self.num_envs, self.spec)
    now = time.monotonic()
    self.replies.append(Reply(now, now - self._sent))
    return self._wait()

  def close(self) -> None:
    """Frees nothing."""

  def _wait(self) -> types.EnvOutput[np.ndarray]:
    self._next += self._period_secs
    if self._period_secs:
      time.sleep(max(0.0, self._next - time.monotonic()))
    self._sent = time.monotonic()
    return self._outputs


class Processes:
  """Runs a load in other processes, until the learner says it is over."""

  def __init__(
    self,
    address: str,
    env: str,
    spec: types.EnvSpec,
    load: Load,
    *,
    unary: bool = False,
  ):
    # Not forked: threads of TensorFlow and gRPC run here.
    context = multiprocessing.get_context('spawn')
    self._running: list[tuple[SpawnProcess, Connection]] = []
    for indices in np.array_split(
      np.arange(load.num_actors), min(load.num_actors, _PROCESSES)
    ):
      ours, theirs = context.Pipe(duplex=False)
      process = context.Process(
        target=_run,
        daemon=True,
        args=(address, env, spec, load, indices.tolist(), theirs, unary),
      )
      process.start()
      theirs.close()  # So that its end is seen here.
      self._running.append((process, ours))

  def cpu_secs(self) -> float:
    """CPU time of all of them so far."""
    pids = [process.pid for process, _ in self._running]
    return sum(measurement.cpu_secs(pid) for pid in pids if pid is not None)

  def replies(self) -> list[Reply]:
    """Waits for the end; what all actors recorded.

    Raises:
      EOFError: a process failed.
    """
    replies: list[Reply] = []
    for process, connection in self._running:
      replies += connection.recv()
      process.join()
    return replies


def _run(
  address: str,
  env: str,
  spec: types.EnvSpec,
  load: Load,
  indices: Sequence[int],
  connection: Connection,
  unary: bool,
) -> None:
  async def act(index: int) -> list[Reply]:
    # Shares the requests out over the period.
    delay_secs = load.period_secs * index / load.num_actors
    steps = Env(spec, load, delay_secs)
    async with client_lib.open_channel(address) as channel:
      make = exchange.UnaryClient if unary else client_lib.Client
      client = make(
        channel,
        types.Task(env, spec, {}),
        num_envs=load.num_envs,
        name=f'synthetic-{index}',
        group=0,
        reconnect_secs=_RECONNECT_SECS,
      )
      await actor.run([actor.Group(steps, client)])
    return steps.replies

  async def act_all() -> list[Reply]:
    parts = await asyncio.gather(*map(act, indices))
    return [reply for part in parts for reply in part]

  connection.send(asyncio.run(act_all()))
