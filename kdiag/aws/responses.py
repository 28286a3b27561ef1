"""EC2's answers, as the values of kdiag.cloud. What an answer lacks is empty."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kdiag.aws.facts import (
    AclEntry,
    Instance,
    Interface,
    NetworkAcl,
    Permission,
    Route,
    RouteTable,
    SecurityGroup,
)

Told = dict[str, Any]

_LAST_ENTRY = 32766  # what comes after is each ACL's own `*`: it denies what nothing allows

_TARGETS = (
    *("GatewayId", "NatGatewayId", "TransitGatewayId", "VpcPeeringConnectionId"),
    *("EgressOnlyInternetGatewayId", "NetworkInterfaceId", "InstanceId", "LocalGatewayId"),
    *("CarrierGatewayId", "CoreNetworkArn"),
)
_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")


def interface(told: Told, region: str, instance: str = "") -> Interface:
    """A network interface, by itself or as a part of its instance."""
    addresses = told.get("PrivateIpAddresses") or []
    first = told.get("PrivateIpAddress", "")
    private = [each.get("PrivateIpAddress", "") for each in addresses] or [first]
    public = {own.get("PrivateIpAddress", ""): _public(own) for own in addresses}
    if not public.get(first):
        public[first] = _public(told)
    v6 = [each.get("Ipv6Address", "") for each in told.get("Ipv6Addresses") or []]
    return Interface(
        id=told.get("NetworkInterfaceId", ""),
        region=region,
        vpc=told.get("VpcId", ""),
        subnet=told.get("SubnetId", ""),
        private=tuple(address for address in private if address),
        public={own: outer for own, outer in public.items() if own and outer},
        ipv6=tuple(address for address in v6 if address),
        groups=tuple(each.get("GroupId", "") for each in told.get("Groups") or []),
        instance=instance or (told.get("Attachment") or {}).get("InstanceId", ""),
        kind=told.get("InterfaceType", ""),
        description=told.get("Description", ""),
    )


def group_names(told: Told) -> dict[str, str]:
    """The names of an interface's security groups, by id."""
    return {g.get("GroupId", ""): g.get("GroupName", "") for g in told.get("Groups") or []}


def instance(told: Told) -> Instance:
    """An instance, with its Name tag."""
    tags = {tag.get("Key"): tag.get("Value", "") for tag in told.get("Tags") or []}
    state = (told.get("State") or {}).get("Name", "")
    return Instance(told.get("InstanceId", ""), state, tags.get("Name", ""))


def group(name: str, shown: str, vpc: str, rules: Iterable[Told]) -> SecurityGroup:
    """A security group from its rules (DescribeSecurityGroupRules, which gives their ids)."""
    own = [rule for rule in rules if rule.get("GroupId") == name]
    return SecurityGroup(
        name,
        shown,
        vpc,
        tuple(permission(rule) for rule in own if not rule.get("IsEgress")),
        tuple(permission(rule) for rule in own if rule.get("IsEgress")),
    )


def permission(told: Told) -> Permission:
    """One rule of a security group; AWS says -1 where a protocol has no ports, or all are meant."""
    peer = told.get("ReferencedGroupInfo") or {}
    return Permission(
        id=told.get("SecurityGroupRuleId", ""),
        group=told.get("GroupId", ""),
        protocol=told.get("IpProtocol", ""),
        from_port=_port(told.get("FromPort")),
        to_port=_port(told.get("ToPort")),
        cidr=told.get("CidrIpv4") or told.get("CidrIpv6") or "",
        prefix_list=told.get("PrefixListId", ""),
        peer_group=peer.get("GroupId", ""),
        description=told.get("Description", ""),
    )


def acl(told: Told) -> NetworkAcl:
    """A network ACL, without the entries that every one ends with."""
    subnets = [each.get("SubnetId", "") for each in told.get("Associations") or []]
    entries = [_entry(each) for each in told.get("Entries") or []]
    return NetworkAcl(
        told.get("NetworkAclId", ""),
        told.get("VpcId", ""),
        tuple(subnet for subnet in subnets if subnet),
        tuple(entry for entry in entries if entry.number <= _LAST_ENTRY),
    )


def table(told: Told) -> RouteTable:
    """A route table. Gateway endpoints lead to S3 and DynamoDB, where no Kafka client is."""
    associations = told.get("Associations") or []
    routes = [_route(each) for each in told.get("Routes") or []]
    return RouteTable(
        told.get("RouteTableId", ""),
        told.get("VpcId", ""),
        tuple(each["SubnetId"] for each in associations if each.get("SubnetId")),
        any(each.get("Main") for each in associations),
        tuple(r for r in routes if not (_is_list(r.network) and r.target.startswith("vpce-"))),
    )


def peering(told: Told) -> tuple[str, str]:
    """The two VPCs of a peering connection that is active; "" for others."""
    if (told.get("Status") or {}).get("Code") != "active":
        return "", ""
    ends = (told.get("RequesterVpcInfo") or {}, told.get("AccepterVpcInfo") or {})
    return ends[0].get("VpcId", ""), ends[1].get("VpcId", "")


def lists(groups: Iterable[SecurityGroup], tables: Iterable[RouteTable]) -> set[str]:
    """The prefix lists that rules and routes name."""
    rules = {rule.prefix_list for each in groups for rule in (*each.inbound, *each.outbound)}
    routes = {r.network for each in tables for r in each.routes if _is_list(r.network)}
    return {name for name in rules | routes if name}


def _public(told: Told) -> str:
    association = told.get("Association") or {}
    return association.get("PublicIp") or association.get("CarrierIp") or ""


def _port(number: int | None) -> int | None:
    return None if number in (None, -1) else number


def _entry(told: Told) -> AclEntry:
    ports = told.get("PortRange") or {}
    return AclEntry(
        told.get("RuleNumber", 0),
        bool(told.get("Egress")),
        told.get("RuleAction") == "allow",
        told.get("Protocol", ""),
        told.get("CidrBlock") or told.get("Ipv6CidrBlock") or "",
        ports.get("From"),
        ports.get("To"),
    )


def _route(told: Told) -> Route:
    network = next((told[key] for key in _DESTINATIONS if told.get(key)), "")
    target = next((told[key] for key in _TARGETS if told.get(key)), "")
    return Route(network, target, told.get("State") == "blackhole")


def _is_list(network: str) -> bool:
    return network.startswith("pl-")
