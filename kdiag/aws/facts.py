"""What AWS says of the addresses a client dials, as plain values: a snapshot to be judged.

Ids are AWS's own. Addresses are IP literals, networks are CIDR text, ports are 0 to 65535.
Source: the EC2, ELBv2 and Kafka (MSK) API references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol


@dataclass(frozen=True)
class Permission:
    """One line of a security group. `protocol` is "-1" (all), "tcp", "udp", "icmp" or a number.

    Ports are None where the protocol has none or all are meant. Of networks, prefix lists and
    groups one is given; `peer` says whom it lets in, as AWS spells it.
    """

    id: str
    group: str
    protocol: str
    from_port: int | None
    to_port: int | None
    cidr: str = ""
    prefix_list: str = ""
    peer_group: str = ""
    description: str = ""

    @property
    def peer(self) -> str:
        return self.cidr or self.prefix_list or self.peer_group


@dataclass(frozen=True)
class SecurityGroup:
    """A security group with what it lets in and out."""

    id: str
    name: str
    vpc: str
    inbound: tuple[Permission, ...] = ()
    outbound: tuple[Permission, ...] = ()


@dataclass(frozen=True)
class AclEntry:
    """One numbered line of a network ACL; the lowest number that fits decides."""

    number: int
    egress: bool
    allow: bool
    protocol: str
    cidr: str
    from_port: int | None = None
    to_port: int | None = None


@dataclass(frozen=True)
class NetworkAcl:
    """A network ACL and the subnets it stands before."""

    id: str
    vpc: str
    subnets: tuple[str, ...]
    entries: tuple[AclEntry, ...]


@dataclass(frozen=True)
class Route:
    """One route: `network` is a CIDR or a prefix list's id, `target` an id such as igw-… or
    "local"; a blackhole's target is gone."""

    network: str
    target: str
    blackhole: bool = False


@dataclass(frozen=True)
class RouteTable:
    """A route table; the main one serves every subnet of its VPC that has none of its own."""

    id: str
    vpc: str
    subnets: tuple[str, ...]
    main: bool
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class Interface:
    """A network interface. `private` are its private IPv4 addresses, `public` maps those that have
    one to their public (or elastic) address, `ipv6` its IPv6 addresses. `owner` is what it belongs
    to when that is no instance: a load balancer, MSK, NAT gateway, …"""

    id: str
    region: str
    vpc: str
    subnet: str
    private: tuple[str, ...]
    public: Mapping[str, str] = field(default_factory=dict)
    ipv6: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    instance: str = ""
    kind: str = ""
    description: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address that leads to it, from inside or outside."""
        return (*self.private, *self.public.values(), *self.ipv6)


@dataclass(frozen=True)
class Instance:
    """An EC2 instance; `state` is pending, running, stopping, stopped, shutting-down or
    terminated."""

    id: str
    state: str
    name: str = ""


@dataclass(frozen=True)
class TargetHealth:
    """One target of a load balancer's target group: an instance id or an IP address."""

    target: str
    port: int
    state: str
    reason: str = ""


@dataclass(frozen=True)
class LoadBalancerListener:
    """One listener of a load balancer, and the target group behind it."""

    port: int
    protocol: str
    target_group: str = ""
    preserves_client_ip: bool = False
    targets: tuple[TargetHealth, ...] = ()


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer; `scheme` is internet-facing or internal, `kind` network or application."""

    arn: str
    name: str
    dns_name: str
    scheme: str
    kind: str
    vpc: str
    groups: tuple[str, ...] = ()
    cross_zone: bool = False
    listeners: tuple[LoadBalancerListener, ...] = ()


@dataclass(frozen=True)
class MskCluster:
    """An MSK cluster: its brokers' names and subnets, and the ways in that it offers.

    `public` is its public access type ("DISABLED", "SERVICE_PROVIDED_EIPS"), `ports` the client
    ports by authentication as configured: PLAINTEXT 9092, TLS 9094, SASL/SCRAM 9096, IAM 9098, and
    the public 9194, 9196, 9198.
    """

    arn: str
    name: str
    state: str
    public: str
    ports: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    brokers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unavailable:
    """Something that AWS did not tell: which call (`ec2:DescribeNetworkAcls`), where, why; what is
    unknown because of it is for the judge to say. `reason` is one of credentials, expired, denied,
    region, throttled, unreachable, failed, or skipped: kdiag did not ask, for it would have taken
    too many calls; `words` are AWS's, clean and without secrets."""

    call: str
    region: str
    reason: str
    words: str = ""


@dataclass(frozen=True)
class Snapshot:
    """All that was learnt, over all regions asked. `peered` has the pairs of VPCs that are peered,
    `prefix_lists` maps a list's id to its networks; `calls` counts the API calls made."""

    regions: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    instances: Mapping[str, Instance] = field(default_factory=dict)
    groups: Mapping[str, SecurityGroup] = field(default_factory=dict)
    acls: tuple[NetworkAcl, ...] = ()
    tables: tuple[RouteTable, ...] = ()
    prefix_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    peered: tuple[tuple[str, str], ...] = ()
    balancers: tuple[LoadBalancer, ...] = ()
    clusters: tuple[MskCluster, ...] = ()
    gaps: tuple[Unavailable, ...] = ()
    calls: int = 0

    def behind(self, address: str) -> tuple[Interface, ...]:
        """The interfaces that an address may be: several when VPCs use the same range."""
        return self._by_address.get(address, ())

    @cached_property
    def _by_address(self) -> Mapping[str, tuple[Interface, ...]]:
        found: dict[str, tuple[Interface, ...]] = {}
        for one in self.interfaces:
            for address in dict.fromkeys(one.addresses):
                found[address] = (*found.get(address, ()), one)
        return found


@dataclass(frozen=True)
class ClientAddress:
    """Where the client comes from, as the broker would see it: an address or a network.

    `how` is "interface" (its own address is public, or in the VPC), "echo" (a service on the
    internet was asked), "given" (--aws-source), or "unknown": then `network` is "", and every
    verdict is an assumption.
    """

    network: str = ""
    how: str = "unknown"


class AwsClient(Protocol):
    """A door to AWS."""

    async def look(
        self, addresses: Mapping[str, tuple[str, ...]]
    ) -> tuple[Snapshot, ClientAddress]:
        """What AWS says of these hosts and their IP addresses, and where this client comes from.

        What AWS does not tell is a Gap of the snapshot; no error of AWS's comes out.
        """
        ...
