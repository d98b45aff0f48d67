"""Who holds which environment slots of the learner, and who is silent.

Only this file writes into a lease.
"""

import asyncio
import collections
from collections.abc import Callable
import dataclasses
import heapq
import time

import numpy as np

from learner.serving import limited_log

_ENDED_KEPT = 4096  # Ended leases whose end can still be explained.


class Full(Exception):
  """Not enough free slots, or more than one actor may hold."""


class Held(Exception):
  """Another actor, that is alive, holds the name."""


class Ended(Exception):
  """The lease is over; `superseded` where its owner must not come back."""

  def __init__(self, details: str, superseded: bool):
    super().__init__(details)
    self.superseded = superseded


@dataclasses.dataclass
class Lease:
  """The slots of one group of environments, from one join to the next."""

  peer: str  # actor/group.
  run_id: int
  env_ids: np.ndarray  # int32 [E].
  connection: str  # Where its actor was last heard from, as gRPC names it.
  last_seen: float  # By the clock of `Leases`.
  sequence: int = 0  # The next request must have it.
  stream: asyncio.Task[None] | None = None  # What serves its requests.
  is_waiting: bool = False  # For an answer of the learner.
  interruptible: bool = False  # Whether the stream reads or waits.
  silence_logged: bool = False
  is_cut_off: bool = False  # That connection is gone.

  @property
  def actor(self) -> str:
    """The name of the actor that the group belongs to."""
    return self.peer.rpartition('/')[0]

  def begin(self, sequence: int) -> bool:
    """Admits the next request; true where it is the first of the lease.

    Raises:
      ValueError: replayed or out of order.
    """
    if sequence != self.sequence:
      raise ValueError(
        f'sequence must be {self.sequence}, got {sequence}: replayed or out '
        'of order.'
      )
    self.sequence += 1
    self.is_waiting = True
    return sequence == 0

  def interrupt(self) -> None:
    """Takes back what its stream waits for: it looks why."""
    if self.stream is not None and self.interruptible:
      self.stream.cancel()


class Leases:
  """Slots 0 to max_envs - 1; the lowest free ones are leased first.

  A lease ends when its peer joins again, with its stream, which ends with its
  connection, or where no stream has come for `lease_secs`. Until then nobody
  joins under its name by another connection: see `join`.

  `actor_envs` bounds what one actor holds in all its groups.

  `log` is that of all that peers cause.
  """

  def __init__(
    self,
    max_envs: int,
    lease_secs: float,
    actor_envs: int,
    clock: Callable[[], float] = time.monotonic,
  ):
    self.max_envs = max_envs
    self.log = limited_log.LimitedLog(clock)
    self.lease_secs = lease_secs
    self._actor_envs = actor_envs
    self._clock = clock
    self._free = list(range(max_envs))  # A heap.
    self._by_run: dict[int, Lease] = {}
    self._by_peer: dict[str, Lease] = {}
    self._ended: collections.OrderedDict[int, Ended] = collections.OrderedDict()

  def __len__(self) -> int:
    return len(self._by_run)

  def join(
    self, peer: str, run_id: int, num_envs: int, connection: str
  ) -> Lease:
    """Leases slots; an older lease of this peer is superseded.

    By another connection that is possible only once the older one's is gone, or
    has opened no stream for half of `lease_secs`: of two actors with one name
    the first goes on, and one that comes back finds its name free.

    Raises:
      ValueError: the run id was used before.
      Held: the older lease's actor is alive.
      Full: fewer than num_envs slots are free, or the actor has too many.
    """
    if run_id in self._by_run or run_id in self._ended:
      raise ValueError(f'run_id must be new, got {run_id} again.')
    self.expire()
    if older := self._by_peer.get(peer):
      if older.connection != connection and self._is_alive(older):
        raise Held(
          f'an actor at {older.connection} has the name {older.actor!r} and is'
          ' alive'
        )
      self.end(older, 'superseded: it joined again', superseded=True)
    self._check_quota(peer, num_envs)
    if num_envs > len(self._free):
      raise Full(
        f'{num_envs} environments were asked for, {len(self._free)} of '
        f'{self.max_envs} are free'
      )
    env_ids = [heapq.heappop(self._free) for _ in range(num_envs)]
    lease = Lease(
      peer, run_id, np.array(env_ids, np.int32), connection, self._clock()
    )
    self._by_run[run_id] = self._by_peer[peer] = lease
    return lease

  def find(self, run_id: int) -> Lease:
    """Returns the lease of a run.

    Raises:
      Ended: there is none, or no more.
    """
    if run_id in self._by_run:
      return self._by_run[run_id]
    raise self.why_ended(run_id)

  def why_ended(self, run_id: int) -> Ended:
    """Returns the reason why a run has no lease."""
    return self._ended.get(
      run_id, Ended(f'no lease has run_id {run_id}', superseded=False)
    )

  def open(
    self, run_id: int, connection: str, stream: asyncio.Task[None]
  ) -> Lease:
    """Returns the lease of a run, which lives as long as the stream from now.

    Raises:
      Ended: there is none, or no more.
      ValueError: it has a stream.
    """
    lease = self.find(run_id)
    if lease.stream is not None:
      raise ValueError(f'the lease of {lease.peer} has a stream already.')
    lease.stream = stream
    lease.connection, lease.is_cut_off = connection, False
    return lease

  def cut_off(self, is_gone: Callable[[str], bool]) -> None:
    """Records whose connection is gone: others may join under their names."""
    for lease in self._by_run.values():
      lease.is_cut_off |= is_gone(lease.connection)

  def answered(self, lease: Lease) -> None:
    """Records that a request was answered: the peer is waited for now."""
    lease.is_waiting = False
    lease.last_seen = self._clock()
    lease.silence_logged = False

  def end(self, lease: Lease, reason: str, superseded: bool = False) -> None:
    """Frees the slots, interrupts the stream, and says why."""
    if lease.run_id in self._by_run:
      self._remove(lease, reason, superseded)
      self.log.warning(
        'ends of leases',
        '%s, %d environments are free',
        self._ended[lease.run_id],
        len(lease.env_ids),
      )

  def end_actor(self, run_id: int, reason: str) -> None:
    """Ends every lease of the actor that holds this one, as expected."""
    if run_id in self._by_run:
      actor = self._by_run[run_id].actor
      for lease in self.all():
        if lease.actor == actor:
          self._remove(lease, reason, superseded=False)

  def expire(self) -> None:
    """Ends the leases that have opened no stream for `lease_secs`."""
    for lease, secs in self.silent(self.lease_secs):
      if lease.stream is None:
        self.end(lease, f'it was {_silence(secs)}: expired (--lease_secs)')

  def log_silent(self, secs: float) -> None:
    """Logs who has been silent for `secs` or longer, once for each silence."""
    for lease, silent_secs in self.silent(secs):
      if not lease.silence_logged:
        lease.silence_logged = True
        self.log.warning(
          'silences',
          '%s is %s; the others continue',
          lease.peer,
          _silence(silent_secs),
        )

  def silent(self, secs: float) -> list[tuple[Lease, float]]:
    """Lists who was silent for `secs` or longer, and for how long."""
    now = self._clock()
    return [
      (lease, now - lease.last_seen)
      for lease in self._by_run.values()
      if not lease.is_waiting and now - lease.last_seen >= secs
    ]

  def all(self) -> list[Lease]:
    """Lists the leases in force."""
    return list(self._by_run.values())

  def _is_alive(self, lease: Lease) -> bool:
    if lease.is_cut_off:
      return False
    if lease.stream is not None:  # gRPC ends it with its connection.
      return True
    return self._clock() - lease.last_seen < self.lease_secs / 2

  def _check_quota(self, peer: str, num_envs: int) -> None:
    actor = peer.rpartition('/')[0]
    held = sum(
      len(lease.env_ids)
      for lease in self._by_run.values()
      if lease.actor == actor
    )
    if held + num_envs > self._actor_envs:
      raise Full(
        f'{actor} asked for {num_envs} environments and has {held}; an actor '
        f'may have {self._actor_envs} (--actor_envs)'
      )

  def _remove(self, lease: Lease, reason: str, superseded: bool) -> None:
    del self._by_run[lease.run_id]
    del self._by_peer[lease.peer]
    for env_id in lease.env_ids.tolist():
      heapq.heappush(self._free, env_id)
    self._ended[lease.run_id] = Ended(
      f'the lease of {lease.peer} ended: {reason}', superseded
    )
    if len(self._ended) > _ENDED_KEPT:
      self._ended.popitem(last=False)
    lease.interrupt()


def _silence(secs: float) -> str:
  since = time.strftime('%X', time.localtime(time.time() - secs))
  return f'silent for {secs:.0f} s, since {since}'
