"""Who may call the learner: TLS, a token, and a deadline for slow clients."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
import hmac
import pathlib
from typing import Any, NoReturn, TypeAlias

from google.protobuf import message as protobuf_message
import grpc

from learner.serving import limited_log

_Handler: TypeAlias = 'grpc.RpcMethodHandler[Any, Any]'
_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


def server_credentials(
  cert_file: str, key_file: str, client_ca_file: str = ''
) -> grpc.ServerCredentials:
  """Reads the server's certificate; with a CA, clients need one as well."""
  key = pathlib.Path(key_file).read_bytes()
  cert = pathlib.Path(cert_file).read_bytes()
  client_ca = None
  if client_ca_file:
    client_ca = pathlib.Path(client_ca_file).read_bytes()
  return grpc.ssl_server_credentials(
    [(key, cert)], client_ca, require_client_auth=bool(client_ca_file)
  )


def log_refusal(
  log: limited_log.LimitedLog, who: str, code: grpc.StatusCode, details: str
) -> None:
  """Logs that `who` was refused."""
  log.warning('refusals', 'Refused %s: %s, %s', who, code.name, details)


class Guard(grpc.aio.ServerInterceptor):
  """Admits calls with the token, whose request arrives within `read_secs`.

  A call without the token is refused by its headers, before any message is
  read. `take_admitted` tells whose calls were not.
  """

  def __init__(self, token: str, read_secs: float, log: limited_log.LimitedLog):
    self._authorization = f'Bearer {token}'.encode() if token else b''
    self._read_secs = read_secs
    self._log = log
    self._admitted: set[str] = set()
    self._refusal: _Handler = grpc.stream_stream_rpc_method_handler(
      self._refuse
    )

  async def intercept_service(
    self,
    continuation: Callable[
      [grpc.HandlerCallDetails], Awaitable['_Handler | None']
    ],
    handler_call_details: grpc.HandlerCallDetails,
  ) -> '_Handler | None':
    """Wraps the method's handler, or replaces it."""
    if not self._admits(handler_call_details.invocation_metadata):
      return self._refusal
    handler = await continuation(handler_call_details)
    if handler is None:
      return None
    if handler.unary_unary:
      return self._with_read_deadline(handler)
    return self._noted(handler)

  def take_admitted(self) -> set[str]:
    """Returns the peers of the calls since the last time."""
    admitted, self._admitted = self._admitted, set()
    return admitted

  def _admits(self, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
    shown = dict(metadata).get('authorization', '')
    if isinstance(shown, str):
      shown = shown.encode()
    return not self._authorization or hmac.compare_digest(
      shown, self._authorization
    )

  async def _refuse(
    self, unused_requests: object, context: _Context
  ) -> AsyncIterator[bytes]:
    await self._abort(
      context, grpc.StatusCode.UNAUTHENTICATED, 'the token is missing or wrong.'
    )
    yield b''  # Makes this a stream; never reached.

  def _noted(self, handler: _Handler) -> _Handler:
    """Of a stream: to act, which looks at the time itself, or to watch."""
    answer: Any = handler.stream_stream or handler.unary_stream

    async def note_and_handle(request: Any, context: _Context) -> None:
      self._admitted.add(context.peer())
      await answer(request, context)

    make: Any = (
      grpc.stream_stream_rpc_method_handler
      if handler.stream_stream
      else grpc.unary_stream_rpc_method_handler
    )
    noted: _Handler = make(
      note_and_handle, handler.request_deserializer, handler.response_serializer
    )
    return noted

  def _with_read_deadline(self, handler: _Handler) -> _Handler:
    deserialize, answer = handler.request_deserializer, handler.unary_unary
    assert deserialize and answer

    async def read_and_handle(
      messages: AsyncIterator[bytes], context: _Context
    ) -> Any:
      self._admitted.add(context.peer())
      try:
        message = await asyncio.wait_for(anext(messages), self._read_secs)
        request = deserialize(message)
      except StopAsyncIteration:  # Mostly an actor that was killed.
        await context.abort(
          grpc.StatusCode.INVALID_ARGUMENT, 'no request arrived.'
        )
      except TimeoutError:
        await self._abort(
          context,
          grpc.StatusCode.DEADLINE_EXCEEDED,
          f'no complete request arrived within {self._read_secs:g} s.',
        )
      except protobuf_message.DecodeError:
        await self._abort(
          context,
          grpc.StatusCode.INVALID_ARGUMENT,
          f'{len(message)} bytes arrived that are no request.',
        )
      return await answer(request, context)  # type: ignore[arg-type]

    return grpc.stream_unary_rpc_method_handler(
      read_and_handle, response_serializer=handler.response_serializer
    )

  async def _abort(
    self, context: _Context, code: grpc.StatusCode, details: str
  ) -> NoReturn:
    log_refusal(self._log, context.peer(), code, details)
    await context.abort(code, details)
