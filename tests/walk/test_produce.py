"""Hop 4: a small and a large request to every broker that was reached, and the real client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from kdiag.api import walk
from kdiag.config.settings import settings
from kdiag.demo.broker import HANG_UP, SILENCE, Control, FakeBroker, FakeCluster, FakeNode
from kdiag.demo.world import PORT, PRIVATE, PUBLIC, World, endpoint
from kdiag.kafka.messages import DESCRIBE_CONFIGS, METADATA, PRODUCE, Request
from kdiag.network.attempt import ClientRun, Delivery, Failure
from kdiag.report.model import Report
from kdiag.walk.facts.produce import Produce
from kdiag.walk.runner import nobody
from tests.collected import collect_facts
from tests.walks import on_loopback


def sizes(requests: list[Request]) -> list[int]:
    """Bytes of the record batches in the produce requests."""
    return [
        len(partition["records"])
        for request in requests
        if request.api is PRODUCE
        for topic in request.body["topics"]
        for partition in topic["partitions"]
    ]


def large(request: Request) -> bool:
    return max(sizes([request]), default=0) > 4096


def answered(code: int, throttle_ms: int = 0) -> Control:
    def control(request: Request) -> dict[str, Any] | None:
        if request.api is not PRODUCE:
            return None
        partition = {
            "index": 0,
            "error_code": code,
            "base_offset": -1,
            "log_append_time_ms": -1,
            "log_start_offset": -1,
        }
        topics = [{"name": request.body["topics"][0]["name"], "partitions": [partition]}]
        return {"topics": topics, "throttle_time_ms": throttle_ms}

    return control


async def test_every_broker_is_asked_twice_and_answers(world: World) -> None:
    await world.three()
    found = await collect_facts(world)
    assert [p.node for p in found.produce.produced] == [1, 2, 3]
    for produced in found.produce.produced:
        assert produced.answered
        assert produced.small.error == produced.large.error == "UNKNOWN_TOPIC_OR_PARTITION"
        assert (produced.small.throttle_ms, produced.small.detail) == (0, "")
    assert found.produce.unreached == ()
    assert found.produce.client is None
    assert found.produce.summary == "3 of 3 brokers answered"


async def test_one_request_fits_a_packet_and_the_other_does_not(world: World) -> None:
    await world.three()
    await collect_facts(world)
    for broker in world.brokers.values():
        small, big = sizes(broker.requests)
        assert small < 500
        assert big > 9000, "more than a jumbo frame"


async def test_nothing_is_written_and_no_topic_is_made(world: World) -> None:
    await world.three()
    world.cluster.topics["orders"] = [1, 2, 3]
    await collect_facts(world)
    await collect_facts(world, topic="orders")
    assert world.cluster.records == []
    requests = [r for broker in world.brokers.values() for r in broker.requests]
    names = {t["name"] for r in requests if r.api is PRODUCE for t in r.body["topics"]}
    assert len(names) == 6, "a new name each time, so that none can ever exist"
    assert all(len(name) > 20 and name.startswith("kdiag-no-such-topic-") for name in names)
    creating = [r.body["allow_auto_topic_creation"] for r in requests if r.api is METADATA]
    assert set(creating) == {False}


async def test_it_goes_out_on_the_connection_that_proved_itself(world: World) -> None:
    await world.three()
    await collect_facts(world)
    assert [world.brokers[node].connections for node in (1, 2, 3)] == [1, 1, 1]
    apis = [r.api for r in world.brokers[3].requests]
    assert apis.index(DESCRIBE_CONFIGS) < apis.index(PRODUCE)


async def test_they_share_the_flight_of_hop_3(world: World) -> None:
    await world.three()
    world.brokers[3].flights = lambda _: (5,)
    assert (await collect_facts(world)).produced(3).answered


async def test_with_few_descriptors_no_connection_is_made_twice(world: World) -> None:
    await world.three()
    found = await collect_facts(world, capacity=2)
    assert [p.answered for p in found.produce.produced] == [True] * 3
    assert [world.brokers[node].connections for node in (1, 2, 3)] == [2, 1, 1]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (3, "UNKNOWN_TOPIC_OR_PARTITION"),
        (29, "TOPIC_AUTHORIZATION_FAILED"),
        (31, "CLUSTER_AUTHORIZATION_FAILED"),
        (-1, "UNKNOWN_SERVER_ERROR"),
        (32767, "error 32767"),
    ],
)
async def test_any_answer_proves_the_path(world: World, code: int, name: str) -> None:
    await world.three()
    world.brokers[2].control = answered(code)
    produced = (await collect_facts(world)).produced(2)
    assert produced.answered
    assert produced.small.error == produced.large.error == name


async def test_an_answer_about_no_topic_is_an_answer(world: World) -> None:
    await world.three()
    world.brokers[2].control = lambda r: (
        {"topics": [], "throttle_time_ms": 700} if r.api is PRODUCE else None
    )
    produced = (await collect_facts(world)).produced(2)
    assert produced.answered
    assert (produced.small.error, produced.small.throttle_ms) == (None, 700)


async def test_large_requests_vanish(world: World) -> None:
    await world.three()
    world.brokers[1].control = lambda request: SILENCE if large(request) else None
    found = await collect_facts(world, timeout=1.0)
    assert found.produced(1).small.failure is None
    assert found.produced(1).large.failure is Failure.SILENT
    assert not found.produced(1).answered
    assert found.produce.summary == "2 of 3 brokers answered"


async def test_no_produce_request_is_answered(world: World) -> None:
    await world.three()
    world.brokers[1].control = lambda request: SILENCE if request.api is PRODUCE else None
    produced = (await collect_facts(world, timeout=1.0)).produced(1)
    assert produced.small.failure is produced.large.failure is Failure.SILENT
    assert "no answer within 1 s" in produced.small.detail


async def test_a_broker_hangs_up_on_produce(world: World) -> None:
    await world.three()
    world.brokers[1].control = lambda request: HANG_UP if request.api is PRODUCE else None
    produced = (await collect_facts(world)).produced(1)
    assert {produced.small.failure, produced.large.failure} <= {Failure.CLOSED, Failure.RESET}


async def test_a_broker_hangs_up_on_large_requests_only(world: World) -> None:
    await world.three()
    world.brokers[1].control = lambda request: HANG_UP if large(request) else None
    produced = (await collect_facts(world)).produced(1)
    assert produced.small.failure is None
    assert produced.large.failure in (Failure.CLOSED, Failure.RESET)


async def test_an_answer_that_cannot_be_read(world: World) -> None:
    await world.three()
    world.brokers[1].control = lambda request: (
        b"\0\0\0\x08" + request.correlation.to_bytes(4, "big") + b"\x7f\xff\xff\xff"
        if request.api is PRODUCE
        else None
    )
    produced = (await collect_facts(world)).produced(1)
    assert produced.small.failure is Failure.NOT_KAFKA
    assert "Produce answer" in produced.small.detail


async def test_a_broker_that_goes_down_between_the_hops(world: World) -> None:
    """Its connection ends with its last words, and its port is closed when it is dialled again."""
    await world.three()
    going = world.brokers[2]

    def last_words(request: Request) -> object:
        if request.api is not PRODUCE:
            return None
        world.closed(PUBLIC[1], PORT)
        return HANG_UP

    going.control = last_words
    produced = (await collect_facts(world)).produced(2)
    assert produced.unreachable
    assert produced.small.failure is Failure.REFUSED
    assert produced.large.failure is Failure.REFUSED


async def test_brokers_that_hop_3_did_not_reach_are_not_asked(world: World) -> None:
    await world.three((PUBLIC[0], PORT), (PUBLIC[1], PORT), (PRIVATE[2], PORT))
    found = await collect_facts(world, timeout=1.0)
    assert [p.node for p in found.produce.produced] == [1, 2]
    assert found.produce.unreached == (3,)
    assert found.produce.summary == "2 of 2 brokers answered, 1 not asked"
    assert sizes(world.brokers[3].requests) == []


async def test_nobody_was_reached(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    found = await collect_facts(world, timeout=1.0)
    assert found.listeners.reached == ()
    assert len(found.facts.values) == 3


# The real client, against brokers at addresses that mean the same to everybody.


class Loopback:
    """Three brokers that listen and advertise on 127.0.0.1."""

    def __init__(self) -> None:
        self.cluster = FakeCluster("loopback")
        self.brokers = {node: FakeBroker(self.cluster, node) for node in (1, 2, 3)}

    async def start(self) -> None:
        for node, broker in self.brokers.items():
            self.cluster.nodes.append(FakeNode(node, "127.0.0.1", await broker.start()))

    @property
    def bootstrap(self) -> str:
        return endpoint("127.0.0.1", self.cluster.nodes[0].port)

    async def walk(
        self, topic: str | None, timeout: float = 5.0, deadline: float = 30.0, **properties: str
    ) -> Report:
        limits: dict[str, Any] = {"timeout": timeout, "answer_timeout": timeout}
        limits["deadline"] = deadline
        asked = settings(self.bootstrap, topic=topic, properties=properties, **limits)
        return await walk(asked, on_loopback, nobody)


@pytest_asyncio.fixture
async def loopback() -> AsyncIterator[Loopback]:
    made = Loopback()
    await made.start()
    made.cluster.topics["orders"] = [1, 2, 3, 1, 2]
    yield made
    for broker in made.brokers.values():
        await broker.stop()
    await asyncio.sleep(0)


async def test_the_real_client_writes_one_record_to_every_leader(loopback: Loopback) -> None:
    report = await loopback.walk("orders")
    assert report.exit_code == 0, report
    assert sorted(partition for _, partition, _ in loopback.cluster.records) == [0, 1, 2]
    assert {topic for topic, _, _ in loopback.cluster.records} == {"orders"}
    assert report.hops[3].summary == ("3 of 3 brokers answered; 3 of 3 records acknowledged")
    for _, _, batch in loopback.cluster.records:
        assert b"kdiag connectivity check" in batch


async def test_without_a_topic_the_real_client_is_not_started(loopback: Loopback) -> None:
    report = await loopback.walk(None)
    assert report.exit_code == 0
    clients = {r.client_id for b in loopback.brokers.values() for r in b.requests}
    assert clients == {"kdiag"}
    assert loopback.cluster.records == []


@pytest.mark.parametrize(("limit", "code", "exit_code"), [("", "KD002", 0), ("1000", "KD407", 40)])
async def test_a_client_that_the_deadline_cuts_off_proves_nothing(
    loopback: Loopback, limit: str, code: str, exit_code: int
) -> None:
    """But one that gives up by its own configuration in time has failed."""

    def control(request: Request) -> object:
        real = request.api is PRODUCE and request.body["topics"][0]["name"] == "orders"
        return SILENCE if real else None

    for broker in loopback.brokers.values():
        broker.control = control
    own = {"message.timeout.ms": limit} if limit else {}
    report = await loopback.walk("orders", timeout=1.0, deadline=4.5, **own)
    assert [finding.code for finding in report.findings] == [code]
    assert report.exit_code == exit_code


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        (29, "KD403"),
        (31, "KD403"),
        (19, "KD404"),
        (20, "KD404"),
        (6, "KD405"),
        (74, "KD405"),
        (10, "KD406"),
        (32, "KD406"),
        (44, "KD406"),
        (89, "KD408"),
        (56, "KD409"),
        (7, "KD409"),
        (21, "KD406"),
    ],
)
async def test_the_leaders_refusal_is_named(loopback: Loopback, code: int, finding: str) -> None:
    """Only real records are refused: the probe's topic is answered as ever."""
    refuse = answered(code)

    def control(request: Request) -> dict[str, Any] | None:
        real = request.api is PRODUCE and request.body["topics"][0]["name"] == "orders"
        body = refuse(request) if real else None
        if body:
            asked = request.body["topics"][0]["partitions"][0]["index"]
            body["topics"][0]["partitions"][0]["index"] = asked
        found: dict[str, Any] | None = body
        return found

    loopback.brokers[2].control = control
    report = await loopback.walk("orders", timeout=2.0)
    assert (report.exit_code, report.root_cause) == (40, finding), report.findings
    assert report.cause
    assert "broker 2" in report.cause.subjects
    if code != 29:  # which the client takes for the whole topic's, as it is
        assert report.cause.subjects == ["broker 2"]
        assert sorted(partition for _, partition, _ in loopback.cluster.records) == [0, 2]


async def test_the_real_client_disagrees(loopback: Loopback) -> None:
    """The probe is answered; whoever says that it is another client is not."""

    def control(request: Request) -> object:
        return None if request.client_id == "kdiag" else HANG_UP

    for broker in loopback.brokers.values():
        broker.control = control
    report = await loopback.walk("orders", timeout=1.0)
    assert (report.exit_code, report.root_cause) == (40, "KD407")
    assert report.cause
    said = [line for line in report.cause.evidence if line.startswith("the client says: ")]
    assert said, "the message of the client"
    assert len(report.cause.subjects) == 3


@pytest.mark.parametrize(
    ("records", "because", "said"),
    [
        (0, "only the real client can log in, and it writes to what --topic names", ""),
        (1, None, "1 of 1 records acknowledged"),
    ],
)
def test_where_only_the_real_client_can_log_in(
    records: int, because: str | None, said: str
) -> None:
    client = ClientRun("orders", (Delivery(1, 0, 0.1, offset=7),)) if records else None
    found = Produce((), (), client, 0.1)
    assert (found.skipped_because, found.summary, found.failed) == (because, said, ())
