"""What was asked: endpoints, client properties, limits; all checked before any dialling."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from kdiag.config.access import AwsAccess, ConfigAccess, parse_access, parse_config
from kdiag.config.properties.layers import Layers
from kdiag.config.properties.names import KNOWN, PROTOCOLS, USED
from kdiag.config.properties.producer import dialect, handed_over, used_by_client
from kdiag.config.security import Security
from kdiag.config.usage import SHORT, SHOWN, like, near, quoted, word
from kdiag.config.usage import UsageError as UsageError

if TYPE_CHECKING:
    from kdiag.config.expectation import Expectation

DEFAULT_PORT = 9092
MOST_STRANGE = 50  # names that the nearest one is looked for
FAMILIES = ("any", "v4", "v6")
LEAST, MOST = 0.05, 3600  # seconds, of any limit
TIMEOUT, ANSWER_TIMEOUT = 3.0, 10.0  # seconds

# Compiled when they are needed: 0.2 ms each.
TOPIC = r"[A-Za-z0-9._-]{1,249}\Z"
_AWS = r"(?i)\.amazonaws\.com(\.cn)?\.?\Z"
_HOST = r"[\w.-]{1,255}\Z"
_ZONE = r"(%[\w.-]{1,15})?\Z"
_SCHEME = r"(?s)([A-Za-z][A-Za-z0-9+._-]*)://(.*)\Z"


class Endpoint(NamedTuple):
    """A host (name or IP literal, no brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Mapped(NamedTuple):
    """One `--map`: the broker that advertises `advertised` is also dialled at `candidate`.

    A port of None means: any port on the left, the advertised port on the right.
    """

    advertised: str
    advertised_port: int | None
    candidate: str
    candidate_port: int | None

    def apply(self, advertised: Endpoint) -> Endpoint | None:
        """The candidate for an advertised address, None when this mapping is not about it."""
        if self.advertised.lower() != advertised.host.lower():
            return None
        if self.advertised_port not in (None, advertised.port):
            return None
        return Endpoint(self.candidate, self.candidate_port or advertised.port)


class Settings(NamedTuple):
    """One check. Times are in seconds: `timeout` bounds reaching a peer (DNS, TCP, TLS),
    `answer_timeout` each answer of a peer that accepted, `deadline` the whole. `client` is what the
    real client is given besides `security`; `ignore` holds codes of findings that are not to count.
    `dialect` tells whose properties were given, "java" or "librdkafka", "" where nothing tells.
    With `verbose` a report repeats also what hosts say that the user did not name.
    """

    bootstrap: tuple[Endpoint, ...]
    topic: str | None = None
    timeout: float = TIMEOUT
    answer_timeout: float = ANSWER_TIMEOUT
    deadline: float = 30.0
    mapped: tuple[Mapped, ...] = ()
    family: str = "any"
    fail_on: str = "error"
    security: Security = Security()
    client: Mapping[str, str] = MappingProxyType({})
    notes: tuple[str, ...] = ()
    aws: AwsAccess | None = None
    expect: tuple[Expectation, ...] = ()
    ignore: tuple[str, ...] = ()
    config: ConfigAccess | None = None
    verbose: bool = False
    dialect: str = ""


def settings(
    bootstrap: str | None,
    *,
    topic: str | None = None,
    timeout: float | None = None,
    answer_timeout: float | None = None,
    deadline: float = 30.0,
    properties: Mapping[str, str] | None = None,
    from_file: Mapping[str, str] | None = None,
    between: Sequence[Mapping[str, str]] = (),
    mapped: Sequence[str] = (),
    fail_on: str = "error",
    noted: Sequence[str] = (),
    aws: bool = False,
    aws_source: str | None = None,
    aws_region: str | None = None,
    aws_profile: str | None = None,
    aws_echo: str | None = None,
    expect: Sequence[Expectation] = (),
    ignore: Sequence[str] = (),
    config: Mapping[str, str] | None = None,
    strimzi: str | None = None,
    verbose: bool = False,
) -> Settings:
    """Settings from what a user wrote. `properties` must be known, `from_file` may hold more;
    `timeout` and `answer_timeout` of None are what the properties say, or else the defaults;
    `between` are layers of properties over `from_file` and under `properties`, the strongest last;
    `noted` is what the caller has to say about them all. Without `aws` nobody asks AWS, and what
    else is about it is not used. `config` are files that configure the cluster, names and texts;
    `strimzi` is the Kafka resource that kubectl is asked for, NAMESPACE/NAME.

    Raises UsageError with a sentence that says what to write instead.
    """
    notes = list(noted)
    for name in properties or {}:
        if name not in KNOWN:
            raise UsageError(
                f"-X {like(name, KNOWN)}: no Kafka client has such a property{near(name, KNOWN)}"
            )
    layers = [from_file or {}, *between, properties or {}]
    given = Layers(layers)
    target = bootstrap if bootstrap is not None else given.get("bootstrap.servers")
    if target is None:
        raise UsageError("no bootstrap server: write `kdiag check HOST:PORT`")
    if topic is not None and (not re.match(TOPIC, topic) or topic in (".", "..")):
        raise UsageError(
            f"--topic {quoted(topic)}: a topic name has 1 to 249 letters, digits, dots, dashes "
            "and underscores"
        )
    for option, seconds in (
        ("--timeout", timeout),
        ("--answer-timeout", answer_timeout),
        ("--deadline", deadline),
    ):
        if seconds is not None and not LEAST <= seconds <= MOST:
            raise UsageError(f"{option} {seconds:g}: write seconds between {LEAST:g} and {MOST:g}")
    notes.extend(_unused({name for layer in layers for name in layer}, given, topic))
    reaching, answering = _limits(given, deadline, notes) if any(layers) else (None, None)
    endpoints = parse_bootstrap(target, notes)
    access = parse_access(aws_source, aws_region, aws_profile, aws_echo)
    idle = [] if aws else [n for n in ("source", "region", "profile") if getattr(access, n)]
    if idle:
        notes.append(f"not used without --aws: {', '.join(f'--aws-{name}' for name in idle)}")
    security = _security(given, notes) if any(layers) else Security()
    _has_token(security, endpoints)
    return Settings(
        bootstrap=endpoints,
        topic=topic,
        timeout=timeout or reaching or TIMEOUT,
        answer_timeout=answer_timeout or answering or ANSWER_TIMEOUT,
        deadline=deadline,
        mapped=tuple(parse_mapped(text) for text in mapped),
        family=_choice("broker.address.family", given, FAMILIES, "any"),
        fail_on=fail_on,
        security=security,
        client=_client(given, topic),
        notes=tuple(notes),
        aws=access if aws else None,
        expect=tuple(expect),
        ignore=tuple(ignore),
        config=parse_config(config or {}, strimzi),
        verbose=verbose,
        dialect=dialect(given, given.names()),
    )


def _limits(given: Layers, deadline: float, notes: list[str]) -> tuple[float | None, float | None]:
    from kdiag.config.properties import limits  # as _security

    return limits.reaching(given, deadline, notes), limits.answering(given, deadline, notes)


def _security(given: Layers, notes: list[str]) -> Security:
    from kdiag.config.properties.dialects import (
        secured,  # where there are no properties, there is nothing to read
    )

    return secured(given, notes)


def parse_bootstrap(text: str, notes: list[str] | None = None) -> tuple[Endpoint, ...]:
    """The servers of a comma-separated list, once each. What was assumed is added to `notes`."""
    endpoints = [parse_endpoint(part.strip(), notes) for part in text.split(",") if part.strip()]
    if not endpoints:
        raise UsageError("the list of bootstrap servers is empty: write HOST:PORT[,HOST:PORT...]")
    return tuple(dict.fromkeys(endpoints))


def parse_endpoint(text: str, notes: list[str] | None = None) -> Endpoint:
    """`host:port`, `host` (port 9092 is assumed, and said in `notes`) or `[ipv6]:port`."""
    scheme = re.match(_SCHEME, text) if "://" in text else None
    if scheme:
        name = scheme.group(1)
        security = (
            f" -X security.protocol={name.upper()}"
            if name.upper() in PROTOCOLS and name.upper() != "PLAINTEXT"
            else ""
        )
        raise UsageError(
            f"{_address(text)} is a URL; a bootstrap server is HOST:PORT: write "
            f"{_server(scheme.group(2))}{security}"
        )
    host, port = _split(text)
    if not _is_host(host):
        raise UsageError(f"{_address(text)}: {_address(host)} is not a host name or an IP address")
    if port is None:
        if notes is not None:
            notes.append(f"{text}: no port given, {DEFAULT_PORT} assumed")
        return Endpoint(host, DEFAULT_PORT)
    return Endpoint(host, _port(port, host))


def parse_mapped(text: str) -> Mapped:
    """`ADVERTISED=CANDIDATE`, each a host with or without a port."""
    left, separator, right = text.partition("=")
    if not separator or not left.strip() or not right.strip():
        raise UsageError(
            f"--map {quoted(text) if len(text) <= SHORT else '…'}: write ADVERTISED=CANDIDATE, for "
            "example --map 10.0.1.11=3.10.139.221 or --map 10.0.1.11:9094=3.10.139.221:32001"
        )
    sides: list[tuple[str, int | None]] = []
    for side, where in ((left.strip(), "left"), (right.strip(), "right")):
        host, port = _side(side)
        if not _is_host(host):
            # It may be a password, in the place of an address or behind a user's name.
            shown = quoted(side) if len(side) <= SHORT else "…"
            raise UsageError(
                f"--map, {where} of the =: {shown} is not a host name or an IP address, with or "
                "without a port"
            )
        sides.append((host, None if port is None else _port(port, host)))
    return Mapped(sides[0][0], sides[0][1], sides[1][0], sides[1][1])


def _side(text: str) -> tuple[str, str | None]:
    """Host and port of one side of a --map, "" where it is no address."""
    try:
        return _split(text)
    except UsageError:
        if _is_host(text):
            raise  # an IPv6 address without brackets
        return "", None


def parse_property(text: str) -> tuple[str, str]:
    """`name=value`, as on the command line."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise UsageError(f"-X {like(text.strip(), KNOWN)}: write NAME=VALUE")
    return name.strip(), value.strip()


def parse_properties(text: str) -> dict[str, str]:
    """A client-properties file: Java's syntax, which librdkafka's is a part of.

    Source: java.util.Properties.load, with its comments, escapes and continued lines.
    """
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        match = re.match(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*(?:[=:][ \t\f]*)?(.*)", line, re.DOTALL)
        if match and match.group(1):
            found[_unescape(match.group(1))] = _unescape(match.group(2)).rstrip()
    return found


def _logical_lines(text: str) -> list[str]:
    lines: list[list[str]] = []
    continued = False
    for raw in re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")):
        line = raw.lstrip(" \t\f")
        if not continued and (not line or line[0] in "#!"):
            continue
        more = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        part = line[:-1] if more else line
        if continued:
            lines[-1].append(part)
        else:
            lines.append([part])
        continued = more
    return list(map("".join, lines))


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(code, code)

    found = re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", one, text, flags=re.DOTALL)
    # Java writes a character beyond U+FFFF as two halves; here they make one again.
    return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _split(text: str) -> tuple[str, str | None]:
    """Host and port text; the port is None where none was written."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or ":" not in host:
            raise UsageError(
                f"{_address(text)}: write an IPv6 address as [2001:db8::1]:{DEFAULT_PORT}"
            )
        return host, rest[1:] if rest else None
    if text.count(":") > 1:
        head, _, tail = text.rpartition(":")
        readings = [f"[{text}]:{DEFAULT_PORT}"] if _is_host(text) else []
        if ":" in head and _is_host(head) and _is_port(tail):
            readings.append(f"[{head}]:{tail}")
        if not readings:
            raise UsageError(
                f"{_address(text)}: write HOST:PORT, an IPv6 address as "
                f"[2001:db8::1]:{DEFAULT_PORT}, and a comma between two servers"
            )
        raise UsageError(
            f"{_address(text)}: an IPv6 address needs brackets, so that its port can be told "
            f"apart: write {' or '.join(readings)}"
        )
    host, separator, port = text.partition(":")
    return host, port if separator else None


def _is_host(host: str) -> bool:
    if ":" in host:
        from ipaddress import IPv6Address

        address, _, _ = host.partition("%")
        try:
            IPv6Address(address)
        except ValueError:
            return False
        return bool(re.match(_ZONE, host[len(address) :]))
    return bool(re.match(_HOST, host))


def _port(text: str, host: str) -> int:
    if not _is_port(text):
        # A longer one is no port that was mistyped: it may be a password, after a user's name.
        shown = quoted(text) if len(text) <= SHORT else "…"
        raise UsageError(f"{_address(host)}: port {shown} is not a number between 1 and 65535")
    return int(text)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536


def _client(given: Layers, topic: str | None) -> dict[str, str]:
    """What the real client is given; how it writes is asked for where it is to write."""
    passed = ["client.id", "broker.address.family"]
    if given.get("sasl.mechanism", "GSSAPI") == "GSSAPI":
        passed += ["sasl.kerberos.principal", "sasl.kerberos.keytab"]
    found = {name: given[name] for name in passed if name in given}
    return found if topic is None else {**handed_over(given, given.names()), **found}


def _unused(names: Collection[str], given: Mapping[str, str], topic: str | None) -> Iterator[str]:
    """A note for each kind of property that was given and has no part in this check."""
    rest = sorted(name for name in names if name not in USED)
    of_client = [name for name in rest if used_by_client(name)]
    other = [name for name in rest if name not in of_client]
    if of_client and topic is None:
        yield f"used with --topic alone: {', '.join(of_client)}"
    if other:
        yield f"not used by kdiag: {', '.join(_named(other))}"
    if topic is not None and "transactional.id" in given:
        yield (
            "transactional.id is not given to the real client of --topic: that would fence the "
            "producer which uses it"
        )


def _named(names: Sequence[str]) -> Iterator[str]:
    """Names of properties. One that resembles none of a client's may be a secret on a line of its
    own, and is counted."""
    strange = 0
    for name in names:
        meant = "" if name in KNOWN or strange > MOST_STRANGE else near(name, KNOWN)
        if name in KNOWN or meant:
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


def _server(rest: str) -> str:
    """What to write instead of a URL: the server that it names."""
    try:
        shown = str(parse_endpoint(rest.partition("/")[0].rpartition("@")[2]))
    except UsageError:
        return "HOST:PORT"
    return shown if len(shown) <= SHOWN else "HOST:PORT"


def _address(text: str) -> str:
    """An address that a user wrote, in quotes; what stands before an @ may be a password."""
    _, at, rest = text.rpartition("@")
    return quoted(f"…@{rest}" if at else text)
