"""A learner that needs no TensorFlow, and what actors send to it."""

import asyncio
import queue
import threading
import time
from typing import NamedTuple

import grpc
import numpy as np

from actors import client as client_lib
from learner.inference import batcher as batcher_lib
from learner.serving import leases as leases_lib
from learner.serving import server as server_lib
from protos import codec
from protos import inference_pb2
from protos import inference_pb2_grpc
from seed_metagrad import types

SPEC = types.EnvSpec((10, 5), 'float32', num_actions=3)  # Catch's.
TASK = types.Task('catch', SPEC, {})
DEADLINE_SECS = 60.0


def outputs(num_envs: int, spec: types.EnvSpec = SPEC) -> types.EnvOutput:
  """Returns a valid step of zeros."""
  nothing = np.zeros(num_envs, bool)
  return types.EnvOutput(
    np.zeros(num_envs, np.float32),
    nothing,
    nothing,
    nothing,
    np.zeros((num_envs, *spec.observation_shape), spec.observation_dtype),
  )


def join_request(**fields) -> inference_pb2.JoinRequest:
  """Returns a valid request of two environments but for `fields`."""
  fields = (
    dict(
      protocol=codec.PROTOCOL,
      actor='ann',
      group=0,
      run_id=1,
      num_envs=2,
      env='catch',
      spec=inference_pb2.EnvSpec(**SPEC._asdict()),
    )
    | fields
  )
  return inference_pb2.JoinRequest(**fields)


def act_request(**fields) -> inference_pb2.ActRequest:
  """Returns a valid request of two environments but for `fields`."""
  fields = (
    dict(
      run_id=1,
      sequence=0,
      rewards=bytes(8),
      flags=bytes(2),
      observations=bytes(400),
    )
    | fields
  )
  return inference_pb2.ActRequest(**fields)


class Stream:
  """The Act of one lease; `call` is gRPC's own."""

  def __init__(self, stub: inference_pb2_grpc.InferenceStub, **kwargs):
    self._requests: queue.SimpleQueue = queue.SimpleQueue()
    kwargs = dict(timeout=DEADLINE_SECS) | kwargs
    self.call = stub.Act(iter(self._requests.get, None), **kwargs)

  def send(self, **fields):
    """Sends a valid request but for `fields`; returns the stream."""
    self._requests.put(act_request(**fields))
    return self

  def reply(self, **fields) -> inference_pb2.ActReply:
    """Waits for the next answer; with `fields` that of such a request."""
    if fields:
      self.send(**fields)
    return next(self.call)

  def close(self):
    """Says that there will be no more requests."""
    self._requests.put(None)


class Client:
  """An actor's client in a loop of its own, for tests that do not `await`."""

  def __init__(self, address, *, task=TASK, files=None, **kwargs):
    kwargs = (
      dict(num_envs=2, name='ann', group=0, reconnect_secs=DEADLINE_SECS)
      | kwargs
    )
    self._loop = asyncio.new_event_loop()

    async def connect():
      self._channel = client_lib.open_channel(address, **(files or {}))
      return client_lib.Client(self._channel, task, **kwargs)

    self._client = self._run(connect())

  def join(self):
    """As that of an actor's client, and so the others."""
    return self._run(self._client.join())

  def send(self, *args):
    """Sends a step."""
    self._run(self._client.send(*args))

  def receive(self):
    """Waits for the answer."""
    return self._run(self._client.receive())

  def close(self):
    """Closes the connection."""
    self._run(self._channel.close())

  def _run(self, coroutine):
    return self._loop.run_until_complete(coroutine)


class Ended(NamedTuple):
  """How a call ended, asked for as gRPC's own calls are."""

  status: grpc.StatusCode
  message: str

  def code(self):
    """The status."""
    return self.status

  def details(self):
    """The sentence."""
    return self.message


def join_over(address: str, metadata=None, **files) -> Ended:
  """Joins over a channel as actors open it; says how that ended."""

  async def join():
    async with client_lib.open_channel(address, **files) as channel:
      call = inference_pb2_grpc.InferenceStub(channel).Join(
        join_request(), timeout=DEADLINE_SECS, metadata=metadata
      )
      return Ended(await call.code(), await call.details())

  return asyncio.run(join())


def wait_until(holds, secs=DEADLINE_SECS):
  """Asks again and again, until the deadline."""
  deadline = time.monotonic() + secs
  while not holds():
    if time.monotonic() > deadline:
      raise AssertionError(f'nothing happened for {secs} s')
    time.sleep(0.005)


class FakeLearner:
  """A real server and batcher; answers every environment with its slot % 3.

  `requests` holds all that was answered; without `answer` nothing is.
  """

  def __init__(
    self,
    address='localhost:0',
    *,
    max_envs=16,
    lease_secs=60.0,
    actor_envs=4096,
    task=TASK,
    answer=True,
    send_state=False,
    **server_kwargs,
  ):
    self.requests: list[batcher_lib.Request] = []
    self.reached = threading.Condition()
    self.batcher = batcher_lib.Batcher(1, max_envs, timeout_ms=1.0)
    self._send_state = send_state
    self.now = 0.0  # The clock of the leases.
    self.leases = leases_lib.Leases(
      max_envs, lease_secs, actor_envs, lambda: self.now
    )
    self.server = server_lib.Server(
      address, task, self.batcher, self.leases, **server_kwargs
    )
    self.port = self.server.start()
    self._thread = threading.Thread(target=self._serve)
    if answer:
      self._thread.start()

  def wait_for_requests(self, count: int):
    """Waits until so many requests reached the inference."""
    with self.reached:
      if not self.reached.wait_for(
        lambda: len(self.requests) >= count, DEADLINE_SECS
      ):
        raise AssertionError(f'{len(self.requests)} of {count} requests came')

  def close(self):
    """Stops everything."""
    self.batcher.close()
    self.server.stop()
    if self._thread.is_alive():
      self._thread.join()

  def stub(self, **kwargs) -> inference_pb2_grpc.InferenceStub:
    """Connects to it."""
    return inference_pb2_grpc.InferenceStub(
      grpc.insecure_channel(f'localhost:{self.port}', **kwargs)
    )

  def _serve(self):
    while (batch := self.batcher.get()) is not None:
      with self.reached:
        self.requests.extend(waiting.request for waiting in batch)
        self.reached.notify_all()
      env_ids = np.concatenate([waiting.request.env_ids for waiting in batch])
      batcher_lib.answer(
        batch, (env_ids % 3).astype(np.int32), send_state=self._send_state
      )
