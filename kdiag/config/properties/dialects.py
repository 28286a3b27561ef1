"""The security of a client, read from its properties in Java's and librdkafka's spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import ModuleType

from kdiag.config.mechanisms import READABLE
from kdiag.config.properties import logins
from kdiag.config.properties.layers import Layers
from kdiag.config.properties.names import PROTOCOLS, USED
from kdiag.config.record import NamedTuple
from kdiag.config.security import Security, Tls, without_secrets
from kdiag.config.usage import UsageError, is_file_name, like, quoted

_STORE_TYPES = {"JKS": "STORE", "PKCS12": "STORE", "PEM": "PEM"}
_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_LONGEST = 255  # characters of a file's name that is shown
_CIPHER = re.compile(r"TLS_([A-Z0-9_]+)_WITH_([A-Z0-9_]+)\Z")
_REFERENCE = re.compile(r"\$\{[^}:]+:[^}]*\}")
_CIPHER_13 = re.compile(r"TLS_(AES|CHACHA20)_[A-Z0-9_]+\Z")


class KeySource(NamedTuple):
    """Where certificates or a private key are, and what opens them: the property's name, and either
    a file's name or the PEM text itself. `kind` is what the client reads there: "PEM", or "STORE"
    for JKS and PKCS#12."""

    name: str
    path: str | None = None
    text: str | None = None
    kind: str = "PEM"
    password: str | None = None
    password_name: str = ""
    key_password: str | None = None

    def __repr__(self) -> str:
        return without_secrets(self, "text", "password", "key_password")

    def __str__(self) -> str:
        """The property and its file, safe to print: other values may be secrets."""
        if self.path is None or len(self.path) > _LONGEST or "-----" in self.path:
            return self.name
        if not is_file_name(self.path):
            return f"{self.name}=…"
        return f"{self.name}={quoted(self.path, _LONGEST)}"


def secured(properties: Layers, notes: list[str]) -> Security:
    """The security that client properties ask for.

    `notes` gets a sentence for each property that has no effect. Raises UsageError with a sentence
    that names the property, and never a secret.
    """
    _no_providers(properties)
    protocol = properties.get("security.protocol")
    if protocol is not None:
        protocol = protocol.upper()
        if protocol not in PROTOCOLS:
            raise UsageError(
                f"security.protocol={like(properties['security.protocol'], PROTOCOLS)}: "
                f"write one of {', '.join(PROTOCOLS)}"
            )
    reader = _PropertyReader(properties)
    tls, sasl = Tls(), None
    if protocol is None and reader.tls_names:
        return _over_tls(properties, reader, notes)
    if protocol is None or protocol.endswith("SSL"):
        tls = reader.tls()
    elif reader.tls_names:
        notes.append(
            f"{reader.tls_names[0]} has no effect: security.protocol={protocol} does not use TLS"
        )
    if protocol is None or protocol.startswith("SASL"):
        sasl = logins.sasl(properties, reader.endpoint_ca, reader.token, notes)
    elif "sasl.mechanism" in properties:
        notes.append(
            f"{properties.named('sasl.mechanism')} has no effect: security.protocol={protocol} "
            "does not use SASL"
        )
    if protocol == "SASL_PLAINTEXT" and sasl and sasl.mechanism in READABLE:
        notes.append(
            f"security.protocol=SASL_PLAINTEXT with {sasl.mechanism}: anyone on the path to a "
            "server can read the login, and so can any server at an advertised address"
        )
    return Security(protocol, tls, sasl)


def _over_tls(properties: Layers, reader: _PropertyReader, notes: list[str]) -> Security:
    """The security of a client with TLS properties and without security.protocol: TLS is meant."""
    tls = reader.tls()
    sasl = logins.sasl(properties, reader.endpoint_ca, reader.token, notes)
    protocol = "SASL_SSL" if sasl else "SSL"
    notes.append(
        f"no security.protocol is given, and {reader.tls_names[0]} means TLS: kdiag speaks "
        f"{protocol}; set security.protocol to use another one"
    )
    return Security(protocol, tls, sasl, inferred=True)


def _no_providers(properties: Layers) -> None:
    """Raises UsageError for a value that Java's client would look up: `${env:NAME}`."""
    if "config.providers" not in properties:
        return
    for name, value in properties.items():
        if _REFERENCE.search(value):
            variable = f"KDIAG_X_{name.upper().replace('.', '_')}"
            raise UsageError(
                f"{properties.named(name)} refers to a config provider, which kdiag does not use: "
                f"set {variable if name in USED else 'it'} instead"
            )


def tls_of(properties: Layers) -> Tls:
    """The TLS settings alone. Raises UsageError as `secured`."""
    return _PropertyReader(properties).tls()


class _PropertyReader:
    """Reads the certificates and keys that the properties name."""

    def __init__(self, properties: Layers) -> None:
        self._properties = properties

    @property
    def tls_names(self) -> list[str]:
        """The given properties that configure TLS."""
        return [
            name for name in self._properties.names() if name.startswith(("ssl.", "enable.ssl."))
        ]

    def tls(self) -> Tls:
        ca, ca_from, java_trust = self._ca()
        certificate, key = self._identity()
        versions, ciphers = self._versions(), ""
        suites = self._listed("ssl.cipher.suites")
        if suites:
            versions, ciphers = _suites(suites, versions)
        return Tls(
            ca=ca,
            ca_from=ca_from,
            certificate=certificate,
            key=key,
            verify=self._properties.flag("enable.ssl.certificate.verification", True),
            verify_name=self._verify_name(),
            versions=versions,
            ciphers=ciphers,
            java_trust=java_trust,
        )

    def endpoint_ca(self) -> str | None:
        """The CA of the token endpoint, where it has one of its own."""
        found = [
            _stores().trusted(source)
            for source in (
                self._store("jaas.ssl.truststore", "ssl.truststore.location in sasl.jaas.config"),
                self._file("https.ca.location"),
                self._text("https.ca.pem"),
            )
            if source and source.path != "probe"
        ]
        return found[0] if found else None

    def token(self, name: str, path: str) -> str:
        text: str = _stores().text(KeySource(name, path=path))
        return text

    def _ca(self) -> tuple[str | None, str, bool]:
        """The trusted certificates, the property that names them, whether it is one of Java's."""
        sources = [
            self._store("ssl.truststore"),
            self._text("ssl.truststore.certificates"),
            self._file("ssl.ca.location"),
            self._text("ssl.ca.pem"),
        ]
        found = {
            source: _stores().trusted(source)
            for source in sources
            if source and source.path != "probe"
        }
        _agree({source.name: pem for source, pem in found.items()}, "different certificates")
        for source, certificates in found.items():
            return (
                certificates,
                source.name if source.path is None else f"{source.name}={source.path}",
                source.name.startswith("ssl.truststore"),
            )
        return None, "", False

    def _identity(self) -> tuple[str | None, str | None]:
        store = self._store("ssl.keystore")
        found: dict[str, tuple[str, str]] = {}
        if store:
            found[store.name] = _stores().identity(store)
        for certificate_names, key_names in (
            (("ssl.keystore.certificate.chain",), ("ssl.keystore.key",)),
            (
                ("ssl.certificate.location", "ssl.certificate.pem"),
                ("ssl.key.location", "ssl.key.pem"),
            ),
        ):
            certificate, key = self._either(certificate_names), self._either(key_names)
            if certificate and key:
                found[certificate.name] = _stores().pair(certificate, key)
            elif certificate or key:
                name, missing = (
                    (certificate.name, key_names)
                    if certificate
                    else (_name(key), certificate_names)
                )
                raise UsageError(f"{name} is given without {' or '.join(missing)}")
        _agree(found, "different identities")
        for certificate_pem, key_pem in found.values():
            return certificate_pem, key_pem
        return None, None

    def _either(self, names: Sequence[str]) -> KeySource | None:
        """A PEM file or the text itself."""
        for name in names:
            source = self._file(name) if name.endswith("location") else self._text(name)
            if source:
                return source
        return None

    def _store(self, prefix: str, shown: str = "") -> KeySource | None:
        """The store at `<prefix>.location`, with its passwords."""
        properties, location = self._properties, f"{prefix}.location"
        path = properties.get(location)
        if path is None:
            return None
        type_ = properties.get(f"{prefix}.type", "JKS").upper()
        if type_ not in _STORE_TYPES:
            raise UsageError(
                f"{prefix}.type={like(type_, _STORE_TYPES)}: kdiag reads stores of type "
                f"{', '.join(_STORE_TYPES)}"
            )
        return KeySource(
            shown or location,
            path=path,
            kind=_STORE_TYPES[type_],
            password=properties.get(f"{prefix}.password"),
            password_name=f"{prefix}.password",
            key_password=properties.get("ssl.key.password"),
        )

    def _file(self, name: str) -> KeySource | None:
        path = self._properties.get(name)
        if path is None:
            return None
        return KeySource(name, path=path, key_password=self._properties.get("ssl.key.password"))

    def _text(self, name: str) -> KeySource | None:
        text = self._properties.get(name)
        if text is None:
            return None
        return KeySource(name, text=text, key_password=self._properties.get("ssl.key.password"))

    def _verify_name(self) -> bool:
        name = "ssl.endpoint.identification.algorithm"
        value = self._properties.get(name, "https")
        if value.lower() not in ("https", "", "none"):
            raise UsageError(
                f"{name}={like(value, ('https', 'none'))}: write https, or nothing to switch it off"
            )
        return value.lower() == "https"

    def _versions(self) -> tuple[str, ...]:
        found = self._listed("ssl.enabled.protocols")
        for version in found:
            if version not in _VERSIONS:
                raise UsageError(
                    f"ssl.enabled.protocols={like(version, _VERSIONS)}: write some of "
                    f"{', '.join(_VERSIONS)}"
                )
        return found

    def _listed(self, name: str) -> tuple[str, ...]:
        return tuple(filter(None, re.split(r"[\s,:]+", self._properties.get(name, ""))))


def _name(source: KeySource | None) -> str:
    return source.name if source else ""


def _agree(found: Mapping[str, object], what: str) -> None:
    """Raises UsageError when several properties have different values."""
    if len(set(found.values())) > 1:
        raise UsageError(f"{' and '.join(found)} give {what}: keep one of them")


def _suites(suites: Sequence[str], versions: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Versions and OpenSSL's cipher list for suites named as Java or as OpenSSL names them.

    A client that lists suites of one TLS version alone cannot speak another.
    """
    modern = [name for name in suites if _CIPHER_13.match(name)]
    older = [_openssl(name) for name in suites if name not in modern]
    if older:
        import ssl  # 17 ms

        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(":".join(older))
        except ssl.SSLError:
            raise UsageError("ssl.cipher.suites: OpenSSL knows none of these") from None
    if not older and not versions:
        versions = ("TLSv1.3",)
    elif modern == [] and not versions and all(name.startswith("TLS_") for name in suites):
        versions = ("TLSv1.2",)
    return versions, ":".join(older)


def _openssl(name: str) -> str:
    """OpenSSL's name of a suite up to TLS 1.2; a name that is not Java's stays as it is."""
    match = _CIPHER.match(name)
    if not match:
        return name
    exchange, rest = match.groups()
    cipher = re.sub(r"AES_(128|256)_CBC", r"AES\1", rest)
    cipher = re.sub(r"AES_(128|256)_", r"AES\1_", cipher)
    cipher = cipher.replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")
    cipher = cipher.replace("3DES_EDE_CBC", "DES_CBC3")
    parts = ([] if exchange == "RSA" else [exchange]) + [cipher]
    return "-".join(parts).replace("_", "-")


def _stores() -> ModuleType:
    """The module that reads key stores; it loads slowly and needs cryptography."""
    from kdiag.config.properties import stores  # 40 ms

    return stores
