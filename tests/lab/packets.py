"""An account of AWS as packets meet it: nftables and routes from what AWS tells of its resources.

It is written from AWS's documentation, and shares nothing with kdiag. What arrives at the gateway
for a public address is asked by the network ACL, in order and without state, then by the security
groups, which know the connections that they let in; answers are asked by the network ACL again, and
go where the subnet's own route table leads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.lab.network import Namespace

_TABLE = 100  # of routes; a subnet's is this and its place
_ALL = "-1"
_NUMBERS = {"6": "tcp", "17": "udp"}


@dataclass(frozen=True)
class Packets:
    """What the gateway of a network has to do."""

    nft: str
    rules: tuple[str, ...]  # for `ip rule`, which is for routes by where a packet comes from
    routes: str

    @contextmanager
    def at(self, gateway: Namespace) -> Iterator[None]:
        """The gateway does it."""
        try:
            gateway.run("nft", "-f", "-", stdin=self.nft)
            gateway.ip(self.routes + "".join(f"rule add {rule}\n" for rule in self.rules))
            yield
        finally:
            gateway.run("nft", "-f", "-", stdin="table ip aws\ndelete table ip aws\n")
            gateway.ip("".join(f"rule del {rule}\n" for rule in self.rules))
            for at in range(len(self.rules)):
                gateway.ip(f"route flush table {_TABLE + at}\n")


def compiled(ec2: Any) -> Packets:
    """Of all that this client of boto3 sees."""
    groups = {g["GroupId"]: g for g in ec2.describe_security_groups()["SecurityGroups"]}
    acls = ec2.describe_network_acls()["NetworkAcls"]
    tables = ec2.describe_route_tables()["RouteTables"]
    interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
    used = {each["SubnetId"] for each in interfaces}
    subnets = [s for s in ec2.describe_subnets()["Subnets"] if s["SubnetId"] in used]
    stopped = {
        instance["InstanceId"]
        for told in ec2.describe_instances()["Reservations"]
        for instance in told["Instances"]
        if instance["State"]["Name"] != "running"
    }
    before = {a["SubnetId"]: acl for acl in acls for a in acl["Associations"] if "SubnetId" in a}
    chains = [chain for acl in acls for chain in _acl(acl)]
    arriving, leaving = [], []
    for each in interfaces:
        public = each.get("Association", {}).get("PublicIp")
        if public:
            dead = each.get("Attachment", {}).get("InstanceId") in stopped
            lines = ["drop"] if dead else [f"jump {_name(before[each['SubnetId']], 'in')}"]
            lines += ["ct state established,related accept"]
            lines += [rule for g in each["Groups"] for rule in _group(groups[g["GroupId"]])]
            chains.append(_chain(f"to_{public.replace('.', '_')}", [*lines, "drop"]))
            arriving.append(f'iifname "wan" ip daddr {public} jump to_{public.replace(".", "_")}')
    arriving.append('iifname "wan" ip daddr 3.0.0.0/8 drop')  # it is nobody's
    for subnet in subnets:
        acl = _name(before[subnet["SubnetId"]], "out")
        leaving.append(f'oifname "wan" ip saddr {subnet["CidrBlock"]} jump {acl}')
    hooks = (
        _chain("arriving", ["type filter hook prerouting priority -150", *arriving]),
        _chain("leaving", ["type filter hook forward priority -10", *leaving]),
    )
    routed = [_routes(at, s, tables) for at, s in enumerate(subnets)]
    return Packets(
        "table ip aws {\n" + "".join([*chains, *hooks]) + "}\n",
        tuple(
            f"from {s['CidrBlock']} iif vpc lookup {_TABLE + at}" for at, s in enumerate(subnets)
        ),
        "".join(routed),
    )


def _acl(acl: dict[str, Any]) -> Iterator[str]:
    """A chain for each way: the lowest number that fits decides."""
    for way, field in (("in", "saddr"), ("out", "daddr")):
        lines = []
        for entry in sorted(acl["Entries"], key=lambda entry: entry["RuleNumber"]):
            if entry["Egress"] is (way == "out"):
                ports = entry.get("PortRange", {})
                fits = _fits(entry["Protocol"], ports.get("From"), ports.get("To"))
                then = "return" if entry["RuleAction"] == "allow" else "drop"
                lines.append(f"ip {field} {entry['CidrBlock']} {fits} {then}")
        yield _chain(_name(acl, way), [*lines, "drop"])


def _group(group: dict[str, Any]) -> Iterator[str]:
    """What a group lets in; members of other groups do not come by public addresses."""
    for rule in group["IpPermissions"]:
        fits = _fits(rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"))
        for network in rule["IpRanges"]:
            yield f"ip saddr {network['CidrIp']} {fits} accept"


def _fits(protocol: str, low: int | None, high: int | None) -> str:
    if protocol == _ALL:
        return ""
    ports = "" if low is None or high is None else f"dport {low}-{high}"
    return f"{_NUMBERS.get(protocol, protocol)} {ports}"


def _routes(at: int, subnet: dict[str, Any], tables: list[dict[str, Any]]) -> str:
    """The routes of a subnet; what does not lead to an internet gateway, or nowhere, is lost."""
    here = [table for table in tables if table["VpcId"] == subnet["VpcId"]]
    own = [t for t in here if subnet["SubnetId"] in {a.get("SubnetId") for a in t["Associations"]}]
    main = [t for t in here if any(a.get("Main") for a in t["Associations"])]
    lines = [f"route add blackhole default metric 4000 table {_TABLE + at}\n"]
    for route in (own or main)[0]["Routes"]:
        target, network = route.get("GatewayId", ""), route["DestinationCidrBlock"]
        if target == "local":
            lines.append(f"route add {network} dev vpc table {_TABLE + at}\n")
        elif target.startswith("igw-"):
            lines.append(f"route add {network} dev wan table {_TABLE + at}\n")
        else:
            lines.append(f"route add blackhole {network} table {_TABLE + at}\n")
    return "".join(lines)


def _name(acl: dict[str, Any], way: str) -> str:
    return f"{way}_{acl['NetworkAclId'].replace('-', '_')}"


def _chain(name: str, lines: list[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"
