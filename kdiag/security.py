"""How the client secures a connection: what was asked of TLS and SASL, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tls:
    """What the client brings to a handshake; certificates and keys are PEM text, never file names.

    `ca` of None means this machine's own trust store; `ca_from` says where it was configured.
    `verify` is False when the client trusts anybody, `verify_name` when it ignores the name.
    `versions` are the protocols allowed ("TLSv1.2", "TLSv1.3"), empty for the default; `ciphers` is
    OpenSSL's list for TLS 1.2, "" for the default.
    """

    ca: str | None = None
    ca_from: str = ""
    certificate: str | None = None
    key: str | None = field(default=None, repr=False)
    key_password: str | None = field(default=None, repr=False)
    verify: bool = True
    verify_name: bool = True
    versions: tuple[str, ...] = ()
    ciphers: str = ""


@dataclass(frozen=True)
class Sasl:
    """How the client logs in. `token` is a ready OAUTHBEARER token; `endpoint`, `client_id`,
    `client_secret` and `scope` are those of the client-credentials flow; `extensions` are
    OAUTHBEARER's; `region` and `profile` are AWS's, for MSK IAM."""

    mechanism: str
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    endpoint: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scope: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)
    service_name: str = "kafka"
    region: str = ""
    profile: str = ""


@dataclass(frozen=True)
class Security:
    """`protocol` is the security.protocol that was asked for, None when kdiag is to find out."""

    protocol: str | None = None
    tls: Tls = Tls()
    sasl: Sasl | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret text of the configuration: none of them may ever be printed."""
        found = [self.tls.key, self.tls.key_password]
        if self.sasl:
            found += [self.sasl.password, self.sasl.token, self.sasl.client_secret]
        return tuple(text for text in found if text)
