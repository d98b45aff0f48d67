"""Unrolls as they come, made into what one update needs."""

from collections.abc import Sequence
import queue
import threading
import time
from typing import NamedTuple, Protocol

import numpy as np

from learner.distributed import hosts as hosts_lib
from learner.inference import unrolls as unrolls_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types

_POLL_SECS = 0.2  # How long a wait for unrolls may hide a request to stop.
_ROUND_SECS = 2.0  # How long a host waits before it hears the others.


class UnrollSource(Protocol):
  """Where finished unrolls come from: a `queue.Queue`, or `lockstep`."""

  def get(self, *, timeout: float) -> unrolls_lib.Finished:
    """The next unroll; raises queue.Empty after `timeout` seconds."""

  def qsize(self) -> int:
    """How many are waiting."""


class Batch(NamedTuple):
  """The unrolls of one iteration of MGRL's algorithm 1, [T + 1, B, ...]."""

  unrolls: list[types.Unroll[np.ndarray]]  # T: one inner update each.
  meta_unrolls: list[types.Unroll[np.ndarray]]  # What judges them; T' is last.


class Taken(NamedTuple):
  """A batch, and how old the policies of its unrolls were."""

  batch: Batch
  num_updates: list[int]  # Those of the parameters that acted first, for each.


class Batches:
  """The unrolls of one iteration after the other: T, and later ones T'.

  T' is the first part of the batch that is trained on next, so every unroll is
  used for theta, and B' of B for eta as well: no further data.

  pending: what was not yet trained on when a run was saved.
  """

  def __init__(
    self,
    config: config_lib.Config,
    source: UnrollSource,
    hosts: hosts_lib.Hosts,
    pending: Sequence[unrolls_lib.Finished] = (),
  ):
    self._source, self._hosts = source, hosts
    self._sizes = agent_lib.samples(config)
    self._batch_size = config.batch_size // hosts.num  # This host's.
    self._pending = list(pending)
    # The first of pending, batched.
    self._next: types.Unroll[np.ndarray] | None = None

  @property
  def pending(self) -> Sequence[unrolls_lib.Finished]:
    """What was taken from the source and is not yet trained on."""
    return self._pending

  def take(self, stop: threading.Event) -> Taken | None:
    """Waits for the next batch; None once `stop` is set, here or elsewhere."""
    size, sizes = self._batch_size, self._sizes
    used = (sizes.updates + sizes.further) * size
    if not self._gather(used + (size if sizes.later else 0), stop):
      return None
    batches = [
      self._next if self._next and not start else self._batch(start)
      for start in range(0, used, size)
    ]
    self._next = self._batch(used) if sizes.later else None
    meta_unrolls = batches[sizes.updates :]
    if sizes.meta_batch:
      meta_size = sizes.meta_batch // self._hosts.num
      meta_unrolls.append(
        unrolls_lib.columns(self._next or batches[-1], 0, meta_size)
      )
    num_updates = [one.num_updates for one in self._pending[:used]]
    del self._pending[:used]
    return Taken(Batch(batches[: sizes.updates], meta_unrolls), num_updates)

  def _batch(self, start: int) -> types.Unroll[np.ndarray]:
    pending = self._pending[start : start + self._batch_size]
    return unrolls_lib.batch([finished.unroll for finished in pending])

  def _gather(self, count: int, stop: threading.Event) -> bool:
    """Waits until every host has `count` unrolls; false once one stops."""
    while True:
      self._receive(count, stop)
      stopping, waiting = self._hosts.sum(
        [stop.is_set(), len(self._pending) < count]
      )
      if stopping:
        stop.set()
      if stopping or not waiting:
        return not stopping

  def _receive(self, count: int, stop: threading.Event) -> None:
    deadline = time.monotonic() + _ROUND_SECS
    while (
      len(self._pending) < count
      and not stop.is_set()
      and time.monotonic() < deadline
    ):
      try:
        self._pending.append(self._source.get(timeout=_POLL_SECS))
      except queue.Empty:
        continue
