"""TLS: how a handshake is made, what it showed, and which failure an error of it means."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kdiag.attempt import Failure, Handshake
from kdiag.security import Tls

MAX_CHAIN = 10

# X509_V_ERR_*, from OpenSSL's x509_vfy.h; whatever is not here makes a certificate untrusted.
_EXPIRED = {9, 10}  # not yet valid, expired
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
class Heard:
    """What was overheard in one handshake, whatever became of it: the server's certificates (DER),
    and its request for one of the client's."""

    version: str = ""
    chain: tuple[bytes, ...] = ()
    wants_certificate: bool = False
    authorities: tuple[bytes, ...] = ()


# The hook that overhears is set on a context, which many handshakes share; each handshake runs in a
# copy of its task's context, so this tells them apart, failed ones as well.
_hearing: ContextVar[Heard | None] = ContextVar("hearing", default=None)


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


class Handshakes:
    """The handshakes of one walk. Contexts are made when the first one is due: loading the
    machine's trust store takes longer than a healthy walk."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls

    def hear(self) -> Heard:
        """Listens to the handshakes that this task makes from now on."""
        heard = Heard()
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
        elif self.tls.verify:
            context.load_default_certs()
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

    def seen(
        self, made: ssl.SSLObject, heard: Heard, name: str, verify_code: int | None
    ) -> Handshake:
        """What a handshake showed, once it is complete."""
        cipher = made.cipher()
        return Handshake(
            name=name,
            version=made.version() or heard.version,
            cipher=cipher[0] if cipher else "",
            chain=_chain(made),
            at=time.time(),
            wants_certificate=heard.wants_certificate,
            authorities=heard.authorities,
            verify_code=verify_code,
        )

    def overheard(self, heard: Heard, name: str, verify_code: int | None) -> Handshake | None:
        """What a handshake showed that did not get to its end, None when it was nothing."""
        if not heard.chain:
            return None
        return Handshake(
            name=name,
            version=heard.version,
            cipher="",
            chain=heard.chain,
            at=time.time(),
            wants_certificate=heard.wants_certificate,
            authorities=heard.authorities,
            verify_code=verify_code,
        )

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
