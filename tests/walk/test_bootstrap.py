"""Hop 1: every bootstrap server, and how this client came in."""

from __future__ import annotations

from kdiag.config.settings import Endpoint
from kdiag.demo.broker import BROKER_APIS
from kdiag.demo.world import CLIENT, PORT, PUBLIC, World, endpoint
from kdiag.kafka.messages import API_VERSIONS, METADATA
from tests import peers
from tests.collected import collect_facts

ALL = ",".join(endpoint(address) for address in PUBLIC)


async def test_one_server(world: World) -> None:
    await world.three()
    found = (await collect_facts(world)).bootstrap
    assert [c.endpoint for c in found.usable] == [Endpoint(PUBLIC[0], PORT)]
    assert found.connected_addresses == (PUBLIC[0], CLIENT)
    assert dict(found.apis) == dict(BROKER_APIS)
    assert found.summary == f"{endpoint()} answers"
    assert 0 < found.elapsed < 5


async def test_a_name_says_which_of_its_addresses_answers(world: World) -> None:
    await world.three()
    world.names["kafka.example.com"] = [PUBLIC[1]]
    found = (await collect_facts(world, "kafka.example.com:9094")).bootstrap
    assert found.summary == f"kafka.example.com:9094 answers at {PUBLIC[1]}"


async def test_all_servers_are_dialled_not_just_the_first(world: World) -> None:
    await world.three()
    found = (await collect_facts(world, ALL, until="bootstrap")).bootstrap
    assert [c.endpoint.host for c in found.usable] == list(PUBLIC)
    assert [world.brokers[node].connections for node in (1, 2, 3)] == [1, 1, 1]
    assert found.summary == "3 of 3 servers answer"
    assert found.connected_addresses == (PUBLIC[0], CLIENT, PUBLIC[1], PUBLIC[2])


async def test_one_of_the_servers_is_enough(world: World) -> None:
    await world.three()
    world.closed(PUBLIC[0], PORT)
    await world.server(PUBLIC[1], PORT, peers.says(peers.HTTP))
    found = await collect_facts(world, ALL)
    layers = [contact.layers for contact in found.bootstrap.contacts]
    assert [(one["tcp"], one["kafka"]) for one in layers] == [
        ("refused", None),
        ("ok", "not_kafka"),
        ("ok", "ok"),
    ]
    assert found.bootstrap.summary == "1 of 3 servers answer"
    assert found.bootstrap.apis, "known by the one that works"
    assert len(found.metadata.brokers) == 3


async def test_a_server_listed_twice_is_dialled_once(world: World) -> None:
    await world.three()
    await collect_facts(world, f"{endpoint()},{endpoint()}", until="bootstrap")
    assert world.brokers[1].connections == 1


async def test_nothing_works(world: World) -> None:
    world.closed(PUBLIC[0], PORT)
    found = await collect_facts(world)
    assert found.bootstrap.usable == ()
    assert found.bootstrap.connected_addresses == ()
    assert found.bootstrap.summary == f"no usable connection to {endpoint()} (tcp: refused)"
    assert found.facts.values == (found.bootstrap,)


async def test_the_metadata_request_goes_out_before_any_answer(world: World) -> None:
    await world.three()
    world.brokers[1].flights = lambda _: (2,)
    found = await collect_facts(world, until="metadata", timeout=5.0)
    assert len(found.metadata.brokers) == 3
    assert [request.api for request in world.brokers[1].requests] == [API_VERSIONS, METADATA]


async def test_a_client_that_waits_in_between_would_be_noticed(world: World) -> None:
    """What the test above rests on: three requests in a flight of two are one too many."""
    await world.three()
    world.brokers[1].flights = lambda _: (3,)
    found = await collect_facts(world, until="metadata", timeout=1.0)
    assert found.bootstrap.contacts[0].layers["kafka"] == "silent"


async def test_bootstrap_asks_for_no_topic_but_the_one_that_was_named(world: World) -> None:
    await world.three()
    world.cluster.topics |= {"orders": [1], "payments": [2]}
    await collect_facts(world, until="metadata")
    await collect_facts(world, until="metadata", topic="orders")
    asked = [r.body for r in world.brokers[1].requests if r.api is METADATA]
    assert asked == [
        {"topics": [], "allow_auto_topic_creation": False},
        {"topics": [{"name": "orders"}], "allow_auto_topic_creation": False},
    ]
