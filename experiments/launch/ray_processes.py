"""What runs in a Ray cluster: a process of ours a Ray actor, and a board.

The address, the token and the certificate's CA go from the learner to the
actors over the board, and every process's log to the workdir.
"""

import datetime
import os
import pathlib
import secrets
import subprocess
import tempfile
import threading
import time
from typing import NamedTuple

import ray

from experiments.launch import make_certs
from experiments.launch import processes

_LEARNER, _ACTOR = 'learner.main', 'actors.main'
_POLL_SECS = 0.5
_WATCH_SECS = 5.0  # Between an actor's looks whether the learner has moved.
_ACTOR_GRACE_SECS = 5.0
_VALID = datetime.timedelta(days=365)  # Each start of the learner makes anew.


class Contact(NamedTuple):
  """How to reach the learner that serves now."""

  address: str
  ca: bytes  # Of its certificate.
  token: str


@ray.remote(num_cpus=0)
class Board:
  """What the processes must know, and what they said; on the driver's node."""

  def __init__(self, workdir: str):
    self._logs = pathlib.Path(workdir) / 'logs'
    self._contact = None
    self._unread = ''  # Of the learner's output.

  def log(self, name: str, text: str):
    """Adds to a process's log in the workdir."""
    self._logs.mkdir(parents=True, exist_ok=True)
    with open(self._logs / f'{name}.log', 'a', encoding='utf-8') as file:
      file.write(text)
    if name == 'learner':
      self._unread += text

  def read(self) -> str:
    """What the learner printed since the last call."""
    text, self._unread = self._unread, ''
    return text

  def serve(self, contact: Contact):
    """Notes where the learner serves from now on."""
    self._contact = contact

  def contact(self) -> Contact | None:
    """Where the learner serves; None before its first start."""
    return self._contact


@ray.remote(max_restarts=-1, max_task_retries=-1, max_concurrency=2)
class Process:
  """Runs one process on the node that Ray chose; it ends with this one."""

  def __init__(self, name: str):
    self._name = name
    self._process = None
    self._stopping = False

  def learn(
    self, board, arguments: list[str], restart: bool, pause_secs: float
  ) -> int:
    """Runs the learner to its end; returns its exit status."""
    time.sleep(pause_secs)
    if restart and not ray.get(board.contact.remote()):
      arguments = [*arguments, '--restart']  # At the first start alone.
    host = ray.util.get_node_ip_address()
    with tempfile.TemporaryDirectory() as folder:
      authority = make_certs.Authority(folder, 'seed_metagrad', valid=_VALID)
      cert_file, key_file = authority.issue('learner', [host], valid=_VALID)
      token = secrets.token_urlsafe(32)
      address_file = pathlib.Path(folder) / 'address'
      self._start(
        board,
        _LEARNER,
        [
          *arguments,
          f'--address={host}:0',
          f'--address_file={address_file}',
          f'--cert_file={cert_file}',
          f'--key_file={key_file}',
          f'--token_file={_write(folder, "token", token.encode())}',
        ],
      )
      while self._process.poll() is None and not address_file.exists():
        time.sleep(_POLL_SECS)
      if address_file.exists():
        board.serve.remote(
          Contact(
            address_file.read_text(),
            pathlib.Path(authority.ca_file).read_bytes(),
            token,
          )
        )
      return self._process.wait()

  def act(self, board, arguments: list[str], pause_secs: float) -> int:
    """Runs an actor of the learner, wherever it moves; returns its status."""
    time.sleep(pause_secs)
    moved = True
    while moved:
      contact = ray.get(board.contact.remote())
      with tempfile.TemporaryDirectory() as folder:
        self._start(
          board,
          _ACTOR,
          [
            *arguments,
            f'--address={contact.address}',
            f'--ca_file={_write(folder, "ca.pem", contact.ca)}',
            f'--token_file={_write(folder, "token", contact.token.encode())}',
          ],
        )
        moved = False
        while not moved and self._process.poll() is None:
          processes.wait([self._process], _WATCH_SECS)
          moved = ray.get(board.contact.remote()) != contact
        processes.end([self._process], _ACTOR_GRACE_SECS)
    return self._process.returncode

  def stop(self):
    """Asks the process to end."""
    self._stopping = True
    if self._process:
      self._process.terminate()

  def _start(self, board, module: str, arguments: list[str]):
    self._process = processes.start(module, arguments, subprocess.PIPE)
    threading.Thread(target=self._log, args=[board], daemon=True).start()
    if self._stopping:
      self._process.terminate()

  def _log(self, board):
    output = self._process.stdout
    while text := os.read(output.fileno(), 1 << 16):
      board.log.remote(self._name, text.decode(errors='replace'))


def _write(folder: str, name: str, contents: bytes) -> str:
  path = pathlib.Path(folder) / name  # Of a folder that only we can read.
  path.write_bytes(contents)
  return str(path)
