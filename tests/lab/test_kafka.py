"""kdiag on a real Kafka, alone on loopback."""

from __future__ import annotations

import pytest

from tests.lab.client import HEALTHY, Verdict
from tests.lab.goldens import named
from tests.lab.lab import Lab
from tests.lab.listeners import NODES

pytestmark = pytest.mark.kafka


def test_healthy(kafka: Lab) -> None:
    report = kafka.client.check(kafka.at("PUBLIC"))
    assert report.verdict == HEALTHY, report
    assert report.told["verdict"] == "pass"
    for node in NODES:
        broker = report.brokers[node]
        assert (broker["answered_as"], broker["produce"]) == (node, "ok"), report


def test_the_produce_that_writes_nothing_leaves_nothing(kafka: Lab) -> None:
    before = kafka.ask("topics"), kafka.ask("read", "orders"), kafka.kafka.errors()
    assert kafka.client.check(kafka.at("PUBLIC")).verdict == HEALTHY
    assert before == (kafka.ask("topics"), kafka.ask("read", "orders"), kafka.kafka.errors())


@pytest.mark.parametrize(
    ("listener", "verdict", "subjects"),
    [
        ("CLOSED", ("listeners", "KD305", 30), ["broker 1", "broker 2", "broker 3"]),
        ("SWAPPED", ("listeners", "KD307", 30), ["broker 2", "broker 3"]),
        ("SHARED", ("listeners", "KD308", 30), ["broker 1", "broker 2", "broker 3"]),
        ("CONTROLLED", ("listeners", "KD109", 30), ["broker 1", "broker 2", "broker 3"]),
        ("CONTROLLER", ("bootstrap", "KD109", 10), []),
    ],
    ids=named,
)
def test_advertised(kafka: Lab, listener: str, verdict: Verdict, subjects: list[str]) -> None:
    report = kafka.client.check(kafka.at(listener))
    assert report.verdict == verdict, report
    assert report.cause["subjects"] == (subjects or [f"bootstrap {kafka.at(listener)}"])


def test_unknown_topic_is_named_and_not_created(kafka: Lab) -> None:
    """These brokers would create it: a client's first write does."""
    report = kafka.client.check(kafka.at("PUBLIC"), "--topic", "ordres")
    assert report.verdict == HEALTHY, report
    assert [(f["code"], f["severity"]) for f in report.told["findings"]] == [("KD204", "warning")]
    topics = kafka.ask("topics")
    assert isinstance(topics, list)
    assert "orders" in topics
    assert "ordres" not in topics


def test_a_record_for_every_leader_and_a_consumer_reads_them(kafka: Lab) -> None:
    before = kafka.ask("read", "orders")
    report = kafka.client.check(kafka.at("PUBLIC"), "--topic", "orders")
    assert report.verdict == HEALTHY, report
    after = kafka.ask("read", "orders")
    assert isinstance(before, list)
    assert isinstance(after, list)
    new = [record for record in after if record not in before]
    assert [(partition, key, value) for partition, _, key, value in new] == [
        (partition, "kdiag", "kdiag connectivity check") for partition in range(len(NODES))
    ]


def test_a_record_that_is_too_large_for_the_topic(kafka: Lab) -> None:
    report = kafka.client.check(kafka.at("PUBLIC"), "--topic", "tiny")
    assert report.verdict == ("produce", "KD406", 40), report


def test_a_broker_that_hangs(kafka: Lab) -> None:
    kafka.kafka.pause(2)
    try:
        report = kafka.client.check(kafka.at("PUBLIC"), "--timeout", "2")
    finally:
        kafka.kafka.resume(2)
    assert report.verdict == ("listeners", "KD107", 30), report
    assert report.cause["subjects"] == ["broker 2"]
    kafka.ask("recover")
