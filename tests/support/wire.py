"""Hosts out of network namespaces, on a wire that delays, loses and breaks.

A process in the place of tc's netem, which many kernels lack: each host has a
TAP device, and a thread here carries the frames from each to all others.
"""

import contextlib
import fcntl
import heapq
import os
import pathlib
import random
import select
import struct
import subprocess
import threading
import time

_TUN = pathlib.Path('/dev/net/tun')
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_FRAME_BYTES = 1 << 16
_POLL_SECS = 0.05


def missing() -> str:
  """Says what this machine does not allow; empty where it does."""
  if os.geteuid():
    return 'only root may make network namespaces'
  if not os.access(_TUN, os.W_OK):
    return f'{_TUN} cannot be opened'
  try:
    subprocess.run(
      ['ip', 'netns', 'add', _name(0)], check=True, capture_output=True
    )
    subprocess.run(['ip', 'netns', 'del', _name(0)], check=True)
  except (OSError, subprocess.CalledProcessError) as error:
    return f'no network namespaces ({error})'
  return ''


def _name(index: int) -> str:
  return f'smg{os.getpid()}-{index}'


class Wire(contextlib.ExitStack):
  """Some hosts: each has an `address`; a command starts by `on` of one."""

  def __init__(self, num_hosts: int, *, delay_secs: float, loss: float):
    super().__init__()
    self.cut = set()  # Hosts that no frame reaches or leaves.
    self.num_frames = self.num_lost = 0
    self._delay_secs = delay_secs
    self._loss = loss
    self._taps = [self._make_host(index) for index in range(num_hosts)]
    self._stop = threading.Event()
    thread = threading.Thread(target=self._carry, daemon=True)
    thread.start()
    self.callback(thread.join)
    self.callback(self._stop.set)

  def address(self, index: int) -> str:
    """The IP address of a host."""
    return f'10.77.0.{index + 1}'

  def on(self, index: int) -> list[str]:
    """What a command starts with to run on a host."""
    return ['ip', 'netns', 'exec', _name(index)]

  def _make_host(self, index: int) -> int:
    name = _name(index)

    def ip(*arguments):
      subprocess.run(['ip', *arguments], check=True)

    ip('netns', 'add', name)
    self.callback(ip, 'netns', 'del', name)
    tap = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    self.callback(os.close, tap)
    fcntl.ioctl(
      tap,
      _TUNSETIFF,
      struct.pack('16sH22x', name.encode(), _IFF_TAP | _IFF_NO_PI),
    )
    ip('link', 'set', name, 'netns', name)
    ip('-n', name, 'addr', 'add', f'{self.address(index)}/24', 'dev', name)
    ip('-n', name, 'link', 'set', name, 'up')
    ip('-n', name, 'link', 'set', 'lo', 'up')
    return tap

  def _carry(self):
    rng, under_way = random.Random(1), []  # (due, number, to, frame).
    while not self._stop.is_set():
      wait = under_way[0][0] - time.monotonic() if under_way else _POLL_SECS
      ready, _, _ = select.select(
        self._taps, [], [], min(max(0.0, wait), _POLL_SECS)
      )
      for tap in ready:
        frame, due = (
          os.read(tap, _FRAME_BYTES),
          (time.monotonic() + self._delay_secs),
        )
        for other in self._taps:
          if other == tap:
            continue
          self.num_frames += 1
          if rng.random() < self._loss:
            self.num_lost += 1
          elif not self.cut & {self._taps.index(tap), self._taps.index(other)}:
            heapq.heappush(under_way, (due, self.num_frames, other, frame))
      while under_way and under_way[0][0] <= time.monotonic():
        _, _, tap, frame = heapq.heappop(under_way)
        with contextlib.suppress(OSError):  # The host's queue is full: lost.
          os.write(tap, frame)
