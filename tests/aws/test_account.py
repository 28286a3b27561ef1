"""The facts of an AWS account about addresses, with real boto3 calls to a fake account."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from kdiag.aws import managed
from kdiag.aws.account import snapshot
from kdiag.aws.ec2 import MAX_FILTER_VALUES, AwsApi
from kdiag.aws.facts import Instance, Snapshot
from tests.accounts import LAPTOP, PRIVATE, REGION, Account, json_response, paged, text_response

MSK = "demo.a1b2c3.c2.kafka.eu-west-2.amazonaws.com"


def facts_about(
    *addresses: str, region: str = "", own: str = "", **names: tuple[str, ...]
) -> Snapshot:
    """The facts about these addresses, and about the hosts in `names`."""
    return facts_about_hosts({**{a: (a,) for a in addresses}, **names}, region=region, own=own)


def facts_about_hosts(
    hosts: Mapping[str, tuple[str, ...]], *, region: str = "", own: str = ""
) -> Snapshot:
    api = AwsApi("", time.monotonic() + 30)
    api.open()
    return snapshot(api, hosts, region, own)


def ids(found: Snapshot) -> set[str]:
    return {address for one in found.interfaces for address in one.private}


def test_all_facts_about_three_brokers(account: Account) -> None:
    public = account.three()
    account.calls.clear()
    found = facts_about(*public)
    assert found.unavailable == ()
    assert found.regions == (REGION,)
    assert ids(found) == set(PRIVATE)
    first = found.interfaces_with(public[0])[0]
    assert first.public == {PRIVATE[0]: public[0]}
    assert (first.region, first.vpc, first.subnet) == (REGION, account.vpc, account.subnet)
    assert first.groups == (account.group,)
    assert found.instances[first.instance] == Instance(
        first.instance, "running", f"kafka-{PRIVATE[0]}"
    )
    group = found.groups[account.group]
    assert (group.name, group.vpc) == ("kafka", account.vpc)
    (rule,) = group.inbound
    assert rule.id.startswith("sgr-")
    assert (rule.protocol, rule.from_port, rule.to_port) == ("tcp", 9094, 9094)
    assert (rule.cidr, rule.description) == (f"{LAPTOP}/32", "laptop")
    (out,) = group.outbound
    assert (out.protocol, out.from_port, out.to_port, out.cidr) == ("-1", None, None, "0.0.0.0/0")
    own = next(table for table in found.tables if table.id == account.table)
    assert (own.subnets, own.main) == ((account.subnet,), False)
    routes = {route.network: route.target for route in own.routes}
    assert routes == {"10.0.0.0/16": "local", "0.0.0.0/0": account.gateway}
    assert sum(table.main for table in found.tables) == 1
    (acl,) = found.acls
    assert account.subnet in acl.subnets
    assert [(e.number, e.allow) for e in acl.entries] == [(100, True), (100, True)]


def test_three_brokers_need_at_most_twelve_calls(account: Account) -> None:
    public = account.three()
    account.calls.clear()
    found = facts_about(*public, *PRIVATE, "2001:db8::1", own="192.168.1.5")
    assert 0 < len(account.calls) <= 12
    assert found.calls == len(account.calls)


def test_300_addresses_need_one_call_more_than_3(account: Account) -> None:
    account.network()
    addresses = [f"10.0.{1 + n // 200}.{11 + n % 200}" for n in range(300)]
    for address in addresses:
        account.create_interface(address)
    account.calls.clear()
    few = facts_about(*addresses[:3])
    small = len(account.calls)
    account.calls.clear()
    many = facts_about(*addresses)
    assert (len(few.interfaces), len(many.interfaces)) == (3, 300)
    assert max(len(call.values) for call in account.calls) == MAX_FILTER_VALUES
    assert len(account.calls) - small == 1, "one more, for the other 100 of 300 addresses"


def test_all_pages_of_a_response_are_read(account: Account) -> None:
    account.three()
    account.overrides = {
        "ec2:DescribeNetworkInterfaces": paged(2, "networkInterfaceSet"),
        "ec2:DescribeSecurityGroupRules": paged(1, "securityGroupRuleSet"),
    }
    account.calls.clear()
    found = facts_about(*PRIVATE)
    assert ids(found) == set(PRIVATE)
    assert len(found.groups[account.group].inbound) == 1
    assert len(found.groups[account.group].outbound) == 1
    assert account.call_counts["DescribeNetworkInterfaces"] == 2
    assert account.call_counts["DescribeSecurityGroupRules"] == 2
    assert found.calls == len(account.calls)


def test_a_public_address_without_an_instance(account: Account) -> None:
    account.network()
    public = account.create_interface(PRIVATE[0], public=True, Description="ECS task")
    found = facts_about(public)
    (one,) = found.interfaces_with(public)
    assert (one.instance, one.description) == ("", "ECS task")


def test_every_private_address_of_an_interface_has_its_own_public_one(account: Account) -> None:
    """Two listeners on one instance, each with an elastic address: AWS finds the instance only by
    the first address. moto has no secondary addresses."""
    account.three()
    pairs = {"10.0.1.21": "198.51.100.21", "10.0.1.22": "198.51.100.22", "10.0.1.23": ""}
    items = "".join(
        f"<item><privateIpAddress>{own}</privateIpAddress>"
        + (f"<association><publicIp>{outer}</publicIp></association>" if outer else "")
        + "</item>"
        for own, outer in pairs.items()
    )
    one = (
        f"<item><networkInterfaceId>eni-1</networkInterfaceId><vpcId>{account.vpc}</vpcId>"
        f"<subnetId>{account.subnet}</subnetId><privateIpAddress>10.0.1.21</privateIpAddress>"
        f"<privateIpAddressesSet>{items}</privateIpAddressesSet></item>"
    )
    account.overrides["ec2:DescribeNetworkInterfaces"] = text_response(
        200,
        "<DescribeNetworkInterfacesResponse><networkInterfaceSet>"
        f"{one}</networkInterfaceSet></DescribeNetworkInterfacesResponse>",
        "text/xml",
    )
    found = facts_about("198.51.100.22", "10.0.1.21")
    (interface,) = found.interfaces_with("198.51.100.22")
    assert interface.private == tuple(pairs)
    assert interface.public == {"10.0.1.21": "198.51.100.21", "10.0.1.22": "198.51.100.22"}
    assert found.interfaces_with("10.0.1.21") == (interface,)


def test_ipv6(account: Account) -> None:
    account.network()
    account.create_interface(PRIVATE[0], Ipv6Addresses=[{"Ipv6Address": "2a05:d01c::11"}])
    found = facts_about("2a05:d01c:0::11")
    assert [one.ipv6 for one in found.interfaces_with("2a05:d01c::11")] == [("2a05:d01c::11",)]


def test_of_two_vpcs_with_an_address_the_vpc_of_the_public_addresses_counts(
    account: Account,
) -> None:
    account.network()
    account.create_interface(PRIVATE[1])
    other = account.vpc
    public = account.three()
    both = facts_about(PRIVATE[1])
    assert {one.vpc for one in both.interfaces_with(PRIVATE[1])} == {other, account.vpc}
    found = facts_about(public[0], *PRIVATE)
    assert [one.vpc for one in found.interfaces_with(PRIVATE[1])] == [account.vpc]


def test_the_region_in_a_host_name_is_used(account: Account) -> None:
    account.three()
    account.calls.clear()
    found = facts_about_hosts({f"ip-10-0-1-11.{REGION}.compute.internal": (PRIVATE[0],)})
    assert ids(found) == {PRIVATE[0]}
    facts_about_hosts({"ip-10-0-1-11.ec2.internal": (PRIVATE[0],)})
    assert {call.region for call in account.calls} == {REGION, "us-east-1"}


def test_a_given_region_is_the_only_region_with_calls(account: Account) -> None:
    account.three()
    account.calls.clear()
    found = facts_about(*PRIVATE, region="us-east-1")
    assert found.interfaces == ()
    assert found.regions == ("us-east-1",)
    assert {call.region for call in account.calls} == {"us-east-1"}


@pytest.mark.parametrize(
    ("name", "configured"),
    [("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1"), ("", "")],
)
def test_all_regions_are_searched_if_the_configured_region_has_no_matches(
    account: Account, monkeypatch: pytest.MonkeyPatch, name: str, configured: str
) -> None:
    account.three()
    if configured:
        monkeypatch.setenv(name, configured)
    else:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
    account.calls.clear()
    found = facts_about(*PRIVATE)
    assert ids(found) == set(PRIVATE)
    assert found.regions == (REGION,)
    assert account.call_counts["DescribeRegions"] == 1
    assert account.call_counts["DescribeNetworkInterfaces"] > 10
    assert account.call_counts["DescribeRouteTables"] == 1


def test_local_addresses_need_no_calls(account: Account) -> None:
    facts_about("127.0.0.1", "0.0.0.0", "::1")
    assert account.calls == []


def test_an_unknown_address_has_no_interface(account: Account) -> None:
    account.three()
    found = facts_about("198.51.100.7", region=REGION)
    assert (found.interfaces, found.unavailable) == ((), ())


def test_the_interface_of_the_client_is_found_too(account: Account) -> None:
    public = account.three()
    account.broker("10.0.1.50", public=False)
    found = facts_about(*public, own="10.0.1.50")
    assert ids(found) == {*PRIVATE, "10.0.1.50"}


def test_references_to_groups_and_prefix_lists(account: Account) -> None:
    account.three()
    ec2 = account.client()
    made = ec2.create_managed_prefix_list(
        PrefixListName="offices",
        AddressFamily="IPv4",
        MaxEntries=5,
        Entries=[{"Cidr": "198.51.100.0/24"}, {"Cidr": "203.0.113.0/24"}],
    )["PrefixList"]["PrefixListId"]
    account.allow((9092, 9093), PrefixListIds=[{"PrefixListId": made}])
    account.allow((9092, 9092), UserIdGroupPairs=[{"GroupId": account.group}])
    account.allow((9092, 9092), Ipv6Ranges=[{"CidrIpv6": "2001:db8::/32"}])
    account.calls.clear()
    found = facts_about(*PRIVATE)
    peers = {rule.peer for rule in found.groups[account.group].inbound}
    assert peers == {f"{LAPTOP}/32", made, account.group, "2001:db8::/32"}
    assert found.prefix_lists == {made: ("198.51.100.0/24", "203.0.113.0/24")}
    assert account.call_counts["GetManagedPrefixListEntries"] == 1


def test_only_peerings_in_routes_are_described(account: Account) -> None:
    account.network("10.1.0.0/16", "10.1.1.0/24")
    other = account.vpc
    account.three()
    ec2 = account.client()
    made = ec2.create_vpc_peering_connection(VpcId=other, PeerVpcId=account.vpc)
    peering = made["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    assert facts_about(*PRIVATE).peered == ()
    ec2.create_route(
        RouteTableId=account.table,
        DestinationCidrBlock="10.1.0.0/16",
        VpcPeeringConnectionId=peering,
    )
    assert facts_about(*PRIVATE).peered == ((other, account.vpc),)


def test_a_load_balancer_by_its_name(account: Account) -> None:
    account.three(public=False)
    elb = account.client("elbv2")
    made = elb.create_load_balancer(
        Name="kafka", Type="network", Scheme="internet-facing", Subnets=[account.subnet]
    )["LoadBalancers"][0]
    group = elb.create_target_group(
        Name="brokers", Protocol="TCP", Port=9094, VpcId=account.vpc, TargetType="instance"
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "preserve_client_ip.enabled", "Value": "true"}]
    )
    elb.modify_load_balancer_attributes(
        LoadBalancerArn=made["LoadBalancerArn"],
        Attributes=[{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}],
    )
    instances = account.client().describe_instances()["Reservations"]
    targets = [each["InstanceId"] for r in instances for each in r["Instances"]]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": targets[0], "Port": 9094}])
    elb.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="TCP",
        Port=9095,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    name = made["DNSName"]
    account.calls.clear()
    found = facts_about_hosts({name: ("198.51.100.9",)})
    (balancer,) = found.balancers
    assert (balancer.name, balancer.scheme, balancer.kind) == (
        "kafka",
        "internet-facing",
        "network",
    )
    assert balancer.cross_zone
    (listener,) = balancer.listeners
    assert (listener.port, listener.protocol, listener.target_group) == (9095, "TCP", group)
    assert listener.preserves_client_ip
    assert [(t.target, t.port) for t in listener.targets] == [(targets[0], 9094)]
    assert {one.instance for one in found.interfaces} == {targets[0]}
    assert account.group in found.groups
    facts_about_hosts({PRIVATE[0]: (PRIVATE[0],)})
    assert account.call_counts["DescribeLoadBalancers"] == 1, "only where a name points there"


def test_only_the_first_of_many_target_groups_are_described(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are unavailable, and kdiag reports nothing about them."""
    monkeypatch.setattr(managed, "MAX_BALANCERS", 2)
    monkeypatch.setattr(managed, "MAX_TARGET_GROUPS", 3)
    account.three(public=False)
    elb = account.client("elbv2")
    names = []
    for front in ("a", "b", "c"):
        made = elb.create_load_balancer(Name=front, Type="network", Subnets=[account.subnet])
        names.append(made["LoadBalancers"][0]["DNSName"])
        for port in (9094, 9095):
            group = elb.create_target_group(
                Name=f"{front}-{port}", Protocol="TCP", Port=port, VpcId=account.vpc
            )["TargetGroups"][0]["TargetGroupArn"]
            elb.create_listener(
                LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
                Protocol="TCP",
                Port=port,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
            )
    account.calls.clear()
    found = facts_about_hosts(dict.fromkeys(names, ("198.51.100.9",)))
    assert [(b.name, len(b.listeners)) for b in found.balancers] == [("a", 2)]
    assert [(gap.call, gap.reason) for gap in found.unavailable] == [
        ("elasticloadbalancing:DescribeListeners", "skipped"),
        ("elasticloadbalancing:DescribeTargetHealth", "skipped"),
    ]
    assert (
        account.call_counts["DescribeListeners"],
        account.call_counts["DescribeTargetHealth"],
    ) == (2, 3)


def test_an_msk_cluster_by_the_host_names_of_its_brokers(account: Account) -> None:
    account.network()
    account.client("kafka").create_cluster_v2(
        ClusterName="demo",
        Provisioned={
            "BrokerNodeGroupInfo": {
                "ClientSubnets": [account.subnet],
                "InstanceType": "kafka.m5.large",
                "SecurityGroups": [account.group],
            },
            "KafkaVersion": "3.9.0",
            "NumberOfBrokerNodes": 3,
        },
    )
    names = [f"b-{n}.{MSK}" for n in (1, 2)]
    nodes = [
        {"brokerNodeInfo": {"brokerId": n, "endpoints": [name]}} for n, name in enumerate(names)
    ]
    account.overrides = {"kafka:ListNodes": json_response(nodeInfoList=nodes)}
    account.calls.clear()
    found = facts_about_hosts({names[0]: (PRIVATE[0],)})
    (cluster,) = found.clusters
    assert (cluster.name, cluster.brokers) == ("demo", tuple(names))
    assert (cluster.groups, cluster.subnets) == ((account.group,), (account.subnet,))
    assert cluster.ports == {"TLS": 9094}
    assert account.call_counts["ListClustersV2"] == account.call_counts["ListNodes"] == 1
    assert facts_about_hosts({f"b-1.{MSK.replace('demo', 'other')}": ()}).clusters == ()


@pytest.mark.parametrize(
    ("login", "wire", "public", "ports"),
    [
        ({}, "TLS", "DISABLED", {9094}),
        ({}, "TLS_PLAINTEXT", "DISABLED", {9092, 9094}),
        ({}, "PLAINTEXT", "DISABLED", {9092}),
        ({"sasl": {"scram": {"enabled": True}}}, "TLS", "DISABLED", {9096}),
        (
            {"sasl": {"scram": {"enabled": True}, "iam": {"enabled": True}}},
            "TLS", "SERVICE_PROVIDED_EIPS", {9096, 9098, 9196, 9198},
        ),
        (
            {"tls": {"enabled": True}, "sasl": {"iam": {"enabled": False}}},
            "TLS", "SERVICE_PROVIDED_EIPS", {9094, 9194},
        ),
        (
            {"unauthenticated": {"enabled": True}, "sasl": {"iam": {"enabled": True}}},
            "TLS", "DISABLED", {9094, 9098},
        ),
    ],
)  # fmt: skip
def test_the_ports_of_an_msk_cluster(
    account: Account, login: dict[str, Any], wire: str, public: str, ports: set[int]
) -> None:
    cluster = {
        "clusterArn": "arn:aws:kafka:eu-west-2:1:cluster/demo/1", "clusterName": "Demo",
        "state": "ACTIVE", "clusterType": "PROVISIONED",
        "provisioned": {
            "brokerNodeGroupInfo": {"connectivityInfo": {"publicAccess": {"type": public}}},
            "clientAuthentication": login,
            "encryptionInfo": {"encryptionInTransit": {"clientBroker": wire}},
        },
    }  # fmt: skip
    node = {"brokerNodeInfo": {"endpoints": [f"b-1.{MSK}"]}}
    account.overrides = {
        "kafka:ListClustersV2": json_response(clusterInfoList=[cluster]),
        "kafka:ListNodes": json_response(nodeInfoList=[node]),
    }
    (found,) = facts_about_hosts({f"b-1-public.{MSK}": ()}).clusters
    assert (found.name, found.state, found.public) == ("Demo", "ACTIVE", public)
    assert set(found.ports.values()) == ports
