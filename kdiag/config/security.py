"""The TLS and SASL settings of the client, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kdiag.config.record import NamedTuple


def without_secrets(values: Any, *secret: str) -> str:
    """The repr of a named tuple without its secrets."""
    shown = (f"{name}={getattr(values, name)!r}" for name in values._fields if name not in secret)
    return f"{type(values).__name__}({', '.join(shown)})"


class Tls(NamedTuple):
    """What the client brings to a handshake; certificates and keys are PEM text, never file names.

    `ca` of None means this machine's own trust store; `ca_from` says where it was configured.
    `verify` is False when the client trusts anybody, `verify_name` when it ignores the name.
    `versions` are the protocols allowed ("TLSv1.2", "TLSv1.3"), empty for the default; `ciphers` is
    OpenSSL's list for TLS 1.2, "" for the default. `java_trust` is True where `ca` is the trust
    store of a Java client, which trusts each certificate in it, issued by whomever, at any time.
    """

    ca: str | None = None
    ca_from: str = ""
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = None
    verify: bool = True
    verify_name: bool = True
    versions: tuple[str, ...] = ()
    ciphers: str = ""
    java_trust: bool = False

    def __repr__(self) -> str:
        return without_secrets(self, "key", "key_password")


class Sasl(NamedTuple):
    """How the client logs in. `token` is a ready OAUTHBEARER token; `endpoint`, `client_id`,
    `client_secret` and `scope` are those of the client-credentials flow; `extensions` are
    OAUTHBEARER's; `region` and `profile` are AWS's, for MSK IAM. `endpoint_ca` is what the token
    endpoint's certificate is verified against, None for this machine's own trust store."""

    mechanism: str
    username: str = ""
    password: str = ""
    token: str = ""
    endpoint: str = ""
    endpoint_ca: str | None = None
    client_id: str = ""
    client_secret: str = ""
    scope: str = ""
    extensions: Mapping[str, str] = MappingProxyType({})
    service_name: str = "kafka"
    region: str = ""
    profile: str = ""

    def __repr__(self) -> str:
        return without_secrets(self, "password", "token", "client_secret")


class Security(NamedTuple):
    """`protocol` is the configured security.protocol, None where kdiag finds it; `inferred` says
    that kdiag took it from properties of TLS."""

    protocol: str | None = None
    tls: Tls = Tls()
    sasl: Sasl | None = None
    inferred: bool = False

    @property
    def only_encrypted(self) -> bool:
        """Whether the login must not travel in plaintext: whoever reads it can log in with it, and
        no security.protocol allows that."""
        if self.protocol is not None or self.sasl is None:
            return False
        from kdiag.config.mechanisms import READABLE  # 1 ms, before the first packet

        return self.sasl.mechanism in READABLE

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets of the configuration; none of them is ever printed."""
        found = [self.tls.key, self.tls.key_password]
        if self.sasl:
            found += [self.sasl.password, self.sasl.token, self.sasl.client_secret]
        return tuple(text for text in found if text)


def librdkafka(security: Security) -> dict[str, str]:
    """The properties with which librdkafka connects in this way.

    A ready token, AWS's signature and TLS versions are not properties of librdkafka: a token is
    for its callback, and AWS_MSK_IAM is OAUTHBEARER there.
    """
    protocol = security.protocol or "PLAINTEXT"
    properties = {"security.protocol": protocol}
    if protocol.endswith("SSL"):
        properties.update(_librdkafka_tls(security.tls))
    if protocol.startswith("SASL") and security.sasl:
        properties.update(_librdkafka_sasl(security.sasl))
    return {name: value for name, value in properties.items() if value}


def _librdkafka_tls(tls: Tls) -> dict[str, str]:
    return {
        "ssl.ca.pem": tls.ca or "",
        "ssl.certificate.pem": tls.certificate or "",
        "ssl.key.pem": tls.key or "",
        "ssl.key.password": tls.key_password or "",
        "ssl.cipher.suites": tls.ciphers,
        "enable.ssl.certificate.verification": "true" if tls.verify else "false",
        "ssl.endpoint.identification.algorithm": "https" if tls.verify_name else "none",
    }


def _librdkafka_sasl(sasl: Sasl) -> dict[str, str]:
    if sasl.mechanism == "GSSAPI":
        return {"sasl.mechanism": "GSSAPI", "sasl.kerberos.service.name": sasl.service_name}
    if sasl.mechanism not in ("OAUTHBEARER", "AWS_MSK_IAM"):
        return {
            "sasl.mechanism": sasl.mechanism,
            "sasl.username": sasl.username,
            "sasl.password": sasl.password,
        }
    bearer = {"sasl.mechanism": "OAUTHBEARER"}
    if sasl.token or not sasl.endpoint:
        return bearer
    return {
        **bearer,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": sasl.endpoint,
        "sasl.oauthbearer.client.id": sasl.client_id,
        "sasl.oauthbearer.client.secret": sasl.client_secret,
        "sasl.oauthbearer.scope": sasl.scope,
        "sasl.oauthbearer.extensions": ",".join(f"{k}={v}" for k, v in sasl.extensions.items()),
        "https.ca.pem": sasl.endpoint_ca or "",
    }
