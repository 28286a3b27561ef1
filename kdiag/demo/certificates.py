"""Certificates for the embedded cluster, made on the spot: an authority, and what it issues."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kdiag.address import parse
from kdiag.network.tls import as_file


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, both as PEM text."""

    certificate: str
    key: str


class Authority:
    """Who issues certificates: `pem` is its own."""

    def __init__(self, name: str) -> None:
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = _built(self._name, self._name, self._key, days=3650)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = _text(own.sign(self._key, SHA256()))

    def issue(self, subject: str, names: Sequence[str] = (), *, days: int = 365) -> Issued:
        """A certificate for these names; `days` from now it expires, before now if negative."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _built(_named(subject), self._name, key, days)
        if names:
            entries = [
                x509.IPAddress(address) if (address := parse(name)) else x509.DNSName(name)
                for name in names
            ]
            made = made.add_extension(x509.SubjectAlternativeName(entries), critical=False)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Issued(_text(made.sign(self._key, SHA256())), pem.decode())


@lru_cache(maxsize=1)
def authority() -> Authority:
    """The authority of the demo's cluster."""
    return Authority("demo-ca")


def serving(issued: Issued, clients: Authority | None = None) -> ssl.SSLContext:
    """How a broker serves TLS with a certificate; with `clients`, it wants one of theirs too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with as_file(issued.certificate, issued.key) as path:
        context.load_cert_chain(path)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem)
    return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _built(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
    )


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
