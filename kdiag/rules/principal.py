"""Who this client is to a broker's access rules."""

from __future__ import annotations

import shlex

from kdiag.security import Security

_NAMED = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def principal(security: Security) -> str:
    """As an access rule names the client, fit for a shell: the user, the subject of its certificate
    (with the broker's default `ssl.principal.mapping.rules`), ANONYMOUS without either."""
    sasl = security.sasl
    if sasl:
        return _quoted(sasl.username) if sasl.mechanism in _NAMED else "User:<this client>"
    if not security.tls.certificate:
        return "User:ANONYMOUS"
    from kdiag.rules.handshake import own_certificate  # what few clients bring

    own = own_certificate(security.tls)
    return _quoted(own.subject) if own and own.subject else "User:<subject of the certificate>"


def secured(security: Security) -> bool:
    """Whether Kafka's own tools need properties of a client to get in."""
    return security.sasl is not None or security.protocol not in (None, "PLAINTEXT")


def _quoted(name: str) -> str:
    return shlex.quote(f"User:{name}")
