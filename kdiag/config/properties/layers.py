"""Merges layers of client properties into one spelling; a later layer replaces an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kdiag.config.properties.producer import ALIASES
from kdiag.config.usage import UsageError, like

# The other dialect's name → the name used here.
_SAME = {
    "metadata.broker.list": "bootstrap.servers",
    "sasl.mechanisms": "sasl.mechanism",
    "sasl.oauthbearer.client.credentials.client.id": "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
}

# Options of login modules, and the properties that say the same.
_OPTIONS = {
    "username": "sasl.username",
    "password": "sasl.password",
    "clientId": "sasl.oauthbearer.client.id",
    "clientSecret": "sasl.oauthbearer.client.secret",
    "scope": "sasl.oauthbearer.scope",
    "oauth.client.id": "sasl.oauthbearer.client.id",
    "oauth.client.secret": "sasl.oauthbearer.client.secret",
    "oauth.scope": "sasl.oauthbearer.scope",
    "oauth.token.endpoint.uri": "sasl.oauthbearer.token.endpoint.url",
    "oauth.access.token": "kdiag.oauthbearer.token",
    "oauth.ssl.truststore.location": "jaas.ssl.truststore.location",
    "oauth.ssl.truststore.password": "jaas.ssl.truststore.password",
    "oauth.ssl.truststore.type": "jaas.ssl.truststore.type",
    "serviceName": "sasl.kerberos.service.name",
    "keyTab": "sasl.kerberos.keytab",
    "principal": "sasl.kerberos.principal",
}

# A property of a stronger layer replaces all others of its group.
_INSTEAD = (
    {"ssl.truststore.location", "ssl.truststore.certificates", "ssl.ca.location", "ssl.ca.pem"},
    {
        "ssl.keystore.location",
        "ssl.keystore.certificate.chain",
        "ssl.certificate.location",
        "ssl.certificate.pem",
    },
    {"ssl.keystore.location", "ssl.keystore.key", "ssl.key.location", "ssl.key.pem"},
    {"kdiag.oauthbearer.token", "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.config"},
    {"https.ca.location", "https.ca.pem", "jaas.ssl.truststore.location"},
)

_IN_LOGIN = " in sasl.jaas.config"
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")
_MEANT_EMPTY = {"security.protocol", "ssl.endpoint.identification.algorithm"}


class Layers(Mapping[str, str]):
    """The merged properties, from layers in order of strength, the strongest last.

    Names are librdkafka's where the dialects differ in the name alone; the options of a login
    module are under the names of properties that say the same, or under `jaas.<option>`. An empty
    value takes a property back. Raises UsageError where one layer contradicts itself.
    """

    def __init__(self, layers: Sequence[Mapping[str, str]]) -> None:
        self._values: dict[str, str] = {}
        self._named: dict[str, str] = {}
        for layer in layers:
            values, named = _canonical(layer)
            for name in self._replaced(layer, values):
                self._values.pop(name, None)
            self._values.update(values)
            self._named.update(named)
        for name, value in list(self._values.items()):
            if not value and name not in _MEANT_EMPTY:
                del self._values[name]

    def _replaced(self, layer: Mapping[str, str], values: Mapping[str, str]) -> set[str]:
        """The properties of lower layers that a layer removes."""
        gone = set().union(*(group for group in _INSTEAD if group & values.keys()))
        if "sasl.jaas.config" in layer:
            gone |= {name for name in self._values if _of_login(name, self.named(name))}
        elif "sasl.mechanism" in values:  # another mechanism does not need a module
            gone.add("jaas.module")
        return gone

    def flag(self, name: str, default: bool) -> bool:
        """The boolean value of a property, by librdkafka's rules. Raises UsageError."""
        value = self._values.get(name, str(default)).lower()
        if value not in _TRUE + _FALSE:
            raise UsageError(
                f"{self.named(name)}={like(value, _TRUE + _FALSE)}: write true or false"
            )
        return value in _TRUE

    def named(self, name: str) -> str:
        """A property's name as the user wrote it."""
        return self._named.get(name, name)

    def names(self) -> list[str]:
        """All names as the user wrote them."""
        return sorted({self.named(name) for name in self._values})

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _of_login(name: str, shown: str) -> bool:
    return name == "jaas.module" or shown.endswith(_IN_LOGIN)


def _canonical(layer: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """One layer in one spelling, and how its names were spelled."""
    values: dict[str, str] = {}
    named: dict[str, str] = {}

    def put(name: str, value: str, shown: str) -> None:
        if values.get(name) not in (None, "", value) and value:
            raise UsageError(f"{named[name]} and {shown} differ: keep one of them")
        if value or name not in values:
            values[name], named[name] = value, shown

    for name, value in layer.items():
        if name in ALIASES or name in ALIASES.values():
            values[ALIASES.get(name, name)], named[ALIASES.get(name, name)] = value, name
        elif name != "sasl.jaas.config":
            put(_SAME.get(name, name), value, name)
    text = layer.get("sasl.jaas.config", "")
    if "sasl.jaas.config" in layer:
        put("jaas.module", "", "sasl.jaas.config")
    if text:
        from kdiag.config.properties import jaas  # 21 ms: rarely given

        login = jaas.parse(text)
        values["jaas.module"] = login.name
        for option, value in login.options.items():
            put(_OPTIONS.get(option, f"jaas.{option}"), value, f"{jaas.shown(option)}{_IN_LOGIN}")
    return values, named
