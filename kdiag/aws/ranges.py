"""Ranges of IP addresses and ports as pairs of integers, for comparison with AWS rules."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_network

from kdiag.aws.facts import AclEntry, SecurityGroupRule

ALL_PORTS = (0, 65535)
TCP_PROTOCOLS = ("-1", "6", "tcp")  # values of AWS for a protocol that includes TCP

Range = tuple[int, int]  # first and last number, both included

_NOT_PUBLIC = (
    *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"),
)


@lru_cache(maxsize=8192)  # every interface of a group reads the same rules
def _parsed(network: str) -> tuple[int, Range]:
    """The IP version and the addresses of a network. Raises ValueError for other text."""
    parsed = ip_network(network, strict=False)
    return parsed.version, (int(parsed.network_address), int(parsed.broadcast_address))


def address_range(network: str) -> Range:
    """The addresses of a network, such as 10.0.0.0/8. Raises ValueError for other text."""
    return _parsed(network)[1]


def address_ranges(network: str, address: str) -> Iterator[Range]:
    """The addresses of a network, if it has the IP version of `address`; nothing for other text."""
    try:
        version, addresses = _parsed(network)
    except ValueError:
        return
    if version == (6 if ":" in address else 4):
        yield addresses


def within(inner: Range, outer: Range) -> bool:
    """Whether `outer` contains every number of `inner`."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def internet_ranges(version: int) -> tuple[Range, ...]:
    """All public addresses of an IP version, 4 or 6."""
    if version == 6:
        return (address_range("2000::/3"),)
    public: list[Range] = []
    low = address_range("1.0.0.0/8")[0]
    for network in _NOT_PUBLIC:
        first, last = address_range(network)
        public.append((low, first - 1))
        low = last + 1
    return tuple(public)


def is_prefix_list(network: str) -> bool:
    """Whether the network of a rule or route is the id of a prefix list."""
    return network.startswith("pl-")


def ports_of(rule: SecurityGroupRule | AclEntry) -> Range:
    """The TCP ports of a security group rule or a network ACL entry."""
    if rule.protocol == "-1" or rule.from_port is None or rule.to_port is None:
        return ALL_PORTS
    return rule.from_port, rule.to_port


def format_ports(ports: Range) -> str:
    """Formats ports as `9094` or `9092-9094`."""
    low, high = ports
    return str(low) if low == high else f"{low}-{high}"


def port_ranges(ports: set[int]) -> list[Range]:
    """The sorted ranges of contiguous ports."""
    ranges: list[Range] = []
    for port in sorted(ports):
        if ranges and ranges[-1][1] == port - 1:
            ranges[-1] = (ranges[-1][0], port)
        else:
            ranges.append((port, port))
    return ranges
