"""The connections of a server: counted, and closed where nobody was let in.

gRPC tells nobody of a connection before its first call. So this looks at the
open sockets of the process, and shuts down those that it may not keep: to gRPC
their peers have hung up. Without a /proc nothing is counted or closed.
"""

import collections
from collections.abc import Callable, Iterable, Iterator
import contextlib
import functools
import ipaddress
import os
import socket
import time
from typing import NamedTuple
import urllib.parse

_FILES = '/proc/self/fd'
_STRANGER_SECS = 20.0  # A handshake and a request may take 10 s each.
_MAX_STRANGERS = 64  # From one host, where half of the room is taken.


class Peer(NamedTuple):
  """The other end of a connection."""

  host: str  # An IP address.
  port: int


_NOBODY = Peer('', 0)


class Look(NamedTuple):
  """What was seen and done at one look."""

  open: int
  closed: dict[str, int]  # Connections of strangers, by host.
  gone: set[Peer]  # Whose connections are closed since the last look.


class _Connection(NamedTuple):
  """A socket as it was first seen."""

  peer: Peer
  since: float


class Connections:
  """Those to one port of this process, followed from look to look.

  Who has not made an admitted call is a stranger. Their connections are closed
  after 20 s; where they and the others take half of the `room`, those of one
  host beyond 64 at once. The others' never are, however long they say nothing.
  """

  def __init__(
    self, port: int, room: int, clock: Callable[[], float] = time.monotonic
  ):
    self._port = port
    self._room = room
    self._clock = clock
    self._seen: dict[str, _Connection] = {}  # By the socket's name.
    self._admitted: set[Peer] = set()
    self._closed: set[str] = set()  # Until gRPC has noticed.

  def look(self, admitted: Iterable[str]) -> Look:
    """Counts the connections, and closes those of strangers.

    admitted: the peers, as gRPC names them, of calls since the last look.
    """
    if not os.path.isdir(_FILES):
      return Look(0, {}, set())
    callers = {*map(parse, admitted)} - {_NOBODY}
    before = self._peers() | callers
    self._seen = dict(self._connections())
    peers = self._peers()
    self._admitted = (self._admitted | callers) & peers
    unwanted = self._unwanted()
    if unwanted:
      _close(unwanted)
    self._closed = unwanted | self._closed & self._seen.keys()
    hosts = (self._seen[name].peer.host for name in unwanted)
    return Look(
      len(self._seen) - len(self._closed),
      collections.Counter(hosts),
      before - peers,
    )

  def _peers(self) -> set[Peer]:
    return {connection.peer for connection in self._seen.values()}

  def _unwanted(self) -> set[str]:
    strangers: dict[str, list[str]] = collections.defaultdict(list)
    for name, connection in self._seen.items():
      if connection.peer not in self._admitted and name not in self._closed:
        strangers[connection.peer.host].append(name)
    crowded = 2 * len(self._seen) > self._room
    now = self._clock()
    return {
      name
      for names in strangers.values()
      for number, name in enumerate(names)
      if now - self._seen[name].since >= _STRANGER_SECS
      or (crowded and number >= _MAX_STRANGERS)
    }

  def _connections(self) -> Iterator[tuple[str, _Connection]]:
    for file, name in _sockets():
      if name in self._seen:
        yield name, self._seen[name]
      elif peer := _peer(file, self._port):
        yield name, _Connection(peer, self._clock())


@functools.lru_cache(1 << 13)
def parse(peer: str) -> Peer:
  """Reads what gRPC calls a peer; that of a unix socket is no host's."""
  family, _, rest = urllib.parse.unquote(peer).partition(':')
  host, _, port = rest.rpartition(':')
  if family not in ('ipv4', 'ipv6'):
    return _NOBODY
  return Peer(_normalized(host.strip('[]')), int(port))


def _normalized(host: str) -> str:
  address = ipaddress.ip_address(host.partition('%')[0])  # Without its scope.
  return str(getattr(address, 'ipv4_mapped', None) or address)


def _sockets() -> Iterator[tuple[int, str]]:
  """The sockets of this process: a file and a name that is used once."""
  for file in os.listdir(_FILES):
    with contextlib.suppress(OSError):  # Closed meanwhile.
      name = os.readlink(f'{_FILES}/{file}')
      if name.startswith('socket:'):
        yield int(file), name


@contextlib.contextmanager
def _opened(file: int) -> Iterator[socket.socket]:
  """A handle of our own on a socket of gRPC's.

  Raises:
    OSError: the file is closed, or is no socket any more.
  """
  handle = os.dup(file)
  try:
    opened = socket.socket(fileno=handle)
  except OSError:
    os.close(handle)
    raise
  with opened:
    yield opened


def _peer(file: int, port: int) -> Peer | None:
  """Who is connected to the port by this socket, if it is such a one."""
  with contextlib.suppress(OSError), _opened(file) as opened:
    if (
      opened.family in (socket.AF_INET, socket.AF_INET6)
      and opened.getsockname()[1] == port
    ):
      host, peers_port, *_ = opened.getpeername()
      return Peer(_normalized(host), peers_port)
  return None


def _close(names: set[str]) -> None:
  for file, name in _sockets():
    if name in names:
      with contextlib.suppress(OSError), _opened(file) as opened:
        # The number may be another file's by now.
        if f'socket:[{os.fstat(opened.fileno()).st_ino}]' == name:
          opened.shutdown(socket.SHUT_RDWR)
