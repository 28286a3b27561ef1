"""kdiag on a real Kafka in the made-up AWS, run on the laptop outside of it."""

from __future__ import annotations

import pytest

from tests.lab.client import HEALTHY, Verdict
from tests.lab.goldens import named
from tests.lab.lab import Lab
from tests.lab.listeners import NODE_PORT, NODES
from tests.lab.network import HOMES, PUBLICS

pytestmark = pytest.mark.lab

ALL = ["broker 1", "broker 2", "broker 3"]
SOON = ("--timeout", "1.5")  # where something is silent


def test_healthy_by_public_addresses(lab: Lab) -> None:
    report = lab.client.check(lab.at("PUBLIC"))
    assert report.verdict == HEALTHY, report
    assert report.told["source_addresses"] == ["203.0.113.10"]
    for node in NODES:
        broker = report.brokers[node]
        assert broker["advertised"] == f"{PUBLICS[node - 1]}:9094"
        assert (broker["answered_as"], broker["produce"]) == (node, "ok"), report


@pytest.mark.parametrize(
    ("listener", "verdict", "subjects", "layer"),
    [
        ("PRIVATE", ("listeners", "KD301", 30), ALL, {"tcp": "timeout"}),
        ("LOCALHOST", ("listeners", "KD302", 30), ALL, {"tcp": "refused"}),
        ("EC2NAME", ("listeners", "KD304", 30), ALL, {"dns": "not_found"}),
        ("CLOSED", ("listeners", "KD305", 30), ALL, {"tcp": "refused"}),
        ("SWAPPED", ("listeners", "KD307", 30), ALL[1:], {"identity": "wrong_node"}),
        ("SHARED", ("listeners", "KD308", 30), ALL, {"identity": "wrong_node"}),
        ("ONEPRIVATE", ("listeners", "KD301", 30), ["broker 2"], {"tcp": "timeout"}),
        ("CONTROLLED", ("listeners", "KD109", 30), ALL, {"kafka": "controller"}),
    ],
    ids=named,
)
def test_advertised(
    lab: Lab, listener: str, verdict: Verdict, subjects: list[str], layer: dict[str, str]
) -> None:
    report = lab.client.check(lab.at(listener), *SOON)
    assert report.verdict == verdict, report
    assert report.cause["subjects"] == subjects, report
    broken = [
        n for n, broker in report.brokers.items() if layer.items() <= broker["layers"].items()
    ]
    assert broken == [int(name.split()[1]) for name in subjects][-len(broken) :], report
    others = [f for f in report.told["findings"] if f["severity"] == "error"]
    assert all(f["consequence_of"] for f in others if f != report.cause), report


def test_the_fix_for_private_addresses_is_proven(lab: Lab) -> None:
    pairs = zip(HOMES, PUBLICS, strict=True)
    mapped = [part for home, public in pairs for part in ("--map", f"{home}={public}")]
    report = lab.client.check(lab.at("PRIVATE"), *mapped, *SOON)
    assert report.verdict == ("listeners", "KD301", 30), report
    evidence = " ".join(report.cause["evidence"])
    for node in NODES:
        assert f"{lab.at('PRIVATE', node)} answers as broker {node}" in evidence
        line = f"://{lab.at('PRIVATE', node)}"
        assert any(line in remedy["snippet"] for remedy in report.cause["remedies"]), report


def test_private_addresses_are_no_finding_inside_the_vpc(lab: Lab) -> None:
    report = lab.administrator.check(f"{HOMES[1]}:9095")
    assert report.verdict == HEALTHY, report
    assert report.told["findings"] == []


def test_a_resolver_that_does_not_answer_is_no_missing_name(lab: Lab) -> None:
    with lab.network.deaf_resolver():
        report = lab.client.check(
            "kafka.example.com:9094", "--timeout", "1", "--answer-timeout", "1"
        )
    assert report.verdict == ("bootstrap", "KD102", 10), report


def test_a_bootstrap_name_with_three_addresses(lab: Lab) -> None:
    report = lab.client.check("kafka.example.com:9094")
    assert report.verdict == HEALTHY, report
    assert report.told["verdict"] == "pass"


def test_a_bootstrap_name_with_an_ipv6_address_that_leads_nowhere(lab: Lab) -> None:
    report = lab.client.check("dual.kafka.example.com:9094")
    assert (report.told["verdict"], report.told["exit_code"]) == ("warn", 0), report
    assert [finding["code"] for finding in report.told["findings"]] == ["KD106"]


def test_a_bootstrap_name_that_is_misspelt(lab: Lab) -> None:
    report = lab.client.check("kafak.example.com:9094")
    assert report.verdict == ("bootstrap", "KD101", 10), report


def test_controller_port_as_bootstrap(lab: Lab) -> None:
    report = lab.client.check(lab.at("CONTROLLER"))
    assert report.verdict == ("bootstrap", "KD109", 10), report


def test_closed_port_as_bootstrap(lab: Lab) -> None:
    report = lab.client.check(f"{PUBLICS[0]}:9999")
    assert report.verdict == ("bootstrap", "KD103", 10), report


def test_bootstrap_port_dropped_by_the_security_group(lab: Lab) -> None:
    with lab.network.only_open("1-9093, 9095-65535"):
        report = lab.client.check(lab.at("PUBLIC"), *SOON)
    assert report.verdict == ("bootstrap", "KD104", 10), report


def test_bootstrap_port_rejected_by_a_firewall(lab: Lab) -> None:
    with lab.network.rule("tcp dport 9094 reject with icmp type admin-prohibited"):
        report = lab.client.check(lab.at("PUBLIC"))
    assert report.verdict == ("bootstrap", "KD105", 10), report


def test_one_brokers_port_dropped(lab: Lab) -> None:
    with lab.network.rule(f"ip daddr {HOMES[1]} tcp dport 9094 drop"):
        report = lab.client.check(lab.at("PUBLIC"), *SOON)
    assert report.verdict == ("listeners", "KD306", 30), report
    assert report.cause["subjects"] == ["broker 2"]


def test_node_ports(lab: Lab) -> None:
    for _ in NODES:  # the bootstrap's NodePort leads to each broker in turn
        report = lab.client.check(f"{PUBLICS[1]}:{NODE_PORT}")
        assert report.verdict == HEALTHY, report
        for node in NODES:
            broker = report.brokers[node]
            assert broker["advertised"] == f"{PUBLICS[0]}:{NODE_PORT + node}"
            assert broker["answered_as"] == node


def test_node_ports_of_which_only_the_bootstraps_is_open(lab: Lab) -> None:
    # The group sees what the brokers listen on, so the public side is what has to be closed.
    ports = f"{NODE_PORT + 1}-{NODE_PORT + 3}"
    with lab.network.rule(f"meta l4proto tcp ct original proto-dst {ports} drop"):
        report = lab.client.check(f"{PUBLICS[1]}:{NODE_PORT}", *SOON)
    assert report.verdict == ("listeners", "KD306", 30), report
    assert report.cause["subjects"] == ALL


def test_unknown_topic(lab: Lab) -> None:
    given = {"allow.auto.create.topics": "false"}
    report = lab.client.check(lab.at("PUBLIC"), "--topic", "ordres", given=given)
    assert report.verdict == ("metadata", "KD204", 20), report


def test_a_record_that_a_consumer_reads(lab: Lab) -> None:
    before = lab.ask("read", "orders")
    report = lab.client.check(lab.at("PUBLIC"), "--topic", "orders")
    assert report.verdict == HEALTHY, report
    after = lab.ask("read", "orders")
    assert isinstance(before, list)
    assert isinstance(after, list)
    new = [record for record in after if record not in before]
    assert [(partition, value) for partition, _, _, value in new] == [
        (partition, "kdiag connectivity check") for partition in range(len(NODES))
    ]


def test_mtu_black_hole(lab: Lab) -> None:
    with lab.network.rule(f"ip daddr {HOMES[2]} meta length > 1000 drop"):
        report = lab.client.check(lab.at("PUBLIC"), *SOON)
    assert report.verdict == ("produce", "KD402", 40), report
    assert report.cause["subjects"] == ["broker 3"]


def test_tls_by_name(lab: Lab) -> None:
    report = lab.client.check("kafka.example.com:9110", given=lab.properties("TLS"))
    assert report.verdict == HEALTHY, report
    assert report.told["findings"] == []


def test_tls_with_one_name_missing(lab: Lab) -> None:
    report = lab.client.check(lab.at("NAMELESS"), given=lab.properties("NAMELESS"))
    assert report.verdict == ("listeners", "KD113", 30), report
    assert report.cause["subjects"] == ["broker 2"]


def test_a_login_with_private_addresses_advertised(lab: Lab) -> None:
    given = lab.properties("LOGINHOME", sasl_mechanism="SCRAM-SHA-512")
    report = lab.client.check(lab.at("LOGINHOME"), *SOON, given=given)
    assert report.verdict == ("listeners", "KD301", 30), report
    evidence = " ".join(report.cause["evidence"])
    assert f"{lab.at('LOGINHOME')} answers as broker 1" in evidence, report


def test_a_wrong_password_with_private_addresses_advertised(lab: Lab) -> None:
    given = lab.properties("LOGINHOME", sasl_mechanism="SCRAM-SHA-512", sasl_username="nobody")
    report = lab.client.check(lab.at("LOGINHOME"), given=given)
    assert report.verdict == ("bootstrap", "KD120", 10), report


def test_tls_and_its_port_dropped_for_one_broker(lab: Lab) -> None:
    with lab.network.rule(f"ip daddr {HOMES[1]} tcp dport 9110 drop"):
        report = lab.client.check(lab.at("TLS"), *SOON, given=lab.properties("TLS"))
    assert report.verdict == ("listeners", "KD306", 30), report
    assert report.cause["subjects"] == ["broker 2"]


def test_mtu_black_hole_in_front_of_tls(lab: Lab) -> None:
    with lab.network.rule(f"ip daddr {HOMES[2]} meta length > 1000 drop"):
        report = lab.client.check(lab.at("TLS"), *SOON, given=lab.properties("TLS"))
    assert report.verdict == ("produce", "KD402", 40), report
    assert report.cause["subjects"] == ["broker 3"]


def test_a_broker_that_was_killed(lab: Lab) -> None:
    lab.kafka.kill(3)
    try:
        report = lab.client.check(lab.at("PUBLIC"))
    finally:
        lab.kafka.run(3)
    assert report.verdict == ("listeners", "KD305", 30), report
    assert report.cause["subjects"] == ["broker 3"]
    lab.ask("recover")
