"""Which addresses stay on this machine."""

import ipaddress


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
