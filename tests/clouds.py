"""Builders for AWS snapshots from short lines of text, for tables of test cases.

A rule of a group is `"sgr-1 tcp 9092-9094 203.0.113.10/32"`, an entry of a network ACL
`"in 100 allow tcp 9094 0.0.0.0/0"`, a route `"0.0.0.0/0 igw-1"`, or `"0.0.0.0/0 igw-1 !"` for a
blackhole. The ports `*` are all ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdiag.aws.facts import (
    AclEntry,
    ClientAddress,
    Instance,
    NetworkAcl,
    NetworkInterface,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Snapshot,
    UnavailableCall,
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


def permission(line: str, group: str = GROUP) -> SecurityGroupRule:
    """One rule of a security group."""
    name, protocol, ports, peer = line.split()
    low, high = _ports(ports)
    kind = {"sg": "peer_group", "pl": "prefix_list"}.get(peer.partition("-")[0], "cidr")
    return SecurityGroupRule(name, group, protocol, low, high, **{kind: peer})


def group(
    *lines: str,
    name: str = GROUP,
    vpc: str = VPC,
    outbound: Sequence[str] = ("sgr-o -1 * 0.0.0.0/0",),
) -> SecurityGroup:
    """A security group with these inbound rules, which allows all outbound traffic by default."""
    let_in, let_out = (
        tuple(permission(line, name) for line in rules) for rules in (lines, outbound)
    )
    return SecurityGroup(name, "kafka", vpc, let_in, let_out)


def entry(line: str) -> AclEntry:
    """One entry of a network ACL."""
    direction, number, action, protocol, ports, cidr = line.split()
    return AclEntry(
        int(number), direction == "out", action == "allow", protocol, cidr, *_ports(ports)
    )


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
) -> NetworkInterface:
    """The network interface of a broker; `public` is its public address, "" for none."""
    private_address = private or PRIVATE[node - 1]
    public_address = PUBLIC[node - 1] if public is None else public
    fields = {
        "id": f"eni-{node}",
        "region": REGION,
        "vpc": VPC,
        "subnet": SUBNET,
        "instance": f"i-{node}",
        **more,
    }
    return NetworkInterface(
        private=(private_address,),
        public={private_address: public_address} if public_address else {},
        groups=tuple(groups),
        **fields,
    )


def snapshot(
    *interfaces: NetworkInterface,
    groups: Sequence[SecurityGroup] | None = None,
    acls: Sequence[NetworkAcl] | None = None,
    tables: Sequence[RouteTable] | None = None,
    states: Mapping[str, str] | None = None,
    unavailable: Sequence[UnavailableCall] = (),
    **more: Any,
) -> Snapshot:
    """The facts of a VPC without blocks; by default with one broker."""
    brokers = interfaces or (interface(),)
    instances = [broker.instance for broker in brokers if broker.instance]
    return Snapshot(
        regions=(REGION,),
        interfaces=brokers,
        instances={
            i: Instance(i, (states or {}).get(i, "running"), f"kafka-{i}") for i in instances
        },
        groups={g.id: g for g in ([group(*EVERYBODY)] if groups is None else groups)},
        acls=tuple([acl(*OPEN_ACL)] if acls is None else acls),
        tables=tuple([table(*TO_THE_WORLD)] if tables is None else tables),
        unavailable=tuple(unavailable),
        calls=7,
        **more,
    )


def aws(
    facts: Snapshot,
    *hosts: str,
    source: str = LAPTOP,
    known_from: str = "interface",
    public_results: Mapping[int, EndpointResult] | None = None,
    **names: Sequence[str],
) -> AwsFacts:
    """The facts of the AWS hop about these addresses; `names` maps host names to addresses."""
    known: dict[str, tuple[str, ...]] = {host: (host,) for host in hosts or (*PUBLIC, *PRIVATE, V6)}
    known |= {name: tuple(addresses) for name, addresses in names.items()}
    client = ClientAddress(source, known_from) if source else ClientAddress()
    return AwsFacts(facts, client, known, 0.01, public_results or {})
