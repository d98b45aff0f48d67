"""Runs the inference service in a thread of its own.

One event loop owns every lease, so a call that waits costs no thread and
thousands may. Only the batcher is shared with other threads.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from concurrent import futures
import resource
import threading
from typing import Any, NamedTuple, TypeVar

from absl import logging
import grpc
from grpc_health.v1 import health
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc

from learner.inference import batcher as batcher_lib
from learner.serving import connections as connections_lib
from learner.serving import leases as leases_lib
from learner.serving import security
from learner.serving import service
from learner.serving import validation
from protos import inference_pb2
from protos import inference_pb2_grpc
from seed_metagrad import types

_NAME = inference_pb2.DESCRIPTOR.services_by_name['Inference'].full_name
_READ_SECS = 10.0  # A request that is incomplete after that is refused.
_HANDSHAKE_SECS = 10.0  # So is a connection without a finished handshake.
_STOP_SECS = 1.0  # Calls that still run then are cancelled.
_WATCH_SECS = 1.0  # Between checks for silent groups.
_SILENT_SECS = 10.0  # A silence of this length is logged.
_SPARE_CALLS = 256  # Joins and health checks, besides one stream per group.
_CONNECTION_CALLS = validation.MAX_GROUPS + 16  # An actor's: streams and joins.
_MAX_MS = 2**31 - 1  # The most that gRPC's options hold.
_OTHER_FILES = 512  # Files of this process that are not connections.


_Result = TypeVar('_Result')


class SilentGroup(NamedTuple):
  """A group of environments that owes the learner a request."""

  peer: str
  num_envs: int
  secs: float


class Server:
  """The service at `address`; `address.check_protected` says which are allowed.

  `env_states` are those of an earlier run, by peer, as `Request.env_state` has
  them.
  """

  def __init__(
    self,
    address: str,
    task: types.Task,
    batcher: batcher_lib.Batcher,
    leases: leases_lib.Leases,
    *,
    credentials: grpc.ServerCredentials | None = None,
    token: str = '',
    env_states: Mapping[str, bytes] | None = None,
  ):
    self._address = address
    self._credentials = credentials
    self._leases = leases
    self._max_calls = leases.max_envs + _SPARE_CALLS
    self._max_connections = _allow_connections(self._max_calls)
    self._message_bytes = validation.max_request_bytes(
      task.spec, batcher.max_envs
    )
    self._guard = security.Guard(token, _READ_SECS, leases.log)
    self._inference = service.Inference(
      task, batcher, leases, leases.log, dict(env_states or {}), _READ_SECS
    )
    self._health = health.aio.HealthServicer()
    self._thread = threading.Thread(
      target=self._run, name='server', daemon=True
    )
    self.open_connections = 0  # At the newest look.
    self.closed_connections = 0  # Those of strangers, since the start.
    self._port: futures.Future[int] = futures.Future()
    self._loop = asyncio.new_event_loop()
    self._stopping = asyncio.Event()

  def start(self) -> int:
    """Starts serving and returns the port; port 0 picks a free one.

    Raises:
      ValueError: cannot bind the address.
    """
    self._thread.start()
    return self._port.result()

  def check_connections(self, num_actors: int) -> None:
    """Checks that so many actors, one connection each, can be served.

    Raises:
      ValueError: the limit of open files leaves room for fewer.
    """
    if self._max_connections < num_actors:
      raise ValueError(
        f'the limit of open files (ulimit -n) leaves room for'
        f' {self._max_connections} connections, and {num_actors} actors need'
        f' one each: make it {num_actors + _OTHER_FILES} or more.'
      )
    if self._max_connections < self._max_calls:
      logging.info(
        'The limit of open files (ulimit -n) leaves room for %d connections',
        self._max_connections,
      )

  def num_actors(self) -> int:
    """Counts the actors that hold a lease."""

    async def count() -> int:
      return len({lease.actor for lease in self._leases.all()})

    return self._call(count())

  def silent(self, secs: float) -> list[SilentGroup]:
    """Lists who has owed a request for `secs` or longer."""

    async def groups() -> list[SilentGroup]:
      return [
        SilentGroup(lease.peer, len(lease.env_ids), silent_secs)
        for lease, silent_secs in self._leases.silent(secs)
      ]

    return self._call(groups())

  def finish(self, secs: float) -> bool:
    """Tells every actor that training is over; false where one was not told."""
    if self._call(self._finish(secs)):
      return True
    logging.warning(
      '%d actors asked for no actions within %g s: they were not told that'
      ' training is over, and will try to come back for their --reconnect_secs',
      self.num_actors(),
      secs,
    )
    return False

  def stop(self) -> None:
    """Stops serving; actors that were not told will try to reconnect."""
    if self._thread.is_alive():
      self._loop.call_soon_threadsafe(self._stopping.set)
      self._thread.join()

  def _call(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

  def _run(self) -> None:
    with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
      runner.run(self._serve())

  async def _serve(self) -> None:
    server = grpc.aio.server(
      interceptors=[self._guard],
      options=self._options(),
      maximum_concurrent_rpcs=self._max_calls,
    )
    inference_pb2_grpc.add_InferenceServicer_to_server(self._inference, server)
    health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
    try:
      port = self._bind(server)
    except RuntimeError as error:
      keys = (
        ' Or do certificate and key not match?' if self._credentials else ''
      )
      self._port.set_exception(
        ValueError(
          f'cannot bind address {self._address}; is it in use?{keys} ({error})'
        )
      )
      return
    await server.start()
    await self._set_health(health_pb2.HealthCheckResponse.SERVING)
    self._port.set_result(port)
    await self._watch(connections_lib.Connections(port, self._max_connections))
    self._inference.stop()
    await self._health.enter_graceful_shutdown()
    await server.stop(_STOP_SECS)

  def _bind(self, server: grpc.aio.Server) -> int:
    if self._credentials is None:
      return server.add_insecure_port(self._address)
    return server.add_secure_port(self._address, self._credentials)

  def _options(self) -> list[tuple[str, int]]:
    # A peer of which nothing is heard for --lease_secs has lost its streams.
    ping_ms = int(min(1e3 * self._leases.lease_secs, _MAX_MS) / 3)
    return [
      ('grpc.so_reuseport', 0),  # An address in use is an error.
      ('grpc.max_receive_message_length', self._message_bytes),
      ('grpc.max_metadata_size', 8192),  # Bytes.
      ('grpc.max_concurrent_streams', _CONNECTION_CALLS),
      ('grpc.max_allowed_incoming_connections', self._max_connections),
      ('grpc.server_handshake_timeout_ms', int(1e3 * _HANDSHAKE_SECS)),
      ('grpc.keepalive_time_ms', ping_ms),
      ('grpc.keepalive_timeout_ms', 2 * ping_ms),  # For hosts that are gone.
      ('grpc.http2.ping_timeout_ms', 2 * ping_ms),  # That stand still.
      ('grpc.http2.max_pings_without_data', 0),  # As many as it takes.
      # Actors may ping as often.
      ('grpc.http2.min_recv_ping_interval_without_data_ms', 5_000),
      ('grpc.keepalive_permit_without_calls', 1),
    ]

  async def _set_health(self, status: int) -> None:
    for name in ('', _NAME):
      await self._health.set(name, status)

  async def _watch(self, connections: connections_lib.Connections) -> None:
    while not self._stopping.is_set():
      await self._look(connections)
      self._leases.expire()
      self._leases.log_silent(_SILENT_SECS)
      self._leases.log.flush()
      try:
        await asyncio.wait_for(self._stopping.wait(), _WATCH_SECS)
      except TimeoutError:
        pass

  async def _look(self, connections: connections_lib.Connections) -> None:
    look = await asyncio.to_thread(
      connections.look, self._guard.take_admitted()
    )
    self._leases.cut_off(lambda name: connections_lib.parse(name) in look.gone)
    self.open_connections = look.open
    for host, count in look.closed.items():
      self.closed_connections += count
      self._leases.log.warning(
        'closed connections',
        'Closed %d connections of %s without an admitted call, %d of at most '
        '%d are open',
        count,
        host,
        look.open,
        self._max_connections,
      )

  async def _finish(self, secs: float) -> bool:
    await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
    return await self._inference.finish(secs)


def _allow_connections(wanted: int) -> int:
  """Raises the limit of open files; returns how many connections fit in it."""
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  needed = wanted + _OTHER_FILES
  if hard != resource.RLIM_INFINITY:
    needed = min(needed, hard)
  if resource.RLIM_INFINITY != soft < needed:
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
  return max(1, needed - _OTHER_FILES)
