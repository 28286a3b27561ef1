"""Snapshots of AWS built by hand, in lines that can be read in a table of cases.

A rule of a group is `"sgr-1 tcp 9092-9094 203.0.113.10/32"`, an entry of a network ACL
`"in 100 allow tcp 9094 0.0.0.0/0"`, a route `"0.0.0.0/0 igw-1"`, with a `!` where it is a
blackhole. Ports are `*` for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdiag.aws.facts import (
    AclEntry,
    ClientAddress,
    Instance,
    Interface,
    NetworkAcl,
    Permission,
    Route,
    RouteTable,
    SecurityGroup,
    Snapshot,
    Unavailable,
)
from kdiag.aws.hop import AwsFacts
from kdiag.network.attempt import EndpointResult

LAPTOP = "203.0.113.10"
VPC, SUBNET, GROUP, REGION = "vpc-1", "subnet-1", "sg-1", "eu-west-2"
PRIVATE = ("10.0.1.11", "10.0.1.12", "10.0.1.13")
PUBLIC = ("3.10.139.221", "3.10.139.222", "3.10.139.223")
V6 = "2a05:d01c::11"

OPEN_ACL = ("in 100 allow -1 * 0.0.0.0/0", "out 100 allow -1 * 0.0.0.0/0",
            "in 101 allow -1 * ::/0", "out 101 allow -1 * ::/0")  # fmt: skip
TO_THE_WORLD = ("10.0.0.0/16 local", "0.0.0.0/0 igw-1", "::/0 igw-1")
EVERYBODY = ("sgr-1 tcp 9094 0.0.0.0/0", "sgr-2 tcp 9094 ::/0")


def _ports(text: str) -> tuple[int | None, int | None]:
    if text == "*":
        return None, None
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def permission(line: str, group: str = GROUP) -> Permission:
    """One rule of a group."""
    name, protocol, ports, peer = line.split()
    low, high = _ports(ports)
    kind = {"sg": "peer_group", "pl": "prefix_list"}.get(peer.partition("-")[0], "cidr")
    return Permission(name, group, protocol, low, high, **{kind: peer})


def group(
    *lines: str,
    name: str = GROUP,
    vpc: str = VPC,
    outbound: Sequence[str] = ("sgr-o -1 * 0.0.0.0/0",),
) -> SecurityGroup:
    """A security group that lets these in, and everything out."""
    let_in, let_out = (tuple(permission(x, name) for x in each) for each in (lines, outbound))
    return SecurityGroup(name, "kafka", vpc, let_in, let_out)


def entry(line: str) -> AclEntry:
    """One numbered line of a network ACL."""
    way, number, action, protocol, ports, cidr = line.split()
    return AclEntry(int(number), way == "out", action == "allow", protocol, cidr, *_ports(ports))


def acl(
    *lines: str, name: str = "acl-1", subnets: Sequence[str] = (SUBNET,), vpc: str = VPC
) -> NetworkAcl:
    return NetworkAcl(name, vpc, tuple(subnets), tuple(entry(line) for line in lines))


def table(
    *lines: str, name: str = "rtb-1", subnets: Sequence[str] = (), main: bool = True, vpc: str = VPC
) -> RouteTable:
    words = [line.split() for line in lines]
    routes = [Route(network, target, "!" in gone) for network, target, *gone in words]
    return RouteTable(name, vpc, tuple(subnets), main, tuple(routes))


def interface(
    node: int = 1,
    *,
    private: str = "",
    public: str | None = None,
    groups: Sequence[str] = (GROUP,),
    **more: Any,
) -> Interface:
    """Broker `node`'s; `public` is its public address, "" for none."""
    own = private or PRIVATE[node - 1]
    outer = PUBLIC[node - 1] if public is None else public
    made = {
        "id": f"eni-{node}",
        "region": REGION,
        "vpc": VPC,
        "subnet": SUBNET,
        "instance": f"i-{node}",
        **more,
    }
    return Interface(
        private=(own,), public={own: outer} if outer else {}, groups=tuple(groups), **made
    )


def snapshot(
    *interfaces: Interface,
    groups: Sequence[SecurityGroup] | None = None,
    acls: Sequence[NetworkAcl] | None = None,
    tables: Sequence[RouteTable] | None = None,
    states: Mapping[str, str] | None = None,
    gaps: Sequence[Unavailable] = (),
    **more: Any,
) -> Snapshot:
    """A VPC in which everything is open; by default of one broker."""
    there = interfaces or (interface(),)
    named = [one.instance for one in there if one.instance]
    return Snapshot(
        regions=(REGION,),
        interfaces=there,
        instances={i: Instance(i, (states or {}).get(i, "running"), f"kafka-{i}") for i in named},
        groups={g.id: g for g in ([group(*EVERYBODY)] if groups is None else groups)},
        acls=tuple([acl(*OPEN_ACL)] if acls is None else acls),
        tables=tuple([table(*TO_THE_WORLD)] if tables is None else tables),
        gaps=tuple(gaps),
        calls=7,
        **more,
    )


def aws(
    world: Snapshot,
    *hosts: str,
    source: str = LAPTOP,
    how: str = "interface",
    proofs: Mapping[int, EndpointResult] | None = None,
    **names: Sequence[str],
) -> AwsFacts:
    """The facts of the AWS hop about these addresses; `names` are hosts by name."""
    known: dict[str, tuple[str, ...]] = {host: (host,) for host in hosts or (*PUBLIC, *PRIVATE, V6)}
    known |= {name: tuple(addresses) for name, addresses in names.items()}
    where = ClientAddress(source, how) if source else ClientAddress()
    return AwsFacts(world, where, known, 0.01, proofs or {})
