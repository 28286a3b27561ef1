"""The client properties that match a listener, in the spellings of Java and librdkafka."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from kdiag.config.mechanisms import MECHANISMS

_PREFERRED = sorted(MECHANISMS, key=lambda name: -MECHANISMS[name].strength)


class MatchingProperties(NamedTuple):
    """The client properties that match a listener, in both spellings; one property a line."""

    java: str
    librdkafka: str


def preferred(offered: Collection[str]) -> str:
    """The best mechanism of the table that a listener offers, "" for none."""
    return next((name for name in _PREFERRED if name in offered), "")


def matching(protocol: str, mechanism: str = "", certificate: bool = False) -> MatchingProperties:
    """The client properties for a listener that speaks `protocol`, wants `mechanism` and perhaps a
    client `certificate`, with placeholders in angle brackets for what only the user knows. A
    mechanism that is not in the table is a peer's text and is left out."""
    java, other = [f"security.protocol={protocol}"], [f"security.protocol={protocol}"]
    if protocol.endswith("SSL"):
        java += ["ssl.truststore.type=PEM", "ssl.truststore.location=<the CA's certificates.pem>"]
        other += ["ssl.ca.location=<the CA's certificates.pem>"]
        if certificate:
            java += ["ssl.keystore.type=PEM", "ssl.keystore.location=<certificate and key.pem>"]
            other += ["ssl.certificate.location=<certificate.pem>", "ssl.key.location=<key.pem>"]
    known = MECHANISMS.get(mechanism)
    if protocol.startswith("SASL") and known:
        java += [f"sasl.mechanism={mechanism}", *known.java]
        other += [f"sasl.mechanism={known.librdkafka_name or mechanism}", *known.librdkafka]
    return MatchingProperties("\n".join(java), "\n".join(other))
