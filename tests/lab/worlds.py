"""What may stand before the brokers in the made-up AWS: a world in a few lines, built in moto.

packets.py makes the same of nftables and routes, from what AWS tells of it: the two cannot drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.accounts import Account
from tests.lab.listeners import NODES
from tests.lab.network import HOMES, LAPTOP, PUBLICS

WORLD = "0.0.0.0/0"
ME = f"{LAPTOP}/32"


@dataclass(frozen=True)
class World:
    """Three brokers in one subnet. `lets` are the lines of their security group, `9094
    203.0.113.10/32` with a port, a range or `*`; `apart` has the lines of a group of its own for a
    broker. Those of the network ACL are `90 deny 9094 0.0.0.0/0`, by way; those of the subnet's
    route table `0.0.0.0/0 igw` (or nat), and with `main` it is the VPC's main table that has them.
    `elastic` are the brokers that have a public address, `stopped` those that do not run.
    """

    lets: Sequence[str] = (f"9094 {ME}",)
    apart: Mapping[int, Sequence[str]] = field(default_factory=dict)
    requests: Sequence[str] = (f"100 allow * {WORLD}",)
    answers: Sequence[str] = (f"100 allow * {WORLD}",)
    routes: Sequence[str] = (f"{WORLD} igw",)
    main: bool = False
    elastic: Sequence[int] = NODES
    stopped: Sequence[int] = ()


def build(world: World, account: Account) -> dict[str, str]:
    """Makes it in an empty account; gives the ids by which a verdict may name its parts: group,
    group1 to group3 (a broker's), acl, table, igw, nat."""
    account.reset()
    account.network(subnet="10.0.1.0/24")
    ec2 = account.client()
    ids = {"group": account.group, "igw": account.gateway}
    ids |= {"acl": _acl(world, account), **_routes(world, account)}
    _rules(account, account.group, world.lets)
    for node in NODES:
        own = account.group
        if node in world.apart:
            name = f"kafka-{node}"
            made = ec2.create_security_group(GroupName=name, Description=name, VpcId=account.vpc)
            own = made["GroupId"]
            _rules(account, own, world.apart[node])
        ids[f"group{node}"] = own
        public = PUBLICS[node - 1] if node in world.elastic else False
        account.broker(HOMES[node - 1], public=public, groups=[own])
    for told in ec2.describe_instances()["Reservations"]:
        for instance in told["Instances"]:
            if HOMES.index(instance["PrivateIpAddress"]) + 1 in world.stopped:
                ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    return ids


def _rules(account: Account, group: str, lines: Sequence[str]) -> None:
    for line in lines:
        ports, cidr = line.split()
        low, high = _ports(ports)
        permission = {"IpProtocol": "tcp", "FromPort": low, "ToPort": high}
        account.client().authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{**permission, "IpRanges": [{"CidrIp": cidr}]}]
        )


def _acl(world: World, account: Account) -> str:
    """A network ACL before the subnet, in the place of the VPC's own."""
    ec2 = account.client()
    acl: str = ec2.create_network_acl(VpcId=account.vpc)["NetworkAcl"]["NetworkAclId"]
    for out, lines in ((False, world.requests), (True, world.answers)):
        for line in lines:
            number, action, ports, cidr = line.split()
            low, high = _ports(ports)
            ec2.create_network_acl_entry(
                NetworkAclId=acl, Egress=out, RuleNumber=int(number), RuleAction=action,
                Protocol="6", PortRange={"From": low, "To": high}, CidrBlock=cidr,
            )  # fmt: skip
    for told in ec2.describe_network_acls()["NetworkAcls"]:
        for before in told["Associations"]:
            if before["SubnetId"] == account.subnet:
                ec2.replace_network_acl_association(
                    AssociationId=before["NetworkAclAssociationId"], NetworkAclId=acl
                )
    return acl


def _routes(world: World, account: Account) -> dict[str, str]:
    """The routes of the table that serves the subnet; its id, and a NAT gateway's if need be."""
    ec2 = account.client()
    ids = {"table": account.table, "nat": ""}
    for told in ec2.describe_route_tables()["RouteTables"]:
        for each in told["Associations"]:
            if world.main and each.get("SubnetId"):
                ec2.disassociate_route_table(AssociationId=each["RouteTableAssociationId"])
            if world.main and each["Main"] and told["VpcId"] == account.vpc:
                ids["table"] = told["RouteTableId"]
    ec2.delete_route(RouteTableId=account.table, DestinationCidrBlock=WORLD)
    for line in world.routes:
        network, target = line.split()
        if target == "nat":
            made = ec2.create_nat_gateway(SubnetId=account.subnet, ConnectivityType="private")
            ids["nat"] = made["NatGateway"]["NatGatewayId"]
        to = {"NatGatewayId": ids["nat"]} if target == "nat" else {"GatewayId": account.gateway}
        ec2.create_route(RouteTableId=ids["table"], DestinationCidrBlock=network, **to)
    return ids


def _ports(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return (0, 65535) if text == "*" else (int(low), int(high or low))
