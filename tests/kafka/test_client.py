"""The real client: each of its errors is told by exactly one rule."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Mapping
from typing import Any

import pytest
import trustme
from confluent_kafka import KafkaError, Producer

from kdiag.config.security import Sasl, Security, Tls
from kdiag.config.settings import Endpoint
from kdiag.demo import broker as demo
from kdiag.demo.broker import HANG_UP, SILENCE, FakeCluster, FakeNode
from kdiag.demo.logins import Logins, unsecured_token
from kdiag.kafka import client
from kdiag.kafka.client import LOGIN_FAILED, deliver, given_up, has_gssapi, login_by_client
from kdiag.kafka.connection import Reply
from kdiag.kafka.errors import error_name
from kdiag.kafka.messages import PRODUCE, SASL_AUTHENTICATE, Request
from kdiag.network.attempt import ClientRun, Delivery, EndpointResult, Failure, LayerResult
from kdiag.rules.catalog import every_rule
from kdiag.rules.records import code_of
from kdiag.rules.rule import Finding, Severity
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.metadata import Broker, Metadata, MetadataAnswer, Partition, Topic
from kdiag.walk.facts.produce import BrokerProduce, Produce, ProduceResult
from tests.facts import known
from tests.together import together

RULES = every_rule()

USER, PASSWORD = "bob", "bobs-password"
PLAINTEXT = Security("PLAINTEXT")
CA = trustme.CA()
TLS = Tls(ca=CA.cert_pem.bytes().decode())
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

ERRORS = sorted(
    KafkaError(code).name() for code in vars(KafkaError).values() if isinstance(code, int) and code
)


def test_its_warning_that_there_are_no_servers_is_never_evidence() -> None:
    log = client._ClientLog(())
    logger = logging.Logger("kdiag.client", logging.DEBUG)
    logger.addHandler(log)
    records: list[str] = []
    logger.addFilter(lambda record: records.append(record.getMessage()) or True)  # type: ignore[func-returns-value]
    Producer({}, logger=logger).poll(0.2)
    assert any("No `bootstrap.servers` configured" in line for line in records)
    assert log.lines == []


def found(delivery: Delivery) -> list[Finding]:
    """What is found where all is well on the wire, and the real client ends like this."""
    answered = ProduceResult(0.001, "UNKNOWN_TOPIC_OR_PARTITION")
    client = ClientRun("orders", (delivery,))
    broker = Broker(1, Endpoint("b1.example.com", 9092))
    server = Endpoint("kafka.example.com", 9092)
    topic = Topic("orders", "NONE", (Partition(0, 1, (1,), (1,)),))
    facts = known(
        Bootstrap((EndpointResult(server, LayerResult("dns", 0.0)),)),
        Metadata((MetadataAnswer(server, 0.0),), (broker,), "c", 1, topic),
        Produce((BrokerProduce(1, answered, answered),), (), client, 0.1),
    )
    alone = [rule for rule in RULES.values() if rule.code.startswith("KD4")]
    return [finding for rule in alone for finding in rule.apply(facts)]


def test_the_client_has_errors() -> None:
    assert len(ERRORS) > 150
    assert {"_TRANSPORT", "_MSG_TIMED_OUT", "TOPIC_AUTHORIZATION_FAILED"} <= set(ERRORS)


@together("error", [*ERRORS, "SOME_ERROR_OF_NEXT_YEAR"])
def test_every_error_of_the_real_client_is_one_finding(error: str) -> None:
    findings = found(Delivery(1, 0, 0.1, error=error, detail="the client's words"))
    assert len(findings) == 1, [finding.code for finding in findings]
    (finding,) = findings
    assert "KD403" <= finding.code <= "KD409"
    content = error == "INVALID_RECORD"  # of kdiag's record, and not of the client's
    assert finding.severity is (Severity.WARNING if content else Severity.ERROR)
    assert finding.subjects == ["broker 1"]
    assert any(error in line and "the client's words" in line for line in finding.evidence)


@together("error", ERRORS)
def test_every_error_of_the_real_client_has_a_cause_and_a_fix(error: str) -> None:
    (finding,) = found(Delivery(1, 0, 0.1, error=error))
    assert len(finding.evidence) == 2, finding.evidence
    assert finding.remedies[0].summary


def test_only_what_no_broker_said_is_a_disagreement() -> None:
    disagreeing = {error for error in ERRORS if code_of(error) == "KD407"}
    assert disagreeing == {error for error in ERRORS if error.startswith("_")} - {"_ISR_INSUFF"}


def test_success_is_no_finding() -> None:
    assert found(Delivery(1, 0, 0.1, offset=7)) == []


async def started(
    cluster: FakeCluster, *nodes: int, tls: ssl.SSLContext | None = None, **more: Any
) -> list[demo.FakeBroker]:
    brokers = [demo.FakeBroker(cluster, node, **more) for node in nodes]
    for broker in brokers:
        cluster.nodes.append(FakeNode(broker.node, "127.0.0.1", await broker.start(tls=tls)))
    return brokers


async def run(
    cluster: FakeCluster,
    leaders: dict[int, int],
    timeout: float,
    security: Security = PLAINTEXT,
    given: Mapping[str, str] | None = None,
) -> ClientRun:
    servers = f"127.0.0.1:{cluster.nodes[0].port}"
    return await asyncio.to_thread(
        deliver, servers, "orders", leaders, timeout, given or {}, security
    )


def served(clients: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("127.0.0.1").configure_cert(context)
    if clients:
        CA.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_a_record_for_each_leader() -> None:
    cluster = FakeCluster("c", topics={"orders": [1, 2]})
    brokers = await started(cluster, 1, 2)
    try:
        done = await run(cluster, {1: 0, 2: 1}, 10.0, given={"client.id": "orders-app"})
    finally:
        for broker in brokers:
            await broker.stop()
    assert [(d.node, d.partition, d.error) for d in done.deliveries] == [(1, 0, None), (2, 1, None)]
    assert all(d.offset is not None for d in done.deliveries)
    assert "orders-app" in {r.client_id for broker in brokers for r in broker.requests}
    assert all(isinstance(word, str) and word.isprintable() for word in done.words)


@pytest.mark.parametrize("how", ["_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "_DESTROY"])
def test_what_was_still_to_go_when_the_topic_was_refused_is_refused_as_well(how: str) -> None:
    refused = Delivery(1, 0, 0.1, error="TOPIC_AUTHORIZATION_FAILED", detail="no")
    lost = Delivery(2, 1, 0.1, error=how, detail="Local: gone")
    other = Delivery(3, 2, 0.1, error="_MSG_TIMED_OUT")
    said = lost._replace(error=refused.error, detail=refused.detail)
    assert given_up([refused, lost, other]) == (refused, said, other)
    assert given_up([lost, other]) == (lost, other)


async def test_a_topic_that_one_broker_refuses_is_refused_for_every_record() -> None:
    """Whichever way librdkafka fails what is still to go: it gives the topic up at once."""

    def refuse(request: Request) -> Any:
        if request.api is not PRODUCE:
            return None
        partition = {"index": 0, "error_code": 29, "base_offset": -1}
        partition |= {"log_append_time_ms": -1, "log_start_offset": -1}
        topics = [{"name": "orders", "partitions": [partition]}]
        return {"topics": topics, "throttle_time_ms": 0}

    cluster = FakeCluster("c", topics={"orders": [1, 2]})
    brokers = await started(cluster, 1, control=refuse)
    brokers += await started(cluster, 2, control=lambda _: SILENCE)  # its record waits
    try:
        done = await run(cluster, {1: 0, 2: 1}, 5.0)
    finally:
        for broker in brokers:
            await broker.stop()
    assert [(d.node, d.error) for d in done.deliveries] == [
        (1, "TOPIC_AUTHORIZATION_FAILED"),
        (2, "TOPIC_AUTHORIZATION_FAILED"),
    ]


async def test_nobody_there_ends_in_time_and_in_words() -> None:
    cluster = FakeCluster("c", topics={"orders": [1]})
    (broker,) = await started(cluster, 1)
    await broker.stop()
    done = await run(cluster, {1: 0}, 1.0)
    assert done.deliveries[0].error
    assert done.deliveries[0].offset is None
    assert any("refused" in word.lower() for word in done.words), done.words


async def test_a_value_that_the_client_does_not_take_is_left_out_and_told_in_its_words() -> None:
    cluster = FakeCluster("c", topics={"orders": [1]})
    (broker,) = await started(cluster, 1)
    given = {"socket.nagle.disable": "perhaps", "linger.ms": "900001", "client.id": "me"}
    given["batch.size"] = "0"  # Java's client takes it
    try:
        done = await run(cluster, {1: 0}, 5.0, given=given)
    finally:
        await broker.stop()
    assert [d.error for d in done.deliveries] == [None]
    assert [text.partition(":")[0] for text in done.refused] == [
        "socket.nagle.disable=…",
        "linger.ms=900001",
        "batch.size=0",
    ]
    assert "outside allowed range" in done.refused[2]
    assert {r.client_id for r in broker.requests} == {"me"}


async def test_properties_that_do_not_go_together_are_told_in_its_words() -> None:
    cluster = FakeCluster("c", topics={"orders": [1]})
    (broker,) = await started(cluster, 1)
    try:
        given = {"enable.idempotence": "true", "acks": "1"}
        done = await run(cluster, {1: 0}, 1.0, given=given)
    finally:
        await broker.stop()
    assert [d.error for d in done.deliveries] == ["_INVALID_ARG"]
    assert "`acks` must be set to `all`" in done.deliveries[0].detail
    assert done.refused == ()


WRITTEN = {"acks": "1", "compression.type": "gzip", "request.timeout.ms": "700"}


@pytest.mark.parametrize(
    ("given", "acks", "milliseconds", "codec"),
    [
        ({}, -1, 4000, 0),
        (WRITTEN, 1, 700, 1),
        ({**WRITTEN, "request.timeout.ms": "30000", "acks": "all"}, -1, 4000, 1),
        # Nobody would say that it was refused; and no transaction without its id, whose owner need
        # not be allowed anything else.
        ({"acks": "0", "transactional.id": "orders-1", "enable.idempotence": "true"}, 1, 4000, 0),
        ({"queue.buffering.max.messages": "1", "linger.ms": "5"}, -1, 4000, 0),
        ({"message.timeout.ms": "0", "linger.ms": "800000", "retries": "100"}, -1, 4000, 0),
    ],
)
async def test_it_writes_as_the_user_asks(
    given: dict[str, str], acks: int, milliseconds: int, codec: int
) -> None:
    cluster = FakeCluster("c", topics={"orders": [1, 2]})
    brokers = await started(cluster, 1, 2)
    try:
        done = await run(cluster, {1: 0, 2: 1}, 5.0, given=given)
    finally:
        for broker in brokers:
            await broker.stop()
    assert [(d.error, d.offset is not None) for d in done.deliveries] == [(None, True)] * 2, done
    bodies = [r.body for broker in brokers for r in broker.requests if r.api is PRODUCE]
    assert [body["acks"] for body in bodies] == [acks] * 2
    assert [body["timeout_ms"] for body in bodies] == [milliseconds] * 2
    assert {body["transactional_id"] for body in bodies} == {None}
    # The last bits of a batch's attributes tell its compression.
    assert [batch[22] & 7 for _, _, batch in cluster.records] == [codec] * 2


async def test_a_connection_that_breaks_once_is_no_failure() -> None:
    broken: list[int] = []

    def once(request: Request) -> Any:
        if request.api is PRODUCE and not broken:
            broken.append(1)
            return HANG_UP
        return None

    cluster = FakeCluster("c", topics={"orders": [1]})
    (broker,) = await started(cluster, 1, control=once)
    try:
        done = await run(cluster, {1: 0}, 5.0)
    finally:
        await broker.stop()
    assert broken
    assert [d.error for d in done.deliveries] == [None], done
    assert len(cluster.records) == 1


async def test_a_client_that_is_not_to_try_again_does_not() -> None:
    cluster = FakeCluster("c", topics={"orders": [1]})
    (broker,) = await started(
        cluster, 1, control=lambda request: HANG_UP if request.api is PRODUCE else None
    )
    try:
        done = await run(cluster, {1: 0}, 5.0, given={"retries": "0"})
    finally:
        await broker.stop()
    assert done.deliveries[0].error is not None
    assert len([r for r in broker.requests if r.api is PRODUCE]) == 1


@pytest.mark.parametrize("timeout", [0.05, 300.0, 3600.0])
async def test_any_timeout_that_may_be_asked_for(timeout: float) -> None:
    cluster = FakeCluster("c", topics={"orders": [1]})
    (broker,) = await started(cluster, 1)
    try:
        done = await run(cluster, {1: 0}, timeout)
    finally:
        await broker.stop()
    assert [d.error for d in done.deliveries] == [None]


async def written(tls: Tls | None, sasl: Sasl | None, logins: Logins | None = None) -> ClientRun:
    """One record for each of two leaders, by a client that is secured so."""
    protocol = f"{'SASL_' if sasl else ''}{'SSL' if tls else 'PLAINTEXT'}"
    security = Security(protocol, tls or Tls(), sasl)
    cluster = FakeCluster("c", topics={"orders": [1, 2]})
    context = served(clients=bool(tls.certificate)) if tls else None
    brokers = await started(cluster, 1, 2, tls=context, sasl=logins)
    try:
        return await run(cluster, {1: 0, 2: 1}, 10.0, security)
    finally:
        for broker in brokers:
            await broker.stop()


def with_certificate() -> Tls:
    own = CA.issue_cert("client")
    chain = b"".join(blob.bytes() for blob in own.cert_chain_pems).decode()
    return TLS._replace(certificate=chain, key=own.private_key_pem.bytes().decode())


@pytest.mark.parametrize("tls", [TLS, with_certificate(), Tls(verify=False, verify_name=False)])
async def test_over_tls(tls: Tls) -> None:
    done = await written(tls, None)
    assert [d.error for d in done.deliveries] == [None, None], done


@pytest.mark.parametrize("tls", [None, TLS])
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_with_a_password(tls: Tls | None, mechanism: str) -> None:
    done = await written(tls, Sasl(mechanism, USER, PASSWORD), Logins({USER: PASSWORD}))
    assert [d.error for d in done.deliveries] == [None, None], done


async def test_with_a_token() -> None:
    sasl = Sasl("OAUTHBEARER", token=unsecured_token(USER), extensions={"logicalCluster": "lkc-1"})
    done = await written(None, sasl, Logins())
    assert [d.error for d in done.deliveries] == [None, None], done


async def test_with_the_keys_of_aws_it_logs_in_by_a_token_signed_with_them() -> None:
    seen: list[str] = []

    def subject(token: str) -> str:
        url = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        seen.append(url)
        return "role"

    keys = Sasl("AWS_MSK_IAM", "AKIDEXAMPLE", "the-secret", token="session", region="eu-west-2")
    done = await written(TLS, keys, Logins(subject=subject))
    assert [d.error for d in done.deliveries] == [None, None], done
    for url in seen:
        assert url.startswith(
            "https://kafka.eu-west-2.amazonaws.com/?Action=kafka-cluster%3AConnect"
        )
        assert "AKIDEXAMPLE" in url
        assert "the-secret" not in url


@pytest.mark.parametrize(
    "sasl",
    [
        *(Sasl(mechanism, USER, "wrong-password") for mechanism in MECHANISMS),
        Sasl("OAUTHBEARER", token=unsecured_token(USER, lifetime=-1)),
    ],
    ids=lambda sasl: sasl.mechanism,
)
async def test_a_login_that_is_refused_is_not_tried_again(sasl: Sasl) -> None:
    logins = Logins({USER: PASSWORD})
    done = await written(None, sasl, logins)
    # The client has a second for a second try before it tells of a token that was refused, and on a
    # busy machine it may use it; a token locks no account. Unstopped it makes twenty.
    most = 2 if sasl.mechanism == "OAUTHBEARER" else 1
    assert 1 <= logins.attempts[USER] <= most
    assert [d.error for d in done.deliveries] == [LOGIN_FAILED] * 2
    assert all("authentication" in d.detail.lower() for d in done.deliveries), done
    assert max(d.elapsed for d in done.deliveries) < 10.0  # the timeout: it need not pass


async def test_a_secret_that_comes_back_is_not_shown() -> None:
    def echoing(request: Request) -> Any:
        if request.api is not SASL_AUTHENTICATE:
            return None
        return {
            "error_code": 58,
            "error_message": f"no such user: {request.body['auth_bytes']!r}\x1b[31m",
            "auth_bytes": b"",
            "session_lifetime_ms": 0,
        }

    cluster = FakeCluster("c", topics={"orders": [1]})
    (broker,) = await started(cluster, 1, sasl=Logins(), control=echoing)
    security = Security("SASL_PLAINTEXT", sasl=Sasl("PLAIN", USER, PASSWORD))
    try:
        done = await run(cluster, {1: 0}, 10.0, security)
    finally:
        await broker.stop()
    said = [*done.words, *(d.detail for d in done.deliveries)]
    assert sum("no such user" in words for words in said) >= 2, said
    assert not any(PASSWORD in words or not words.isprintable() for words in said)


async def entered(
    security: Security, topic: str | None = None, timeout: float = 10.0, **more: Any
) -> tuple[FakeCluster, Reply]:
    """What the metadata is when the real client logs in and asks for it."""
    cluster = FakeCluster("c", topics={"orders": [1, 2], "others": [1]})
    brokers = await started(cluster, 1, 2, **more)
    server = f"127.0.0.1:{cluster.nodes[0].port}"
    try:
        return cluster, await asyncio.to_thread(
            login_by_client, server, topic, timeout, {}, security
        )
    finally:
        for broker in brokers:
            await broker.stop()


@pytest.mark.parametrize("topic", [None, "orders"])
async def test_what_it_is_told_is_as_on_the_wire(topic: str | None) -> None:
    security = Security("SASL_PLAINTEXT", sasl=Sasl("SCRAM-SHA-512", USER, PASSWORD))
    cluster, reply = await entered(security, topic, sasl=Logins({USER: PASSWORD}))
    assert (reply.failure, reply.detail) == (None, "")
    assert reply.body["cluster_id"] == "c"
    assert sorted(reply.body["brokers"], key=lambda b: b["node_id"]) == [
        {"node_id": node.node, "host": node.host, "port": node.port, "rack": None}
        for node in cluster.nodes
    ]
    assert [told["name"] for told in reply.body["topics"]] == ([topic] if topic else [])
    for told in reply.body["topics"]:
        assert told["error_code"] == 0
        assert [p["leader_id"] for p in told["partitions"]] == [1, 2]
        keys = {"partition_index", "leader_id", "replica_nodes", "isr_nodes", "error_code"}
        assert all(set(p) == keys for p in told["partitions"])


async def test_a_topic_that_does_not_exist_is_told_as_such() -> None:
    _, reply = await entered(PLAINTEXT, "ordres")
    assert [error_name(t["error_code"]) for t in reply.body["topics"]] == [
        "UNKNOWN_TOPIC_OR_PARTITION"
    ]


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_it_is_let_in_or_not_at_the_first_try(mechanism: str) -> None:
    logins = Logins({USER: PASSWORD})
    security = Security("SASL_PLAINTEXT", sasl=Sasl(mechanism, USER, "wrong-password"))
    _, reply = await entered(security, sasl=logins)
    assert reply.failure is Failure.CREDENTIALS
    assert "authentication" in reply.detail.lower()
    assert logins.attempts == {USER: 1}


async def test_a_broker_that_is_silent_costs_one_timeout() -> None:
    _, reply = await entered(PLAINTEXT, timeout=1.0, control=lambda _: SILENCE)
    assert reply.failure is Failure.SILENT
    assert reply.detail


async def test_without_kerberos_in_its_build_it_says_so() -> None:
    security = Security("SASL_PLAINTEXT", sasl=Sasl("GSSAPI"))
    _, reply = await entered(security, timeout=1.0, sasl=Logins({}))
    assert reply.failure is Failure.CREDENTIALS
    said = "mechanism" if has_gssapi() else "No provider for SASL mechanism GSSAPI"
    assert said in reply.detail
