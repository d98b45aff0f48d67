"""Gathers the requests of many groups of environments into batches."""

import asyncio
import collections
from collections.abc import Callable, Sequence
import contextlib
import threading
import time
from typing import NamedTuple

import numpy as np

from protos import codec


class Closed(Exception):
  """The batcher was closed before a request was answered."""

  def __init__(self) -> None:
    super().__init__('the learner is stopping.')


class Request(NamedTuple):
  """One step of the E environments of one group."""

  env_ids: np.ndarray  # int32 [E], slots of the learner.
  reset: bool  # A new lease: what its environments had in progress is dropped.
  step: codec.Step  # All E of them, valid.
  peer: str  # actor/group.
  env_state: bytes = b''  # Not empty where the learner asked for it.


class Answer(NamedTuple):
  """What a request gets."""

  actions: bytes  # Packed [E, ...].
  send_state: bool  # Whether the next request is to carry `env_state`.


class Waiting(NamedTuple):
  """A request, and where its answer goes.

  The future belongs to the event loop that waits.
  """

  request: Request
  future: asyncio.Future[Answer]
  since: float  # By the batcher's clock.


def answer(
  batch: Sequence[Waiting], actions: np.ndarray, *, send_state: bool = False
) -> None:
  """Answers a batch; its event loop is woken once, however large it is.

  actions: [E, ...] of all environments of the batch, in its order. send_state:
  whether each is asked for the state of its environments.
  """
  packed = codec.encode(actions, actions.dtype.name)
  answers, start = [], 0
  for waiting in batch:
    end = start + actions[0].nbytes * len(waiting.request.env_ids)
    answers.append(Answer(packed[start:end], send_state))
    start = end

  def hand_out() -> None:
    for waiting, given in zip(batch, answers, strict=True):
      if not waiting.future.done():  # Taken back meanwhile.
        waiting.future.set_result(given)

  _call_soon(batch, hand_out)


def _call_soon(batch: Sequence[Waiting], callback: Callable[[], None]) -> None:
  if batch:
    with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits.
      batch[0].future.get_loop().call_soon_threadsafe(callback)


class Batcher:
  """A queue of requests that is emptied a batch at a time.

  `get` waits for `min_envs` environments, or until the oldest request has
  waited for `timeout_ms`; None waits for ever. With `min_envs` the number of
  all environments and no timeout, a batch does not depend on their order.
  """

  def __init__(
    self,
    min_envs: int,
    max_envs: int,
    timeout_ms: float | None,
    clock: Callable[[], float] = time.monotonic,
  ):
    if not 1 <= min_envs <= max_envs:
      raise ValueError(f'min_envs must be in [1, {max_envs}], got {min_envs}.')
    self.max_envs = max_envs
    self._min_envs = min_envs
    self._timeout_secs = None if timeout_ms is None else timeout_ms / 1e3
    self._clock = clock
    self._changed = threading.Condition()  # Guards the attributes below.
    self._waiting: collections.deque[Waiting] = collections.deque()
    self._num_envs = 0  # That wait, those of cancelled requests included.
    self._closed = False

  @property
  def num_waiting(self) -> int:
    """How many environments wait."""
    return self._num_envs

  def submit(self, request: Request, future: asyncio.Future[Answer]) -> None:
    """Adds a request; its loop cancels the future to take it back.

    All futures are those of one event loop.

    Raises:
      ValueError: more environments than a batch may hold.
      Closed: the batcher is.
    """
    num_envs = len(request.env_ids)
    if not 1 <= num_envs <= self.max_envs:
      raise ValueError(
        f'a request must have 1 to {self.max_envs} environments, got '
        f'{num_envs}.'
      )
    with self._changed:
      if self._closed:
        raise Closed
      self._waiting.append(Waiting(request, future, self._clock()))
      self._num_envs += num_envs
      # The first one starts the clock.
      if len(self._waiting) == 1 or self._num_envs >= self._min_envs:
        self._changed.notify()

  def get(self, patience_secs: float | None = None) -> list[Waiting] | None:
    """Waits for a batch, ordered by peer; None once closed.

    patience_secs: the batch is empty where none came until then.
    """
    deadline = None if patience_secs is None else self._clock() + patience_secs
    with self._changed:
      while not self._closed:
        self._drop_cancelled()
        if self._num_envs >= self._min_envs or self._remaining_secs() == 0.0:
          if batch := self._take():
            return batch
        waits = [] if deadline is None else [deadline - self._clock()]
        if waits and waits[0] <= 0:
          return []
        if (remaining := self._remaining_secs()) is not None:
          waits.append(remaining)
        self._changed.wait(min(waits, default=None))
      return None

  def close(self) -> None:
    """Fails all requests with `Closed`, from now on."""
    with self._changed:
      self._closed = True
      waiting, self._waiting = self._waiting, collections.deque()
      self._num_envs = 0
      self._changed.notify_all()

    def fail() -> None:
      for one in waiting:
        if not one.future.done():
          one.future.set_exception(Closed())

    _call_soon(waiting, fail)

  def _remaining_secs(self) -> float | None:
    if self._timeout_secs is None or not self._waiting:
      return None
    age = self._clock() - self._waiting[0].since
    return max(0.0, self._timeout_secs - age)

  def _drop_cancelled(self) -> None:
    self._waiting = collections.deque(
      one for one in self._waiting if not one.future.cancelled()
    )
    self._num_envs = sum(len(one.request.env_ids) for one in self._waiting)

  def _take(self) -> list[Waiting]:
    batch: list[Waiting] = []
    room = self.max_envs
    while self._waiting:
      first = self._waiting[0]
      num_envs = len(first.request.env_ids)
      if num_envs > room:
        break
      self._waiting.popleft()
      self._num_envs -= num_envs
      if not first.future.cancelled():
        batch.append(first)
        room -= num_envs
    return sorted(batch, key=lambda waiting: waiting.request.peer)
