"""Which addresses stay on this machine, and what the others need."""

from collections.abc import Mapping
import ipaddress
import os
import pathlib

_MIN_TOKEN = 16  # Characters.


def read_token(path: str) -> str:
  """Reads the secret that actors send; no path is no secret.

  Raises:
    OSError: the file cannot be read.
    ValueError: the secret is too short.
  """
  if not path:
    return ''
  token = pathlib.Path(path).read_text(encoding='ascii').strip()
  if len(token) < _MIN_TOKEN:
    raise ValueError(
      f'{path} must hold a token of at least {_MIN_TOKEN} characters, got '
      f'{len(token)}.'
    )
  return token


def check_protected(
  address: str, files: Mapping[str, str], *, insecure: bool
) -> None:
  """Checks that what passes between machines is protected.

  files: paths by flag, of all that TLS and a token need.

  Raises:
    ValueError: the address is not of this machine alone, a file is missing,
      and it is not meant to be `insecure`.
  """
  if not (insecure or is_local(address) or all(files.values())):
    raise ValueError(
      f'address {address} is not of this machine alone: give '
      f'{", ".join(files)}, or --insecure.'
    )


def is_local(address: str) -> bool:
  """Tells whether `host:port` or `unix:path` can only be reached from here.

  Raises:
    ValueError: neither of the two forms.
  """
  if address.startswith('unix:'):
    return True
  host, colon, port = address.rpartition(':')
  if not (host and colon and port.isdecimal() and int(port) < 65536):
    raise ValueError(
      f'address must be host:port or unix:path, got {address!r}.'
    )
  if host == 'localhost':
    return True
  try:
    return ipaddress.ip_address(host.strip('[]')).is_loopback
  except ValueError:  # A name: it may be anywhere.
    return False


def proxy(address: str) -> str:
  """Names the variable whose proxy gRPC takes to `host:port`, or none."""
  host = address.rpartition(':')[0].strip('[]')
  no_proxy = os.environ.get('no_grpc_proxy') or os.environ.get('no_proxy', '')
  for name in filter(None, map(str.strip, no_proxy.split(','))):
    if host.endswith(name):  # As gRPC compares them.
      return ''
  names = ('grpc_proxy', 'https_proxy', 'http_proxy')  # As gRPC looks for them.
  return next((name for name in names if os.environ.get(name)), '')
