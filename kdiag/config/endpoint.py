"""Where a server is: host and port, and what `--map` puts in the place of an advertised address."""

from __future__ import annotations

import re

from kdiag.config.record import NamedTuple
from kdiag.config.usage import SHORT, SHOWN, UsageError, quoted

DEFAULT_PORT = 9092

# Compiled when they are needed: 0.2 ms each.
_HOST = r"[\w.-]{1,255}\Z"
_ZONE = r"(%[\w.-]{1,15})?\Z"
_SCHEME = r"(?s)([A-Za-z][A-Za-z0-9+._-]*)://(.*)\Z"

_IPV4 = r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!\Z)|\Z)){4}\Z"


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
        """The candidate for an advertised address; None where the mapping is for another one."""
        if self.advertised.lower() != advertised.host.lower():
            return None
        if self.advertised_port not in (None, advertised.port):
            return None
        return Endpoint(self.candidate, self.candidate_port or advertised.port)


def parse_bootstrap(text: str, notes: list[str] | None = None) -> tuple[Endpoint, ...]:
    """The servers of a comma-separated list, once each. What was assumed is added to `notes`."""
    endpoints = [parse_endpoint(part.strip(), notes) for part in text.split(",") if part.strip()]
    if not endpoints:
        raise UsageError("the list of bootstrap servers is empty: write HOST:PORT[,HOST:PORT...]")
    return tuple(dict.fromkeys(endpoints))


def parse_endpoint(text: str, notes: list[str] | None = None) -> Endpoint:
    """`host:port`, `host` (port 9092 is assumed, and said in `notes`) or `[ipv6]:port`; with a
    security protocol in front, as listeners have it and clients take it, and which is left out."""
    scheme = re.match(_SCHEME, text) if "://" in text else None
    if scheme:
        from kdiag.config.properties.names import PROTOCOLS  # 0.7 ms: for this alone

        protocol, rest = scheme.group(1).upper(), scheme.group(2)
        known = protocol in PROTOCOLS
        wanted = f" -X security.protocol={protocol}" if known and protocol != "PLAINTEXT" else ""
        if not known or "/" in rest or "@" in rest:
            raise UsageError(
                f"{_address(text)} is a URL; a bootstrap server is HOST:PORT: write "
                f"{_server(rest)}{wanted}"
            )
        if wanted and notes is not None:
            notes.append(f"{text}: {protocol}:// is left out; to set the protocol, write{wanted}")
        text = rest
    host, port = _split(text)
    if not _is_host(host):
        raise UsageError(f"{_address(text)}: {_address(host)} is not a host name or an IP address")
    # getaddrinfo would make an address of it.
    if ":" not in host and host.rpartition(".")[2].isdigit() and not re.match(_IPV4, host):
        raise UsageError(
            f"{_address(text)}: {_address(host)} is no IP address: that has four numbers from 0 to "
            "255, as 3.10.139.221 has"
        )
    if port is None:
        if notes is not None:
            notes.append(f"{text}: no port given, {DEFAULT_PORT} assumed")
        return Endpoint(host, DEFAULT_PORT)
    return Endpoint(host, _port(port, host))


def parse_mapped(text: str, place: str = "--map") -> Mapped:
    """`ADVERTISED=CANDIDATE`, each a host with or without a port; `place` is where it stands."""
    left, separator, right = text.partition("=")
    if not separator or not left.strip() or not right.strip():
        raise UsageError(
            f"{place} {quoted(text) if len(text) <= SHORT else '…'}: write ADVERTISED=CANDIDATE, "
            "for example 10.0.1.11=3.10.139.221 or 10.0.1.11:9094=3.10.139.221:32001"
        )
    sides: list[tuple[str, int | None]] = []
    for side, where in ((left.strip(), "left"), (right.strip(), "right")):
        host, port = _side(side)
        if not _is_host(host):
            # It may be a password, in the place of an address or behind a user's name.
            shown = quoted(side) if len(side) <= SHORT else "…"
            raise UsageError(
                f"{place}, {where} of the =: {shown} is not a host name or an IP address, with or "
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
        from ipaddress import IPv6Address  # 2.4 ms

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
