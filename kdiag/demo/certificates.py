"""Issues certificates for the embedded cluster, from an authority that exists in memory only."""

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
    """A certificate authority; `pem` is its own certificate."""

    def __init__(self, name: str) -> None:
        self._name = _x509_name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = _certificate_builder(self._name, self._name, self._key, days=3650)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = _pem(own.sign(self._key, SHA256()))

    def issue(self, subject: str, names: Sequence[str] = (), *, days: int = 365) -> Issued:
        """A certificate for these host names and IP addresses. It expires `days` from now; a
        negative number makes it expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate_builder(_x509_name(subject), self._name, key, days)
        if names:
            entries = [
                x509.IPAddress(address) if (address := parse(name)) else x509.DNSName(name)
                for name in names
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(entries), critical=False)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Issued(_pem(builder.sign(self._key, SHA256())), pem.decode())


@lru_cache(maxsize=1)
def authority() -> Authority:
    """The authority of the demo's cluster, the same in each call."""
    return Authority("demo-ca")


def server_context(issued: Issued, clients: Authority | None = None) -> ssl.SSLContext:
    """The TLS context of a broker with this certificate; with `clients`, the broker requires a
    client certificate by that authority (mutual TLS)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with as_file(issued.certificate, issued.key) as path:
        context.load_cert_chain(path)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem)
    return context


def _x509_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _certificate_builder(
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


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
