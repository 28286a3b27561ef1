"""Certificates made to carry any name, and servers that show them."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
BEGIN = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
END = datetime.datetime(2046, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)

_OIDS = {
    "o": NameOID.ORGANIZATION_NAME,
    "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "cn": NameOID.COMMON_NAME,
}


def name(**parts: str) -> x509.Name:
    """A distinguished name, of o=, ou=, cn= in their order."""
    return x509.Name([x509.NameAttribute(_OIDS[part], text) for part, text in parts.items()])


def made(
    subject: x509.Name,
    issuer: x509.Name | None = None,
    names: Sequence[str] = (),
    uris: Sequence[str] = (),
    ca: bool = False,
    signed_by: ec.EllipticCurvePrivateKey = KEY,
    begin: datetime.datetime = BEGIN,
    end: datetime.datetime = END,
) -> bytes:
    """A certificate that carries these names, as DER; its own issuer, if there is none.

    All are for KEY and, if nothing else is said, signed by it.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer if issuer is not None else subject)
        .public_key(KEY.public_key())
        .serial_number(0xCAFE)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    entries: list[x509.GeneralName] = [_entry(text) for text in names]
    entries += [x509.UniformResourceIdentifier(uri) for uri in uris]
    if entries:
        builder = builder.add_extension(x509.SubjectAlternativeName(entries), critical=False)
    return builder.sign(signed_by, hashes.SHA256()).public_bytes(Encoding.DER)


def showing(der: bytes) -> ssl.SSLContext:
    """What a server needs to show a certificate that is for KEY."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.NamedTemporaryFile() as file:
        file.write(ssl.DER_cert_to_PEM_cert(der).encode() + key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _entry(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
