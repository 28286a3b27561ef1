"""Makes TLS handshakes, records what the peer showed, and maps errors to failures."""

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
_TOO_WEAK = (66, 67, 68)  # key of the peer, key or hash of an authority

# Alerts of a server that refuses or misses the client's certificate.
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
# X509_V_FLAG_*, from the same file. With both flags OpenSSL trusts as Java does: the path may end
# at any certificate of the trust store, valid or expired.
_PARTIAL_CHAIN, _NO_CHECK_TIME = 0x80000, 0x200000

# CA files that librdkafka tries besides OpenSSL's defaults (rdkafka_ssl.c).
_CA_FILES = (
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
class ObservedHandshake:
    """Messages of the server in one handshake, complete or failed: its certificates (DER), and its
    request for a client certificate with the authorities (DER names) that it accepts."""

    version: str = ""
    chain: tuple[bytes, ...] = ()
    wants_certificate: bool = False
    authorities: tuple[bytes, ...] = ()


# The message callback belongs to an SSLContext, which many handshakes share. Each handshake runs in
# a copy of its task's context, so this variable separates them.
_observed: ContextVar[ObservedHandshake | None] = ContextVar("observed", default=None)


def tls_failure(error: ssl.SSLError) -> Failure:
    """The failure that an OpenSSL error means, by its verify code or its reason."""
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


# OpenSSL names the version that introduced an alert, not the negotiated one: "sslv3 alert bad
# certificate" appears with TLS 1.3 too. Later OpenSSL versions write "ssl/tls alert".
_ALERT = re.compile(r"^(sslv3|tlsv1|tlsv13|ssl/tls) alert ")


def tls_message(error: ssl.SSLError) -> str:
    """OpenSSL's message without its prefixes."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    message = (error.reason or "the connection ended").replace("_", " ").lower()
    return _ALERT.sub("alert: ", message)


class TlsHandshakes:
    """The SSL contexts of one walk, and what its handshakes showed. A context is made at its first
    use: loading the machine's trust store takes longer than a healthy walk."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls
        self._kept: dict[bytes, bytes] = {}
        self._room = MAX_CERTIFICATES
        self.empty_store = ""

    def observe(self) -> ObservedHandshake:
        """Records the handshakes that this task makes from now on."""
        observed = ObservedHandshake()
        _observed.set(observed)
        return observed

    @cached_property
    def verifying(self) -> ssl.SSLContext:
        """The client's own trust store, name check, versions and ciphers."""
        return self._verifying()

    @cached_property
    def lenient(self) -> ssl.SSLContext:
        """The same, as Java has it: it takes RSA keys of 1024 bits, and no TLS before 1.2."""
        context = self._verifying()
        context.set_ciphers((self.tls.ciphers or "DEFAULT") + "@SECLEVEL=0")
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        return context

    def weak_for_openssl(self, code: int | None) -> bool:
        """Whether a handshake failed on a key or a hash that Java's client may take."""
        return self.tls.java_trust and code in _TOO_WEAK

    def _verifying(self) -> ssl.SSLContext:
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
    def unverifying(self) -> ssl.SSLContext:
        """Accepts every certificate, version and cipher, to see what the peer has."""
        context = self._context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context

    def check_times(self, made: ssl.SSLObject) -> None:
        """Raises SSLCertVerificationError where Java refuses an expired or not yet valid
        certificate: one that comes before the first certificate of the trust store on the path."""
        if not self.tls.java_trust or made.context.verify_mode is ssl.CERT_NONE:
            return
        now = time.time()
        for der, begin, end in _verified(made):
            if der in self._store:
                return
            if not begin <= now <= end:
                code = _NOT_YET if now < begin else _PAST
                message = "certificate " + ("is not yet valid" if now < begin else "has expired")
                error = ssl.SSLCertVerificationError(1, message)
                error.verify_code, error.verify_message = code, message
                raise error

    @cached_property
    def _store(self) -> frozenset[bytes]:
        """The certificates of the client's own trust store (DER)."""
        ends = "-----END CERTIFICATE-----"
        blocks = (self.tls.ca or "").split(ends)[:-1]
        return frozenset(ssl.PEM_cert_to_DER_cert(block.strip() + ends) for block in blocks)

    def _only_java(self, made: ssl.SSLObject) -> bool:
        """Whether OpenSSL surely refuses a path that Java trusts: the path has no root, or a
        certificate that is not valid now, and the trust store has no root for another path."""
        if not self.tls.java_trust or made.context is not self.verifying:
            return False
        path, now = _path(made), time.time()
        if not path or any(_is_root(one, now) for one in self.verifying.get_ca_certs()):
            return False
        in_time = all(begin <= now <= end for _, begin, end in _verified(made))
        return not (in_time and _is_root(path[-1].get_info(), now))

    def complete(
        self, made: ssl.SSLObject, observed: ObservedHandshake, name: str, verify_code: int | None
    ) -> TlsHandshake:
        """What a complete handshake showed."""
        cipher = made.cipher()
        return self._result(observed, name, verify_code)._replace(
            version=made.version() or observed.version,
            cipher=cipher[0] if cipher else "",
            chain=self._shared(_chain(made)),
            only_java=self._only_java(made),
        )

    def failed(
        self, observed: ObservedHandshake, name: str, verify_code: int | None
    ) -> TlsHandshake | None:
        """What a failed handshake showed, None where the peer sent no certificate."""
        if not observed.chain:
            return None
        handshake = self._result(observed, name, verify_code)
        return handshake._replace(chain=self._shared(observed.chain))

    def _result(
        self, observed: ObservedHandshake, name: str, verify_code: int | None
    ) -> TlsHandshake:
        return TlsHandshake(
            name=name,
            version=observed.version,
            cipher="",
            chain=(),
            at=time.time(),
            wants_certificate=observed.wants_certificate,
            authorities=observed.authorities,
            verify_code=verify_code,
            empty_store=self.empty_store,
        )

    def _shared(self, chain: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """The chain, with each different certificate held in memory once for all peers; cut where
        MAX_CERTIFICATES is used up: brokers share all but their own certificates."""
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
        # Only this callback reports a CertificateRequest under TLS 1.3. It is not documented: where
        # it is missing, only the alert shows that the server wants a client certificate.
        if hasattr(context, "_msg_callback"):
            context._msg_callback = _record_message
        return context


def _record_message(
    _: Any, direction: str, version: Any, content: Any, message: Any, data: bytes
) -> None:
    observed = _observed.get()
    if observed is None or (direction, content) != ("read", _HANDSHAKE_RECORD):
        return
    newest = version == ssl.TLSVersion.TLSv1_3
    if message == _CERTIFICATE_REQUEST:
        observed.wants_certificate = True
        observed.authorities = _authorities(data[4:], newest)
    elif message == _CERTIFICATE:
        observed.chain = _certificates(data[4:], newest)
        observed.version = _NAMES.get(version, "")


def _load_machine(context: ssl.SSLContext) -> str:
    """Loads this machine's trust store, from librdkafka's files where Python's OpenSSL has none (as
    python.org's Python for macOS before its certificates are installed). Returns where OpenSSL
    looked if there is no certificate, else ""."""
    context.load_default_certs()
    places = ssl.get_default_verify_paths()
    with suppress(OSError), os.scandir(places.capath or os.devnull) as folder:
        if any(_HASHED.match(one.name) for one in folder):
            return ""
    for file in _CA_FILES:
        if context.cert_store_stats()["x509"]:
            return ""
        with suppress(OSError):
            context.load_verify_locations(cafile=file)
    if context.cert_store_stats()["x509"]:
        return ""
    return f"{places.openssl_cafile} and {places.openssl_capath}"


def _path(made: ssl.SSLObject) -> Sequence[Any]:
    """The certificates of the verified path, the peer's first; () in Python 3.9."""
    inner = getattr(made, "_sslobj", None)
    if inner is None or not hasattr(inner, "get_verified_chain"):
        return ()
    return inner.get_verified_chain() or ()


def _verified(made: ssl.SSLObject) -> list[tuple[bytes, float, float]]:
    """The certificates of the verified path (DER), each with the start and end of its validity; the
    peer's own alone where Python does not give the path."""
    path = [(one.get_info(), ssl.PEM_cert_to_DER_cert(one.public_bytes())) for one in _path(made)]
    path = path or [(made.getpeercert(), made.getpeercert(binary_form=True) or b"")]
    return [
        (
            der,
            ssl.cert_time_to_seconds(str(info["notBefore"])),
            ssl.cert_time_to_seconds(str(info["notAfter"])),
        )
        for info, der in path
        if info
    ]


def _is_root(info: Mapping[str, Any], now: float) -> bool:
    """Whether a certificate is its own issuer, and valid now."""
    begin, end = (ssl.cert_time_to_seconds(str(info[name])) for name in ("notBefore", "notAfter"))
    return info["subject"] == info["issuer"] and begin <= now <= end


def _chain(made: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates that the peer sent (DER). The API is public since Python 3.13, and in the
    inner object before."""
    get_chain = getattr(made, "get_unverified_chain", None)
    if get_chain:
        return tuple(get_chain()[:MAX_CHAIN])
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
    """A path with this text, as OpenSSL's loader needs one; in memory where the system can."""
    data = "\n".join(parts).encode()
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("kdiag")
        try:
            os.write(handle, data)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    import tempfile  # 4.6 ms: only where there is no memfd
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="kdiag") as folder:
        path = Path(folder, "client.pem")
        path.touch(0o600)
        path.write_bytes(data)
        yield str(path)
