"""Requests actions from the learner for one group of environments."""

import asyncio
import contextlib
import pathlib
import random
import secrets
import time
from typing import Any, NamedTuple, Protocol

from absl import logging
import grpc
import numpy as np

from protos import address as address_lib
from protos import codec
from protos import inference_pb2
from protos import inference_pb2_grpc
from seed_metagrad import types

_FIRST_WAIT_SECS = 0.1  # Exponential back-off: from this wait
_LONGEST_WAIT_SECS = 5.0  # to that one.
_JOIN_SECS = 10.0
# Trying again would end in the same way.
_FATAL = (
  grpc.StatusCode.INVALID_ARGUMENT,
  grpc.StatusCode.FAILED_PRECONDITION,
  grpc.StatusCode.UNAUTHENTICATED,
  grpc.StatusCode.PERMISSION_DENIED,
  grpc.StatusCode.UNIMPLEMENTED,
)
_CHANNEL_OPTIONS = (
  ('grpc.enable_retries', 0),  # A step must never be sent twice.
  # A connection of its own: the learner limits the calls per connection.
  ('grpc.use_local_subchannel_pool', 1),
  ('grpc.max_receive_message_length', 1 << 26),
  ('grpc.keepalive_time_ms', 10_000),
  ('grpc.keepalive_timeout_ms', 10_000),
  ('grpc.http2.max_pings_without_data', 0),  # As many as it takes.
  # A learner may come back elsewhere; gRPC asks for a name every 30 s at most.
  ('grpc.dns_min_time_between_resolutions_ms', 1_000),
  ('grpc.initial_reconnect_backoff_ms', 100),
  ('grpc.min_reconnect_backoff_ms', 5_000),
  ('grpc.max_reconnect_backoff_ms', 5_000),
)


class Stream(Protocol):
  """What an Act is here."""

  async def write(self, request: inference_pb2.ActRequest) -> None:
    """Sends a step."""

  async def read(self) -> Any:
    """Waits for the next reply, or EOF."""

  def cancel(self) -> bool:
    """Ends it."""


class Done(Exception):
  """Training is over."""


class Lost(Exception):
  """The lease has ended, maybe with the connection: join again."""


class Refused(Exception):
  """The learner does not admit this actor."""


class Unreachable(Exception):
  """The learner did not answer for too long."""


class Reply(NamedTuple):
  """What the environments should do."""

  actions: np.ndarray  # [E, *action_shape].
  send_state: bool  # The next request should carry the environments' state.


def open_channel(
  address: str, *, ca_file: str = '', cert_file: str = '', key_file: str = ''
) -> grpc.aio.Channel:
  """Opens a channel: TLS with a CA; mutual TLS with a certificate as well.

  It belongs to the event loop that runs. An address of this machine alone is
  reached without a proxy.

  Raises:
    ValueError: a certificate without its key or the CA, or a key without its
      certificate.
  """
  if bool(cert_file) != bool(key_file) or (cert_file and not ca_file):
    raise ValueError(
      f'a certificate needs its key and a CA, got cert_file {cert_file!r},'
      f' key_file {key_file!r}, ca_file {ca_file!r}.'
    )
  options: list[tuple[str, int]] = [*_CHANNEL_OPTIONS]
  if address_lib.is_local(address):
    options.append(('grpc.enable_http_proxy', 0))
  elif proxy := address_lib.proxy(address):
    logging.warning('The connection to %s uses the proxy of %s', address, proxy)
  if not ca_file:
    return grpc.aio.insecure_channel(address, options)
  ca, key, cert = (
    pathlib.Path(path).read_bytes() if path else None
    for path in (ca_file, key_file, cert_file)
  )
  credentials = grpc.ssl_channel_credentials(ca, key, cert)
  return grpc.aio.secure_channel(address, credentials, options)


class Client:
  """The lease of one group: `join`, then `send` and `receive` in turn.

  In an event loop: that costs less than gRPC's threads, for one group as for
  many. While the learner cannot be reached, `join` tries again with exponential
  back-off and jitter, for `reconnect_secs` since it was last reached.
  """

  def __init__(
    self,
    channel: grpc.aio.Channel,
    task: types.Task,
    *,
    num_envs: int,
    name: str,
    group: int,
    token: str = '',
    reconnect_secs: float,
  ):
    self._stub = inference_pb2_grpc.InferenceStub(channel)
    self._task = task
    self._num_envs = num_envs  # E, of one group.
    self._name = name
    self._group = group
    self._metadata = (('authorization', f'Bearer {token}'),) if token else ()
    self._reconnect_secs = reconnect_secs
    self._run_id = 0
    self._sequence = 0
    self._failing_since: float | None = None
    self._failures = 0  # In a row.
    self._stream: Stream | None = None  # From the first step of a lease on.

  async def join(self) -> bytes:
    """Makes a new lease; returns the state to restore, mostly b''.

    Raises:
      Done, Refused, Unreachable.
    """
    while True:
      if self._stream is not None:
        self._stream.cancel()
        self._stream = None
      self._run_id, self._sequence = secrets.randbits(63), 0
      if self._failures:
        await self._back_off()
      try:
        reply = await self._stub.Join(
          self._join_request(), timeout=_JOIN_SECS, metadata=self._metadata
        )
      except grpc.RpcError as error:
        self._failed(error)
        continue
      if reply.done:
        raise Done
      logging.info(
        '%s/%d joined as environments %s of the learner',
        self._name,
        self._group,
        list(reply.env_ids),
      )
      env_state: bytes = reply.env_state
      return env_state

  def open_stream(self) -> Stream:
    """Opens the stream of a lease, as a benchmark may do in another way."""
    stream: Stream = self._stub.Act(metadata=self._metadata)
    return stream

  async def send(
    self, outputs: types.EnvOutput[np.ndarray], env_state: bytes = b''
  ) -> None:
    """Sends a step without waiting for the actions."""
    request = codec.encode_step(outputs)
    request.run_id = self._run_id
    request.sequence = self._sequence
    request.env_state = env_state
    self._sequence += 1
    self._stream = self._stream or self.open_stream()
    with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
      await self._stream.write(request)  # `receive` says why the stream ended.

  async def receive(self) -> Reply:
    """Waits for the actions at the step that was sent.

    Raises:
      Done, Lost, Refused, Unreachable.
      ValueError: another number of actions than of environments.
    """
    assert self._stream, 'send() comes before receive().'
    try:
      async with asyncio.timeout(self._reconnect_secs):
        reply = await self._stream.read()
    except TimeoutError as error:
      self._failed(error)
      raise Lost from error
    except grpc.RpcError as error:
      self._failed(error)
      raise Lost from error
    if reply is grpc.aio.EOF:
      raise Lost
    if reply.done:
      raise Done
    self._failures, self._failing_since = 0, None
    spec = self._task.spec
    actions = codec.decode(
      reply.actions,
      spec.action_dtype,
      (self._num_envs, *spec.action_shape),
      'actions',
    )
    return Reply(actions, reply.send_state)

  def _failed(self, error: grpc.RpcError | TimeoutError) -> None:
    if isinstance(error, TimeoutError):
      what = f'no answer for {self._reconnect_secs:g} s'
    else:
      what = f'{error.code().name}: {error.details()}'
      # What grpc.aio says where a write fails; why, is lost.
      if self._stream and error.code() is grpc.StatusCode.INTERNAL:
        what += ': the stream ended before this step was sent'
      if error.code() in _FATAL and not _may_join_again(error):
        raise Refused(f'the learner refused {self._name}: {what}') from error
    now = time.monotonic()
    if self._failing_since is None:
      self._failing_since = now
    self._failures += 1
    logging.warning('%s/%d: %s', self._name, self._group, what)
    if now - self._failing_since >= self._reconnect_secs:
      raise Unreachable(
        f'no answer from the learner for {self._reconnect_secs:g} s; at '
        f'last {what}'
      ) from error

  async def _back_off(self) -> None:
    longest = min(_LONGEST_WAIT_SECS, _FIRST_WAIT_SECS * 2**self._failures)
    await asyncio.sleep(longest * random.uniform(0.5, 1.0))

  def _join_request(self) -> inference_pb2.JoinRequest:
    request = codec.encode_task(self._task)
    request.protocol = codec.PROTOCOL
    request.actor = self._name
    request.group = self._group
    request.run_id = self._run_id
    request.num_envs = self._num_envs
    return request


def _may_join_again(error: grpc.RpcError) -> bool:
  trailers: Any = error.trailing_metadata() or ()
  return ('join-again', '1') in tuple(trailers)
