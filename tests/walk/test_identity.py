"""Hop 3: who answers where the broker's configuration may not be asked for, and whom it serves."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from typing import Any

import pytest

from kdiag.demo.broker import (
    BROKER_APIS,
    HANG_UP,
    NEWER_APIS,
    SILENCE,
    Control,
    FakeBroker,
    FakeCluster,
)
from kdiag.demo.logins import Logins
from kdiag.demo.world import PORT, PUBLIC, World
from kdiag.kafka.messages import (
    API_VERSIONS,
    DESCRIBE_CONFIGS,
    LIST_OFFSETS,
    METADATA,
    PRODUCE,
    Api,
    Request,
)
from kdiag.network.attempt import AddressResult, Failure
from tests.collected import CollectedFacts, collect_facts
from tests.walk.test_listeners import configs, value

LISTENERS = "listeners"
DENIED = configs(error_code=31, error_message="Cluster authorization failed.")
LOGIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "bob",
    "sasl.password": "secret",
}


def denies(request: Request) -> Any:
    """A broker that may not be asked for its configuration."""
    return DENIED if request.api is DESCRIBE_CONFIGS else None


def closes_on(*apis: object) -> Control:
    return lambda request: HANG_UP if request.api in apis else None


async def three(world: World, control: Control = denies, *at: tuple[str, int], **more: Any) -> None:
    await world.three(*at, **more)
    for broker in world.brokers.values():
        broker.control = control


def newer(world: World) -> None:
    for broker in world.brokers.values():
        broker.apis = NEWER_APIS


def best(found: CollectedFacts, node: int) -> AddressResult:
    dial = found.listener(node).contact.best
    assert dial
    return dial


def asked(world: World, api: object) -> list[Request]:
    return [r for broker in world.brokers.values() for r in broker.requests if r.api is api]


SWAPPED = tuple((PUBLIC[index], PORT) for index in (0, 2, 1))
SHARED = tuple((PUBLIC[0], PORT) for _ in PUBLIC)


# ApiVersions 5: KIP-1242.


async def test_a_broker_of_4_4_says_that_it_is_the_one(world: World) -> None:
    await three(world)
    newer(world)
    found = await collect_facts(world, until=LISTENERS)
    assert found.listeners.summary == "3 of 3 advertised addresses reached, identity proven"
    for node in (1, 2, 3):
        assert (best(found, node).recognised, best(found, node).answered_as) == (True, node)
    meant = [r.body for r in asked(world, API_VERSIONS) if r.version == 5]
    assert {(body["cluster_id"], body["node_id"]) for body in meant} == {
        (world.cluster.id, node) for node in (1, 2, 3)
    }
    assert asked(world, LIST_OFFSETS) == [], "nothing is left to ask"


async def test_a_broker_of_4_4_says_that_it_is_another(world: World) -> None:
    await three(world, denies, *SWAPPED)
    newer(world)
    found = await collect_facts(world, until=LISTENERS)
    for node in (2, 3):
        failed = found.listener(node).contact.failed
        assert failed
        assert (failed.failure, failed.detail) == (Failure.WRONG_NODE, "another broker answers")
        assert (best(found, node).recognised, best(found, node).answered_as) == (False, None)
    assert found.listener(1).contact.usable


async def test_a_broker_that_does_not_list_version_5_is_never_sent_it(world: World) -> None:
    """The bootstrap server does: the cluster is in the middle of an upgrade."""
    await three(world)
    world.brokers[1].apis = NEWER_APIS
    await collect_facts(world, until=LISTENERS)
    assert [r.version for r in world.brokers[1].requests if r.api is API_VERSIONS] == [0, 5]
    for node in (2, 3):
        versions = {r.version for r in world.brokers[node].requests if r.api is API_VERSIONS}
        assert versions == {0}


async def test_it_is_asked_after_the_login_only(world: World) -> None:
    await three(world, denies, sasl=Logins({"bob": "secret"}, ("PLAIN",)))
    newer(world)
    found = await collect_facts(world, until=LISTENERS, properties=LOGIN)
    assert [best(found, node).recognised for node in (1, 2, 3)] == [True] * 3
    for broker in world.brokers.values():
        order = [(r.api.name, r.version) for r in broker.requests]
        assert order.index(("SaslAuthenticate", 1)) < order.index(("ApiVersions", 5))


async def test_where_the_configuration_proves_it_nothing_more_is_asked(world: World) -> None:
    await world.three()
    world.cluster.topics["orders"] = [1, 2, 3]
    newer(world)
    await collect_facts(world, until=LISTENERS)
    assert {r.version for r in asked(world, API_VERSIONS)} == {0}
    assert asked(world, LIST_OFFSETS) == []
    assert all(r.body["topics"] == [] for r in asked(world, METADATA)), "no topic is listed"


# ListOffsets: what the broker leads.


async def test_a_broker_that_serves_what_it_leads_is_proven(world: World) -> None:
    await three(world)
    world.cluster.topics["orders"] = [1, 2, 3, 1]
    found = await collect_facts(world, until=LISTENERS)
    assert found.listeners.summary == "3 of 3 advertised addresses reached, identity proven"
    assert [best(found, node).serves for node in (1, 2, 3)] == [(1,), (2,), (3,)]
    assert [best(found, node).answered_as for node in (1, 2, 3)] == [1, 2, 3]
    listed = [r for r in asked(world, METADATA) if r.body["topics"] is None]
    assert len(listed) == 1, "the topics are listed once for the walk"


async def test_the_named_topic_is_asked_about_without_listing_any(world: World) -> None:
    await three(world)
    world.cluster.topics["orders"] = [1, 2, 3]
    world.cluster.topics["others"] = [1, 2, 3]
    found = await collect_facts(world, until=LISTENERS, topic="orders")
    assert [best(found, node).serves for node in (1, 2, 3)] == [(1,), (2,), (3,)]
    assert [r for r in asked(world, METADATA) if r.body["topics"] is None] == []
    names = {t["name"] for r in asked(world, LIST_OFFSETS) for t in r.body["topics"]}
    assert names == {"orders"}


async def test_another_broker_does_not_lead_them(world: World) -> None:
    await three(world, denies, *SWAPPED)
    world.cluster.topics["orders"] = [1, 2, 3]
    found = await collect_facts(world, until=LISTENERS)
    for node in (2, 3):
        failed = found.listener(node).contact.failed
        assert failed
        assert failed.failure is Failure.WRONG_NODE
        assert "does not lead" in failed.detail
        assert (best(found, node).refuses, best(found, node).answered_as) == ((node,), None)
    assert found.listener(1).contact.usable


async def test_an_election_meanwhile_proves_nothing(world: World) -> None:
    """It does not lead what it led, and its metadata says who does now."""
    await three(world)
    world.cluster.topics["orders"] = [1, 2, 3]

    def moved(request: Request) -> Any:
        if request.api is LIST_OFFSETS:
            world.cluster.topics["orders"] = [1, 3, 3]
        return denies(request)

    world.brokers[2].control = moved
    found = await collect_facts(world, until=LISTENERS)
    dial = best(found, 2)
    assert (dial.serves, dial.refuses, dial.answered_as) == ((), (), None)
    assert found.listener(2).contact.layers["identity"] == "denied"
    assert found.listener(2).contact.usable


@pytest.mark.parametrize("code", [3, 29, 5, 56, -1], ids=str)
async def test_any_other_error_proves_nothing(world: World, code: int) -> None:
    await three(world)
    world.cluster.topics["orders"] = [1, 2, 3]
    world.brokers[2]._leader_error = lambda topic, number: code  # type: ignore[method-assign]
    found = await collect_facts(world, until=LISTENERS)
    assert (best(found, 2).serves, best(found, 2).refuses) == ((), ())
    assert found.listener(2).contact.usable


@pytest.mark.parametrize("answer", [HANG_UP, SILENCE, b"\0\0\0\x04xxxx"], ids=["up", "mute", "odd"])
async def test_a_peer_that_does_not_know_the_question_is_judged_by_the_rest(
    world: World, answer: object
) -> None:
    await three(world)
    world.cluster.topics["orders"] = [1, 2, 3]
    world.brokers[2].control = lambda r: answer if r.api is LIST_OFFSETS else denies(r)
    found = await collect_facts(world, timeout=1.0)
    assert found.listener(2).contact.usable
    assert found.listener(2).contact.layers["identity"] == "denied"
    assert found.produced(2).answered


async def test_where_it_is_not_listed_it_is_not_asked(world: World) -> None:
    await three(world)
    world.cluster.topics["orders"] = [1, 2, 3]
    for broker in world.brokers.values():
        broker.apis = {k: v for k, v in BROKER_APIS.items() if k != LIST_OFFSETS.key}
    found = await collect_facts(world, until=LISTENERS)
    assert asked(world, LIST_OFFSETS) == []
    assert [found.listener(node).contact.usable for node in (1, 2, 3)] == [True] * 3


async def test_what_is_asked_about_is_bounded(world: World) -> None:
    await three(world)
    world.cluster.topics.update({f"t{n}": [1, 2, 3] * 20 for n in range(20)})
    await collect_facts(world, until=LISTENERS)
    for request in asked(world, LIST_OFFSETS):
        assert sum(len(topic["partitions"]) for topic in request.body["topics"]) == 3


# One address for several brokers.


async def test_an_address_that_serves_all_brokers(world: World) -> None:
    """As Bufstream's does, and proxies that route."""
    await three(world, denies, *SHARED)
    world.cluster.topics["orders"] = [1, 2, 3]
    world.brokers[1].routes = True
    found = await collect_facts(world)
    for node in (1, 2, 3):
        assert found.listener(node).contact.usable
        assert sorted(best(found, node).serves) == [1, 2, 3]
        assert found.produced(node).answered


async def test_a_proxy_that_routes_and_tells_another_node_id(world: World) -> None:
    await world.three(*SHARED)
    world.cluster.topics["orders"] = [1, 2, 3]
    world.brokers[1].routes = True
    found = await collect_facts(world, until=LISTENERS)
    assert [best(found, node).answered_as for node in (1, 2, 3)] == [1, 1, 1]
    assert len(found.listeners.reached) == 3


async def test_a_load_balancer_that_by_chance_leads_to_each_is_found_out(world: World) -> None:
    """Whoever answers for broker 2 is broker 2, and yet it serves none of the others."""
    await world.three(*SHARED)
    world.cluster.topics["orders"] = [1, 2, 3]
    nodes = iter((1, 1, 2, 3))  # the bootstrap, and then each by chance

    class Balanced(FakeBroker):
        async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
            await FakeBroker(self.cluster, next(nodes))._serve(reader, writer)

    await world.broker(PUBLIC[0], PORT, Balanced(world.cluster, 1))
    found = await collect_facts(world, until=LISTENERS)
    refused = [best(found, node).refuses for node in (1, 2, 3)]
    assert any(refused), "one connection is asked about all of them"


# Servers that are no Kafka, and proxies.


async def test_a_configuration_without_a_node_id_names_nobody(world: World) -> None:
    """Kafka on Pulsar answers for any broker, with dummy values."""

    def dummies(request: Request) -> Any:
        entry = {**value("7"), "name": "num.partitions"}
        return configs(configs=[entry]) if request.api is DESCRIBE_CONFIGS else None

    await three(world, dummies)
    found = await collect_facts(world)
    assert [best(found, node).answered_as for node in (1, 2, 3)] == [None] * 3
    assert all(listener.contact.usable for listener in found.listeners.listeners)
    assert found.listeners.summary.endswith("identity not proven")


@pytest.mark.parametrize(
    ("control", "produced"),
    [
        (closes_on(DESCRIBE_CONFIGS), True),
        (closes_on(DESCRIBE_CONFIGS, LIST_OFFSETS), True),
        (closes_on(PRODUCE), False),
        (closes_on(DESCRIBE_CONFIGS, PRODUCE), False),
        (closes_on(DESCRIBE_CONFIGS, LIST_OFFSETS, PRODUCE), False),
    ],
    ids=["configs", "offsets too", "produce", "configs and produce", "all of them"],
)
async def test_a_proxy_that_closes_on_what_it_forbids(
    world: World, control: Control, produced: bool
) -> None:
    """grepplabs' kafka-proxy, and Envoy."""
    await three(world, control)
    world.cluster.topics["orders"] = [1, 2, 3]
    found = await collect_facts(world)
    for node in (1, 2, 3):
        assert found.listener(node).contact.usable
        assert found.produced(node).answered is produced
    assert all(broker.connections <= 6 for broker in world.brokers.values()), "it is not hammered"


@pytest.mark.parametrize("forbidden", [DESCRIBE_CONFIGS, PRODUCE], ids=["configs", "produce"])
async def test_a_proxy_that_closes_before_its_other_answers_are_out(
    world: World, forbidden: Api
) -> None:
    """It has read the whole flight, and drops it for one request that it forbids."""
    await world.three()

    class Strict(FakeBroker):
        async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
            self.ahead = reader
            await super()._serve(reader, writer)

        async def _handle(self, frame: bytes, writer: StreamWriter, login: Any) -> bool:
            await asyncio.sleep(0.01)  # all of it is here
            rest, keys = bytes(self.ahead._buffer), [frame[:2]]  # type: ignore[attr-defined]
            while rest:
                size = int.from_bytes(rest[:4], "big")
                keys.append(rest[4:6])
                rest = rest[4 + size :]
            if forbidden.key.to_bytes(2, "big") in keys:
                return False
            return await super()._handle(frame, writer, login)

    strict = await world.broker(PUBLIC[1], PORT, Strict(world.cluster, 2))
    found = await collect_facts(world)
    contact = found.listener(2).contact
    assert contact.usable
    assert contact.layers["kafka"] == "ok"
    assert found.produced(2).answered is (forbidden is not PRODUCE)
    assert strict.connections <= 4


async def test_another_cluster_is_not_asked_for_more(world: World) -> None:
    await three(world)
    world.cluster.topics["orders"] = [1, 2, 3]
    other = FakeBroker(FakeCluster("other", world.cluster.nodes), 3, denies, NEWER_APIS)
    await world.broker(PUBLIC[2], PORT, other)
    found = await collect_facts(world, until=LISTENERS)
    assert found.listener(3).contact.layers["identity"] == "wrong_cluster"
    assert {r.version for r in other.requests if r.api is API_VERSIONS} == {0}
