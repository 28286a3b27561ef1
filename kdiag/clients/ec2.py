"""AWS: the only door to boto3. What is asked are Describe calls; what is not told becomes a Gap."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from kdiag.address import is_private, parse
from kdiag.attempt import clean
from kdiag.clients.net import in_thread
from kdiag.cloud import (
    AclEntry,
    Gap,
    Instance,
    Interface,
    NetworkAcl,
    Permission,
    Route,
    RouteTable,
    SecurityGroup,
    Snapshot,
    Source,
)

FILTER_VALUES = 200  # that EC2 takes in one filter
MAX_REGIONS, AT_ONCE = 60, 8

# Every call made, as an IAM policy spells it; docs/aws.md has the policy, and a test compares them.
CALLS = (
    "ec2:DescribeAddresses",
    "ec2:DescribeInstances",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRegions",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:GetManagedPrefixListEntries",
)

_REGION = re.compile(r"[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.(?:compute|kafka|elb|amazonaws)\b")
_EC2_PUBLIC = re.compile(r"ec2-(\d{1,3})-(\d{1,3})-(\d{1,3})-(\d{1,3})\.")

# What AWS answers → why there is a gap. Source: the common errors of the EC2 and STS references.
_REASONS = {
    "AuthFailure": "credentials",
    "InvalidClientTokenId": "credentials",
    "UnrecognizedClientException": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "ExpiredToken": "expired",
    "ExpiredTokenException": "expired",
    "RequestExpired": "expired",
    "UnauthorizedOperation": "denied",
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "OptInRequired": "region",
    "RequestLimitExceeded": "throttled",
    "Throttling": "throttled",
    "ThrottlingException": "throttled",
}


@dataclass(frozen=True)
class Asked:
    """How AWS is to be asked. `source` is --aws-source, `echo` a URL that tells a client's public
    address ("" for none), `timeout` bounds a connection (seconds)."""

    region: str = ""
    profile: str = ""
    source: str = ""
    echo: str = ""
    timeout: float = 3.0


class Ec2:
    """The door, for one walk."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def look(self, addresses: Mapping[str, tuple[str, ...]]) -> tuple[Snapshot, Source]:
        """What AWS says of these hosts and their IP addresses, and where this client comes from."""
        snapshot, source = await asyncio.gather(
            in_thread(self._snapshot, addresses), in_thread(self._source)
        )
        return snapshot, source

    def _snapshot(self, addresses: Mapping[str, tuple[str, ...]]) -> Snapshot:
        os.environ.setdefault("AWS_METADATA_SERVICE_TIMEOUT", "1")
        os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1")
        import boto3
        from botocore.exceptions import BotoCoreError

        try:
            session = boto3.Session(profile_name=self._asked.profile or None)
            known = session.get_credentials() is not None
        except BotoCoreError as error:
            return Snapshot(gaps=(_gap("sts:credentials", "", error),))
        if not known:
            words = "no AWS credentials: none in the environment, in ~/.aws or from the machine"
            return Snapshot(gaps=(Gap("sts:credentials", "", "credentials", words),))
        wanted = _wanted(addresses)
        regions, gaps, calls = self._regions(session, addresses)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(lambda r: _Region(session, r, self._asked).look(wanted), regions))
        return _together(found, tuple(regions), gaps, calls)

    def _regions(
        self, session: Any, addresses: Iterable[str]
    ) -> tuple[list[str], tuple[Gap, ...], int]:
        """The region asked for, those that names tell, the configured one, else all there are."""
        if self._asked.region:
            return [self._asked.region], (), 0
        told = sorted({m.group(1) for host in addresses if (m := _REGION.search(host.lower()))})
        configured = told or ([session.region_name] if session.region_name else [])
        if configured:
            return configured, (), 0
        asking = _Region(session, "us-east-1", self._asked)
        listed = asking.ask("ec2:DescribeRegions", "describe_regions", "Regions")
        regions = sorted(str(one.get("RegionName", "")) for one in listed)[:MAX_REGIONS]
        return regions, tuple(asking.gaps), asking.calls

    def _source(self) -> Source:
        if self._asked.source:
            return Source(self._asked.source, "given")
        own = _own_address()
        if own and not is_private(own):
            return Source(own, "interface")
        told = _echo(self._asked.echo, self._asked.timeout) if self._asked.echo else ""
        return Source(told, "echo") if told else Source()


@dataclass
class _Region:
    """One region, asked."""

    session: Any
    region: str
    asked: Asked
    gaps: list[Gap] = field(default_factory=list)
    calls: int = 0

    def look(self, wanted: Sequence[str]) -> Snapshot:
        """The interfaces of these addresses, and all that stands before them."""
        interfaces = self._interfaces(wanted)
        vpcs = sorted({one.vpc for one in interfaces})
        if not interfaces:
            return Snapshot(gaps=tuple(self.gaps), calls=self.calls)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            groups = pool.submit(self._groups, sorted({g for x in interfaces for g in x.groups}))
            acls = pool.submit(self._acls, sorted({one.subnet for one in interfaces}))
            tables = pool.submit(self._tables, vpcs)
            peered = pool.submit(self._peered)
            instances = pool.submit(
                self._instances, sorted({x.instance for x in interfaces} - {""})
            )
        lists = self._prefix_lists(groups.result(), tables.result())
        return Snapshot(
            interfaces=tuple(interfaces),
            instances=instances.result(),
            groups=groups.result(),
            acls=acls.result(),
            tables=tables.result(),
            prefix_lists=lists,
            peered=peered.result(),
            gaps=tuple(self.gaps),
            calls=self.calls,
        )

    def ask(self, call: str, method: str, key: str, **given: Any) -> list[Mapping[str, Any]]:
        """All pages of one answer; what goes wrong is a gap, and an empty answer."""
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(
            connect_timeout=min(2.0, self.asked.timeout),
            read_timeout=5,
            retries={"total_max_attempts": 2},
        )
        try:
            client = self.session.client("ec2", region_name=self.region, config=config)
            client.meta.events.register("before-send.ec2", self._count)
            if not client.can_paginate(method):
                return list(getattr(client, method)(**given).get(key, []))
            pages = client.get_paginator(method).paginate(**given)
            return [one for page in pages for one in page.get(key, [])]
        except (BotoCoreError, ClientError) as error:
            self.gaps.append(_gap(call, self.region, error))
            return []

    def _count(self, **_: Any) -> None:
        self.calls += 1

    def _by(
        self, call: str, method: str, key: str, name: str, values: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        """The answers to as many questions as filters of 200 values take."""
        for start in range(0, len(values), FILTER_VALUES):
            some = list(values[start : start + FILTER_VALUES])
            yield from self.ask(call, method, key, Filters=[{"Name": name, "Values": some}])

    def _interfaces(self, wanted: Sequence[str]) -> list[Interface]:
        """By private address, by public one, by IPv6 one. A public address that is no elastic one
        is known to its interface only: `association.public-ip` finds both kinds."""
        call, method, key = (
            "ec2:DescribeNetworkInterfaces", "describe_network_interfaces", "NetworkInterfaces",
        )  # fmt: skip
        v6 = [a for a in wanted if ":" in a]
        private = [a for a in wanted if a not in v6 and is_private(a)]
        public = [a for a in wanted if a not in v6 and a not in private]
        found: dict[str, Interface] = {}
        for name, values in (
            ("addresses.private-ip-address", private),
            ("ipv6-addresses.ipv6-address", v6),
        ):
            for one in self._by(call, method, key, name, values):
                found[str(one.get("NetworkInterfaceId"))] = _interface(one, self.region)
        for interface in self._of_public(public):
            found[interface.id] = interface
        return list(found.values())

    def _of_public(self, public: Sequence[str]) -> Iterator[Interface]:
        """The interfaces of public addresses: elastic ones tell theirs, instances the others."""
        elastic = list(
            self._by(
                "ec2:DescribeAddresses", "describe_addresses", "Addresses", "public-ip", public
            )
        )
        ids = {str(a["NetworkInterfaceId"]) for a in elastic if a.get("NetworkInterfaceId")}
        rest = [a for a in public if a not in {str(e.get("PublicIp")) for e in elastic}]
        for reservation in self._by(
            "ec2:DescribeInstances", "describe_instances", "Reservations", "ip-address", rest
        ):
            for instance in reservation.get("Instances", []):
                ids |= {str(i["NetworkInterfaceId"]) for i in instance.get("NetworkInterfaces", [])}
        for one in self._by(
            "ec2:DescribeNetworkInterfaces", "describe_network_interfaces", "NetworkInterfaces",
            "network-interface-id", sorted(ids),
        ):  # fmt: skip
            yield _interface(one, self.region)

    def _instances(self, ids: Sequence[str]) -> dict[str, Instance]:
        found: dict[str, Instance] = {}
        for reservation in self._by(
            "ec2:DescribeInstances", "describe_instances", "Reservations", "instance-id", ids
        ):
            for one in reservation.get("Instances", []):
                tags = {tag.get("Key"): tag.get("Value") for tag in one.get("Tags", [])}
                state = str(one.get("State", {}).get("Name", ""))
                name = clean(str(tags.get("Name") or ""), 80)
                found[str(one["InstanceId"])] = Instance(str(one["InstanceId"]), state, name)
        return found

    def _groups(self, ids: Sequence[str]) -> dict[str, SecurityGroup]:
        """The groups, with their rules by the ids that the console shows."""
        listed = list(
            self._by(
                "ec2:DescribeSecurityGroups", "describe_security_groups", "SecurityGroups",
                "group-id", ids,
            )
        )  # fmt: skip
        rules = list(
            self._by(
                "ec2:DescribeSecurityGroupRules", "describe_security_group_rules",
                "SecurityGroupRules", "group-id", ids,
            )
        )  # fmt: skip
        made = [(bool(rule.get("IsEgress")), _permission(rule)) for rule in rules]
        groups: dict[str, SecurityGroup] = {}
        for one in listed:
            group = str(one["GroupId"])
            own = [(egress, rule) for egress, rule in made if rule.group == group]
            groups[group] = SecurityGroup(
                group,
                clean(str(one.get("GroupName", "")), 80),
                str(one.get("VpcId", "")),
                tuple(rule for egress, rule in own if not egress),
                tuple(rule for egress, rule in own if egress),
            )
        return groups

    def _acls(self, subnets: Sequence[str]) -> tuple[NetworkAcl, ...]:
        return tuple(
            NetworkAcl(
                str(one["NetworkAclId"]),
                str(one.get("VpcId", "")),
                tuple(str(a["SubnetId"]) for a in one.get("Associations", []) if a.get("SubnetId")),
                tuple(_acl_entry(entry) for entry in one.get("Entries", [])),
            )
            for one in self._by(
                "ec2:DescribeNetworkAcls", "describe_network_acls", "NetworkAcls",
                "association.subnet-id", subnets,
            )
        )  # fmt: skip

    def _tables(self, vpcs: Sequence[str]) -> tuple[RouteTable, ...]:
        return tuple(
            RouteTable(
                str(one["RouteTableId"]),
                str(one.get("VpcId", "")),
                tuple(str(a["SubnetId"]) for a in one.get("Associations", []) if a.get("SubnetId")),
                any(a.get("Main") for a in one.get("Associations", [])),
                tuple(_route(route) for route in one.get("Routes", [])),
            )
            for one in self._by(
                "ec2:DescribeRouteTables", "describe_route_tables", "RouteTables", "vpc-id", vpcs
            )
        )

    def _peered(self) -> tuple[tuple[str, str], ...]:
        listed = self.ask(
            "ec2:DescribeVpcPeeringConnections", "describe_vpc_peering_connections",
            "VpcPeeringConnections",
        )  # fmt: skip
        return tuple(
            (str(one["RequesterVpcInfo"]["VpcId"]), str(one["AccepterVpcInfo"]["VpcId"]))
            for one in listed
            if one.get("Status", {}).get("Code") == "active"
            and "VpcId" in one.get("RequesterVpcInfo", {})
            and "VpcId" in one.get("AccepterVpcInfo", {})
        )

    def _prefix_lists(
        self, groups: Mapping[str, SecurityGroup], tables: Sequence[RouteTable]
    ) -> dict[str, tuple[str, ...]]:
        ids = {p.prefix_list for g in groups.values() for p in (*g.inbound, *g.outbound)}
        ids |= {r.network for t in tables for r in t.routes if r.network.startswith("pl-")}
        found: dict[str, tuple[str, ...]] = {}
        for one in sorted(ids - {""}):
            entries = self.ask(
                "ec2:GetManagedPrefixListEntries", "get_managed_prefix_list_entries", "Entries",
                PrefixListId=one,
            )  # fmt: skip
            found[one] = tuple(str(entry["Cidr"]) for entry in entries)
        return found


def _wanted(addresses: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Every address to look for; a public EC2 name carries its own, also where it was resolved."""
    found: dict[str, None] = {}
    for host, told in addresses.items():
        found.update(dict.fromkeys(a for a in told if not _loops(a)))
        named = _EC2_PUBLIC.match(host.lower())
        if named and parse(".".join(named.groups())):
            found[".".join(named.groups())] = None
    return list(found)


def _loops(address: str) -> bool:
    """Whether it can only be this machine. moto's elastic addresses are of 127/8 as well, and are
    looked for: only the usual loopback addresses are not."""
    return address in ("127.0.0.1", "::1")


def _together(
    found: Sequence[Snapshot], regions: tuple[str, ...], gaps: tuple[Gap, ...], calls: int
) -> Snapshot:
    merged = Snapshot(regions=regions, gaps=gaps, calls=calls)
    for one in found:
        merged = replace(
            merged,
            interfaces=merged.interfaces + one.interfaces,
            instances={**merged.instances, **one.instances},
            groups={**merged.groups, **one.groups},
            acls=merged.acls + one.acls,
            tables=merged.tables + one.tables,
            prefix_lists={**merged.prefix_lists, **one.prefix_lists},
            peered=merged.peered + one.peered,
            gaps=merged.gaps + one.gaps,
            calls=merged.calls + one.calls,
        )
    return merged


def _interface(one: Mapping[str, Any], region: str) -> Interface:
    addresses = one.get("PrivateIpAddresses", [])
    public = {
        str(a["PrivateIpAddress"]): str(a["Association"]["PublicIp"])
        for a in addresses
        if a.get("Association", {}).get("PublicIp")
    }
    own = one.get("PrivateIpAddress")
    if own and one.get("Association", {}).get("PublicIp"):
        public.setdefault(str(own), str(one["Association"]["PublicIp"]))
    private = [str(a["PrivateIpAddress"]) for a in addresses] or ([str(own)] if own else [])
    return Interface(
        id=str(one["NetworkInterfaceId"]),
        region=region,
        vpc=str(one.get("VpcId", "")),
        subnet=str(one.get("SubnetId", "")),
        private=tuple(private),
        public=public,
        ipv6=tuple(str(a["Ipv6Address"]) for a in one.get("Ipv6Addresses", [])),
        groups=tuple(str(g["GroupId"]) for g in one.get("Groups", [])),
        instance=str((one.get("Attachment") or {}).get("InstanceId") or ""),
        kind=str(one.get("InterfaceType", "")),
        description=clean(str(one.get("Description", "")), 200),
    )


def _permission(one: Mapping[str, Any]) -> Permission:
    """A security group's rule; -1 for a port is EC2's word for all."""
    peer = one.get("ReferencedGroupInfo") or {}
    first, last = one.get("FromPort"), one.get("ToPort")
    return Permission(
        id=str(one["SecurityGroupRuleId"]),
        group=str(one["GroupId"]),
        protocol=str(one.get("IpProtocol", "-1")),
        from_port=None if first in (None, -1) else int(first),
        to_port=None if last in (None, -1) else int(last),
        cidr=str(one.get("CidrIpv4") or one.get("CidrIpv6") or ""),
        prefix_list=str(one.get("PrefixListId") or ""),
        peer_group=str(peer.get("GroupId") or ""),
        peer_account=str(peer.get("UserId") or ""),
        description=clean(str(one.get("Description") or ""), 120),
    )


def _acl_entry(one: Mapping[str, Any]) -> AclEntry:
    ports = one.get("PortRange", {})
    return AclEntry(
        number=int(one["RuleNumber"]),
        egress=bool(one["Egress"]),
        allow=one["RuleAction"] == "allow",
        protocol=str(one.get("Protocol", "-1")),
        cidr=str(one.get("CidrBlock") or one.get("Ipv6CidrBlock") or ""),
        from_port=ports.get("From"),
        to_port=ports.get("To"),
    )


def _route(one: Mapping[str, Any]) -> Route:
    network = (
        one.get("DestinationCidrBlock")
        or one.get("DestinationIpv6CidrBlock")
        or one.get("DestinationPrefixListId")
        or ""
    )
    targets = ("GatewayId", "NatGatewayId", "TransitGatewayId", "VpcPeeringConnectionId",
               "EgressOnlyInternetGatewayId", "NetworkInterfaceId", "InstanceId",
               "LocalGatewayId", "CarrierGatewayId", "CoreNetworkArn")  # fmt: skip
    target = next((str(one[name]) for name in targets if one.get(name)), "")
    return Route(str(network), target, one.get("State") == "blackhole")


def _gap(call: str, region: str, error: Exception) -> Gap:
    """Why AWS did not tell; botocore's own errors by their kind, AWS's by their code."""
    from botocore import exceptions

    response = getattr(error, "response", None)
    if isinstance(response, dict):
        code = str(response.get("Error", {}).get("Code", ""))
        words = clean(f"{code}: {response.get('Error', {}).get('Message', '')}", 200)
        return Gap(call, region, _REASONS.get(code, "failed"), words)
    kinds: tuple[tuple[tuple[type, ...], str], ...] = (
        (
            (
                exceptions.NoCredentialsError,
                exceptions.PartialCredentialsError,
                exceptions.CredentialRetrievalError,
                exceptions.ProfileNotFound,
                exceptions.ConfigNotFound,
                exceptions.ConfigParseError,
            ),
            "credentials",
        ),
        ((exceptions.TokenRetrievalError, exceptions.SSOTokenLoadError), "expired"),
        (
            (
                exceptions.NoRegionError,
                exceptions.InvalidRegionError,
                exceptions.UnknownRegionError,
                exceptions.UnknownEndpointError,
            ),
            "region",
        ),
        ((exceptions.HTTPClientError, exceptions.ConnectionError), "unreachable"),
    )
    reason = next((why for types, why in kinds if isinstance(error, types)), "failed")
    return Gap(call, region, reason, clean(str(error), 200))


def _own_address() -> str:
    """The address that this machine's packets to the internet leave by; none is sent for it."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # TEST-NET-1: a route is looked up, nothing is sent
            return str(sock.getsockname()[0])
        except OSError:
            return ""


def _echo(url: str, timeout: float) -> str:
    """What a service on the internet takes this client's address to be, "" if it does not say."""
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=min(timeout, 2.0)) as answer:
            told = answer.read(200).decode("ascii", "replace").strip()
    except (OSError, ValueError):
        return ""
    try:
        return str(ipaddress.ip_address(told))
    except ValueError:
        return ""
