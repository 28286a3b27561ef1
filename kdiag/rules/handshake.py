"""Reads a TLS handshake for the rules: the certificate chain, its origin, and evidence on it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from kdiag.address import parse
from kdiag.config.security import Tls
from kdiag.network.attempt import AddressResult, TlsHandshake
from kdiag.network.certificate import Certificate, CertificateOrigin, read, recognise
from kdiag.rules.location import Location
from kdiag.rules.text import listed

_BEGIN = "-----BEGIN CERTIFICATE-----"


def handshake_at(place: Location) -> TlsHandshake | None:
    """The TLS handshake of a contact, that of its best address first; None without TLS."""
    return next((dial.handshake for dial in _best_first(place) if dial.handshake), None)


def _best_first(place: Location) -> list[AddressResult]:
    best = place.contact.best
    return sorted(place.dials, key=lambda dial: dial is not best)


def chain_at(place: Location) -> list[Certificate]:
    """The certificates that the server sent, its own first; empty without TLS."""
    handshake = handshake_at(place)
    return [read(der) for der in handshake.chain] if handshake else []


def leaf_at(place: Location) -> Certificate | None:
    """The server's own certificate; None without TLS."""
    return next(iter(chain_at(place)), None)


def origin_at(place: Location) -> CertificateOrigin | None:
    """Which known system issued the certificate (Strimzi, a service mesh, …); None if unknown."""
    return recognise(chain_at(place))


def names_of(leaf: Certificate) -> str:
    """The names that a certificate is for, as text: subject alternative names, else the common
    name."""
    return listed(leaf.names) if leaf.names else leaf.common_name or "no name at all"


def shown(matching: Sequence[Location]) -> list[str]:
    """Evidence: the handshakes and certificates of these contacts, each line once with its
    subjects; and the SASL mechanisms that the listeners want besides."""
    lines: dict[str, list[str]] = {}
    for place in matching:
        handshake = handshake_at(place)
        for line in _described(handshake, chain_at(place)) if handshake else ():
            lines.setdefault(line, []).append(place.subject)
    logins = {p.subject: b.mechanisms for p in matching if (b := p.contact.best) and b.mechanisms}
    return [
        *(f"{listed(subjects)}: {line}" for line, subjects in lines.items()),
        *(f"{who}: it requires a login too, with {listed(these)}" for who, these in logins.items()),
    ]


def _described(handshake: TlsHandshake, chain: Sequence[Certificate]) -> Iterator[str]:
    name = f"asked for {handshake.name} (SNI)" if parse(handshake.name) is None else ""
    wanted = "a client certificate is requested" if handshake.wants_certificate else ""
    yield ", ".join(p for p in (handshake.version, handshake.cipher, name, wanted) if p)
    for position, certificate in enumerate(chain):
        if certificate.flaw:
            yield f"certificate {certificate.fingerprint[:16]}…: {certificate.flaw}"
        elif position == 0:
            yield (
                f"certificate of {certificate.subject or 'unknown'}, issued by "
                f"{certificate.issuer}, for {names_of(certificate)}, valid "
                f"{day(certificate.not_before)} to {day(certificate.not_after)}"
            )
        else:
            yield f"it also sends {certificate.subject}, by {certificate.issuer}"


def day(seconds: int | None) -> str:
    """The UTC day of a Unix time, "?" where it is not known."""
    return "?" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def trusted(tls: Tls) -> list[Certificate]:
    """The certificates of the trust store that the user gave, at most 100."""
    blocks = (tls.ca or "").split("-----END CERTIFICATE-----")[:-1]
    return [read(b64decode(block.partition(_BEGIN)[2])) for block in blocks[:100]]


def own_certificate(tls: Tls) -> Certificate | None:
    """The client's own certificate; None where it has none."""
    if not tls.certificate:
        return None
    return next(iter(trusted(Tls(ca=tls.certificate))), None)
