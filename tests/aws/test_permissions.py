"""Proposed rules and entries open exactly the ports that are needed, for any existing rules."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdiag.aws.facts import AclEntry, ClientAddress, NetworkAcl, Snapshot
from kdiag.aws.permissions import (
    LAST_NUMBER,
    acl_entries,
    authorize,
    free_number,
    proposal,
    revoke,
    terraform,
)
from kdiag.aws.reachability import RECOMMENDED_PORTS, analyze
from kdiag.aws.verdict import PathVerdict
from tests.clouds import GROUP, PUBLIC, REGION, acl, entry, group, snapshot

PORTS = st.integers(1, 65535)
LAST = st.integers(0, 255)
# Few addresses and few ports, so that rules often match clients.
ADDRESSES = st.sampled_from(
    ["203.0.113.8", "203.0.113.9", "203.0.113.10", "198.51.100.1", "8.8.8.8"]
)
NETWORKS = st.builds(
    lambda address, length: str(ip_network(f"{address}/{length}", strict=False)),
    ADDRESSES,
    st.integers(8, 32),
)
KAFKA = st.integers(9090, 9097)
RANGES = st.tuples(KAFKA, KAFKA).map(lambda pair: f"{min(pair)}-{max(pair)}")
RULES = st.lists(
    st.builds(
        "sgr-x {} {} {}".format, st.sampled_from(["tcp", "6", "udp", "-1"]), RANGES, NETWORKS
    ),
    max_size=4,
)


def verdict(facts: Snapshot, source: str, port: int) -> PathVerdict:
    return analyze(
        facts, ClientAddress(source, "given"), facts.interfaces[0], PUBLIC[0], port
    ).verdict


def with_proposal(facts: Snapshot, source: str, ports: list[int]) -> Snapshot:
    """The snapshot with the proposed rules."""
    proposed_rule = proposal(GROUP, REGION, source, ports, 4)
    group_before = facts.groups[GROUP]
    group_after = replace(group_before, inbound=(*group_before.inbound, *proposed_rule.rules))
    return replace(facts, groups={GROUP: group_after})


@given(RULES, NETWORKS, st.lists(KAFKA, min_size=1, max_size=5))
def test_a_proposal_allows_the_client_on_the_ports(
    rules: list[str], source: str, ports: list[int]
) -> None:
    after = with_proposal(snapshot(groups=[group(*rules)]), source, ports)
    assert {verdict(after, source, port) for port in ports} == {PathVerdict.ALLOWED}


@given(RULES, NETWORKS, st.lists(KAFKA, min_size=1, max_size=5), ADDRESSES, KAFKA)
def test_a_proposal_changes_nothing_for_other_clients_and_ports(
    rules: list[str], source: str, ports: list[int], other_client: str, port: int
) -> None:
    before = snapshot(groups=[group(*rules)])
    proposed_for = port in ports and ip_network(other_client).subnet_of(ip_network(source))  # type: ignore[arg-type]
    after = verdict(with_proposal(before, source, ports), other_client, port)
    assert after is (PathVerdict.ALLOWED if proposed_for else verdict(before, other_client, port))


@given(ADDRESSES, st.sets(PORTS, min_size=1, max_size=20))
def test_the_command_contains_exactly_the_ports_and_the_client(
    source: str, ports: set[int]
) -> None:
    text = authorize(proposal(GROUP, REGION, source, list(ports), 4)).snippet
    found = re.search(r"--ip-permissions '(.*)'$", text)
    assert found
    opened_ports: set[int] = set()
    for rule in json.loads(found.group(1)):
        assert rule["IpProtocol"] == "tcp"
        assert [each["CidrIp"] for each in rule["IpRanges"]] == [f"{source}/32"]
        opened_ports |= set(range(rule["FromPort"], rule["ToPort"] + 1))
    assert opened_ports == ports


def test_contiguous_ports_are_one_range() -> None:
    proposed_rule = proposal(GROUP, REGION, "203.0.113.10", [32003, 32001, 32002, 9094, 32001], 4)
    assert proposed_rule.ports == ((9094, 9094), (32001, 32003))


def test_the_aws_command() -> None:
    assert authorize(proposal(GROUP, REGION, "203.0.113.10", [9094], 4)).snippet == (
        "aws ec2 authorize-security-group-ingress --region eu-west-2 --group-id sg-1 \\\n"
        '  --ip-permissions \'[{"IpProtocol": "tcp", "FromPort": 9094, "ToPort": 9094, '
        '"IpRanges": [{"CidrIp": "203.0.113.10/32", "Description": "Kafka"}]}]\''
    )


def test_the_terraform_resource() -> None:
    assert terraform(proposal(GROUP, REGION, "203.0.113.0/24", [32001, 32002], 4)).snippet == (
        'resource "aws_vpc_security_group_ingress_rule" "kafka_32001" {\n'
        '  security_group_id = "sg-1"\n'
        '  cidr_ipv4         = "203.0.113.0/24"\n'
        '  ip_protocol       = "tcp"\n'
        "  from_port         = 32001\n"
        "  to_port           = 32002\n"
        "}"
    )


def test_ipv6() -> None:
    proposed_rule = proposal(GROUP, REGION, "2001:db8::10", [9094], 6)
    assert '"Ipv6Ranges": [{"CidrIpv6": "2001:db8::10/128"' in authorize(proposed_rule).snippet
    assert 'cidr_ipv6         = "2001:db8::10/128"' in terraform(proposed_rule).snippet


@pytest.mark.parametrize(
    ("source", "version", "peer"),
    [
        ("", 4, "<your public address>/32"),
        ("", 6, "<your public address>/128"),
        ("0.0.0.0/0", 4, "<your public address>/32"),
        ("::/0", 6, "<your public address>/128"),
    ],
)
def test_a_proposal_is_never_for_the_whole_internet(source: str, version: int, peer: str) -> None:
    proposed_rule = proposal(GROUP, REGION, source, [9094], version)
    for text in (authorize(proposed_rule).snippet, terraform(proposed_rule).snippet):
        assert peer in text
        assert "/0" not in text


def test_open_rules_are_revoked_by_id() -> None:
    assert revoke(REGION, GROUP, ["sgr-1", "sgr-2"]).snippet.endswith(
        "--group-id sg-1 \\\n  --security-group-rule-ids sgr-1 sgr-2"
    )


ENTRIES = st.lists(
    st.builds(
        "{} {} {} {} {} {}".format,
        st.sampled_from(["in", "out"]),
        st.integers(1, LAST_NUMBER),
        st.sampled_from(["allow", "deny"]),
        st.sampled_from(["6", "17", "-1"]),
        RANGES | st.just("1024-65535"),
        NETWORKS,
    ),
    max_size=5,
    unique_by=lambda line: tuple(line.split()[:2]),
)


@given(ENTRIES, ADDRESSES, KAFKA)
def test_proposed_acl_entries_allow_the_client(lines: list[str], source: str, port: int) -> None:
    before = acl(*lines)
    text = acl_entries(before, REGION, source, [port], ["in", "out"]).snippet
    entries = proposed(text)
    assert len(entries) == 2
    assert all(new.cidr == f"{source}/32" for new in entries)
    assert {(new.egress, new.from_port, new.to_port) for new in entries} == {
        (False, port, port),
        (True, *RECOMMENDED_PORTS),
    }
    numbers = {(old.egress, old.number) for old in before.entries}
    assert not numbers & {(new.egress, new.number) for new in entries}
    after = snapshot(
        acls=[replace(before, entries=(*before.entries, *entries))],
        groups=[group("sgr-1 -1 * 0.0.0.0/0")],
    )
    if all(new.number >= 1 for new in entries):
        assert verdict(after, source, port) is PathVerdict.ALLOWED


def proposed(text: str) -> list[AclEntry]:
    """The entries that these commands create."""
    found = re.findall(
        r"--(ingress|egress) \\\n  --rule-number (\d+|<[^>]*>) --protocol 6 "
        r"--port-range From=(\d+),To=(\d+) \\\n  --cidr-block '(\S+)' --rule-action allow",
        text,
    )
    return [
        AclEntry(int(n) if n.isdigit() else 0, way == "egress", True, "6", cidr, int(a), int(b))
        for way, n, a, b, cidr in found
    ]


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ([], 10),
        (["in 100 allow tcp 22 0.0.0.0/0"], 110),
        (["in 100 deny tcp 9094 0.0.0.0/0"], 99),
        (["in 100 deny tcp 9094 0.0.0.0/0", "in 99 allow tcp 22 0.0.0.0/0"], 98),
        (["in 100 deny tcp 22 0.0.0.0/0"], 110),
        (["in 100 deny -1 * 198.51.100.0/24"], 110),
        (["in 1 deny -1 * 0.0.0.0/0"], None),
        (["in 32766 allow tcp 22 0.0.0.0/0"], 32765),
    ],
)
def test_the_free_number_is_before_entries_that_deny(lines: list[str], number: int | None) -> None:
    before = NetworkAcl("acl-1", "vpc-1", (), tuple(map(entry, lines)))
    assert free_number(before, False, "203.0.113.10/32", (9094, 9094), set()) == number
