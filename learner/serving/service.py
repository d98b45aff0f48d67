"""Join and Act: from messages to the batcher and back, or a refusal.

Everything here runs in the server's event loop.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NoReturn, TypeAlias

from google.protobuf import message as protobuf_message
import grpc

from learner.inference import batcher as batcher_lib
from learner.serving import leases as leases_lib
from learner.serving import limited_log
from learner.serving import security
from learner.serving import validation
from protos import inference_pb2
from protos import inference_pb2_grpc
from seed_metagrad import types
from seed_metagrad.environments import environment

_ActContext: TypeAlias = grpc.aio.ServicerContext[
  inference_pb2.ActRequest, inference_pb2.ActReply
]


class _Done(Exception):
  """Training is over."""


class _Late(Exception):
  """A request took too long to arrive."""


_CODES: dict[type[Exception], grpc.StatusCode] = {
  ValueError: grpc.StatusCode.INVALID_ARGUMENT,
  leases_lib.Held: grpc.StatusCode.ALREADY_EXISTS,
  leases_lib.Full: grpc.StatusCode.RESOURCE_EXHAUSTED,
  leases_lib.Ended: grpc.StatusCode.FAILED_PRECONDITION,
  batcher_lib.Closed: grpc.StatusCode.UNAVAILABLE,
  _Late: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_NO_REQUEST = 'bytes arrived that are no request.'
_POLL_SECS = 0.01


class Inference(inference_pb2_grpc.InferenceServicer):
  """The service.

  `env_states`, by peer, go back to who joins as that peer, until its first step
  was answered: an actor may be lost before that, and must repeat the step. A
  stream whose first request has not arrived after `read_secs` is refused.
  """

  def __init__(
    self,
    task: types.Task,
    batcher: batcher_lib.Batcher,
    leases: leases_lib.Leases,
    log: limited_log.LimitedLog,
    env_states: dict[str, bytes],
    read_secs: float,
  ):
    self._read_secs = read_secs
    self._task = task
    self._limits = environment.Limits(task.spec)
    self._batcher = batcher
    self._leases = leases
    self._log = log
    self._env_states = env_states
    self._end: type[Exception] | None = None  # What every call ends with.

  async def Join(
    self,
    request: inference_pb2.JoinRequest,
    context: grpc.aio.ServicerContext[
      inference_pb2.JoinRequest, inference_pb2.JoinReply
    ],
  ) -> inference_pb2.JoinReply:
    """Leases slots to a group of environments."""
    try:
      self._check_end()
      peer = validation.check_join(request, self._task, self._batcher.max_envs)
      lease = self._leases.join(
        peer, request.run_id, request.num_envs, context.peer()
      )
    except _Done:
      return inference_pb2.JoinReply(done=True)
    except tuple(_CODES) as error:
      who = f'{request.actor[:64]!r}/{request.group} at {context.peer()}'
      await self._refuse(context, who, error)
    self._log.info(
      'joins',
      '%s joined from %s with %d environments',
      peer,
      context.peer(),
      request.num_envs,
    )
    return inference_pb2.JoinReply(
      env_ids=lease.env_ids.tolist(), env_state=self._env_states.get(peer, b'')
    )

  async def Act(
    self,
    unused_requests: AsyncIterator[inference_pb2.ActRequest],
    context: _ActContext,
  ) -> None:
    """Selects the actions at each step of one group; its lease ends with it."""
    who, lease, reason = context.peer(), None, 'its connection was lost'
    stream = asyncio.current_task()
    assert stream
    try:
      request = await self._first(context)
      lease = self._leases.open(request.run_id, who, stream)
      who = f'{lease.peer} at {who}'
      self._check_end()
      await self._serve(lease, request, context)
      reason = 'its stream was closed'
    except _Done:
      await context.write(inference_pb2.ActReply(done=True))
    except tuple(_CODES) as error:
      reason = 'its stream was refused'
      await self._refuse(context, who, error)
    finally:
      if lease and self._end:
        self._leases.end_actor(lease.run_id, 'the learner ends')
      elif lease:
        self._leases.end(lease, reason)

  async def finish(self, secs: float) -> bool:
    """Answers `done` from now on; true once no lease is left.

    Whose environments step is told at its next request: a client that writes to
    a stream that has ended may lose what the stream said.
    """
    self._end = _Done
    for lease in self._leases.all():
      if lease.is_waiting:
        lease.interrupt()
    deadline = asyncio.get_running_loop().time() + secs
    while len(self._leases) and asyncio.get_running_loop().time() < deadline:
      await asyncio.sleep(_POLL_SECS)
    return not len(self._leases)

  def stop(self) -> None:
    """Answers UNAVAILABLE from now on: actors try again."""
    self._end = batcher_lib.Closed
    for lease in self._leases.all():
      lease.interrupt()

  def _check_end(self) -> None:
    if self._end is not None:
      raise self._end

  async def _first(self, context: _ActContext) -> Any:
    """Reads the request that names the lease.

    Raises:
      _Late: it takes too long.
      ValueError: it is no request.
    """
    request: Any
    try:
      request = await asyncio.wait_for(context.read(), self._read_secs)
    except TimeoutError:
      raise _Late(
        f'no complete request arrived within {self._read_secs:g} s.'
      ) from None
    except protobuf_message.DecodeError:
      raise ValueError(_NO_REQUEST) from None
    if request is grpc.aio.EOF:  # Mostly an actor that was killed.
      await context.abort(
        grpc.StatusCode.INVALID_ARGUMENT, 'no request arrived.'
      )
    return request

  async def _serve(
    self,
    lease: leases_lib.Lease,
    request: Any,  # Or EOF, of which type stubs do not know.
    context: _ActContext,
  ) -> None:
    """Answers the requests of a stream, from this one on, until its end."""
    reply = inference_pb2.ActReply()
    try:
      while request is not grpc.aio.EOF:
        self._check_end()
        lease.interruptible = True
        reply.actions, reply.send_state = await self._submit(lease, request)
        self._leases.answered(lease)
        self._env_states.pop(lease.peer, None)
        lease.interruptible = False
        await context.write(reply)
        if self._end is not _Done:  # That is told at the next request.
          self._check(lease)
        lease.interruptible = True
        request = await context.read()
    except asyncio.CancelledError:  # By `Lease.interrupt`, or by gRPC.
      self._check(lease)
      raise
    except protobuf_message.DecodeError:
      raise ValueError(_NO_REQUEST) from None
    finally:
      lease.interruptible = False

  def _check(self, lease: leases_lib.Lease) -> None:
    self._check_end()
    self._leases.find(lease.run_id)

  def _submit(
    self, lease: leases_lib.Lease, request: inference_pb2.ActRequest
  ) -> asyncio.Future[batcher_lib.Answer]:
    if request.run_id != lease.run_id:
      raise ValueError(
        f'run_id must be {lease.run_id} in this stream, got {request.run_id}.'
      )
    step = validation.check_step(
      request, len(lease.env_ids), self._task.spec, self._limits
    )
    reset = lease.begin(request.sequence)
    answer: asyncio.Future[batcher_lib.Answer] = (
      asyncio.get_running_loop().create_future()
    )
    self._batcher.submit(
      batcher_lib.Request(
        lease.env_ids, reset, step, lease.peer, request.env_state
      ),
      answer,
    )
    return answer

  async def _refuse(
    self,
    context: grpc.aio.ServicerContext[Any, Any],
    who: str,
    error: Exception,
  ) -> NoReturn:
    code = next(_CODES[kind] for kind in _CODES if isinstance(error, kind))
    if not isinstance(error, batcher_lib.Closed):  # Not the actor's fault.
      security.log_refusal(self._log, who, code, str(error))
    join_again = isinstance(error, leases_lib.Ended) and not error.superseded
    await context.abort(
      code, str(error), (('join-again', '1'),) if join_again else ()
    )
