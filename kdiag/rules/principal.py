"""The principal under which a broker's access rules (ACLs) know this client."""

from __future__ import annotations

from kdiag.config.mechanisms import MECHANISMS
from kdiag.config.security import Security
from kdiag.config.snippet import Snippet, fill, unknown


def principal(security: Security) -> Snippet:
    """The client's principal as an access rule names it, quoted for a shell: the SASL user, else
    the subject of the client certificate (by the broker's default `ssl.principal.mapping.rules`),
    else ANONYMOUS. It is a placeholder where kdiag does not know it."""
    sasl = security.sasl
    if sasl:
        known = MECHANISMS.get(sasl.mechanism)
        named = known and "sasl.username" in known.needs
        return _quoted(sasl.username) if named else _unnamed("this client")
    if not security.tls.certificate:
        return _quoted("ANONYMOUS")
    from kdiag.rules.handshake import own_certificate  # 37 ms: loaded only for mutual TLS

    own = own_certificate(security.tls)
    return _quoted(own.subject) if own and own.subject else _unnamed("subject of the certificate")


def secured(security: Security) -> bool:
    """Whether Kafka's command line tools need a properties file to connect (TLS or SASL)."""
    return security.sasl is not None or security.protocol not in (None, "PLAINTEXT")


def _quoted(name: str) -> Snippet:
    return fill("shell", "{principal}", principal=f"User:{name}")


def _unnamed(what: str) -> Snippet:
    return fill("shell", "User:{what}", what=unknown(what))
