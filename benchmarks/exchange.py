"""gRPC alone: the learner's messages, answered at once and not looked at.

What serving costs beyond this is the learner's own. The same messages as unary
calls, which is how it was served before, are there to compare.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent import futures
import contextlib
import threading
from typing import Any

import grpc

from actors import client as client_lib
from protos import inference_pb2
from protos import inference_pb2_grpc
from seed_metagrad import types

_STOP_SECS = 1.0
_ACTION_BYTES = 4
_UNARY = 'benchmarks.Unary'

Context = grpc.aio.ServicerContext[Any, Any]


class Service(inference_pb2_grpc.InferenceServicer):
  """Leases any slots and acts with action 0, until it is `done`."""

  def __init__(self) -> None:
    self.actors: set[str] = set()
    self.done = False

  async def Join(
    self, request: inference_pb2.JoinRequest, context: Context
  ) -> inference_pb2.JoinReply:
    """Records who came."""
    del context
    self.actors.add(request.actor)
    return inference_pb2.JoinReply(env_ids=range(request.num_envs))

  async def Act(
    self, unused_requests: AsyncIterator[Any], context: Context
  ) -> None:
    """Replies with as many actions as there are environments."""
    while (request := await context.read()) is not grpc.aio.EOF:
      await context.write(
        inference_pb2.ActReply(
          actions=bytes(_ACTION_BYTES * len(request.flags)), done=self.done
        )
      )

  async def act_unary(
    self, request: inference_pb2.ActRequest, context: Context
  ) -> inference_pb2.ActReply:
    """`Act` as a call for each message."""
    del context
    return inference_pb2.ActReply(
      actions=bytes(_ACTION_BYTES * len(request.flags)), done=self.done
    )


class UnaryClient(client_lib.Client):
  """An actor's client that makes a call for each step."""

  def __init__(
    self, channel: grpc.aio.Channel, task: types.Task, **kwargs: Any
  ):
    super().__init__(channel, task, **kwargs)
    self._act = channel.unary_unary(
      f'/{_UNARY}/Act',
      inference_pb2.ActRequest.SerializeToString,
      inference_pb2.ActReply.FromString,
    )

  def open_stream(self) -> client_lib.Stream:
    """What acts as a stream."""
    return _Calls(self._act)


class _Calls:
  def __init__(self, act: Callable[..., Any]):
    self._act = act
    self._call: Any = None

  async def write(self, request: inference_pb2.ActRequest) -> None:
    self._call = self._act(request)

  async def read(self) -> Any:
    return await self._call

  def cancel(self) -> bool:
    return bool(self._call.cancel())


@contextlib.contextmanager
def serving() -> Iterator[tuple[str, Service]]:
  """A server of the learner's kind in a thread: its address, its service."""
  service = Service()
  port: futures.Future[int] = futures.Future()
  loops: futures.Future[asyncio.AbstractEventLoop] = futures.Future()
  stop = asyncio.Event()

  async def serve() -> None:
    server = grpc.aio.server(options=[('grpc.max_receive_message_length', -1)])
    inference_pb2_grpc.add_InferenceServicer_to_server(service, server)
    unary = grpc.unary_unary_rpc_method_handler(
      service.act_unary,
      inference_pb2.ActRequest.FromString,
      inference_pb2.ActReply.SerializeToString,
    )
    server.add_generic_rpc_handlers(
      [grpc.method_handlers_generic_handler(_UNARY, {'Act': unary})]
    )
    port.set_result(server.add_insecure_port('127.0.0.1:0'))
    loops.set_result(asyncio.get_running_loop())
    await server.start()
    await stop.wait()
    await server.stop(_STOP_SECS)

  thread = threading.Thread(target=lambda: asyncio.run(serve()))
  thread.start()
  try:
    yield f'127.0.0.1:{port.result()}', service
  finally:
    loops.result().call_soon_threadsafe(stop.set)
    thread.join()
