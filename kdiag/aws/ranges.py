"""Ranges of addresses and of ports, as pairs of whole numbers: what rules are made of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_network

from kdiag.aws.facts import AclEntry, Permission

ANY_PORT = (0, 65535)
TCP = ("-1", "6", "tcp")  # how AWS writes a protocol that TCP is part of

Span = tuple[int, int]  # both ends included

_NOT_PUBLIC = (
    *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"),
)


@lru_cache(maxsize=8192)  # the rules of a group are read for each of its members
def _read(network: str) -> tuple[int, Span]:
    """The family of a network, its first address and its last; ValueError for what is none."""
    found = ip_network(network, strict=False)
    return found.version, (int(found.network_address), int(found.broadcast_address))


def span(network: str) -> Span:
    """The first and the last address of a network."""
    return _read(network)[1]


def spans(network: str, like: str) -> Iterator[Span]:
    """The addresses of a network, if it is one, and of the family of the address `like`."""
    try:
        version, found = _read(network)
    except ValueError:
        return
    if version == (6 if ":" in like else 4):
        yield found


def within(one: Span, other: Span) -> bool:
    """Whether all of one is in the other."""
    return other[0] <= one[0] and one[1] <= other[1]


def internet(version: int) -> tuple[Span, ...]:
    """All addresses that a client out on the internet may have."""
    if version == 6:
        return (span("2000::/3"),)
    found: list[Span] = []
    low = span("1.0.0.0/8")[0]
    for inner in _NOT_PUBLIC:
        first, last = span(inner)
        found.append((low, first - 1))
        low = last + 1
    return tuple(found)


def ports_of(rule: Permission | AclEntry) -> Span:
    """The TCP ports that a rule is about."""
    if rule.protocol == "-1" or rule.from_port is None or rule.to_port is None:
        return ANY_PORT
    return rule.from_port, rule.to_port


def shown(ports: Span) -> str:
    """`9094`, or `9092-9094`."""
    low, high = ports
    return str(low) if low == high else f"{low}-{high}"


def runs(ports: set[int]) -> list[Span]:
    """Ports as ranges, contiguous ones as one, in order."""
    found: list[Span] = []
    for port in sorted(ports):
        if found and found[-1][1] == port - 1:
            found[-1] = (found[-1][0], port)
        else:
            found.append((port, port))
    return found
