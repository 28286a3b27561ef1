"""TLS peers and trust stores that clients judge differently, and what each client makes of them."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.certificates import name

HOST = "localhost"
_DAY = datetime.timedelta(days=1)


class Case(NamedTuple):
    """The names of the certificates that the broker shows and of those that the client trusts; the
    code that explains the failure for librdkafka and for Java's client ("" where it connects), and
    words of librdkafka's."""

    shows: tuple[str, ...]
    trusts: tuple[str, ...]
    openssl: str
    java: str
    words: str = ""


CASES = {
    "the root": Case(("leaf",), ("root",), "", ""),
    "the root of a chain": Case(("below", "between"), ("root",), "", ""),
    "the broker's own": Case(
        ("leaf",), ("leaf",), "KD112", "", "has the broker's own certificate.*a Java client takes"
    ),
    "the broker's own, of a chain": Case(
        ("below", "between"), ("below",), "KD112", "", "has the broker's own certificate"
    ),
    "the intermediate one": Case(
        ("below", "between"), ("between",), "KD112", "", "has the intermediate authority CN=between"
    ),
    "the intermediate one, which is not sent": Case(
        ("below",), ("between",), "KD112", "", "needs the root too, CN=root"
    ),
    "a self-signed one": Case(("alone",), ("alone",), "", ""),
    "an expired root": Case(
        ("leaf",), ("old root",), "KD114", "", "valid now, but its authority.*CN=root, in ssl"
    ),
    "an expired root and its successor": Case(("leaf",), ("old root", "root"), "", ""),
    "an expired intermediate one is sent": Case(
        ("below", "old between"), ("root",), "KD114", "KD114", "CN=between, which the broker sends"
    ),
    "an expired intermediate one is sent, a good one trusted": Case(
        ("below", "old between"), ("root", "between"), "", ""
    ),
    "the broker's has expired": Case(
        ("old leaf",), ("root",), "KD114", "KD114", "expired 1 day ago"
    ),
    "the broker's has expired, and is trusted": Case(
        ("old leaf",), ("old leaf",), "KD112", "", "has the broker's own certificate"
    ),
    "another authority": Case(("leaf",), ("other",), "KD112", "KD112", "has another key"),
}


class Trust:
    """The certificates of all cases, by their names, with one key for every broker."""

    def __init__(self) -> None:
        keys = {
            one: ec.generate_private_key(ec.SECP256R1()) for one in ("root", "between", "other")
        }
        self._key = ec.generate_private_key(ec.SECP256R1())
        root, between, other = keys["root"], keys["between"], keys["other"]
        self._made = {
            "root": _made("root", "root", root, root, ca=True),
            "old root": _made("root", "root", root, root, ca=True, old=True),
            "other": _made("root", "root", other, other, ca=True),
            "between": _made("between", "root", between, root, ca=True),
            "old between": _made("between", "root", between, root, ca=True, old=True),
            "below": _made(HOST, "between", self._key, between),
            "leaf": _made(HOST, "root", self._key, root),
            "old leaf": _made(HOST, "root", self._key, root, old=True),
            "alone": _made(HOST, HOST, self._key, self._key),
        }

    def pem(self, names: tuple[str, ...]) -> str:
        """These certificates."""
        return "".join(self._made[one] for one in names)

    def server(self, case: Case, folder: Path) -> ssl.SSLContext:
        """How the broker of a case serves."""
        own = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        path = folder / "broker.pem"
        path.write_text(own + self.pem(case.shows))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _made(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signed_by: ec.EllipticCurvePrivateKey,
    *,
    ca: bool = False,
    old: bool = False,
) -> str:
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder(issuer_name=name(cn=issuer), subject_name=name(cn=subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 400 * _DAY)
        .not_valid_after(now - 1.5 * _DAY if old else now + 400 * _DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
        built = built.add_extension(names, critical=False)
    return built.sign(signed_by, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
