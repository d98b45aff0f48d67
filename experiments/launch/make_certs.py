"""Makes a CA, certificates and a token, for a test of several machines.

The folder then holds ca.pem for everyone; learner.pem and learner.key;
actor.pem and actor.key, for --client_ca_file; and the token.
"""

import datetime
import ipaddress
import os
import pathlib

from absl import flags
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid

from experiments.launch import processes


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines --folder, --hosts and --days."""
  flags.DEFINE_string(
    'folder',
    'certs',
    'Folder to make; it must not exist.',
    flag_values=flag_values,
  )
  flags.DEFINE_list(
    'hosts',
    ['localhost', '127.0.0.1'],
    'Names and IP addresses of the learner, as actors call it.',
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'days',
    30,
    'Days that the certificates are valid.',
    lower_bound=1,
    upper_bound=36_500,
    flag_values=flag_values,
  )


def run(flag_values: flags.FlagValues) -> int:
  """Writes the files; returns the exit status."""
  folder = pathlib.Path(flag_values.folder)
  folder.mkdir(mode=0o700, parents=True)
  days = datetime.timedelta(days=flag_values.days)
  authority = Authority(folder, 'seed_metagrad test CA', valid=days)
  authority.issue('learner', flag_values.hosts, valid=days)
  authority.issue('actor', ['actor'], valid=days)
  processes.write_private(folder / 'token', processes.new_token())
  print(
    f'Wrote {", ".join(sorted(os.listdir(folder)))} to {folder}. The CA has'
    ' no key any more: nobody can issue more.'
  )
  return 0


class Authority:
  """A CA whose key is never written; `ca_file` is what others must know."""

  def __init__(
    self,
    folder: str | os.PathLike[str],
    name: str,
    *,
    valid: datetime.timedelta,
  ):
    self._folder = pathlib.Path(folder)
    self._key = ec.generate_private_key(ec.SECP256R1())
    self._name = _name(name)
    certificate = self._build(name, self._key, [], valid, is_ca=True)
    self.ca_file = processes.write_private(
      self._folder / 'ca.pem', _pem(certificate)
    )

  def issue(
    self, name: str, hosts: list[str], *, valid: datetime.timedelta
  ) -> tuple[str, str]:
    """Writes a certificate for some hosts, and its key; returns both paths.

    valid: from now on; a negative one makes a certificate that has expired.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = self._build(name, key, hosts, valid, is_ca=False)
    key_pem = key.private_bytes(
      serialization.Encoding.PEM,
      serialization.PrivateFormat.PKCS8,
      serialization.NoEncryption(),
    )
    return (
      processes.write_private(self._folder / f'{name}.pem', _pem(certificate)),
      processes.write_private(self._folder / f'{name}.key', key_pem),
    )

  def _build(
    self,
    name: str,
    key: ec.EllipticCurvePrivateKey,
    hosts: list[str],
    valid: datetime.timedelta,
    *,
    is_ca: bool,
  ) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
      x509.CertificateBuilder()
      .subject_name(_name(name))
      .issuer_name(self._name)
      .public_key(key.public_key())
      .serial_number(x509.random_serial_number())
      # Clocks of hosts differ.
      .not_valid_before(min(now, now + valid) - datetime.timedelta(days=1))
      .not_valid_after(now + valid)
      .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    )
    if hosts:
      builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(host) for host in hosts]),
        critical=False,
      )
    return builder.sign(self._key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
  try:
    return x509.IPAddress(ipaddress.ip_address(host))
  except ValueError:
    return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
  return x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
  return certificate.public_bytes(serialization.Encoding.PEM)
