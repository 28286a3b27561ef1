"""Reads which REST servers a check asks, and how: client properties of Confluent's serializers.

Sources: SchemaRegistryClientConfig, CachedSchemaRegistryClient and the credential providers of
Confluent's schema-registry-client.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.config.properties.dialects import tls_of
from kdiag.config.properties.layers import Layers
from kdiag.config.record import NamedTuple
from kdiag.config.rest import REGISTRY, RestServer, parse_rest
from kdiag.config.security import Security, Tls
from kdiag.config.usage import UsageError, like

_PREFIX = "schema.registry."
_BASIC, _BEARER = "basic.auth.credentials.source", "bearer.auth.credentials.source"
_USER_INFO = ("schema.registry.basic.auth.user.info", "basic.auth.user.info")
_STORES = ("truststore.location", "truststore.certificates", "keystore.location", "keystore.key")


class _RegistryLogin(NamedTuple):
    """How clients log in to the registry. `by_url` says that the URL has user and password."""

    user_info: str = ""
    token: str = ""
    by_url: bool = False


def rest_servers(
    properties: Layers, urls: Sequence[str], option: str, security: Security, notes: list[str]
) -> tuple[RestServer, ...]:
    """The servers of schema.registry.url, and those of `urls`, which `option` named. Raises
    UsageError."""
    tls = _tls(properties)
    login = _login(properties, security, notes) if REGISTRY in properties else _RegistryLogin()
    found = [*_registries(properties, login, notes), *(parse_rest(url, option) for url in urls)]
    return tuple(each._replace(tls=tls) if each.tls else each for each in found)


def _registries(
    properties: Layers, login: _RegistryLogin, notes: list[str]
) -> Iterator[RestServer]:
    for url in filter(None, map(str.strip, properties.get(REGISTRY, "").split(","))):
        if url.startswith("mock://"):
            notes.append(f"{REGISTRY}: mock:// names no server, and none is asked")
            continue
        server = parse_rest(url, REGISTRY)
        user_info = server.user_info if login.by_url else login.user_info
        yield server._replace(user_info=user_info, token=login.token)


def _login(properties: Layers, security: Security, notes: list[str]) -> _RegistryLogin:
    """The login that these properties make Java's client use."""
    user_info = next((properties[name] for name in _USER_INFO if name in properties), "")
    basic, bearer = properties.get(_BASIC, ""), properties.get(_BEARER, "")
    if basic and bearer:
        raise UsageError(f"{_BASIC} and {_BEARER} are both given: keep one of them")
    if bearer:
        if bearer == "STATIC_TOKEN":
            return _RegistryLogin(token=properties.get("bearer.auth.token", ""))
        notes.append(f"{_BEARER}={like(bearer, ('STATIC_TOKEN',))} is not used: kdiag asks the "
                     "Schema Registry without a login")  # fmt: skip
        return _RegistryLogin()
    if basic == "USER_INFO":
        if not user_info:
            raise UsageError(f"{_BASIC}=USER_INFO: give basic.auth.user.info=USER:PASSWORD")
        return _RegistryLogin(user_info)
    if basic == "SASL_INHERIT":
        sasl = security.sasl
        if sasl is None or not sasl.username:
            raise UsageError(f"{_BASIC}=SASL_INHERIT: the login to Kafka has no user and password")
        return _RegistryLogin(f"{sasl.username}:{sasl.password}")
    if basic not in ("", "URL"):
        known = ("URL", "USER_INFO", "SASL_INHERIT")
        raise UsageError(f"{_BASIC}={like(basic, known)}: write one of {', '.join(known)}")
    if user_info:
        notes.append(f"basic.auth.user.info is not used: Java's client takes it with "
                     f"{_BASIC}=USER_INFO")  # fmt: skip
    return _RegistryLogin(by_url=True)


def _tls(properties: Layers) -> Tls:
    """TLS as schema.registry.ssl.* says. With stores of its own, Java's client does not compare the
    name unless ssl.endpoint.identification.algorithm is https."""
    own = {
        name[len(_PREFIX) :]: value
        for name, value in properties.items()
        if name.startswith(f"{_PREFIX}ssl.")
    }
    if not own:
        return Tls()
    if any(f"ssl.{store}" in own for store in _STORES):
        own.setdefault("ssl.endpoint.identification.algorithm", "none")
    try:
        return tls_of(Layers([own]))
    except UsageError as error:
        raise UsageError(f"{_PREFIX}{error}") from None
