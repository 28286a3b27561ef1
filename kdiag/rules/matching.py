"""The client properties that match a listener, in the spellings of Java and librdkafka."""

from __future__ import annotations

from collections.abc import Collection

from kdiag.config.mechanisms import MECHANISMS
from kdiag.config.record import NamedTuple

_PREFERRED = sorted(MECHANISMS, key=lambda name: -MECHANISMS[name].strength)


class MatchingProperties(NamedTuple):
    """The client properties that match a listener, in both spellings; one property a line."""

    java: str
    librdkafka: str


def preferred(offered: Collection[str]) -> str:
    """The best mechanism of the table that a listener offers, "" for none."""
    return next((name for name in _PREFERRED if name in offered), "")


def trusting() -> MatchingProperties:
    """The client properties that name the authority to trust."""
    authority = "<the CA's certificates.pem>"
    return MatchingProperties(
        f"ssl.truststore.type=PEM\nssl.truststore.location={authority}",
        f"ssl.ca.location={authority}",
    )


def showing() -> MatchingProperties:
    """The client properties that name the client's own certificate."""
    return MatchingProperties(
        "ssl.keystore.type=PEM\nssl.keystore.location=<certificate and key.pem>",
        "ssl.certificate.location=<certificate.pem>\nssl.key.location=<key.pem>",
    )


def matching(protocol: str, mechanism: str = "", certificate: bool = False) -> MatchingProperties:
    """The client properties for a listener that speaks `protocol`, wants `mechanism` and perhaps a
    client `certificate`, with placeholders in angle brackets for what only the user knows. A
    mechanism that is not in the table is a peer's text and is left out."""
    java, other = [f"security.protocol={protocol}"], [f"security.protocol={protocol}"]
    if protocol.endswith("SSL"):
        for tls in (trusting(), *([showing()] if certificate else [])):
            java.append(tls.java)
            other.append(tls.librdkafka)
    known = MECHANISMS.get(mechanism)
    if protocol.startswith("SASL") and known:
        java += [f"sasl.mechanism={mechanism}", *known.java]
        other += [f"sasl.mechanism={known.librdkafka_name or mechanism}", *known.librdkafka]
    return MatchingProperties("\n".join(java), "\n".join(other))
