"""Converts responses of the EC2 API to the values of kdiag.aws.facts. A missing field is empty."""

from __future__ import annotations

from collections.abc import Iterable

from kdiag.aws.ec2 import ApiResponse
from kdiag.aws.facts import (
    AclEntry,
    Instance,
    NetworkAcl,
    NetworkInterface,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
)
from kdiag.aws.ranges import is_prefix_list

_MAX_ENTRY = 32766  # a higher number is the default entry `*`, which denies all packets

_TARGETS = (
    *("GatewayId", "NatGatewayId", "TransitGatewayId", "VpcPeeringConnectionId"),
    *("EgressOnlyInternetGatewayId", "NetworkInterfaceId", "InstanceId", "LocalGatewayId"),
    *("CarrierGatewayId", "CoreNetworkArn"),
)
_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")


def interface(response: ApiResponse, region: str, instance: str = "") -> NetworkInterface:
    """A network interface, from DescribeNetworkInterfaces or from DescribeInstances."""
    addresses = response.get("PrivateIpAddresses") or []
    first = response.get("PrivateIpAddress", "")
    private = [item.get("PrivateIpAddress", "") for item in addresses] or [first]
    public = {item.get("PrivateIpAddress", ""): _public(item) for item in addresses}
    if not public.get(first):
        public[first] = _public(response)
    v6 = [item.get("Ipv6Address", "") for item in response.get("Ipv6Addresses") or []]
    return NetworkInterface(
        id=response.get("NetworkInterfaceId", ""),
        region=region,
        vpc=response.get("VpcId", ""),
        subnet=response.get("SubnetId", ""),
        private=tuple(address for address in private if address),
        public={own: address for own, address in public.items() if own and address},
        ipv6=tuple(address for address in v6 if address),
        groups=tuple(item.get("GroupId", "") for item in response.get("Groups") or []),
        instance=instance or (response.get("Attachment") or {}).get("InstanceId", ""),
        kind=response.get("InterfaceType", ""),
        description=response.get("Description", ""),
    )


def group_names(response: ApiResponse) -> dict[str, str]:
    """The names of the security groups of an interface, by group id."""
    return {g.get("GroupId", ""): g.get("GroupName", "") for g in response.get("Groups") or []}


def instance(response: ApiResponse) -> Instance:
    """An instance with its state and its Name tag, from DescribeInstances."""
    tags = {tag.get("Key"): tag.get("Value", "") for tag in response.get("Tags") or []}
    state = (response.get("State") or {}).get("Name", "")
    return Instance(response.get("InstanceId", ""), state, tags.get("Name", ""))


def group(group_id: str, group_name: str, vpc: str, rules: Iterable[ApiResponse]) -> SecurityGroup:
    """A security group, from the rules of DescribeSecurityGroupRules, which have ids."""
    own = [rule for rule in rules if rule.get("GroupId") == group_id]
    return SecurityGroup(
        group_id,
        group_name,
        vpc,
        tuple(group_rule(rule) for rule in own if not rule.get("IsEgress")),
        tuple(group_rule(rule) for rule in own if rule.get("IsEgress")),
    )


def group_rule(response: ApiResponse) -> SecurityGroupRule:
    """One rule of a security group. AWS returns port -1 for all ports, or for a protocol without
    ports."""
    peer = response.get("ReferencedGroupInfo") or {}
    return SecurityGroupRule(
        id=response.get("SecurityGroupRuleId", ""),
        group=response.get("GroupId", ""),
        protocol=response.get("IpProtocol", ""),
        from_port=_port(response.get("FromPort")),
        to_port=_port(response.get("ToPort")),
        cidr=response.get("CidrIpv4") or response.get("CidrIpv6") or "",
        prefix_list=response.get("PrefixListId", ""),
        peer_group=peer.get("GroupId", ""),
        description=response.get("Description", ""),
    )


def acl(response: ApiResponse) -> NetworkAcl:
    """A network ACL, without the default entry `*`."""
    subnets = [item.get("SubnetId", "") for item in response.get("Associations") or []]
    entries = [_acl_entry(item) for item in response.get("Entries") or []]
    return NetworkAcl(
        response.get("NetworkAclId", ""),
        response.get("VpcId", ""),
        tuple(subnet for subnet in subnets if subnet),
        tuple(entry for entry in entries if entry.number <= _MAX_ENTRY),
    )


def table(response: ApiResponse) -> RouteTable:
    """A route table, without routes to gateway endpoints, which lead only to S3 and DynamoDB."""
    associations = response.get("Associations") or []
    routes = [_route(item) for item in response.get("Routes") or []]
    return RouteTable(
        response.get("RouteTableId", ""),
        response.get("VpcId", ""),
        tuple(item["SubnetId"] for item in associations if item.get("SubnetId")),
        any(item.get("Main") for item in associations),
        tuple(
            r for r in routes if not (is_prefix_list(r.network) and r.target.startswith("vpce-"))
        ),
    )


def peering(response: ApiResponse) -> tuple[str, str]:
    """The two VPCs of an active peering connection; ("", "") for other connections."""
    if (response.get("Status") or {}).get("Code") != "active":
        return "", ""
    ends = (response.get("RequesterVpcInfo") or {}, response.get("AccepterVpcInfo") or {})
    return ends[0].get("VpcId", ""), ends[1].get("VpcId", "")


def prefix_list_ids(groups: Iterable[SecurityGroup], tables: Iterable[RouteTable]) -> set[str]:
    """The ids of the prefix lists in rules and routes."""
    rules = {rule.prefix_list for group in groups for rule in (*group.inbound, *group.outbound)}
    routes = {r.network for table in tables for r in table.routes if is_prefix_list(r.network)}
    return {list_id for list_id in rules | routes if list_id}


def _public(response: ApiResponse) -> str:
    """The public address of a private address, "" without one."""
    association = response.get("Association") or {}
    return association.get("PublicIp") or association.get("CarrierIp") or ""


def _port(number: int | None) -> int | None:
    return None if number in (None, -1) else number


def _acl_entry(response: ApiResponse) -> AclEntry:
    ports = response.get("PortRange") or {}
    return AclEntry(
        response.get("RuleNumber", 0),
        bool(response.get("Egress")),
        response.get("RuleAction") == "allow",
        response.get("Protocol", ""),
        response.get("CidrBlock") or response.get("Ipv6CidrBlock") or "",
        ports.get("From"),
        ports.get("To"),
    )


def _route(response: ApiResponse) -> Route:
    network = next((response[key] for key in _DESTINATIONS if response.get(key)), "")
    target = next((response[key] for key in _TARGETS if response.get(key)), "")
    return Route(network, target, response.get("State") == "blackhole")
