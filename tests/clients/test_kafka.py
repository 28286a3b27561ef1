"""The real client: each of its errors is told by exactly one rule."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from confluent_kafka import KafkaError

import kdiag.rules  # noqa: F401  the rules are declared by being imported
from kdiag.attempt import Attempt, ClientRun, Contact, Delivery
from kdiag.clients.errors import error_name
from kdiag.clients.kafka import deliver
from kdiag.demo import broker as demo
from kdiag.demo.broker import Cluster, Node
from kdiag.hops.bootstrap import Bootstrap
from kdiag.hops.metadata import Answer, Broker, Metadata, Partition, Topic
from kdiag.hops.produce import Outcome, Produce, Produced
from kdiag.rule import RULES, Finding, Severity
from kdiag.rules import produce as rules
from kdiag.settings import Endpoint

ERRORS = sorted(
    KafkaError(code).name() for code in vars(KafkaError).values() if isinstance(code, int) and code
)
SETS = [rules.DENIED, rules.REPLICAS, rules.LEADER, rules.REJECTED, rules.THROTTLED]


def found(delivery: Delivery) -> list[Finding]:
    """What is found where all is well on the wire, and the real client ends like this."""
    answered = Outcome(0.001, "UNKNOWN_TOPIC_OR_PARTITION")
    client = ClientRun("orders", (delivery,))
    broker = Broker(1, Endpoint("b1.example.com", 9092))
    server = Endpoint("kafka.example.com", 9092)
    topic = Topic("orders", "NONE", (Partition(0, 1, (1,), (1,)),))
    facts: dict[type, Any] = {
        Bootstrap: Bootstrap((Contact(server, Attempt("dns", 0.0)),)),
        Metadata: Metadata((Answer(server, 0.0),), (broker,), "c", 1, topic),
        Produce: Produce((Produced(1, answered, answered),), (), client, 0.1),
    }
    alone = [rule for rule in RULES.values() if rule.code.startswith("KD4")]
    return [finding for rule in alone for finding in rule.apply(facts)]


def test_the_client_has_errors() -> None:
    assert len(ERRORS) > 150
    assert {"_TRANSPORT", "_MSG_TIMED_OUT", "TOPIC_AUTHORIZATION_FAILED"} <= set(ERRORS)


@pytest.mark.parametrize("error", [*ERRORS, "SOME_ERROR_OF_NEXT_YEAR"])
def test_every_error_of_the_real_client_is_one_finding(error: str) -> None:
    findings = found(Delivery(1, 0, 0.1, error=error, detail="the client's words"))
    assert len(findings) == 1, [finding.code for finding in findings]
    (finding,) = findings
    assert "KD403" <= finding.code <= "KD408"
    assert finding.severity is Severity.ERROR
    assert finding.subjects == ["broker 1"]
    assert any(error in line and "the client's words" in line for line in finding.evidence)


def test_no_error_is_in_two_groups() -> None:
    names = [name for group in SETS for name in group]
    assert len(names) == len(set(names))


def test_every_name_in_a_group_is_one_that_exists() -> None:
    brokers = {error_name(code) for code in range(200)}
    assert set().union(*SETS) <= set(ERRORS) | brokers


def test_success_is_no_finding() -> None:
    assert found(Delivery(1, 0, 0.1, offset=7)) == []


async def started(cluster: Cluster, *nodes: int) -> list[demo.Broker]:
    brokers = [demo.Broker(cluster, node) for node in nodes]
    for broker in brokers:
        cluster.nodes.append(Node(broker.node, "127.0.0.1", await broker.start()))
    return brokers


async def run(cluster: Cluster, leaders: dict[int, int], timeout: float, **given: str) -> ClientRun:
    servers = f"127.0.0.1:{cluster.nodes[0].port}"
    return await asyncio.to_thread(deliver, servers, "orders", leaders, timeout, given)


async def test_a_record_for_each_leader() -> None:
    cluster = Cluster("c", topics={"orders": [1, 2]})
    brokers = await started(cluster, 1, 2)
    try:
        done = await run(cluster, {1: 0, 2: 1}, 10.0, **{"client.id": "orders-app"})
    finally:
        for broker in brokers:
            await broker.stop()
    assert [(d.node, d.partition, d.error) for d in done.deliveries] == [(1, 0, None), (2, 1, None)]
    assert all(d.offset is not None for d in done.deliveries)
    assert "orders-app" in {r.client_id for broker in brokers for r in broker.requests}
    assert all(isinstance(word, str) and word.isprintable() for word in done.words)


async def test_nobody_there_ends_in_time_and_in_words() -> None:
    cluster = Cluster("c", topics={"orders": [1]})
    (broker,) = await started(cluster, 1)
    await broker.stop()
    done = await run(cluster, {1: 0}, 1.0)
    assert done.deliveries[0].error
    assert done.deliveries[0].offset is None
    assert any("refused" in word.lower() for word in done.words), done.words


async def test_a_property_that_the_client_does_not_take_is_told_in_its_words() -> None:
    cluster = Cluster("c", topics={"orders": [1]})
    (broker,) = await started(cluster, 1)
    try:
        done = await run(cluster, {1: 0}, 1.0, **{"socket.nagle.disable": "perhaps"})
    finally:
        await broker.stop()
    assert [d.error for d in done.deliveries] == ["_INVALID_ARG"]
    assert "socket.nagle.disable" in done.deliveries[0].detail


@pytest.mark.parametrize("timeout", [0.05, 300.0, 3600.0])
async def test_any_timeout_that_may_be_asked_for(timeout: float) -> None:
    cluster = Cluster("c", topics={"orders": [1]})
    (broker,) = await started(cluster, 1)
    try:
        done = await run(cluster, {1: 0}, timeout)
    finally:
        await broker.stop()
    assert [d.error for d in done.deliveries] == [None]
