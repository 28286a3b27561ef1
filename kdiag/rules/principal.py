"""Who this client is to a broker's access rules."""

from __future__ import annotations

from kdiag.config.security import Security
from kdiag.config.snippet import Snippet, fill, unknown

_NAMED = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def principal(security: Security) -> Snippet:
    """As an access rule names the client, fit for a shell: the user, the subject of its certificate
    (with the broker's default `ssl.principal.mapping.rules`), ANONYMOUS without either."""
    sasl = security.sasl
    if sasl:
        return _quoted(sasl.username) if sasl.mechanism in _NAMED else _unnamed("this client")
    if not security.tls.certificate:
        return _quoted("ANONYMOUS")
    from kdiag.rules.handshake import own_certificate  # what few clients bring

    own = own_certificate(security.tls)
    return _quoted(own.subject) if own and own.subject else _unnamed("subject of the certificate")


def secured(security: Security) -> bool:
    """Whether Kafka's own tools need properties of a client to get in."""
    return security.sasl is not None or security.protocol not in (None, "PLAINTEXT")


def _quoted(name: str) -> Snippet:
    return fill("shell", "{principal}", principal=f"User:{name}")


def _unnamed(what: str) -> Snippet:
    return fill("shell", "User:{what}", what=unknown(what))
