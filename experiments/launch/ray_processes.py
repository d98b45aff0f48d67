"""Ray actors: one for each process of ours, and their coordinator.

The address, the token and the certificate's CA go from the learner to the
actors by way of the coordinator, and every process's log to the workdir.
"""

import datetime
import os
import pathlib
import subprocess
import tempfile
import threading
import time
from typing import Any, NamedTuple

import ray

from experiments.launch import make_certs
from experiments.launch import processes

_LEARNER, _ACTOR = 'learner.main', 'actors.main'
_POLL_SECS = 0.5
_WATCH_SECS = 5.0  # Between an actor's looks whether the learner has moved.
_ACTOR_GRACE_SECS = 5.0
_VALID = datetime.timedelta(days=365)  # Each start of the learner makes anew.

_Handle = Any  # A Ray actor: Ray makes its methods at run time.


class Contact(NamedTuple):
  """How to reach the learner that serves now."""

  address: str
  ca: bytes  # The CA of its certificate, as PEM.
  token: bytes


class Coordinator:
  """Knows where the learner serves, and collects logs; on the driver's node."""

  def __init__(self, workdir: str):
    self._logs = pathlib.Path(workdir) / 'logs'
    self._contact: Contact | None = None
    self._unread = ''  # Output of the learner.

  def log(self, name: str, text: str) -> None:
    """Adds to a process's log in the workdir."""
    self._logs.mkdir(parents=True, exist_ok=True)
    with open(self._logs / f'{name}.log', 'a', encoding='utf-8') as file:
      file.write(text)
    if name == 'learner':
      self._unread += text

  def read(self) -> str:
    """Returns what the learner printed since the last call."""
    text, self._unread = self._unread, ''
    return text

  def serve(self, contact: Contact) -> None:
    """Records where the learner serves from now on."""
    self._contact = contact

  def contact(self) -> Contact | None:
    """Returns where the learner serves; None before its first start."""
    return self._contact


class Process:
  """Runs one process on the node that Ray chose; it ends with this one."""

  def __init__(self, name: str):
    self._name = name
    self._process: subprocess.Popen[bytes] | None = None
    self._stopping = False

  def learn(
    self, coordinator: _Handle, arguments: list[str], restart: bool
  ) -> int:
    """Runs the learner to its end; returns its exit status."""
    if restart and not ray.get(coordinator.contact.remote()):
      arguments = [*arguments, '--restart']  # At the first start alone.
    host = ray.util.get_node_ip_address()
    with tempfile.TemporaryDirectory() as folder:
      authority = make_certs.Authority(folder, 'seed_metagrad', valid=_VALID)
      cert_file, key_file = authority.issue('learner', [host], valid=_VALID)
      token = processes.new_token()
      token_file = processes.write_private(f'{folder}/token', token)
      address_file = pathlib.Path(folder) / 'address'
      process = self._start(
        coordinator,
        _LEARNER,
        [
          *arguments,
          f'--address={host}:0',
          f'--address_file={address_file}',
          f'--cert_file={cert_file}',
          f'--key_file={key_file}',
          f'--token_file={token_file}',
        ],
      )
      while process.poll() is None and not address_file.exists():
        time.sleep(_POLL_SECS)
      if address_file.exists():
        coordinator.serve.remote(
          Contact(
            address_file.read_text(),
            pathlib.Path(authority.ca_file).read_bytes(),
            token,
          )
        )
      return process.wait()

  def act(self, coordinator: _Handle, arguments: list[str]) -> int:
    """Runs an actor of the learner, wherever it moves; returns its status."""
    while True:
      contact = ray.get(coordinator.contact.remote())
      with tempfile.TemporaryDirectory() as folder:
        ca_file = processes.write_private(f'{folder}/ca.pem', contact.ca)
        token_file = processes.write_private(f'{folder}/token', contact.token)
        process = self._start(
          coordinator,
          _ACTOR,
          [
            *arguments,
            f'--address={contact.address}',
            f'--ca_file={ca_file}',
            f'--token_file={token_file}',
          ],
        )
        moved = False
        while not moved and process.poll() is None:
          processes.wait([process], _WATCH_SECS)
          moved = ray.get(coordinator.contact.remote()) != contact
        processes.end([process], _ACTOR_GRACE_SECS)
      if not moved:
        return process.returncode

  def stop(self) -> None:
    """Asks the process to end."""
    self._stopping = True
    if self._process:
      self._process.terminate()

  def _start(
    self, coordinator: _Handle, module: str, arguments: list[str]
  ) -> subprocess.Popen[bytes]:
    process = processes.start(module, arguments, subprocess.PIPE)
    self._process = process
    threading.Thread(
      target=self._log, args=[coordinator, process], daemon=True
    ).start()
    if self._stopping:
      process.terminate()
    return process

  def _log(
    self, coordinator: _Handle, process: subprocess.Popen[bytes]
  ) -> None:
    assert process.stdout is not None
    while text := os.read(process.stdout.fileno(), 1 << 16):
      coordinator.log.remote(self._name, text.decode(errors='replace'))
