"""Reachability in AWS: the verdict and the deciding id for rules, source addresses and ports.

The cases follow the Amazon VPC user guide: security group rules, network ACL rules, route
priority, and custom network ACLs for ephemeral ports.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kdiag.aws.facts import ClientAddress, NetworkInterface, Snapshot
from kdiag.aws.reachability import analyze
from kdiag.aws.verdict import PathVerdict, Reachability
from tests.clouds import (
    EVERYBODY,
    OPEN_ACL,
    PRIVATE,
    PUBLIC,
    SUBNET,
    TO_THE_WORLD,
    V6,
    acl,
    group,
    interface,
    snapshot,
    table,
)
from tests.together import together

LAPTOP = "203.0.113.10"
LAPTOP6 = "2001:db8:7::10"
A, B, U = PathVerdict.ALLOWED, PathVerdict.BLOCKED, PathVerdict.UNKNOWN


def reachability(
    world: Snapshot, source: str = LAPTOP, address: str = PUBLIC[0], port: int = 9094
) -> Reachability:
    """The reachability of the first interface by this address, for a client at `source`."""
    where = ClientAddress(source, "given" if source else "unknown")
    return analyze(world, where, world.interfaces[0], address, port)


def verdict_of(verdict: Reachability) -> tuple[PathVerdict, str]:
    return verdict.verdict, verdict.deciding_step.decided_by


def rules(*lines: str) -> Snapshot:
    return snapshot(groups=[group(*lines)])


def lists(*lines: str, **known: tuple[str, ...]) -> Snapshot:
    named = {f"pl-{name}": networks for name, networks in known.items()}
    return snapshot(groups=[group(*lines)], prefix_lists=named)


# Security groups, for a client at 203.0.113.10 that dials 9094.
GROUPS: list[tuple[str, Snapshot, str, str, PathVerdict, str]] = [
    ("a rule for this client and port", rules("r1 tcp 9094 203.0.113.10/32"), LAPTOP, "", A, "r1"),
    ("the whole world", rules("r1 tcp 9094 0.0.0.0/0"), LAPTOP, "", A, "r1"),
    ("no rule at all", rules(), LAPTOP, "", B, "sg-1"),
    ("another port", rules("r1 tcp 9092 0.0.0.0/0"), LAPTOP, "", B, "sg-1"),
    ("another client", rules("r1 tcp 9094 203.0.113.11/32"), LAPTOP, "", B, "sg-1"),
    ("a network with this client", rules("r1 tcp 9094 203.0.113.0/24"), LAPTOP, "", A, "r1"),
    ("its first address", rules("r1 tcp 9094 203.0.113.10/31"), LAPTOP, "", A, "r1"),
    ("its last address", rules("r1 tcp 9094 203.0.113.8/30"), "203.0.113.11", "", A, "r1"),
    ("one past its last", rules("r1 tcp 9094 203.0.113.8/30"), "203.0.113.12", "", B, "sg-1"),
    ("the first of a range", rules("r1 tcp 9094-9099 0.0.0.0/0"), LAPTOP, "", A, "r1"),
    ("the last of a range", rules("r1 tcp 9000-9094 0.0.0.0/0"), LAPTOP, "", A, "r1"),
    ("just before a range", rules("r1 tcp 9095-9099 0.0.0.0/0"), LAPTOP, "", B, "sg-1"),
    ("just behind a range", rules("r1 tcp 9000-9093 0.0.0.0/0"), LAPTOP, "", B, "sg-1"),
    ("all TCP", rules("r1 tcp 0-65535 0.0.0.0/0"), LAPTOP, "", A, "r1"),
    ("all traffic", rules("r1 -1 * 0.0.0.0/0"), LAPTOP, "", A, "r1"),
    ("TCP by its number", rules("r1 6 9094 0.0.0.0/0"), LAPTOP, "", A, "r1"),
    ("UDP", rules("r1 udp 9094 0.0.0.0/0"), LAPTOP, "", B, "sg-1"),
    ("UDP by its number", rules("r1 17 9094 0.0.0.0/0"), LAPTOP, "", B, "sg-1"),
    ("ICMP", rules("r1 icmp * 0.0.0.0/0"), LAPTOP, "", B, "sg-1"),
    ("all traffic from another network", rules("r1 -1 * 10.0.0.0/16"), LAPTOP, "", B, "sg-1"),
    ("the second rule", rules("r1 tcp 22 0.0.0.0/0", "r2 tcp 9094 203.0.113.0/24"), LAPTOP, "",
     A, "r2"),
    ("a rule of IPv6 alone", rules("r1 tcp 9094 ::/0"), LAPTOP, "", B, "sg-1"),
    ("IPv6 for IPv6", rules("r1 tcp 9094 2001:db8:7::/48"), LAPTOP6, V6, A, "r1"),
    ("another network of IPv6", rules("r1 tcp 9094 2001:db8:8::/48"), LAPTOP6, V6, B, "sg-1"),
    ("IPv4 alone for IPv6", rules("r1 tcp 9094 0.0.0.0/0"), LAPTOP6, V6, B, "sg-1"),
    ("a prefix list with it", lists("r1 tcp 9094 pl-a", a=("198.51.100.0/24", "203.0.113.0/28")),
     LAPTOP, "", A, "r1"),
    ("a prefix list without it", lists("r1 tcp 9094 pl-a", a=("198.51.100.0/24",)), LAPTOP, "",
     B, "sg-1"),
    ("a prefix list of IPv6", lists("r1 tcp 9094 pl-a", a=("2001:db8::/32",)), LAPTOP6, V6,
     A, "r1"),
    ("a prefix list of which only the id is known", lists("r1 tcp 9094 pl-a"), LAPTOP, "",
     U, "sg-1"),
    ("the same with a rule", lists("r1 tcp 9094 pl-a", "r2 tcp 9094 0.0.0.0/0"), LAPTOP, "",
     A, "r2"),
    ("the same for another port", lists("r1 tcp 22 pl-a"), LAPTOP, "", B, "sg-1"),
    ("a group, which has private addresses only", rules("r1 tcp 9094 sg-1"), LAPTOP, "",
     B, "sg-1"),
    # The client is a network: the rules must allow all of it.
    ("all of a network", rules("r1 tcp 9094 203.0.113.0/24"), "203.0.113.0/28", "", A, "r1"),
    ("half of a network", rules("r1 tcp 9094 203.0.113.0/25"), "203.0.113.0/24", "", B, "sg-1"),
    ("two halves", rules("r1 tcp 9094 203.0.113.0/25", "r2 tcp 9094 203.0.113.128/25"),
     "203.0.113.0/24", "", A, "r1"),
    # The source is unknown: the verdict must hold for the whole internet.
    ("unknown, the world", rules("r1 tcp 9094 0.0.0.0/0"), "", "", A, "r1"),
    ("unknown, nobody", rules("r1 tcp 22 0.0.0.0/0"), "", "", B, "sg-1"),
    ("unknown, the VPC only", rules("r1 tcp 9094 10.0.0.0/8"), "", "", B, "sg-1"),
    ("unknown, some", rules("r1 tcp 9094 198.51.100.0/24"), "", "", U, "r1"),
    ("unknown, the world in two halves", rules("r1 tcp 9094 0.0.0.0/1", "r2 tcp 9094 128.0.0.0/1"),
     "", "", A, "r1"),
]  # fmt: skip


def entries(*lines: str) -> Snapshot:
    return snapshot(acls=[acl(*lines)])


BACK = "out 100 allow tcp 1024-65535 0.0.0.0/0"

# Network ACLs, where a group lets the whole world in on 9094.
ACLS: list[tuple[str, Snapshot, str, str, PathVerdict, str]] = [
    ("the default ACL", entries(*OPEN_ACL), LAPTOP, "", A, "sgr-1"),
    ("no entry", entries(), LAPTOP, "", B, "acl-1 rule *"),
    ("allowed in, and back out", entries("in 100 allow tcp 9094 0.0.0.0/0", BACK), LAPTOP, "",
     A, "sgr-1"),
    ("denied before it is allowed",
     entries("in 90 deny tcp 9094 0.0.0.0/0", "in 100 allow -1 * 0.0.0.0/0", BACK), LAPTOP, "",
     B, "acl-1 rule 90"),
    ("allowed before it is denied",
     entries("in 90 allow tcp 9094 0.0.0.0/0", "in 100 deny -1 * 0.0.0.0/0", BACK), LAPTOP, "",
     A, "sgr-1"),
    ("listed the wrong way round",
     entries("in 100 allow -1 * 0.0.0.0/0", "in 90 deny tcp 9094 0.0.0.0/0", BACK), LAPTOP, "",
     B, "acl-1 rule 90"),
    ("a denial of another port",
     entries("in 90 deny tcp 9092 0.0.0.0/0", "in 100 allow -1 * 0.0.0.0/0", BACK), LAPTOP, "",
     A, "sgr-1"),
    ("a denial of another client",
     entries("in 90 deny -1 * 198.51.100.0/24", "in 100 allow -1 * 0.0.0.0/0", BACK), LAPTOP, "",
     A, "sgr-1"),
    ("a denial of this client",
     entries("in 90 deny -1 * 203.0.113.10/32", "in 100 allow -1 * 0.0.0.0/0", BACK), LAPTOP, "",
     B, "acl-1 rule 90"),
    ("a denial of UDP",
     entries("in 90 deny 17 * 0.0.0.0/0", "in 100 allow -1 * 0.0.0.0/0", BACK), LAPTOP, "",
     A, "sgr-1"),
    ("allowed in, not back out", entries("in 100 allow -1 * 0.0.0.0/0"), LAPTOP, "",
     B, "acl-1 rule *"),
    ("back out to Kafka's port only",
     entries("in 100 allow -1 * 0.0.0.0/0", "out 100 allow tcp 9094 0.0.0.0/0"), LAPTOP, "",
     B, "acl-1 rule *"),
    ("back out to Linux's own ports",
     entries("in 100 allow -1 * 0.0.0.0/0", "out 100 allow tcp 32768-61000 0.0.0.0/0"), LAPTOP, "",
     A, "sgr-1"),
    ("back out to Windows' ports only",
     entries("in 100 allow -1 * 0.0.0.0/0", "out 100 allow tcp 49152-65535 0.0.0.0/0"), LAPTOP, "",
     B, "acl-1 rule *"),
    ("back out, but for some",
     entries("in 100 allow -1 * 0.0.0.0/0", "out 90 deny tcp 40000-45000 0.0.0.0/0", BACK),
     LAPTOP, "", B, "acl-1 rule 90"),
    ("back out to others only",
     entries("in 100 allow -1 * 0.0.0.0/0", "out 100 allow -1 * 10.0.0.0/8"), LAPTOP, "",
     B, "acl-1 rule *"),
    ("IPv6 has entries of its own", entries("in 100 allow -1 * 0.0.0.0/0", BACK), LAPTOP6, V6,
     B, "acl-1 rule *"),
    ("IPv6, allowed", entries("in 101 allow 6 9094 ::/0", "out 101 allow 6 1024-65535 ::/0"),
     LAPTOP6, V6, A, "sgr-2"),
    ("the ACL of another subnet", snapshot(acls=[acl(subnets=["subnet-2"]), acl(*OPEN_ACL)]),
     LAPTOP, "", A, "sgr-1"),
    ("an unknown ACL", snapshot(acls=[]), LAPTOP, "", U, SUBNET),
    ("half of the client's network",
     entries("in 90 deny -1 * 203.0.113.128/25", "in 100 allow -1 * 0.0.0.0/0", BACK),
     "203.0.113.0/24", "", B, "acl-1 rule 90"),
    ("unknown, a denial of some",
     entries("in 90 deny -1 * 198.51.100.0/24", "in 100 allow -1 * 0.0.0.0/0", BACK), "", "",
     U, "acl-1 rule 100"),
]  # fmt: skip


def routes(*lines: str) -> Snapshot:
    return snapshot(tables=[table(*lines)], prefix_lists={"pl-a": ("203.0.113.0/24",)})


# Routes of the answer, where groups and network ACLs let everything through.
ROUTES: list[tuple[str, Snapshot, str, str, PathVerdict, str]] = [
    ("an internet gateway", routes(*TO_THE_WORLD), LAPTOP, "", A, "sgr-1"),
    ("no route but the VPC's own", routes("10.0.0.0/16 local"), LAPTOP, "", B, "rtb-1"),
    ("a NAT gateway", routes("0.0.0.0/0 nat-1"), LAPTOP, "", B, "rtb-1 0.0.0.0/0 → nat-1"),
    ("a gateway that is gone", routes("0.0.0.0/0 igw-1 !"), LAPTOP, "",
     B, "rtb-1 0.0.0.0/0 → igw-1"),
    ("a longer prefix to a NAT", routes("0.0.0.0/0 igw-1", "203.0.113.0/24 nat-1"), LAPTOP, "",
     B, "rtb-1 203.0.113.0/24 → nat-1"),
    ("a longer prefix, and one that is longer still",
     routes("0.0.0.0/0 igw-1", "203.0.113.0/24 nat-1", "203.0.113.10/32 igw-1"), LAPTOP, "",
     A, "sgr-1"),
    ("a longer prefix that is gone", routes("0.0.0.0/0 igw-1", "203.0.113.0/24 pcx-1 !"), LAPTOP,
     "", B, "rtb-1 203.0.113.0/24 → pcx-1"),
    ("a longer prefix of others", routes("0.0.0.0/0 igw-1", "198.51.100.0/24 nat-1"), LAPTOP, "",
     A, "sgr-1"),
    ("a prefix list that is longer", routes("0.0.0.0/0 igw-1", "pl-a nat-1"), LAPTOP, "",
     B, "rtb-1 pl-a → nat-1"),
    ("a prefix list as long as a route", routes("203.0.113.0/24 igw-1", "pl-a nat-1"), LAPTOP, "",
     A, "sgr-1"),
    ("an unknown prefix list", routes("pl-b igw-1"), LAPTOP, "", U, "rtb-1 pl-b"),
    ("an appliance", routes("0.0.0.0/0 vpce-1"), LAPTOP, "", U, "rtb-1 0.0.0.0/0 → vpce-1"),
    ("IPv6 has routes of its own", routes("10.0.0.0/16 local", "0.0.0.0/0 igw-1"), LAPTOP6, V6,
     B, "rtb-1"),
    ("IPv6 by an internet gateway", routes("::/0 igw-1"), LAPTOP6, V6, A, "sgr-2"),
    ("IPv6, for the way out only", routes("::/0 eigw-1"), LAPTOP6, V6, B, "rtb-1 ::/0 → eigw-1"),
    ("the subnet's own table before the main one",
     snapshot(tables=[table(*TO_THE_WORLD), table("10.0.0.0/16 local", name="rtb-2",
                                                  subnets=[SUBNET], main=False)]),
     LAPTOP, "", B, "rtb-2"),
    ("the main table where there is no other",
     snapshot(tables=[table("0.0.0.0/0 igw-1", name="rtb-2", subnets=["subnet-2"], main=False),
                      table("10.0.0.0/16 local")]), LAPTOP, "", B, "rtb-1"),
    ("the main table of another VPC",
     snapshot(tables=[table("10.0.0.0/16 local", name="rtb-9", vpc="vpc-9"), table(*TO_THE_WORLD)]),
     LAPTOP, "", A, "sgr-1"),
    ("an unknown route table", snapshot(tables=[]), LAPTOP, "", U, SUBNET),
    ("unknown, a longer prefix to a NAT", routes("0.0.0.0/0 igw-1", "203.0.113.0/24 nat-1"), "",
     "", U, "rtb-1 0.0.0.0/0 → igw-1"),
]  # fmt: skip

BROKER = replace(interface(), ipv6=(V6,))


@together(
    "world, source, address, verdict, decided_by", [row[1:] for row in GROUPS + ACLS + ROUTES]
)
def test_from_the_internet(
    world: Snapshot, source: str, address: str, verdict: PathVerdict, decided_by: str
) -> None:
    world = replace(world, interfaces=(BROKER,))
    assert verdict_of(reachability(world, source, address or PUBLIC[0])) == (verdict, decided_by)


def in_vpc(**more: Any) -> NetworkInterface:
    """A network interface in the same VPC, as the client."""
    fields: dict[str, Any] = {"private": "10.0.9.9", "public": "", "id": "eni-9", "instance": "i-9"}
    return interface(9, **{**fields, "groups": ["sg-9"], "subnet": "subnet-9", **more})


def facts(client: NetworkInterface, *lines: str, **more: Any) -> Snapshot:
    """A broker and a client in AWS, each in its own subnet."""
    fields: dict[str, Any] = {
        "groups": [group(*lines), group(name="sg-9")],
        "acls": [acl(*OPEN_ACL), acl(*OPEN_ACL, name="acl-9", subnets=["subnet-9"])],
        "prefix_lists": {},
        **more,
    }
    return snapshot(interface(), client, **fields)


PEER = in_vpc(private="10.9.0.9", vpc="vpc-9")
RTB_1 = table(*TO_THE_WORLD, "10.9.0.0/16 pcx-1")
RTB_9 = table("10.9.0.0/16 local", "10.0.0.0/16 pcx-1", name="rtb-9", vpc="vpc-9")
PEERED: dict[str, Any] = {"tables": [RTB_1, RTB_9], "peered": (("vpc-1", "vpc-9"),)}

# From inside AWS, to the broker's private address.
INSIDE: list[tuple[str, Snapshot, str, PathVerdict, str]] = [
    ("by the VPC's network", facts(in_vpc(), "r1 tcp 9094 10.0.0.0/16"), "10.0.9.9", A, "r1"),
    ("by a group it is in", facts(in_vpc(), "r1 tcp 9094 sg-9"), "10.0.9.9", A, "r1"),
    ("by a group it is not in", facts(in_vpc(), "r1 tcp 9094 sg-8"), "10.0.9.9", B, "sg-1"),
    ("by the broker's own group", facts(in_vpc(), "r1 -1 * sg-1"), "10.0.9.9", B, "sg-1"),
    ("in the broker's own group", facts(in_vpc(groups=["sg-1"]), "r1 -1 * sg-1"), "10.0.9.9",
     A, "r1"),
    ("in two groups", facts(in_vpc(groups=["sg-1", "sg-9"]), "r1 tcp 9094 sg-9"), "10.0.9.9",
     A, "r1"),
    ("needs no gateway", facts(in_vpc(), "r1 -1 * sg-9", tables=[table("10.0.0.0/16 local")]),
     "10.0.9.9", A, "r1"),
    ("an ACL between subnets",
     facts(in_vpc(), "r1 -1 * sg-9",
            acls=[acl("in 90 deny tcp 9094 10.0.9.0/24", *OPEN_ACL),
                  acl(*OPEN_ACL, name="acl-9", subnets=["subnet-9"])]), "10.0.9.9",
     B, "acl-1 rule 90"),
    ("the ACL of the client's subnet",
     facts(in_vpc(), "r1 -1 * sg-9",
            acls=[acl(*OPEN_ACL), acl("out 90 deny tcp 9094 10.0.1.0/24", *OPEN_ACL, name="acl-9",
                                      subnets=["subnet-9"])]), "10.0.9.9", B, "acl-9 rule 90"),
    ("no ACL within a subnet",
     facts(in_vpc(subnet=SUBNET), "r1 -1 * sg-9", acls=[acl("in 90 deny -1 * 0.0.0.0/0")]),
     "10.0.9.9", A, "r1"),
    ("what the client's group lets out",
     facts(in_vpc(), groups=[group("r1 -1 * sg-9"), group(name="sg-9", outbound=[])]),
     "10.0.9.9", B, "sg-9"),
    ("out to the broker's group",
     facts(in_vpc(), groups=[group("r1 -1 * sg-9"),
                                 group(name="sg-9", outbound=["r2 tcp 9094 sg-1"])]),
     "10.0.9.9", A, "r1"),
    ("an address of the VPC of which nothing is known",
     snapshot(groups=[group("r1 tcp 9094 10.0.0.0/16")]), "10.0.7.7", A, "r1"),
    ("the same, and a rule for members of a group",
     snapshot(groups=[group("r1 tcp 9094 sg-9")]), "10.0.7.7", U, "sg-1"),
    ("peered, by its network", facts(PEER, "r1 tcp 9094 10.9.0.0/16", **PEERED), "10.9.0.9",
     A, "r1"),
    ("peered, by its group", facts(PEER, "r1 tcp 9094 sg-9", **PEERED), "10.9.0.9", A, "r1"),
    ("a group of a VPC that is not peered",
     facts(PEER, "r1 tcp 9094 sg-9", tables=[RTB_1, RTB_9]), "10.9.0.9", B, "sg-1"),
    ("peered, without a route back",
     facts(PEER, "r1 tcp 9094 sg-9", **{**PEERED, "tables": [table(*TO_THE_WORLD), RTB_9]}),
     "10.9.0.9", B, "rtb-1 0.0.0.0/0 → igw-1"),
    ("peered, without a route there",
     facts(PEER, "r1 -1 * sg-9",
            **{**PEERED, "tables": [RTB_1, table("10.9.0.0/16 local", name="rtb-9", vpc="vpc-9")]}),
     "10.9.0.9", B, "rtb-9"),
    ("over a VPN",
     snapshot(groups=[group("r1 tcp 9094 192.168.0.0/16")],
              tables=[table(*TO_THE_WORLD, "192.168.0.0/16 vgw-1")]), "192.168.1.5", A, "r1"),
    ("a private address, from the internet", snapshot(), LAPTOP, B, "eni-1"),
    ("a private address, from an unknown source", snapshot(), "", U, "eni-1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("world", "source", "verdict", "decided_by"),
    [pytest.param(*row[1:], id=row[0]) for row in INSIDE],
)
def test_to_a_private_address(
    world: Snapshot, source: str, verdict: PathVerdict, decided_by: str
) -> None:
    assert verdict_of(reachability(world, source, PRIVATE[0])) == (verdict, decided_by)


@pytest.mark.parametrize(
    ("client", "verdict", "decided_by"),
    [
        # The client goes through the internet gateway, with its public address.
        (in_vpc(public="3.10.200.9"), A, "r1"),
        (in_vpc(public="3.10.200.8"), B, "sg-1"),
        (in_vpc(), U, "r1"),  # through a NAT gateway whose address is unknown
    ],
)
def test_from_inside_to_the_public_address(
    client: NetworkInterface, verdict: PathVerdict, decided_by: str
) -> None:
    world = facts(client, "r1 tcp 9094 3.10.200.9/32", "r2 -1 * sg-9", "r3 -1 * 10.0.0.0/8")
    assert verdict_of(reachability(world, "10.0.9.9")) == (verdict, decided_by)


@pytest.mark.parametrize(
    ("state", "verdict"),
    [("running", A), ("pending", B), ("stopping", B), ("stopped", B), ("terminated", B)],
)
def test_only_a_running_instance_is_reachable(state: str, verdict: PathVerdict) -> None:
    result = reachability(snapshot(states={"i-1": state}))
    assert result.verdict is verdict
    assert result.steps[0].message == f"i-1 is {state}"


def test_the_first_step_is_the_instance_and_the_last_is_the_group() -> None:
    verdict = reachability(
        snapshot(states={"i-1": "stopped"}, groups=[group()], acls=[acl()], tables=[table()])
    )
    assert [step.layer for step in verdict.steps] == [
        *("instance", "address", "route", "acl-in", "acl-out", "group"),
    ]
    assert [step.verdict for step in verdict.steps] == [B, A, B, B, B, B]
    assert verdict.deciding_step.decided_by == "i-1"


def test_an_unknown_instance() -> None:
    assert verdict_of(reachability(replace(snapshot(), instances={}))) == (U, "i-1")


def test_all_attached_groups_count_together() -> None:
    two = interface(groups=["sg-1", "sg-2"])
    let = [group(), group("r1 tcp 9094 0.0.0.0/0", name="sg-2")]
    assert verdict_of(reachability(snapshot(two, groups=let))) == (A, "r1")
    verdict = reachability(snapshot(two, groups=[group(), group(name="sg-2")]))
    assert verdict_of(verdict) == (B, "sg-1, sg-2")


def test_an_unknown_group_may_allow_the_client() -> None:
    two = interface(groups=["sg-1", "sg-2"])
    assert verdict_of(reachability(snapshot(two, groups=[group()]))) == (U, "sg-1, sg-2")
    assert verdict_of(reachability(snapshot(two, groups=[group(*EVERYBODY)]))) == (A, "sgr-1")


def test_an_interface_without_a_group_is_not_filtered() -> None:
    balancer = interface(groups=[], instance="", kind="network_load_balancer")
    assert verdict_of(reachability(snapshot(balancer))) == (A, "eni-1")


def test_a_blocked_step_names_similar_rules() -> None:
    verdict = reachability(rules("r1 tcp 9094 198.51.100.0/24", "r2 tcp 9092 203.0.113.0/24"))
    assert verdict.deciding_step.message == (
        "sg-1 has no rule that lets TCP 9094 in from 203.0.113.10; "
        "r1 lets it in from 198.51.100.0/24 only; r2 lets 203.0.113.0/24 in on 9092 only"
    )


def test_a_partly_blocked_response_names_the_blocked_ports() -> None:
    verdict = reachability(
        entries("in 100 allow -1 * 0.0.0.0/0", "out 9 deny 6 40000-45000 0.0.0.0/0", BACK)
    )
    (step,) = verdict.steps_of("acl-out")
    assert step.partial
    assert step.message == "acl-1 rule 9 denies TCP 40000-45000 out to 203.0.113.10"


def test_a_rule_for_a_group_that_this_client_may_have_says_so_to_its_end() -> None:
    world = snapshot(groups=[group("r1 tcp 9094 sg-9")])
    step = reachability(world, "10.0.7.7", PRIVATE[0]).deciding_step
    assert step.message == "r1 is for members of sg-9, and whether this client is one is not known"
