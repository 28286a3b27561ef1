"""TLS: how a handshake is made, what it showed, and which failure an error of it means."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kdiag.config.security import Tls
from kdiag.network.attempt import Failure, TlsHandshake

MAX_CHAIN = 10
MAX_CERTIFICATES = 8 << 20  # bytes of all peers together, each different one kept once

# X509_V_ERR_*, from OpenSSL's x509_vfy.h; whatever is not here makes a certificate untrusted.
_NOT_YET, _PAST = 9, 10
_EXPIRED = {_NOT_YET, _PAST}
_NAME = {62, 64}  # host name, IP address

# What a server says when it does not like the certificate of a client, or misses it.
_CLIENT_CERTIFICATE = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
)
# X509_V_FLAG_*, of the same file. With both of them OpenSSL trusts as Java does: whichever
# certificate of the trust store comes first on the path, whatever its time.
_PARTIAL_CHAIN, _NO_CHECK_TIME = 0x80000, 0x200000

# Where librdkafka looks for a machine's authorities beside OpenSSL's own places (rdkafka_ssl.c).
_CA_PLACES = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/cacert.pem",
    "/etc/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/local/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
)
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+\Z")

_PEER_GONE = ("UNEXPECTED_EOF_WHILE_READING", "EOF occurred")

_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_NAMES = {version: name for name, version in _VERSIONS.items()}
_CERTIFICATE, _CERTIFICATE_REQUEST, _CERTIFICATE_AUTHORITIES = 11, 13, 47
_HANDSHAKE_RECORD = 22


@dataclass
class OverheardHandshake:
    """What was overheard in one handshake, whatever became of it: the server's certificates (DER),
    and its request for one of the client's."""

    version: str = ""
    chain: tuple[bytes, ...] = ()
    wants_certificate: bool = False
    authorities: tuple[bytes, ...] = ()


# The hook that overhears is set on a context, which many handshakes share; each handshake runs in a
# copy of its task's context, so this tells them apart, failed ones as well.
_hearing: ContextVar[OverheardHandshake | None] = ContextVar("hearing", default=None)


def tls_failure(error: ssl.SSLError) -> Failure:
    """The failure behind an error of OpenSSL's, by its verify code or its reason."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _NAME:
            return Failure.NAME_MISMATCH
        return Failure.EXPIRED if error.verify_code in _EXPIRED else Failure.UNTRUSTED
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Failure.CLOSED
    reason = error.reason or ""
    if reason.endswith(_CLIENT_CERTIFICATE):
        return Failure.CLIENT_CERTIFICATE
    return Failure.CLOSED if reason in _PEER_GONE else Failure.HANDSHAKE


# OpenSSL names the version that brought an alert, not the one that is spoken: "sslv3 alert bad
# certificate" is TLS 1.3's, too, and is "ssl/tls alert" in later versions.
_ALERT = re.compile(r"^(sslv3|tlsv1|tlsv13|ssl/tls) alert ")


def tls_words(error: ssl.SSLError) -> str:
    """What went wrong, in OpenSSL's words without its decoration."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    words = (error.reason or "the connection ended").replace("_", " ").lower()
    return _ALERT.sub("alert: ", words)


class TlsHandshakes:
    """The handshakes of one walk. Contexts are made when the first one is due: loading the
    machine's trust store takes longer than a healthy walk."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls
        self._kept: dict[bytes, bytes] = {}
        self._room = MAX_CERTIFICATES
        self.empty_store = ""

    def hear(self) -> OverheardHandshake:
        """Listens to the handshakes that this task makes from now on."""
        heard = OverheardHandshake()
        _hearing.set(heard)
        return heard

    @cached_property
    def judging(self) -> ssl.SSLContext:
        """What the client itself would do: its trust, its name check, its versions."""
        context = self._context()
        context.check_hostname = self.tls.verify and self.tls.verify_name
        context.verify_mode = ssl.CERT_REQUIRED if self.tls.verify else ssl.CERT_NONE
        if self.tls.ca is not None:
            context.load_verify_locations(cadata=self.tls.ca)
            if self.tls.java_trust:
                context.verify_flags |= _PARTIAL_CHAIN | _NO_CHECK_TIME
        elif self.tls.verify:
            self.empty_store = _load_machine(context)
        if self.tls.versions:
            allowed = sorted(_VERSIONS[name] for name in self.tls.versions)
            context.minimum_version, context.maximum_version = allowed[0], allowed[-1]
        if self.tls.ciphers:
            context.set_ciphers(self.tls.ciphers)
        return context

    @cached_property
    def looking(self) -> ssl.SSLContext:
        """Takes whatever there is, to see what the peer shows."""
        context = self._context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context

    def check_times(self, made: ssl.SSLObject) -> None:
        """Raises SSLCertVerificationError where Java would for a certificate out of its time: one
        below the trust store's first on the path."""
        if not self.tls.java_trust or made.context is not self.judging:
            return
        now = time.time()
        for der, begin, end in _verified(made):
            if der in self._store:
                return
            if not begin <= now <= end:
                code = _NOT_YET if now < begin else _PAST
                words = "is not yet valid" if now < begin else "has expired"
                error = ssl.SSLCertVerificationError(1, f"certificate {words}")
                error.verify_code, error.verify_message = code, f"certificate {words}"
                raise error

    @cached_property
    def _store(self) -> frozenset[bytes]:
        """The certificates of the client's own trust store (DER)."""
        ends = "-----END CERTIFICATE-----"
        blocks = (self.tls.ca or "").split(ends)[:-1]
        return frozenset(ssl.PEM_cert_to_DER_cert(block.strip() + ends) for block in blocks)

    def _only_java(self, made: ssl.SSLObject) -> bool:
        """Whether OpenSSL would surely refuse a path that Java trusts: it has no root, or is not
        wholly in its time, and no root in the trust store could end another one."""
        if not self.tls.java_trust or made.context is not self.judging:
            return False
        path, now = _path(made), time.time()
        if not path or any(_is_root(one, now) for one in self.judging.get_ca_certs()):
            return False
        in_time = all(begin <= now <= end for _, begin, end in _verified(made))
        return not (in_time and _is_root(path[-1].get_info(), now))

    def seen(
        self, made: ssl.SSLObject, heard: OverheardHandshake, name: str, verify_code: int | None
    ) -> TlsHandshake:
        """What a handshake showed, once it is complete."""
        cipher = made.cipher()
        return TlsHandshake(
            name=name,
            version=made.version() or heard.version,
            cipher=cipher[0] if cipher else "",
            chain=self._shared(_chain(made)),
            at=time.time(),
            wants_certificate=heard.wants_certificate,
            authorities=heard.authorities,
            verify_code=verify_code,
            only_java=self._only_java(made),
            empty_store=self.empty_store,
        )

    def overheard(
        self, heard: OverheardHandshake, name: str, verify_code: int | None
    ) -> TlsHandshake | None:
        """What a handshake showed that did not get to its end, None when it was nothing."""
        if not heard.chain:
            return None
        return TlsHandshake(
            name=name,
            version=heard.version,
            cipher="",
            chain=self._shared(heard.chain),
            at=time.time(),
            wants_certificate=heard.wants_certificate,
            authorities=heard.authorities,
            verify_code=verify_code,
            empty_store=self.empty_store,
        )

    def _shared(self, chain: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """A chain, of certificates that are kept once for all peers. Where there is no more room it
        ends: a thousand brokers of a cluster share all but their own, and those are small."""
        kept = []
        for certificate in chain:
            if certificate not in self._kept:
                if len(certificate) > self._room:
                    break
                self._room -= len(certificate)
                self._kept[certificate] = certificate
            kept.append(self._kept[certificate])
        return tuple(kept)

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.tls.certificate:
            with as_file(self.tls.certificate, self.tls.key or "") as path:
                # A password of "" makes OpenSSL fail where None would make it ask on the terminal.
                context.load_cert_chain(path, password=self.tls.key_password or "")
        # Only this hook tells of a CertificateRequest under TLS 1.3. It is not documented: where it
        # is missing, a client certificate that was asked for is told from the alert alone.
        if hasattr(context, "_msg_callback"):
            context._msg_callback = _overhear
        return context


def _overhear(
    _: Any, direction: str, version: Any, content: Any, message: Any, data: bytes
) -> None:
    heard = _hearing.get()
    if heard is None or (direction, content) != ("read", _HANDSHAKE_RECORD):
        return
    newest = version == ssl.TLSVersion.TLSv1_3
    if message == _CERTIFICATE_REQUEST:
        heard.wants_certificate = True
        heard.authorities = _authorities(data[4:], newest)
    elif message == _CERTIFICATE:
        heard.chain = _certificates(data[4:], newest)
        heard.version = _NAMES.get(version, "")


def _load_machine(context: ssl.SSLContext) -> str:
    """Loads this machine's authorities, as librdkafka finds them where Python's OpenSSL has none
    (python.org's for macOS, before its certificates are installed). Gives the places that were
    looked at, in case there are none, else ""."""
    context.load_default_certs()
    places = ssl.get_default_verify_paths()
    with suppress(OSError):
        if places.capath and any(_HASHED.match(one.name) for one in os.scandir(places.capath)):
            return ""
    for place in _CA_PLACES:
        if context.cert_store_stats()["x509"]:
            return ""
        with suppress(OSError):
            context.load_verify_locations(cafile=place)
    if context.cert_store_stats()["x509"]:
        return ""
    return f"{places.openssl_cafile} and {places.openssl_capath}"


def _path(made: ssl.SSLObject) -> Sequence[Any]:
    """The verified path's certificates, the peer's first. Python 3.9 does not tell of it."""
    inner = getattr(made, "_sslobj", None)
    if inner is None or not hasattr(inner, "get_verified_chain"):
        return ()
    return inner.get_verified_chain() or ()


def _verified(made: ssl.SSLObject) -> list[tuple[bytes, float, float]]:
    """The certificates of the verified path (DER), and from when to when each is valid; of the
    peer's own alone where nobody tells of the path."""
    path = [(one.get_info(), ssl.PEM_cert_to_DER_cert(one.public_bytes())) for one in _path(made)]
    path = path or [(made.getpeercert(), made.getpeercert(binary_form=True) or b"")]
    return [
        (
            der,
            ssl.cert_time_to_seconds(str(told["notBefore"])),
            ssl.cert_time_to_seconds(str(told["notAfter"])),
        )
        for told, der in path
        if told
    ]


def _is_root(told: Mapping[str, Any], now: float) -> bool:
    """Whether a certificate, as OpenSSL tells of it, is its own issuer's and in its time."""
    begin, end = (ssl.cert_time_to_seconds(str(told[name])) for name in ("notBefore", "notAfter"))
    return told["subject"] == told["issuer"] and begin <= now <= end


def _chain(made: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates that the peer sent (DER). Public since 3.13, in the inner object before."""
    asked = getattr(made, "get_unverified_chain", None)
    if asked:
        return tuple(asked()[:MAX_CHAIN])
    inner = getattr(made, "_sslobj", None)
    if inner is None or not hasattr(inner, "get_unverified_chain"):
        own = made.getpeercert(binary_form=True)
        return (own,) if own else ()
    chain = inner.get_unverified_chain() or ()
    return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain[:MAX_CHAIN])


def _certificates(body: bytes, newest: bool) -> tuple[bytes, ...]:
    """The chain (DER) in a server's Certificate message: RFC 5246 7.4.2, RFC 8446 4.4.2."""
    found: list[bytes] = []
    at = 3 + (1 + body[0] if newest and body else 0)
    while at + 3 <= len(body) and len(found) < MAX_CHAIN:
        size = int.from_bytes(body[at : at + 3], "big")
        found.append(body[at + 3 : at + 3 + size])
        at += 3 + size
        if newest:
            at += 2 + int.from_bytes(body[at : at + 2], "big")
    return tuple(found)


def _authorities(body: bytes, newest: bool) -> tuple[bytes, ...]:
    """The distinguished names (DER) in a CertificateRequest: RFC 5246 7.4.4, RFC 8446 4.3.2."""
    try:
        if not newest:
            at = 1 + body[0]
            at += 2 + int.from_bytes(body[at : at + 2], "big")
            return _names(body[at:])
        at = 3 + body[0]
        while at + 4 <= len(body):
            kind = int.from_bytes(body[at : at + 2], "big")
            size = int.from_bytes(body[at + 2 : at + 4], "big")
            if kind == _CERTIFICATE_AUTHORITIES:
                return _names(body[at + 4 : at + 4 + size])
            at += 4 + size
    except IndexError:
        pass
    return ()


def _names(listed: bytes) -> tuple[bytes, ...]:
    names: list[bytes] = []
    at = 2
    while at + 2 <= len(listed) and len(names) < MAX_CHAIN:
        size = int.from_bytes(listed[at : at + 2], "big")
        names.append(listed[at + 2 : at + 2 + size])
        at += 2 + size
    return tuple(names)


@contextmanager
def as_file(*parts: str) -> Iterator[str]:
    """Text under a path, which is all that OpenSSL's loader takes; in memory where that exists."""
    data = "\n".join(parts).encode()
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("kdiag")
        try:
            os.write(handle, data)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    import tempfile  # where there is no other way
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="kdiag") as folder:
        path = Path(folder, "client.pem")
        path.touch(0o600)
        path.write_bytes(data)
        yield str(path)
