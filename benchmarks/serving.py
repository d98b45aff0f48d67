"""The real server, batcher, inference and unroll store, under synthetic load.

The network is a few numbers and the environments cost nothing: what is left is
what serving costs. Actors and learner share the machine.
"""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # noqa: F401  # isort: skip

from collections.abc import Callable, Iterator
import contextlib
import queue
import threading
import time
from typing import Any, NamedTuple

import numpy as np

from benchmarks import computations
from benchmarks import exchange
from benchmarks import measurement
from benchmarks import synthetic_actors
from learner.inference import batcher as batcher_lib
from learner.inference import parameter_store
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker as inference_lib
from learner.serving import leases as leases_lib
from learner.serving import server as server_lib
from protos import codec
from protos import inference_pb2
from seed_metagrad import environments
from seed_metagrad import types

_UNROLL_LENGTH = 20
_MAX_ENVS = 4096  # As many as a learner takes.
_BATCH_ENVS, _TIMEOUT_MS = (1, 256), 5.0  # The config's own.
_START_SECS, _POLL_SECS = 300.0, 0.05  # Until all actors are answered.
_FIRST_CALLS = 5  # The graph is made in the first.
_WARM_UP_SECS = 2.0
_FINISH_SECS = 30.0
_FULL = synthetic_actors.Load(num_actors=4, num_envs=64)
_SINGLE = synthetic_actors.Load(num_actors=256, num_envs=1)
_GRID = (1, 4, 16, 64, 256)  # Actors, and environments of each.


class _Serving(NamedTuple):
  """What actors load."""

  address: str
  is_ready: Callable[[], bool]  # Whether the load is on.
  finish: Callable[[], object]


class _Watched(NamedTuple):
  """What was seen of a load."""

  secs: float
  learner_cpu_secs: float
  actors_cpu_secs: float
  replies: list[synthetic_actors.Reply]


def serve(options: measurement.Options) -> Iterator[measurement.Result]:
  """Every load, latency at half of one, and gRPC alone."""
  computations.pin_threads()
  spec = environments.spec(options.env)
  grid = [
    measure(options, spec, synthetic_actors.Load(num_actors, num_envs))
    for num_envs in _GRID
    for num_actors in _GRID
    if num_actors * num_envs <= _MAX_ENVS
  ]
  for results in grid:
    yield from results
  full = measure(options, spec, _FULL)
  period_secs = 2 * _FULL.num_actors * _FULL.num_envs / full[0].value
  yield from measure(options, spec, _FULL._replace(period_secs=period_secs))
  for load in (_FULL, _SINGLE):
    for what in ('exchange', 'exchange_unary'):
      yield from measure(options, spec, load, what)
  yield bytes_per_env_step(spec, _FULL.num_envs)
  if options.figure:
    from benchmarks import figures  # Slow: it brings matplotlib.

    figures.draw(grid, options.figure)


def measure(
  options: measurement.Options,
  spec: types.EnvSpec,
  load: synthetic_actors.Load,
  what: str = 'serve',
) -> list[measurement.Result]:
  """Env steps/s, messages/s, CPU time of learner and actors, latencies.

  what: `serve`, or for gRPC alone `exchange` or `exchange_unary`.
  """
  watched = _watch(options, spec, load, what)
  replies, secs = watched.replies, watched.secs
  rate = len(replies) / secs
  latencies = [1e3 * reply.latency_secs for reply in replies]
  us_per_env_step = 1e6 / (len(replies) * load.num_envs)
  settings = {
    'actors': load.num_actors,
    'envs_per_request': load.num_envs,
    'load': 'half' if load.period_secs else 'full',
  }
  return [
    measurement.Result(f'{what}.{name}', value, unit, settings)
    for name, value, unit in (
      ('env_steps_per_s', rate * load.num_envs, 'env steps/s'),
      ('messages_per_s', rate, 'messages/s'),
      (
        'learner_cpu_us_per_env_step',
        watched.learner_cpu_secs * us_per_env_step,
        'us',
      ),
      (
        'actor_cpu_us_per_env_step',
        watched.actors_cpu_secs * us_per_env_step,
        'us',
      ),
      ('latency_p50_ms', float(np.percentile(latencies, 50)), 'ms'),
      ('latency_p99_ms', float(np.percentile(latencies, 99)), 'ms'),
    )
  ]


def _watch(
  options: measurement.Options,
  spec: types.EnvSpec,
  load: synthetic_actors.Load,
  what: str,
) -> _Watched:
  serving = _learner if what == 'serve' else _exchange
  with serving(options.env, spec, load) as served:
    actors = synthetic_actors.Processes(
      served.address, options.env, spec, load, unary=what == 'exchange_unary'
    )
    _wait_until(served.is_ready)
    time.sleep(_WARM_UP_SECS)
    start, cpu_start = time.monotonic(), time.process_time()
    actors_start = actors.cpu_secs()
    time.sleep(options.secs)
    end, cpu_end = time.monotonic(), time.process_time()
    actors_end = actors.cpu_secs()
    served.finish()
    replies = [reply for reply in actors.replies() if start <= reply.time < end]
  return _Watched(
    end - start, cpu_end - cpu_start, actors_end - actors_start, replies
  )


@contextlib.contextmanager
def _exchange(
  unused_env: str, unused_spec: types.EnvSpec, load: synthetic_actors.Load
) -> Iterator[_Serving]:
  with exchange.serving() as (address, service):

    def finish() -> None:
      service.done = True

    yield _Serving(
      address, lambda: len(service.actors) == load.num_actors, finish
    )


@contextlib.contextmanager
def _learner(
  env: str, spec: types.EnvSpec, load: synthetic_actors.Load
) -> Iterator[_Serving]:
  """A learner that only serves; its unrolls are dropped."""
  stop = threading.Event()
  unrolls: queue.Queue[Any] = queue.Queue(64)  # None ends.
  batcher = batcher_lib.Batcher(*_BATCH_ENVS, _TIMEOUT_MS)
  server = server_lib.Server(
    '127.0.0.1:0',
    types.Task(env, spec, {}),
    batcher,
    leases_lib.Leases(_MAX_ENVS, lease_secs=60.0, actor_envs=_MAX_ENVS),
  )
  parameters = parameter_store.ParameterStore(computations.tiny_published(spec))
  store = unrolls_lib.UnrollStore(_UNROLL_LENGTH, spec)
  acting = inference_lib.Inference(
    computations.tiny_act(spec), spec, parameters, store, seed=1
  )

  threads = [
    threading.Thread(target=_drop, args=(unrolls,)),
    threading.Thread(
      target=inference_lib.serve, args=(acting, batcher, unrolls, stop)
    ),
  ]
  for thread in threads:
    thread.start()
  try:
    yield _Serving(
      f'127.0.0.1:{server.start()}',
      lambda: (
        server.num_actors() == load.num_actors
        and acting.num_calls > _FIRST_CALLS
      ),
      lambda: server.finish(_FINISH_SECS),
    )
  finally:
    batcher.close()
    server.stop()
    stop.set()
    unrolls.put(None)
    for thread in threads:
      thread.join()


def _drop(unrolls: queue.Queue[Any]) -> None:
  while unrolls.get() is not None:
    pass


def _wait_until(holds: Callable[[], bool]) -> None:
  deadline = time.monotonic() + _START_SECS
  while not holds():
    if time.monotonic() > deadline:
      raise TimeoutError(f'no load after {_START_SECS:g} s')
    time.sleep(_POLL_SECS)


def bytes_per_env_step(
  spec: types.EnvSpec, num_envs: int
) -> measurement.Result:
  """Of a request and its reply, gRPC's own framing excluded."""
  nothing = np.zeros(num_envs, bool)
  request = codec.encode_step(
    types.EnvOutput(
      np.ones(num_envs, np.float32),
      nothing,
      nothing,
      nothing,
      np.ones((num_envs, *spec.observation_shape), spec.observation_dtype),
    )
  )
  request.run_id, request.sequence = 1 << 62, 1 << 30
  reply = inference_pb2.ActReply(
    actions=codec.encode(np.ones(num_envs, np.int32), 'int32')
  )
  return measurement.Result(
    'serve.bytes_per_env_step',
    (request.ByteSize() + reply.ByteSize()) / num_envs,
    'bytes',
    {'envs_per_request': num_envs},
  )
