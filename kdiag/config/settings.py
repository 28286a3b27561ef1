"""The settings of one check, from what the user wrote; all are checked before any dialling."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kdiag.config.endpoint import Endpoint as Endpoint
from kdiag.config.endpoint import Mapped as Mapped
from kdiag.config.endpoint import parse_bootstrap as parse_bootstrap
from kdiag.config.options import ANSWER_TIMEOUT, TIMEOUT, Options, Spelling, checked, flag
from kdiag.config.properties.layers import Layers
from kdiag.config.properties.names import KNOWN, is_known, is_used
from kdiag.config.properties.producer import dialect, handed_over, used_by_client
from kdiag.config.proxy import PROPERTIES as PROXY_PROPERTIES
from kdiag.config.proxy import of_properties
from kdiag.config.record import NamedTuple
from kdiag.config.security import Security
from kdiag.config.usage import NO_SERVER, like, near, word
from kdiag.config.usage import UsageError as UsageError

if TYPE_CHECKING:
    from kdiag.config.rest import RestServer

MOST_STRANGE = 50  # names that the nearest one is looked for
FAMILIES = ("any", "v4", "v6")

# The value of client.dns.lookup with which a client takes the canonical names of its servers.
CANONICAL = "resolve_canonical_bootstrap_servers_only"

# Client properties that decide what a role needs, beside group.id.
OF_ROLE = ("auto.offset.reset", "client.rack", "isolation.level", "transactional.id")

IDLE = "connections.max.idle.ms"

_AWS = r"(?i)\.amazonaws\.com(\.cn)?\.?\Z"


class Settings(NamedTuple):
    """One check. `client` is what the real client is given besides `security`; `dialect` tells
    whose properties were given, "java" or "librdkafka", "" where nothing tells. `of_role` are the
    client properties that the checked role (`options.role`) acts on, empty without one. `rest` are
    the servers with a REST API that are asked too. `canonical` tells by whose rules the client
    takes the names of the bootstrap servers from reverse DNS, "java" or "librdkafka"; "" where it
    takes none.
    """

    bootstrap: tuple[Endpoint, ...]
    options: Options = Options()
    family: str = "any"
    security: Security = Security()
    client: Mapping[str, str] = MappingProxyType({})
    notes: tuple[str, ...] = ()
    dialect: str = ""
    of_role: Mapping[str, str] = MappingProxyType({})
    rest: tuple[RestServer, ...] = ()
    canonical: str = ""


def settings(
    bootstrap: str | None,
    *,
    properties: Mapping[str, str] | None = None,
    from_file: Mapping[str, str] | None = None,
    between: Sequence[Mapping[str, str]] = (),
    noted: Sequence[str] = (),
    spelled: Spelling = flag,
    **written: Any,
) -> Settings:
    """Settings from what a user wrote. `properties` must be known, `from_file` may hold more;
    `between` are layers of properties over `from_file` and under `properties`, the strongest last;
    `noted` is what the caller has to say about them all. `written` are the options, by the fields
    of `Options`; None leaves the default. A timeout that is not written is what the properties
    say, or else the default. `spelled` names options in errors.

    Raises UsageError with a sentence that says what to write instead.
    """
    notes = list(noted)
    _refuse_unknown(properties or {}, spelled)
    layers = [from_file or {}, *between, properties or {}]
    merged = Layers(layers)
    servers = _servers(bootstrap, merged, notes)
    values = {
        name: checked(name, value, spelled) for name, value in written.items() if value is not None
    }
    topic = values.get("topic")
    _resolve_role(values, merged, spelled, notes)
    notes.extend(_unused({name for layer in layers for name in layer}, merged, values))
    limit = values.get("deadline", Options().deadline)
    reaching, answering = _limits(merged, limit, notes) if any(layers) else (None, None)
    values.setdefault("timeout", reaching or TIMEOUT)
    values.setdefault("answer_timeout", answering or ANSWER_TIMEOUT)
    endpoints = parse_bootstrap(servers, notes)
    idle = [name for name in ("aws_source", "aws_region", "aws_profile") if values.get(name)]
    if idle and not values.get("aws"):
        named = ", ".join(spelled(name, "") for name in idle)
        notes.append(f"not used without {spelled('aws', '')}: {named}")
    security = _security(merged, notes) if any(layers) else Security()
    _has_token(security, endpoints)
    if values.get("proxy") or any(merged.get(name) for name in PROXY_PROPERTIES):
        _through_proxy(values, merged, security, spelled, notes)
    rest = _rest(merged, values.get("http", ()), spelled, security, notes)
    values["http"] = tuple(server.url for server in rest if not server.registry)  # no password
    canonical = merged.get("client.dns.lookup") == CANONICAL
    if canonical and values.get("proxy"):
        notes.append(f"client.dns.lookup={CANONICAL} is not followed: the proxy resolves names")
    whose = dialect(merged, merged.names())
    return Settings(
        bootstrap=endpoints,
        options=Options(**values),
        family=_choice("broker.address.family", merged, FAMILIES, "any"),
        security=security,
        client=_client(merged, topic, hold=bool(values.get("hold"))),
        dialect=whose,
        of_role={n: merged[n] for n in OF_ROLE if n in merged} if values.get("role") else {},
        rest=rest,
        notes=tuple(notes),
        canonical=(whose or "librdkafka") if canonical and not values.get("proxy") else "",
    )


def _refuse_unknown(names: Iterable[str], spelled: Spelling) -> None:
    """Raises UsageError for a property that no Kafka client has."""
    for name in names:
        if not is_known(name):
            raise UsageError(
                f"{spelled('properties', like(name, KNOWN))}: no Kafka client has such a property"
                f"{near(name, KNOWN)}"
            )


def _servers(bootstrap: str | None, properties: Layers, notes: list[str]) -> str:
    """The bootstrap servers as written, of `bootstrap` or else of the properties. Raises
    UsageError where there are none."""
    servers = bootstrap if bootstrap is not None else properties.get("bootstrap.servers")
    if servers is None:
        raise UsageError(NO_SERVER)
    if properties.get("bootstrap.servers", servers) != servers:
        notes.append(f"bootstrap.servers is not used: {servers} is given beside the properties")
    return servers


def _rest(
    properties: Layers, urls: Sequence[str], spelled: Spelling, security: Security, notes: list[str]
) -> tuple[RestServer, ...]:
    if not urls and "schema.registry.url" not in properties:
        return ()
    from kdiag.config.properties.registry import rest_servers  # 10 ms: few checks ask these

    return rest_servers(properties, urls, spelled("http", ""), security, notes)


def _resolve_role(
    values: dict[str, Any], properties: Layers, spelled: Spelling, notes: list[str]
) -> None:
    """Sets the group and the role that the properties name where no option does. A producer is
    idempotent where its properties say so, or where they are Java's and do not say otherwise.
    Raises UsageError for a role without what it needs."""
    if "group" not in values and properties.get("group.id"):
        values["group"] = checked("group", properties["group.id"], spelled)
    if not values.get("role"):
        if values.get("group"):
            values["role"] = "consumer"
        return
    role = values["role"]
    named = spelled("role", role)
    if role in ("consumer", "share") and not values.get("group"):
        raise UsageError(f"{named}: of which group? Add {spelled('group', 'NAME')}, or group.id")
    if role == "transactional" and not properties.get("transactional.id"):
        raise UsageError(f"{named}: of which transactional.id? Add it to the properties")
    if role == "producer":
        java = dialect(properties, properties.names()) == "java"
        if properties.get("enable.idempotence", "true" if java else "false") == "true":
            values["role"] = "idempotent"
            why = (
                "enable.idempotence=true"
                if "enable.idempotence" in properties
                else ("the properties are of Java's client, whose producers are since 3.0")
            )
            notes.append(f"{named}: an idempotent one, as {why}")
        elif "enable.idempotence" not in properties:
            notes.append(
                f"{named}: not an idempotent one, as those of librdkafka; Java's are since 3.0: "
                f"for these write {spelled('role', 'idempotent')}"
            )


def _through_proxy(
    values: dict[str, Any],
    properties: Layers,
    security: Security,
    spelled: Spelling,
    notes: list[str],
) -> None:
    """Sets the proxy that the properties name where the option does not, and notes what does not
    go through it. Raises UsageError for what cannot be checked through a proxy."""
    if "proxy" in values:
        notes += [
            f"{n} is not used: {spelled('proxy', '')} is given"
            for n in PROXY_PROPERTIES
            if n in properties
        ]
    elif found := of_properties(properties):
        values["proxy"] = found
    if not values.get("proxy"):
        return
    if security.sasl and security.sasl.mechanism == "GSSAPI":
        raise UsageError(
            "sasl.mechanism=GSSAPI: librdkafka makes that login, and it goes through no proxy; "
            "write security.protocol without a mechanism, to check the path up to the login"
        )
    if values.get("aws") and not values.get("aws_source"):
        raise UsageError(
            f"{spelled('aws', '')}: the brokers see the proxy's address, which kdiag does not "
            f"know; give it with {spelled('aws_source', 'IP')}"
        )
    if values.get("topic"):
        notes.append(
            "no record was written: the real client of --topic is librdkafka, which goes through "
            "no proxy; every broker got the produce request that writes nothing"
        )
    if security.sasl and security.sasl.endpoint:
        notes.append("the token is fetched from its endpoint directly, and not through the proxy")


def _limits(
    properties: Layers, deadline: float, notes: list[str]
) -> tuple[float | None, float | None]:
    from kdiag.config.properties import limits  # 0.2 ms: as _security

    return limits.reaching(properties, deadline, notes), limits.answering(
        properties, deadline, notes
    )


def _security(properties: Layers, notes: list[str]) -> Security:
    # 9.9 ms; without properties there is nothing to read
    from kdiag.config.properties.dialects import secured

    return secured(properties, notes)


def parse_property(text: str) -> tuple[str, str]:
    """`name=value`, as on the command line."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise UsageError(f"-X {like(text.strip(), KNOWN)}: write NAME=VALUE")
    return name.strip(), value.strip()


def _client(properties: Layers, topic: str | None, *, hold: bool) -> dict[str, str]:
    """What the real client is given; how it writes is asked for where it is to write, and its idle
    limit where connections are held."""
    passed = ["client.id", "broker.address.family", *([IDLE] if hold else [])]
    if properties.get("sasl.mechanism", "GSSAPI") == "GSSAPI":
        passed += ["sasl.kerberos.principal", "sasl.kerberos.keytab"]
    found = {name: properties[name] for name in passed if name in properties}
    return found if topic is None else {**handed_over(properties, properties.names()), **found}


def _unused(
    names: Collection[str], properties: Mapping[str, str], values: Mapping[str, Any]
) -> Iterator[str]:
    """A note for each kind of property that was given and has no part in this check."""
    topic = values.get("topic")
    of_role = OF_ROLE if values.get("role") else ()
    used = (*of_role, *([IDLE] if values.get("hold") else []))
    rest = sorted(name for name in names if not is_used(name) and name not in used)
    of_client = [name for name in rest if used_by_client(name)]
    other = [name for name in rest if name not in of_client]
    if of_client and topic is None:
        yield f"used with --topic alone: {', '.join(of_client)}"
    if other:
        yield f"not used by kdiag: {', '.join(_named(other))}"
    if topic is not None and "transactional.id" in properties:
        yield (
            "transactional.id is not given to the real client of --topic: that would fence the "
            "producer which uses it"
        )


def _named(names: Sequence[str]) -> Iterator[str]:
    """Names of properties. One that resembles none of a client's may be a secret on a line of its
    own, and is counted."""
    strange = 0
    for name in names:
        meant = "" if is_known(name) or strange > MOST_STRANGE else near(name, KNOWN)
        if is_known(name) or meant:
            yield f"{word(name)}{meant}"
        else:
            strange += 1
    if strange:
        yield f"{strange} that no Kafka client has"


def _has_token(security: Security, endpoints: Sequence[Endpoint]) -> None:
    """Raises UsageError when there is no way to a token; to MSK, AWS's credentials are one."""
    sasl = security.sasl
    if sasl is None or sasl.mechanism != "OAUTHBEARER" or sasl.token or sasl.endpoint:
        return
    if not any(re.search(_AWS, endpoint.host) for endpoint in endpoints):
        raise UsageError(
            "sasl.mechanism=OAUTHBEARER without a token: set sasl.oauthbearer.token.endpoint.url "
            "with client id and secret, or give a ready token with KDIAG_OAUTHBEARER_TOKEN"
        )


def _choice(name: str, given: Mapping[str, str], choices: Sequence[str], default: str) -> str:
    value = given.get(name, default)
    if value not in choices:
        raise UsageError(f"{name}={like(value, choices)}: write one of {', '.join(choices)}")
    return value
