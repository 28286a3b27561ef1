"""Reads the SASL login of a client from its properties."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from kdiag.address import is_loopback
from kdiag.config.mechanisms import MECHANISMS
from kdiag.config.properties.layers import Layers
from kdiag.config.security import Sasl
from kdiag.config.usage import UsageError, like, near

_MODULES = tuple(dict.fromkeys(name for each in MECHANISMS.values() for name in each.modules))

_CREDENTIALS = (
    "jaas.module",
    "sasl.username",
    "sasl.password",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.token.endpoint.url",
    "kdiag.oauthbearer.token",
)
_OWN_HANDLERS = ("OAuthBearerLoginCallbackHandler", "OAuthBearerUnsecuredLoginCallbackHandler")
_IAM_HANDLER = "IAMOAuthBearerLoginCallbackHandler"
_TOKEN = re.compile(r"[\x21-\x7e]+\Z")
_LIFETIME = 3600.0
_GRANTS = ("client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer")

ReadToken = Callable[[str, str], str]


def sasl(
    properties: Layers, endpoint_ca: Callable[[], str | None], read: ReadToken, notes: list[str]
) -> Sasl | None:
    """The login that the properties ask for, None when they ask for none.

    `read` gives the text of a file by the property's name and the file's. Raises UsageError.
    """
    module = properties.get("jaas.module", "")
    if module and module not in _MODULES:
        raise UsageError(
            f"sasl.jaas.config: kdiag does not know its login module"
            f"{near(module, _MODULES)}: write one of {', '.join(_MODULES)}"
        )
    mechanism = properties.get("sasl.mechanism")
    if mechanism is None:
        return _by_default(properties, module)
    if mechanism not in MECHANISMS:
        raise UsageError(
            f"{properties.named('sasl.mechanism')}={like(mechanism, MECHANISMS)}: write one of "
            f"{', '.join(MECHANISMS)}"
        )
    known = MECHANISMS[mechanism]
    if module and module not in known.modules:
        raise UsageError(
            f"{properties.named('sasl.mechanism')}={mechanism} goes with {known.modules[0]}, and "
            f"sasl.jaas.config names {module}"
        )
    if mechanism == "OAUTHBEARER":
        return _bearer(properties, endpoint_ca, read, notes)
    return _by_record(properties, mechanism)


def _by_default(properties: Layers, module: str) -> Sasl | None:
    """The login without sasl.mechanism: GSSAPI, as in both clients. Raises UsageError where the
    properties have credentials of another mechanism."""
    if module == "Krb5LoginModule" or "sasl.kerberos.principal" in properties:
        return _by_record(properties, "GSSAPI")
    credentials = [name for name in _CREDENTIALS if name in properties]
    if credentials:
        fitting = [name for name in MECHANISMS if not module or module in MECHANISMS[name].modules]
        raise UsageError(
            f"{properties.named(credentials[0])} is given without sasl.mechanism, and clients then "
            f"use GSSAPI: write sasl.mechanism={' or '.join(reversed(fitting))}"
        )
    return None


def _by_record(properties: Layers, mechanism: str) -> Sasl:
    """The login of a mechanism whose properties are all in its record in MECHANISMS."""
    known = MECHANISMS[mechanism]
    if known.needs and properties.get("jaas.tokenauth", "").lower() == "true":
        raise UsageError(
            "tokenauth in sasl.jaas.config: kdiag does not log in with delegation tokens"
        )
    missing = [name for name in known.needs if name not in properties]
    if missing:
        raise UsageError(
            f"{properties.named('sasl.mechanism')}={mechanism} needs {' and '.join(missing)}, or "
            f"both in sasl.jaas.config with {known.modules[0]}"
        )
    for name, reason in known.refuses.items():
        if name in properties:
            raise UsageError(reason)
    for name, pattern in known.shell_safe.items():
        if name in properties and not re.match(pattern, properties[name]):
            raise UsageError(
                f"{properties.named(name)} has a character that it cannot have: clients run kinit "
                "with it, by the shell"
            )
    fields: dict[str, Any] = {
        field: properties[name]
        for name, field in {**known.needs, **known.takes}.items()
        if name in properties
    }
    return Sasl(mechanism, **fields)


def _bearer(
    properties: Layers, endpoint_ca: Callable[[], str | None], read: ReadToken, notes: list[str]
) -> Sasl:
    handler = properties.get("sasl.login.callback.handler.class", "").rpartition(".")[2]
    if handler == _IAM_HANDLER:
        notes.append(f"with {_IAM_HANDLER} kdiag logs in as AWS_MSK_IAM does: the same identity")
        return _by_record(properties, "AWS_MSK_IAM")
    extensions = _extensions(properties)
    token, endpoint = properties.get("kdiag.oauthbearer.token", ""), ""
    url = properties.get("sasl.oauthbearer.token.endpoint.url", "")
    if url and token:
        raise UsageError(
            f"{properties.named('kdiag.oauthbearer.token')} and "
            f"{properties.named('sasl.oauthbearer.token.endpoint.url')} both give a token: keep one"
        )
    if properties.get("sasl.oauthbearer.method", "").lower() == "oidc" and not url:
        raise UsageError(
            "sasl.oauthbearer.method=oidc needs sasl.oauthbearer.token.endpoint.url, and kdiag "
            "cannot get a token in another way"
        )
    if url:
        token, endpoint = _from_endpoint(properties, url, read)
    if not token and not endpoint:
        token = _unsecured(properties)
    if token and not _TOKEN.match(token):
        raise UsageError(
            f"{properties.named('kdiag.oauthbearer.token')}: a token has no blanks in it"
        )
    if not token and not endpoint and handler and handler not in _OWN_HANDLERS:
        raise UsageError(
            "sasl.login.callback.handler.class: kdiag cannot run that one; give a ready token with "
            "KDIAG_OAUTHBEARER_TOKEN or kdiag.oauthbearer.token"
        )
    return Sasl(
        "OAUTHBEARER",
        token=token,
        endpoint=endpoint,
        endpoint_ca=endpoint_ca() if endpoint else None,
        client_id=properties.get("sasl.oauthbearer.client.id", "") if endpoint else "",
        client_secret=properties.get("sasl.oauthbearer.client.secret", "") if endpoint else "",
        scope=properties.get("sasl.oauthbearer.scope", "") if endpoint else "",
        extensions=extensions,
    )


def _from_endpoint(properties: Layers, text: str, read: ReadToken) -> tuple[str, str]:
    """A ready token from a file:// URL, as in Java's client, or the URL of a token endpoint; the
    other one is ""."""
    name = properties.named("sasl.oauthbearer.token.endpoint.url")
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        raise UsageError(f"{name}: it is not a URL") from None
    if url.scheme == "file":
        return read(name, unquote(url.path)), ""
    if url.scheme not in ("http", "https") or not host:
        raise UsageError(f"{name}: write an http, https or file URL")
    if url.scheme == "http" and not _may_be_http(properties, host):
        raise UsageError(
            f"{name}: over http anyone on the path can read the client's secret and the token: "
            "write https, or -X kdiag.oauthbearer.allow.http=true if you accept that"
        )
    if "@" in url.netloc:
        raise UsageError(
            f"{name}: leave the credentials out of the URL; they are sasl.oauthbearer.client.id "
            "and sasl.oauthbearer.client.secret"
        )
    grant = properties.get("sasl.oauthbearer.grant.type", "client_credentials")
    if grant != "client_credentials":
        raise UsageError(
            f"sasl.oauthbearer.grant.type={like(grant, _GRANTS)}: kdiag fetches tokens by "
            "client_credentials only; give a ready token with KDIAG_OAUTHBEARER_TOKEN"
        )
    for needed in ("sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret"):
        if needed not in properties:
            raise UsageError(f"{name} needs {needed}")
    return "", text


def _may_be_http(properties: Layers, host: str) -> bool:
    """Whether http is allowed: on this machine, or by kdiag.oauthbearer.allow.http."""
    return is_loopback(host) or properties.flag("kdiag.oauthbearer.allow.http", False)


def _extensions(properties: Layers) -> dict[str, str]:
    """The SASL extensions of OAUTHBEARER, from each property that a client reads them from."""
    found: dict[str, str] = {}
    for part in filter(None, properties.get("sasl.oauthbearer.extensions", "").split(",")):
        name, separator, value = part.strip().partition("=")
        if not separator or not name:
            raise UsageError("sasl.oauthbearer.extensions: write NAME=VALUE[,NAME=VALUE...]")
        found[name] = value
    for prefix in ("jaas.extension_", "jaas.unsecuredLoginExtension_"):
        for option in properties:
            if option.startswith(prefix):
                found[option[len(prefix) :]] = properties[option]
    for option, value in _config(properties).items():
        if option.startswith("extension_"):
            found[option[len("extension_") :]] = value
    return found


def _unsecured(properties: Layers) -> str:
    """An unsecured token, which clients make for brokers that verify none; "" without properties
    for it.

    Source: OAuthBearerUnsecuredLoginCallbackHandler, and librdkafka's sasl.oauthbearer.config.
    """
    options = {
        name[len("jaas.unsecuredLogin") :]: value
        for name, value in properties.items()
        if name.startswith("jaas.unsecuredLogin")
    }
    if options:
        return _unsigned(_claims(options), options.get("LifetimeSeconds", ""))
    config = _config(properties)
    if not config:
        return ""
    if not properties.flag("enable.sasl.oauthbearer.unsecure.jwt", False):
        raise UsageError(
            "sasl.oauthbearer.config makes an unsecured token, which needs "
            "enable.sasl.oauthbearer.unsecure.jwt=true"
        )
    claims: dict[str, Any] = {config.get("principalClaimName", "sub"): config.get("principal", "")}
    if "scope" in config:
        claims[config.get("scopeClaimName", "scope")] = config["scope"].split(",")
    return _unsigned(claims, config.get("lifeSeconds", ""))


def _claims(options: Mapping[str, str]) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for option, value in options.items():
        kind, _, name = option.partition("_")
        if kind == "StringClaim":
            claims[name] = value
        elif kind == "NumberClaim":
            claims[name] = _number("an unsecuredLoginNumberClaim", value)
        elif kind == "ListClaim":  # its first character separates the others
            claims[name] = value[1:].split(value[0]) if value[1:] else []
    return claims


def _unsigned(claims: Mapping[str, Any], lifetime: str) -> str:
    seconds = _number("the lifetime of an unsecured token", lifetime) if lifetime else _LIFETIME
    now = time.time()
    whole = {"iat": now, "exp": now + seconds, **claims}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, whole))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def _config(properties: Layers) -> dict[str, str]:
    """librdkafka's sasl.oauthbearer.config: name=value, with blanks between."""
    pairs = properties.get("sasl.oauthbearer.config", "").split()
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _number(name: str, value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e12:
        raise UsageError(f"{name} in sasl.jaas.config: write a number")
    return found
