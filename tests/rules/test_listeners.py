"""KD3xx: which advertised addresses are a finding, and for which client they are not."""

from __future__ import annotations

import pytest

from kdiag.config.settings import Endpoint, settings
from kdiag.rules.advertised import unmatched_maps
from kdiag.rules.rule import Finding
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener
from kdiag.walk.facts.metadata import Broker
from tests.facts import (
    DOOR,
    brokers,
    contact,
    dial,
    found_by,
    listener,
    listeners,
    metadata,
    working_bootstrap,
)

OUTSIDE = working_bootstrap(f"{DOOR}:9094")
AT_HOME = working_bootstrap(f"{DOOR}:9094", source="192.168.1.5")  # behind a router's NAT
IN_THE_VPC = working_bootstrap("10.0.1.11:9094", source="10.0.9.9")
HAIRPIN = working_bootstrap(f"{DOOR}:9094", source="10.0.9.9")  # in the VPC, by the public address
IN_ANOTHER_VPC = working_bootstrap("172.31.4.4:9094", source="172.31.9.9")
IN_A_MESH = working_bootstrap("100.101.1.1:9094", source="100.90.2.2")
IN_V6 = working_bootstrap("[fd12:3456:789a::1]:9094", source="fd12:3456:789a:1::9")
SAME_MACHINE = working_bootstrap("localhost:9094", source="127.0.0.1")
BY_LOOPBACK = Bootstrap((contact("localhost:9094", "", dial("127.0.0.1", source="127.0.0.1")),))
IN_THE_CLUSTER = Bootstrap(
    (
        contact(
            "my-cluster-kafka-bootstrap.kafka.svc:9092", "", dial("10.96.0.7", source="10.244.1.9")
        ),
    )
)


def named(host: str, *addresses: str, failed: str = "timeout") -> Listener:
    """A broker whose advertised name leads to these addresses, which all failed."""
    return listener(1, f"{host}:9094", failed, *(dial(each, failed) for each in addresses))


def judged(code: str, bootstrap: Bootstrap, *found: Listener) -> list[Finding]:
    told = metadata(*(each.broker for each in found))
    return found_by(code, bootstrap, told, listeners(*found))


FIRES = [
    ("KD301", OUTSIDE, listener(1, "10.0.1.11:9094", "timeout")),
    ("KD301", OUTSIDE, listener(1, "172.21.1.13:9092", "timeout")),
    ("KD301", OUTSIDE, listener(1, "192.168.65.3:30172", "timeout")),
    ("KD301", OUTSIDE, listener(1, "100.64.0.5:9094", "timeout")),
    ("KD301", OUTSIDE, listener(1, "169.254.7.7:9094", "unreachable")),
    ("KD301", OUTSIDE, listener(1, "[fd12:3456:789a::1]:9094", "unreachable")),
    ("KD301", OUTSIDE, listener(1, "[fe80::1]:9094", "unreachable")),
    ("KD301", OUTSIDE, listener(1, "10.0.1.11:9094", "refused")),
    ("KD301", OUTSIDE, listener(1, "10.0.1.11:9094", "kafka:not_kafka")),
    ("KD301", OUTSIDE, listener(1, "10.0.1.11:9094", "identity:wrong_cluster")),
    ("KD301", OUTSIDE, named("broker-1.example.com", "10.0.1.11", "10.0.1.12")),
    ("KD301", OUTSIDE, named("ip-10-0-1-11.eu-west-2.compute.internal", "10.0.1.11")),
    ("KD301", AT_HOME, listener(1, "10.0.1.11:9094", "timeout")),
    ("KD301", AT_HOME, listener(1, "192.168.7.3:9094", "timeout")),
    ("KD301", IN_ANOTHER_VPC, listener(1, "10.0.1.11:9094", "timeout")),
    ("KD301", IN_V6, listener(1, "[fd99:9999:9999::1]:9094", "timeout")),
    ("KD301", SAME_MACHINE, listener(1, "172.17.0.2:9092", "timeout")),
    ("KD302", OUTSIDE, listener(1, "localhost:9092", "refused")),
    ("KD302", OUTSIDE, listener(1, "127.0.0.1:9092", "refused")),
    ("KD302", OUTSIDE, listener(1, "[::1]:9092", "refused")),
    ("KD302", OUTSIDE, listener(1, "localhost:9092", "identity:wrong_cluster")),
    ("KD302", OUTSIDE, listener(1, "localhost:9092", "kafka:silent")),
    ("KD302", IN_THE_VPC, listener(1, "127.0.0.1:9092", "refused")),
    ("KD303", OUTSIDE, listener(1, "0.0.0.0:9092")),
    ("KD303", OUTSIDE, listener(1, "[::]:9092")),
    ("KD303", OUTSIDE, listener(1, ":9092")),
    ("KD303", OUTSIDE, listener(1, f"{DOOR}:0")),
    ("KD303", OUTSIDE, listener(1, f"{DOOR}:-1")),
    ("KD303", OUTSIDE, listener(1, f"{DOOR}:70000")),
    ("KD303", IN_THE_VPC, listener(1, "0.0.0.0:9092")),
    (
        "KD304",
        OUTSIDE,
        listener(1, "ip-10-0-1-11.eu-west-2.compute.internal:9094", "dns:not_found"),
    ),
    ("KD304", OUTSIDE, listener(1, "kafka-0.kafka.svc:9092", "dns:not_found")),
    ("KD304", OUTSIDE, listener(1, "kafka-0.kafka.svc.cluster.local:9092", "dns:not_found")),
    ("KD304", OUTSIDE, listener(1, "c3d0d2984699:9092", "dns:not_found")),
    ("KD304", OUTSIDE, listener(1, "kafka:9092", "dns:not_found")),
    ("KD304", OUTSIDE, listener(1, "kafka.lan:9092", "dns:not_found")),
    ("KD304", OUTSIDE, listener(1, "kafka:9092", "dns:resolver_failed")),
    ("KD305", OUTSIDE, listener(1, f"{DOOR}:32001", "refused")),
    ("KD305", IN_THE_VPC, listener(1, "10.0.1.12:9094", "refused")),
    ("KD305", SAME_MACHINE, listener(1, "127.0.0.1:9092", "refused")),
    ("KD305", BY_LOOPBACK, listener(1, "localhost:9092", "refused")),
    ("KD306", OUTSIDE, listener(1, f"{DOOR}:32001", "timeout")),
    ("KD306", OUTSIDE, named("broker-1.example.com", "3.10.139.230", "10.0.1.11")),
    ("KD306", IN_THE_VPC, listener(1, "10.0.1.12:9094", "timeout")),
    ("KD306", HAIRPIN, listener(1, "10.0.1.12:9094", "timeout")),
    ("KD306", IN_A_MESH, listener(1, "100.64.0.5:9094", "timeout")),
    ("KD306", IN_V6, listener(1, "[fd12:3456:789a::2]:9094", "timeout")),
    ("KD307", OUTSIDE, listener(1, f"{DOOR}:9094", "identity:wrong_node", answered=2)),
    ("KD310", OUTSIDE, listener(1, f"{DOOR}:9094", "identity:wrong_cluster")),
]

SILENT = [
    # It works for this client, whatever it looks like: a VPN, a route, /etc/hosts.
    ("KD301", OUTSIDE, listener(1, "10.0.1.11:9094")),
    ("KD301", OUTSIDE, named("broker-1.example.com", "10.0.1.11", failed="")),
    ("KD302", OUTSIDE, listener(1, "localhost:9092")),
    ("KD304", OUTSIDE, listener(1, "kafka:9092")),
    ("KD304", IN_THE_CLUSTER, listener(1, "kafka-0.kafka.svc:9092")),
    # It fails, but this client is of the same network: another reason is to be found.
    ("KD301", IN_THE_VPC, listener(1, "10.0.1.12:9094", "timeout")),
    ("KD301", HAIRPIN, listener(1, "10.0.1.12:9094", "timeout")),
    ("KD301", IN_A_MESH, listener(1, "100.64.0.5:9094", "timeout")),
    ("KD301", IN_V6, listener(1, "[fd12:3456:789a::2]:9094", "timeout")),
    ("KD302", SAME_MACHINE, listener(1, "127.0.0.1:9092", "refused")),
    ("KD302", BY_LOOPBACK, listener(1, "localhost:9092", "refused")),
    # It fails, and is of another kind.
    ("KD301", OUTSIDE, listener(1, f"{DOOR}:9094", "timeout")),
    ("KD301", OUTSIDE, listener(1, "localhost:9092", "refused")),
    ("KD301", OUTSIDE, listener(1, "0.0.0.0:9092")),
    ("KD301", OUTSIDE, listener(1, "kafka:9092", "dns:not_found")),
    ("KD301", OUTSIDE, named("broker-1.example.com", "3.10.139.230", "10.0.1.11")),
    ("KD302", OUTSIDE, listener(1, "10.0.1.11:9094", "refused")),
    ("KD303", OUTSIDE, listener(1, "10.0.1.11:9094", "timeout")),
    ("KD303", OUTSIDE, listener(1, f"{DOOR}:65535")),
    ("KD304", OUTSIDE, listener(1, "broker-1.example.com:9094", "dns:not_found")),
    ("KD304", OUTSIDE, listener(1, "ec2-3-10-139-221.compute-1.amazonaws.com:9", "dns:not_found")),
    ("KD304", OUTSIDE, listener(1, "localhost:9092", "refused")),
    ("KD304", OUTSIDE, listener(1, "kafka:9092", "refused")),
    ("KD305", OUTSIDE, listener(1, "10.0.1.11:9094", "refused")),
    ("KD305", OUTSIDE, listener(1, "localhost:9092", "refused")),
    ("KD305", OUTSIDE, listener(1, f"{DOOR}:32001", "timeout")),
    ("KD305", OUTSIDE, listener(1, f"{DOOR}:32001", "kafka:reset")),
    ("KD305", OUTSIDE, listener(1, f"{DOOR}:32001")),
    ("KD306", OUTSIDE, listener(1, "10.0.1.11:9094", "timeout")),
    ("KD306", OUTSIDE, listener(1, f"{DOOR}:32001", "refused")),
    ("KD306", OUTSIDE, listener(1, f"{DOOR}:32001", "kafka:silent")),
    ("KD306", OUTSIDE, listener(1, f"{DOOR}:32001", "tls:timeout")),
    ("KD306", OUTSIDE, listener(1, f"{DOOR}:32001")),
    ("KD307", OUTSIDE, listener(1, f"{DOOR}:9094")),
    ("KD307", OUTSIDE, listener(1, f"{DOOR}:9094", "identity:denied")),
    ("KD307", OUTSIDE, listener(1, f"{DOOR}:9094", "identity:wrong_cluster")),
    ("KD308", OUTSIDE, listener(1, f"{DOOR}:9094")),
    ("KD310", OUTSIDE, listener(1, f"{DOOR}:9094")),
    ("KD310", OUTSIDE, listener(1, f"{DOOR}:9094", "identity:wrong_node", answered=2)),
]  # fmt: skip


def spelt(value: object) -> str:
    if isinstance(value, Listener):
        failed = value.contact.failed
        how = failed.failure.value if failed and failed.failure else "works"
        return f"{value.broker.advertised}-{how}"
    return value if isinstance(value, str) else "from"


@pytest.mark.parametrize(("code", "bootstrap", "met"), FIRES, ids=spelt)
def test_fires(code: str, bootstrap: Bootstrap, met: Listener) -> None:
    (finding,) = judged(code, bootstrap, met)
    assert (finding.code, finding.hop, finding.severity) == (code, "listeners", "error")
    assert finding.subjects == ["broker 1"]
    assert finding.evidence
    assert finding.remedies


@pytest.mark.parametrize(("code", "bootstrap", "met"), SILENT, ids=spelt)
def test_is_silent(code: str, bootstrap: Bootstrap, met: Listener) -> None:
    assert judged(code, bootstrap, met) == []


@pytest.mark.parametrize("code", ["KD301", "KD302", "KD303", "KD304", "KD305", "KD306", "KD310"])
def test_is_not_asked_before_the_listeners_are_known(code: str) -> None:
    assert found_by(code, OUTSIDE, metadata(*brokers(1))) == []


def test_three_private_brokers_are_one_finding() -> None:
    found = [listener(node, f"10.0.1.1{node}:9094", "timeout") for node in (1, 2, 3)]
    (finding,) = judged("KD301", OUTSIDE, *found)
    assert finding.subjects == ["broker 1", "broker 2", "broker 3"]
    assert finding.message.startswith("All 3 brokers advertise private addresses.")
    assert f"You connected via {DOOR}:9094" in finding.message


def test_one_private_broker_of_three_is_named() -> None:
    (finding,) = judged(
        "KD301",
        OUTSIDE,
        listener(1, f"{DOOR}:9094"),
        listener(2, "10.0.1.12:9094", "timeout"),
        listener(3, f"{DOOR}:9096"),
    )
    assert finding.subjects == ["broker 2"]
    assert finding.message.startswith("1 of 3 brokers (broker 2) advertises a private address.")


def test_what_proves_the_fix_is_said() -> None:
    proven = contact(f"{DOOR}:9094", node=1)
    (finding,) = judged(
        "KD301", OUTSIDE, listener(1, "10.0.1.11:9094", "timeout", candidates=(proven,))
    )
    assert f"{DOOR}:9094 answers as broker 1: advertising it would work" in finding.evidence


def test_a_candidate_that_is_another_broker_proves_nothing() -> None:
    other = contact(f"{DOOR}:9094", node=2)
    (finding,) = judged(
        "KD301", OUTSIDE, listener(1, "10.0.1.11:9094", "timeout", candidates=(other,))
    )
    assert f"{DOOR}:9094 answers as broker 2, not as broker 1" in finding.evidence
    assert not any("would work" in line for line in finding.evidence)


def test_one_candidate_for_many_brokers_is_said_once() -> None:
    door = contact(f"{DOOR}:9094", node=1)
    found = [
        listener(node, f"10.0.1.{node}:9094", "timeout", candidates=(door,)) for node in range(1, 9)
    ]
    (finding,) = judged("KD301", OUTSIDE, *found[1:])
    (line,) = [line for line in finding.evidence if "not as brokers" in line]
    assert line == f"{DOOR}:9094 answers as broker 1, not as brokers 2, 3, 4 and 4 more"
    (finding,) = judged("KD301", OUTSIDE, *found)  # broker 1's own: it is what it should advertise
    (line,) = [line for line in finding.evidence if f"{DOOR}:9094 answers" in line]
    assert line == f"{DOOR}:9094 answers as broker 1: advertising it would work"


def test_an_ec2_name_is_read() -> None:
    host = "ip-10-0-1-11.eu-west-2.compute.internal"
    (finding,) = judged("KD304", OUTSIDE, listener(1, f"{host}:9094", "dns:not_found"))
    assert f"{host} stands for the private address 10.0.1.11" in finding.evidence


def test_a_blocked_port_beside_an_open_one() -> None:
    (finding,) = judged(
        "KD306",
        OUTSIDE,
        listener(1, f"{DOOR}:32001"),
        listener(2, f"{DOOR}:32002", "timeout"),
    )
    assert finding.subjects == ["broker 2"]
    assert f"{DOOR}:9094 answers" in finding.message
    assert f"reached all the same: {DOOR}:32001 (broker 1)" in finding.evidence


def test_two_swapped_brokers() -> None:
    (finding,) = judged(
        "KD307",
        OUTSIDE,
        listener(1, f"{DOOR}:9091"),
        listener(2, f"{DOOR}:9093", "identity:wrong_node", answered=3),
        listener(3, f"{DOOR}:9092", "identity:wrong_node", answered=2),
    )
    assert finding.subjects == ["broker 2", "broker 3"]
    assert finding.remedies[0].snippet.splitlines() == [
        "# broker 2",
        f"advertised.listeners=<your other entries>,EXTERNAL://{DOOR}:9092",
        "# broker 3",
        f"advertised.listeners=<your other entries>,EXTERNAL://{DOOR}:9093",
    ]


def test_a_broker_whose_address_leads_to_a_healthy_one_needs_another() -> None:
    """The healthy broker keeps its own address."""
    healthy = listener(1, f"{DOOR}:9091")
    astray = listener(2, f"{DOOR}:9092", "identity:wrong_node", answered=1)
    (finding,) = judged("KD307", OUTSIDE, healthy, astray)
    assert finding.remedies[0].snippet.splitlines() == [
        "# broker 2",
        "advertised.listeners=<your other entries>,EXTERNAL://<reachable address of broker 2>:9092",
    ]


def test_an_address_that_nobody_can_dial_is_not_proposed_again() -> None:
    brokers = [listener(node, "0.0.0.0:9094", "tcp:refused") for node in (1, 2)]
    (finding,) = judged("KD308", OUTSIDE, *brokers)
    assert "0.0.0.0" not in finding.remedies[0].snippet
    assert "<reachable address of broker 2>:<port of broker 2>" in finding.remedies[0].snippet


def test_a_wrong_port_is_not_proposed_again() -> None:
    """KD311, where no broker answers at the port of the others either."""
    silent = contact(f"{DOOR}:9094", "refused")
    odd = listener(2, f"{DOOR}:9904", "refused", candidates=(silent,))
    others = [listener(node, f"3.10.139.22{node + 2}:9094") for node in (1, 3)]
    (finding,) = judged("KD311", OUTSIDE, others[0], odd, others[1])
    assert f"{DOOR}:9094, the port of the others: no broker answers there" in finding.evidence
    for fix in finding.remedies:
        assert "9904" not in fix.snippet
    assert finding.remedies[0].snippet.endswith(f"EXTERNAL://{DOOR}:<port of broker 2>")
    assert "the others have 9094" in finding.remedies[0].summary


def test_evidence_does_not_argue_with_a_listener_for_clients_inside() -> None:
    """KD309 has clients use another listener, so what this one could advertise is no evidence."""
    met = listener(
        1,
        "my-cluster-kafka-0.my-cluster-kafka-brokers.kafka.svc:9092",
        "dns:not_found",
        candidates=(contact(f"{DOOR}:9092", node=1),),
    )
    (finding,) = judged("KD309", OUTSIDE, met)
    assert not any("would work" in line for line in finding.evidence)
    assert finding.remedies[0].snippet == (
        "kubectl get kafka my-cluster -n kafka -o jsonpath='{.status.listeners}'"
    )


def test_a_shared_address() -> None:
    (finding,) = judged(
        "KD308",
        OUTSIDE,
        listener(1, f"{DOOR}:9094"),
        listener(2, f"{DOOR}:9094", "identity:wrong_node", answered=1),
        listener(3, f"{DOOR}:9095"),
    )
    assert finding.subjects == ["broker 1", "broker 2"]
    assert finding.message == f"2 of 3 brokers share an advertised address: {DOOR}:9094"
    assert f"{DOOR}:9094 is advertised by brokers 1 and 2" in finding.evidence


def test_one_host_with_a_port_for_each_broker_is_not_shared() -> None:
    found = [listener(node, f"{DOOR}:3200{node}") for node in (1, 2, 3)]
    assert judged("KD308", OUTSIDE, *found) == []


def test_both_clusters_are_named() -> None:
    there = dial(DOOR, "identity:wrong_cluster", cluster="another", node=1)
    (finding,) = judged(
        "KD310", OUTSIDE, listener(1, f"{DOOR}:9094", "identity:wrong_cluster", there)
    )
    assert any("cluster another" in line for line in finding.evidence)


@pytest.mark.parametrize(
    ("mapped", "noted"),
    [
        ("10.0.1.11=3.10.139.221", []),
        ("10.0.1.99=3.10.139.221", ["--map of 10.0.1.99 is not used: no broker advertises it"]),
        ("10.0.1.11:1=b:2", ["--map of 10.0.1.11:1 is not used: no broker advertises it"]),
    ],
)
def test_a_map_of_an_address_that_nobody_advertises_is_said(mapped: str, noted: list[str]) -> None:
    asked = settings(f"{DOOR}:9094", mapped=[mapped])
    brokers = metadata(Broker(1, Endpoint("10.0.1.11", 9094)))
    assert list(unmatched_maps(Facts((asked, brokers)))) == noted
    assert list(unmatched_maps(Facts((asked,)))) == []
