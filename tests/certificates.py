"""Makes a CA and certificates for tests of TLS."""

import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid

_DAY = datetime.timedelta(days=1)


class Authority:
  """A CA; `ca_file` is what the other side must know."""

  def __init__(self, folder: str, name: str):
    self._folder = pathlib.Path(folder)
    self._key = ec.generate_private_key(ec.SECP256R1())
    self._name = _name(name)
    certificate = self._build(name, self._key, is_ca=True)
    self.ca_file = self._write('ca.pem', _pem(certificate))

  def issue(self, name: str, *, expired: bool = False) -> tuple[str, str]:
    """Returns the files of a certificate for localhost, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = self._build(name, key, is_ca=False, expired=expired)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption())
    return (self._write(f'{name}.pem', _pem(certificate)),
            self._write(f'{name}.key', key_pem))

  def _build(self, name, key, *, is_ca, expired=False):
    end = datetime.datetime.now(datetime.UTC) + (-_DAY if expired else _DAY)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(self._name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 3 * _DAY)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName('localhost')]), False)
        .sign(self._key, hashes.SHA256()))

  def _write(self, name, data):
    path = self._folder / name
    path.write_bytes(data)
    return str(path)


def _name(common_name):
  return x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, common_name)])


def _pem(certificate):
  return certificate.public_bytes(serialization.Encoding.PEM)
