"""Join and Act: from a message to the batcher and back, or a refusal.

Everything here runs in the server's event loop.
"""

import asyncio
from typing import Any, NoReturn

import grpc
import numpy as np

from learner.inference import batcher as batcher_lib
from learner.serving import leases as leases_lib
from learner.serving import limited_log
from learner.serving import security
from learner.serving import validation
from protos import codec
from protos import inference_pb2
from protos import inference_pb2_grpc
from seed_metagrad import types
from seed_metagrad.environments import environment

_CODES: dict[type[Exception], grpc.StatusCode] = {
  ValueError: grpc.StatusCode.INVALID_ARGUMENT,
  leases_lib.Held: grpc.StatusCode.ALREADY_EXISTS,
  leases_lib.Full: grpc.StatusCode.RESOURCE_EXHAUSTED,
  leases_lib.Ended: grpc.StatusCode.FAILED_PRECONDITION,
  batcher_lib.Closed: grpc.StatusCode.UNAVAILABLE,
}
_POLL_SECS = 0.01


class _Done(Exception):
  """Training is over."""


class Inference(inference_pb2_grpc.InferenceServicer):
  """The service.

  `env_states`, by peer, go back to who joins as that peer, until its first step
  was answered: an actor may be lost before that, and must repeat the step.
  With `ask_for_states` every answer asks for the environments' state.
  """

  def __init__(
    self,
    task: types.Task,
    batcher: batcher_lib.Batcher,
    leases: leases_lib.Leases,
    log: limited_log.LimitedLog,
    env_states: dict[str, bytes],
    ask_for_states: bool,
  ):
    self._ask_for_states = ask_for_states
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
      env_ids=lease.env_ids.tolist(),
      env_state=self._env_states.get(peer, b''),
      ping_secs=self._leases.ping_secs,
    )

  async def Act(
    self,
    request: inference_pb2.ActRequest,
    context: grpc.aio.ServicerContext[
      inference_pb2.ActRequest, inference_pb2.ActReply
    ],
  ) -> inference_pb2.ActReply:
    """Selects the actions at one step of a group."""
    peer = context.peer()
    try:
      self._check_end()
      lease = self._leases.find(request.run_id)
      lease.heard_by(peer)
      peer = f'{lease.peer} at {peer}'
      actions = await self._actions(lease, request)
      self._env_states.pop(lease.peer, None)
    except _Done:
      self._leases.end_actor(request.run_id, 'training is over')
      return inference_pb2.ActReply(done=True)
    except tuple(_CODES) as error:
      await self._refuse(context, peer, error)
    return inference_pb2.ActReply(
      actions=codec.encode(actions, 'int32'), send_state=self._ask_for_states
    )

  async def Ping(
    self,
    request: inference_pb2.PingRequest,
    context: grpc.aio.ServicerContext[
      inference_pb2.PingRequest, inference_pb2.PingReply
    ],
  ) -> inference_pb2.PingReply:
    """Keeps a lease while its environments step."""
    self._leases.ping(request.run_id, context.peer())
    return inference_pb2.PingReply()

  async def finish(self, secs: float) -> bool:
    """Answers `done` from now on; true once no lease is left."""
    self._end_all(_Done)
    deadline = asyncio.get_running_loop().time() + secs
    while len(self._leases) and asyncio.get_running_loop().time() < deadline:
      await asyncio.sleep(_POLL_SECS)
    return not len(self._leases)

  def stop(self) -> None:
    """Answers UNAVAILABLE from now on: actors try again."""
    self._end_all(batcher_lib.Closed)

  def _end_all(self, end: type[Exception]) -> None:
    self._end = end
    for lease in self._leases.all():
      lease.cancel()

  def _check_end(self) -> None:
    if self._end is not None:
      raise self._end

  async def _actions(
    self, lease: leases_lib.Lease, request: inference_pb2.ActRequest
  ) -> np.ndarray:
    env_outputs = validation.env_outputs(
      request, len(lease.env_ids), self._task.spec, self._limits
    )
    reset = lease.begin(request.sequence)
    answer: asyncio.Future[np.ndarray] = asyncio.wrap_future(
      self._batcher.submit(
        batcher_lib.Request(
          lease.env_ids, reset, env_outputs, lease.peer, request.env_state
        )
      )
    )
    lease.wait_for(answer)
    try:
      return await answer
    except asyncio.CancelledError:
      task = asyncio.current_task()
      if task and task.cancelling():  # By gRPC: the connection is lost.
        self._leases.end(lease, 'its connection was lost')
        raise
      self._check_end()
      raise self._leases.why_ended(lease.run_id) from None
    finally:
      self._leases.answered(lease)

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
