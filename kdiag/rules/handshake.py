"""What a TLS handshake showed: who the peer says it is, in words that are evidence."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from kdiag.address import parse
from kdiag.config.security import Tls
from kdiag.network.attempt import AddressResult, TlsHandshake
from kdiag.network.certificate import Certificate, CertificateOrigin, read, recognise
from kdiag.rules.location import Location
from kdiag.rules.text import listed


def handshake_at(place: Location) -> TlsHandshake | None:
    return next((dial.handshake for dial in _best_first(place) if dial.handshake), None)


def _best_first(place: Location) -> list[AddressResult]:
    best = place.contact.best
    return sorted(place.dials, key=lambda dial: dial is not best)


def chain_at(place: Location) -> list[Certificate]:
    handshake = handshake_at(place)
    return [read(der) for der in handshake.chain] if handshake else []


def leaf_at(place: Location) -> Certificate | None:
    return next(iter(chain_at(place)), None)


def origin_at(place: Location) -> CertificateOrigin | None:
    return recognise(chain_at(place))


def names_of(leaf: Certificate) -> str:
    return listed(leaf.names) if leaf.names else leaf.common_name or "no name at all"


def shown(hit: Sequence[Location]) -> list[str]:
    """Who the peers say they are: the same words for the same certificate once."""
    lines: dict[str, list[str]] = {}
    for place in hit:
        handshake = handshake_at(place)
        for line in _described(handshake, chain_at(place)) if handshake else ():
            lines.setdefault(line, []).append(place.subject)
    wanted = {p.subject: b.mechanisms for p in hit if (b := p.contact.best) and b.mechanisms}
    return [
        *(f"{listed(subjects)}: {line}" for line, subjects in lines.items()),
        *(f"{who}: it wants a login too, with {listed(these)}" for who, these in wanted.items()),
    ]


def _described(handshake: TlsHandshake, chain: Sequence[Certificate]) -> Iterator[str]:
    name = f"asked for {handshake.name} (SNI)" if parse(handshake.name) is None else ""
    asked = "a client certificate is asked for" if handshake.wants_certificate else ""
    yield ", ".join(p for p in (handshake.version, handshake.cipher, name, asked) if p)
    for place, certificate in enumerate(chain):
        if certificate.flaw:
            yield f"certificate {certificate.fingerprint[:16]}…: {certificate.flaw}"
        elif place == 0:
            yield (
                f"certificate of {certificate.subject or 'nobody'} by {certificate.issuer}, for "
                f"{names_of(certificate)}, valid {day(certificate.not_before)} to "
                f"{day(certificate.not_after)}"
            )
        else:
            yield f"it also sends {certificate.subject}, by {certificate.issuer}"


def day(seconds: int | None) -> str:
    return "?" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def trusted(tls: Tls) -> list[Certificate]:
    """The authorities that the user gave, of which a name can be compared."""
    ends = "-----END CERTIFICATE-----"
    blocks = (tls.ca or "").split(ends)[:-1]
    return [read(ssl.PEM_cert_to_DER_cert(_pem(block) + ends)) for block in blocks[:100]]


def _pem(block: str) -> str:
    return block[block.index("-----BEGIN") :]


def own_certificate(tls: Tls) -> Certificate | None:
    """The client's own."""
    if not tls.certificate:
        return None
    return next(iter(trusted(Tls(ca=tls.certificate))), None)
