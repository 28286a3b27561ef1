"""Facts from the AWS API about the addresses of a cluster, as plain values.

Ids are AWS ids. Addresses are IP literals, networks are CIDR text, ports are 0 to 65535.
Source: the EC2, ELBv2 and Kafka (MSK) API references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol


@dataclass(frozen=True)
class SecurityGroupRule:
    """One rule of a security group. `protocol` is "-1" (all), "tcp", "udp", "icmp" or a number.

    Ports are None if the protocol has no ports, or if the rule is for all ports. Exactly one of
    `cidr`, `prefix_list` and `peer_group` is set.
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
        """The network, the id of the prefix list or the id of the group that the rule is for."""
        return self.cidr or self.prefix_list or self.peer_group


@dataclass(frozen=True)
class SecurityGroup:
    """A security group with its inbound and outbound rules."""

    id: str
    name: str
    vpc: str
    inbound: tuple[SecurityGroupRule, ...] = ()
    outbound: tuple[SecurityGroupRule, ...] = ()


@dataclass(frozen=True)
class AclEntry:
    """One entry of a network ACL. The matching entry with the lowest number decides."""

    number: int
    egress: bool
    allow: bool
    protocol: str
    cidr: str
    from_port: int | None = None
    to_port: int | None = None


@dataclass(frozen=True)
class NetworkAcl:
    """A network ACL and the subnets that it is associated with."""

    id: str
    vpc: str
    subnets: tuple[str, ...]
    entries: tuple[AclEntry, ...]


@dataclass(frozen=True)
class Route:
    """One route. `network` is a CIDR or the id of a prefix list; `target` is an id such as igw-… or
    "local". The target of a blackhole route no longer exists."""

    network: str
    target: str
    blackhole: bool = False


@dataclass(frozen=True)
class RouteTable:
    """A route table. The main table of a VPC is for every subnet without its own table."""

    id: str
    vpc: str
    subnets: tuple[str, ...]
    main: bool
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class NetworkInterface:
    """An elastic network interface. `private` are its private IPv4 addresses, `public` maps a
    private address to its public (or elastic) address, `ipv6` are its IPv6 addresses. `instance` is
    "" for an interface of a load balancer, MSK, a NAT gateway or another service."""

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
        """Every private, public and IPv6 address of the interface."""
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
    """The health of one target of a target group. `target` is an instance id or an IP address."""

    target: str
    port: int
    state: str
    reason: str = ""


@dataclass(frozen=True)
class LoadBalancerListener:
    """One listener of a load balancer, with one target group that the listener forwards to."""

    port: int
    protocol: str
    target_group: str = ""
    preserves_client_ip: bool = False
    targets: tuple[TargetHealth, ...] = ()


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer. `scheme` is internet-facing or internal, `kind` network or application."""

    arn: str
    name: str
    dns_name: str
    scheme: str
    kind: str
    vpc: str
    groups: tuple[str, ...] = ()
    cross_zone: bool = False
    listeners: tuple[LoadBalancerListener, ...] = ()


# Authentication → port of MSK. Source: the MSK developer guide, port information.
MSK_PORTS = {
    "plaintext": 9092,
    "TLS": 9094,
    "SASL/SCRAM": 9096,
    "IAM": 9098,
    "TLS, public": 9194,
    "SASL/SCRAM, public": 9196,
    "IAM, public": 9198,
}


@dataclass(frozen=True)
class MskCluster:
    """An MSK cluster: the host names of its brokers, its subnets and its client ports.

    `public` is its public access type ("DISABLED", "SERVICE_PROVIDED_EIPS"), `ports` has those of
    MSK_PORTS that are configured.
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
class UnavailableCall:
    """An API call without an answer: the call (`ec2:DescribeNetworkAcls`), the region, the reason.
    `reason` is one of credentials, expired, denied, region, throttled, unreachable, failed, or
    skipped: kdiag did not make the call, because it needs too many calls. `message` is the error
    message of AWS, printable and without secrets."""

    call: str
    region: str
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Snapshot:
    """All facts from the AWS API, of all regions. `peered` has the pairs of peered VPCs;
    `prefix_lists` maps the id of a prefix list to its networks; `unavailable` has the calls without
    an answer; `calls` counts the API calls."""

    regions: tuple[str, ...] = ()
    interfaces: tuple[NetworkInterface, ...] = ()
    instances: Mapping[str, Instance] = field(default_factory=dict)
    groups: Mapping[str, SecurityGroup] = field(default_factory=dict)
    acls: tuple[NetworkAcl, ...] = ()
    tables: tuple[RouteTable, ...] = ()
    prefix_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    peered: tuple[tuple[str, str], ...] = ()
    balancers: tuple[LoadBalancer, ...] = ()
    clusters: tuple[MskCluster, ...] = ()
    unavailable: tuple[UnavailableCall, ...] = ()
    calls: int = 0

    def interfaces_with(self, address: str) -> tuple[NetworkInterface, ...]:
        """The interfaces with an address: several if VPCs have overlapping networks."""
        return self._by_address.get(address, ())

    @cached_property
    def _by_address(self) -> Mapping[str, tuple[NetworkInterface, ...]]:
        by_address: dict[str, tuple[NetworkInterface, ...]] = {}
        for interface in self.interfaces:
            for address in dict.fromkeys(interface.addresses):
                by_address[address] = (*by_address.get(address, ()), interface)
        return by_address


@dataclass(frozen=True)
class ClientAddress:
    """The source address of the client, as the broker sees it: an address or a network.

    `known_from` is "interface" (the client has a public address, or an address in the VPC), "echo"
    (an echo service on the internet returned the address), "given" (--aws-source), or "unknown":
    then `network` is "", and a verdict holds for the whole internet.
    """

    network: str = ""
    known_from: str = "unknown"


class AwsClient(Protocol):
    """A client of the AWS API for one walk."""

    async def describe(
        self, addresses: Mapping[str, tuple[str, ...]]
    ) -> tuple[Snapshot, ClientAddress]:
        """The facts about these hosts and their IP addresses, and the address of this client.

        Raises no AWS errors: a failed call is in `Snapshot.unavailable`.
        """
        ...
