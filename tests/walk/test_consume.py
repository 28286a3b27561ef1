"""The section consume: what is asked about a group and a producer's rights, and what is not."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest

from kdiag.api import walk
from kdiag.config.settings import settings
from kdiag.demo import broker as fake
from kdiag.demo.groups import FakeGroup
from kdiag.demo.scenarios import SCENARIOS
from kdiag.demo.world import PUBLIC, World, endpoint
from kdiag.kafka.group_messages import (
    FETCH,
    HEARTBEAT,
    INIT_PRODUCER_ID,
    OFFSET_FETCH,
)
from kdiag.kafka.messages import END_TXN, LIST_OFFSETS, METADATA, PRODUCE, Request, decode_request
from kdiag.report.model import Report
from kdiag.walk.consume import _hash
from kdiag.walk.runner import nobody

GROUP_KEYS = {1, 2, 9, 12, 15, 22, 26, 61, 69, 77}
# FindCoordinator may create the topic of offsets; JoinGroup and SyncGroup leave a group; the others
# begin a transaction, commit, or delete.
NEVER = {8, 10, 11, 13, 14, 19, 20, 21, 24, 25, 28, 42, 47, 68, 76, 78, 79}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The API key of every request that a fake broker gets, also of those it does not know."""
    seen: list[int] = []

    def noting(frame: bytes) -> Request:
        seen.append(struct.unpack(">h", frame[:2])[0])
        return decode_request(frame)

    monkeypatch.setattr(fake, "decode_request", noting)
    yield seen


async def checked(world: World, **options: Any) -> Report:
    made = settings(endpoint(), timeout=2.0, answer_timeout=1.0, **options)
    return await walk(made, world.net, nobody)


def requests(world: World) -> list[Request]:
    return [request for broker in world.brokers.values() for request in broker.requests]


def group(world: World, **given: Any) -> None:
    world.cluster.roles.groups["g"] = FakeGroup(**given)


async def test_a_walk_without_a_group_sends_nothing_more(world: World, keys: list[int]) -> None:
    await world.three()
    report = await checked(world)
    assert (report.exit_code, report.consume) == (0, None)
    assert not GROUP_KEYS & set(keys)
    assert sorted(keys) == sorted(
        # hop 1: versions, metadata; hop 3, on its connection and two others: who is it, and produce
        [18, 3] + [18] * 2 + [3, 32, 0, 0] * 3
    )


async def test_the_questions_of_a_group_ride_in_hop_4s_flight(world: World) -> None:
    """The broker answers nothing before all have arrived: no round trip is added."""
    await world.three()
    world.cluster.topics["orders"] = [1, 2, 3]
    group(world)
    # Versions; metadata and configuration; heartbeat, two kinds of group, offsets, fetch, and three
    # questions about offsets; two produce requests.
    world.brokers[3].flights = lambda _: (1 + 2 + 4 + 4 + 2,)
    report = await checked(world, group="g", topic="orders")
    assert report.exit_code == 0, report
    assert report.consume
    assert report.consume.coordinator == 1
    assert world.brokers[3].connections == 1


async def test_other_topics_of_a_group_cost_one_round_trip_on_the_same_connections(
    world: World,
) -> None:
    await world.three()
    world.cluster.topics["orders"] = [2]
    world.cluster.roles.offsets["orders", 0] = (0, 50, 50)
    group(world, committed={("orders", 0): 20})
    before = 1 + 2 + 4 + 2
    for node in (2, 3):
        world.brokers[node].flights = lambda _: (
            before,
            3 + 1,
        )  # of the other topic, and one with a large answer
    report = await checked(world, group="g")
    assert report.consume
    assert report.consume.lag == 30
    assert [world.brokers[node].connections for node in (1, 2, 3)] == [1, 1, 1]
    assert [len(world.brokers[node].requests) for node in (2, 3)] == [before + 4] * 2


@pytest.mark.parametrize("name", [n for n in SCENARIOS if n in (
    "healthy-group", "offsets-topic", "group-denied", "coordinator-unavailable", "read-denied",
    "transactional-id-denied", "idempotence-denied", "open-transaction", "coordinator-unreachable",
)])  # fmt: skip
async def test_what_would_leave_something_behind_is_never_sent(
    name: str, world: World, keys: list[int]
) -> None:
    start = await SCENARIOS[name](world)
    options = {
        "group": start.group, "role": start.role, "topic": start.topic,
        "properties": start.properties,
    }  # fmt: skip
    await checked(world, **options)
    assert len(keys) > 10
    assert not NEVER & set(keys)
    for request in requests(world):
        body = request.body
        if request.api is METADATA and body["topics"] is not None:
            names = [topic["name"] for topic in body["topics"]]
            assert not [topic for topic in names if topic.startswith("__")]
            assert body.get("allow_auto_topic_creation", False) is False
        if request.api is INIT_PRODUCER_ID:
            assert body["transactional_id"] is None
        if request.api is END_TXN:
            assert body["producer_id"] > 1 << 55, "which no cluster has given out"
        if request.api is HEARTBEAT:
            assert body["generation_id"] == -1
        if request.api is FETCH:
            assert (body["session_id"], body["session_epoch"]) == (0, -1)
    assert not world.cluster.records


async def test_the_replica_that_leaders_prefer_for_the_clients_rack(world: World) -> None:
    """In the same round trip as the offsets of other topics."""
    await world.three()
    world.cluster.topics |= {"orders": [1, 2], "other": [1]}
    world.cluster.racks.update({1: "a", 2: "b", 3: "c"})
    world.cluster.roles.preferred["c"] = 3
    group(world, committed={("other", 0): 0})
    before = 1 + 2 + 4 + 4 + 2
    world.brokers[2].flights = lambda _: (before, 4 + 1)
    report = await checked(world, group="g", topic="orders", properties={"client.rack": "c"})
    assert (report.exit_code, report.findings) == (0, [])
    assert report.hops[-1].summary.endswith("its rack is served by 3")
    assert world.brokers[2].connections == 1


@pytest.mark.parametrize("role", ["producer", "consumer", "share", "transactional"])
async def test_only_an_idempotent_producer_takes_a_producer_id(world: World, role: str) -> None:
    await world.three()
    properties = {"transactional.id": "t"}
    await checked(world, role=role, group="g", properties=properties)
    assert INIT_PRODUCER_ID not in [request.api for request in requests(world)]
    await checked(world, role="idempotent")
    assert [r.api for r in requests(world)].count(INIT_PRODUCER_ID) == 1, "of one broker"


async def test_a_share_group_has_no_committed_offsets(world: World) -> None:
    await world.three()
    group(world, kind="share", members=[("c", "/10.0.0.1")])
    report = await checked(world, group="g", role="share")
    assert report.consume
    assert (report.consume.group_protocol, report.consume.members) == ("share", ["c at /10.0.0.1"])
    assert OFFSET_FETCH not in [request.api for request in requests(world)]


async def test_a_group_of_the_newer_protocol_is_described_by_it(world: World) -> None:
    await world.three()
    group(world, kind="consumer", state="Assigning")
    report = await checked(world, group="g")
    assert report.consume
    assert (report.consume.group_protocol, report.consume.group_state) == ("consumer", "Assigning")


async def test_a_group_that_nobody_has_is_absent(world: World) -> None:
    await world.three()
    report = await checked(world, group="nobody")
    assert report.consume
    assert (report.exit_code, report.consume.group_state) == (0, "Absent")


async def test_a_broker_that_knows_none_of_it_is_not_proven(world: World) -> None:
    await world.three()
    for broker in world.brokers.values():
        broker.apis = {k: v for k, v in broker.apis.items() if k not in GROUP_KEYS - {1, 2, 26}}
    report = await checked(world, group="g")
    assert report.exit_code == 0
    assert report.consume
    assert [right.granted for right in report.consume.rights] == [None]
    assert any(note.startswith("not proven: the coordinator") for note in report.notes)


async def test_a_broker_that_closes_on_these_questions_still_passes_hop_4(world: World) -> None:
    await world.three()
    world.brokers[2].control = lambda r: fake.HANG_UP if r.api is HEARTBEAT else None
    report = await checked(world, group="g")
    assert report.exit_code == 0, report
    assert report.cluster
    assert [broker.produce for broker in report.cluster.brokers] == ["ok"] * 3


async def test_a_group_that_settles_before_the_second_look_is_no_finding(world: World) -> None:
    await world.three()
    group(world, state="PreparingRebalance")

    def settle(request: Request) -> None:
        if request.api is PRODUCE:
            world.cluster.roles.groups["g"].state = "Stable"

    world.brokers[1].control = settle
    report = await checked(world, group="g")
    assert (report.findings, report.consume and report.consume.group_state) == ([], "Stable")


async def test_without_a_group_too_few_brokers_for_its_topic_are_a_warning(world: World) -> None:
    await world.three()
    world.cluster.offsets_factor = 4
    report = await checked(world)
    (finding,) = report.findings
    assert (finding.code, finding.severity, report.exit_code) == ("KD901", "warning", 0)
    assert report.hops[-1].hop == "consume"
    assert "__consumer_offsets does not exist" in finding.evidence
    world.cluster.offsets_factor = 3
    assert (await checked(world)).findings == []


@pytest.mark.parametrize(
    ("configs", "fenced", "there", "codes"),
    [
        ({"process.roles": "broker"}, 0, False, ["KD901"]),
        # A broker is down: KRaft places replicas on it, a ZooKeeper's controller does not.
        ({"process.roles": "broker"}, 1, False, []),
        ({"zookeeper.connect": "zk:2181"}, 1, False, ["KD901"]),
        # The topic was created when there were more brokers.
        ({"process.roles": "broker"}, 0, True, []),
        # No Apache Kafka: its groups may need no topic.
        ({}, 0, False, []),
    ],
)
async def test_a_topic_of_offsets_that_can_be_created_or_is_there_is_no_finding(
    world: World, configs: dict[str, str], fenced: int, there: bool, codes: list[str]
) -> None:
    await world.three()
    world.cluster.offsets_factor, world.cluster.fenced = 4, fenced
    world.cluster.configs = configs
    if there:
        world.cluster.topics["__consumer_offsets"] = [1]
    report = await checked(world)
    assert [finding.code for finding in report.findings] == codes


async def test_before_kafka_4_a_broker_that_is_down_cannot_be_ruled_out(world: World) -> None:
    await world.three()
    world.cluster.offsets_factor, world.cluster.roles.coordinator = 4, None
    for broker in world.brokers.values():
        broker.apis = {**broker.apis, 60: (0, 1)}
    report = await checked(world, group="g")
    (finding,) = report.findings
    assert (finding.code, finding.severity, report.exit_code) == ("KD901", "warning", 0)
    assert finding.message.endswith("unless it has more brokers that are down")


async def test_who_may_not_see_the_topic_of_offsets_gets_no_finding(world: World) -> None:
    await world.three()
    world.cluster.offsets_factor = 4
    denied = {"throttle_time_ms": 0, "topics": [{"name": "__consumer_offsets", "partitions": [
        {"partition_index": 0, "error_code": 29, "timestamp": -1, "offset": -1, "leader_epoch": -1}
    ]}]}  # fmt: skip
    for broker in world.brokers.values():
        broker.control = lambda r: denied if r.api is LIST_OFFSETS else None
    report = await checked(world)
    assert report.findings == []
    assert any(note.startswith("not proven: whether consumer groups") for note in report.notes)


@pytest.mark.parametrize(("factor", "min_isr"), [(4, 2), (1, 2)])
async def test_a_topic_of_transactions_that_cannot_be_written(
    world: World, factor: int, min_isr: int
) -> None:
    await world.three()
    world.cluster.roles.coordinator = None
    name = "transaction.state.log"
    world.cluster.configs.update(
        {f"{name}.replication.factor": str(factor), f"{name}.min.isr": str(min_isr)}
    )
    given = {"role": "transactional", "properties": {"transactional.id": "t"}}
    report = await checked(world, **given)
    assert (report.root_cause, report.exit_code) == ("KD916", 90)
    assert (await checked(world, group="g")).findings == [], "a consumer needs no transactions"
    world.cluster.topics["__transaction_state"] = [1]
    assert (await checked(world, **given)).findings == []


def _large(request: Request) -> bool:
    topics = request.body["topics"] if request.api is LIST_OFFSETS else []
    return any(len(topic["partitions"]) > 100 for topic in topics)


async def test_large_answers_that_get_lost_on_the_path(world: World) -> None:
    await world.three()
    world.deaf.add(PUBLIC[0])
    group(world)
    report = await checked(world, group="g")
    assert (report.root_cause, report.exit_code) == ("KD915", 90)
    (finding,) = report.findings
    assert (finding.severity, finding.subjects) == ("error", ["broker 1"])
    assert [world.brokers[node].connections for node in (1, 2, 3)] == [2, 1, 1]


async def test_a_broker_that_is_slow_with_large_answers_proves_no_loss(world: World) -> None:
    await world.three()
    world.brokers[2].control = lambda r: fake.SILENCE if _large(r) else None
    report = await checked(world, group="g")
    (finding,) = report.findings
    assert (finding.code, finding.severity, report.exit_code) == ("KD915", "warning", 0)
    assert finding.message.endswith("why is not proven")


async def test_a_large_answer_that_arrives_on_the_second_connection_is_no_finding(
    world: World,
) -> None:
    await world.three()

    def first(request: Request) -> Any:
        return fake.SILENCE if _large(request) and world.brokers[2].connections == 1 else None

    world.brokers[2].control = first
    assert (await checked(world, group="g")).findings == []
    assert world.brokers[2].connections == 2


async def test_a_large_request_that_gets_lost_proves_nothing_of_answers(world: World) -> None:
    await world.three()
    world.narrow.add(PUBLIC[1])
    report = await checked(world, group="g")
    assert [finding.code for finding in report.findings] == ["KD402"]


async def test_where_the_group_has_a_coordinator_its_topic_is_there(world: World) -> None:
    await world.three()
    world.cluster.offsets_factor = 4
    assert (await checked(world, group="g")).findings == []


async def test_who_may_not_see_the_topic_of_offsets_is_told_what_is_not_proven(
    world: World,
) -> None:
    await world.three()
    world.cluster.roles.coordinator = None
    report = await checked(world, group="g")
    assert (report.findings, report.exit_code) == ([], 0)
    assert any("as where the topic of offsets is not there yet" in note for note in report.notes)


async def test_an_expectation_of_a_group(world: World) -> None:
    from kdiag.rules.expectations import parse_expectations

    await world.three()
    world.cluster.topics["orders"] = [2]
    world.cluster.roles.offsets["orders", 0] = (0, 50, 50)
    group(world, committed={("orders", 0): 20})
    wanted = ["lag<30", "group-state=stable", "coordinator=proven"]
    report = await checked(world, group="g", expect=parse_expectations(wanted, topic=None))
    assert [each.met for each in report.expectations] == [False, True, True]
    assert (report.exit_code, report.expectations[0].found) == (70, {"partition orders-0": 30})


@pytest.mark.parametrize(
    ("text", "number"), [("", 0), ("hello", 99162322), ("Aa", 2112), ("polygenelubricants", 0)]
)
def test_the_hash_of_a_group_is_javas(text: str, number: int) -> None:
    """String.hashCode without its sign; the last one is Integer.MIN_VALUE."""
    assert _hash(text) == number
