"""Versions are negotiated: what is asked first, what a server lists, and what it does not have."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kdiag.demo.broker import BROKER_APIS
from kdiag.demo.logins import Logins
from kdiag.demo.world import World
from kdiag.kafka.messages import (
    API_VERSIONS,
    APIS,
    DESCRIBE_CONFIGS,
    METADATA,
    PRODUCE,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    Request,
)
from kdiag.network.attempt import Failure
from tests.collected import CollectedFacts, collect_facts

Apis = Mapping[int, tuple[int, int]]

# What these servers list, of what kdiag asks. Sources: the ApiVersions of the releases themselves;
# Azure's documentation of Event Hubs; Envoy's and Kafka on Pulsar's from the issue on them.
SERVERS: Mapping[str, Apis] = {
    "Kafka 0.10.2": {0: (0, 2), 3: (0, 2), 17: (0, 0), 18: (0, 0)},
    "Kafka 0.11": {0: (0, 3), 3: (0, 4), 17: (0, 0), 18: (0, 1), 32: (0, 0)},
    "Kafka 1.1": {0: (0, 5), 3: (0, 5), 17: (0, 1), 18: (0, 1), 32: (0, 1), 36: (0, 0)},
    "Kafka 2.1": {0: (0, 7), 3: (0, 7), 17: (0, 1), 18: (0, 2), 32: (0, 2), 36: (0, 1)},
    "Kafka 4.3": {0: (0, 13), 3: (0, 13), 17: (0, 1), 18: (0, 4), 32: (1, 4), 36: (0, 2)},
    "Event Hubs": {0: (0, 7), 3: (0, 5), 17: (0, 1), 18: (0, 3), 36: (0, 1)},
    "Kafka on Pulsar": {0: (0, 7), 3: (0, 6), 17: (0, 1), 18: (0, 3), 32: (0, 3)},
    "Envoy's mesh filter": {0: (5, 7), 3: (0, 7), 18: (0, 3)},
}
# None of these may ever be sent before a server has listed its versions.
EVERYWHERE: Apis = {0: (3, 3), 3: (1, 4), 18: (0, 0)}


def within(request: Request, apis: Apis) -> bool:
    least, most = apis.get(request.api.key, (0, -1))
    return least <= request.version <= most


async def walked(world: World, apis: Apis, **asked: object) -> CollectedFacts:
    await world.three()
    for one in world.brokers.values():
        one.apis = apis
    return await collect_facts(world, **asked)  # type: ignore[arg-type]


def outside(world: World, apis: Apis) -> list[str]:
    """What no broker of this version has: it logs an error for it, and hangs up."""
    return [
        f"{request.api.name} {request.version}"
        for broker in world.brokers.values()
        for request in broker.requests
        if not within(request, apis)
    ]


@pytest.mark.parametrize("name", SERVERS)
async def test_every_server_is_walked_to_the_end(world: World, name: str) -> None:
    found = await walked(world, SERVERS[name])
    assert len(found.listeners.reached) == 3
    assert [p.small.error for p in found.produce.produced] == ["UNKNOWN_TOPIC_OR_PARTITION"] * 3
    assert [p.large.error for p in found.produce.produced] == ["UNKNOWN_TOPIC_OR_PARTITION"] * 3


@pytest.mark.parametrize("name", [name for name in SERVERS if name.split()[-1] not in ("0.10.2",)])
async def test_metadata_is_asked_for_in_a_version_that_the_server_has(
    world: World, name: str
) -> None:
    await walked(world, SERVERS[name], until="metadata")
    assert outside(world, SERVERS[name]) == []


async def test_after_hop_1_nothing_is_asked_that_the_server_does_not_have(world: World) -> None:
    await world.three()
    old = SERVERS["Kafka 0.10.2"]
    for one in world.brokers.values():
        one.apis = old
    await collect_facts(world)
    # Metadata 4 went to the first one, before it had listed anything.
    assert outside(world, old) == ["Metadata 4"]


async def test_before_anything_is_known_nothing_is_sent_that_kafka_0_11_to_4_lack() -> None:
    for key, (least, most) in EVERYWHERE.items():
        assert least <= APIS[key].versions[0] <= most


async def test_a_broker_of_another_version_is_asked_again_as_it_lists_it(world: World) -> None:
    """In the middle of an upgrade hop 1's table is not that of every broker."""
    await world.three()
    world.brokers[1].apis = {**BROKER_APIS, METADATA.key: (5, 7), PRODUCE.key: (5, 7)}
    world.brokers[2].apis = {**BROKER_APIS, METADATA.key: (1, 2), PRODUCE.key: (0, 2)}
    found = await collect_facts(world)
    assert [p.large.error for p in found.produce.produced] == ["UNKNOWN_TOPIC_OR_PARTITION"] * 3
    assert found.listener(2).contact.usable


async def test_a_topic_is_not_named_where_that_would_create_it(world: World) -> None:
    """Before Metadata 4 no request can say that it must not."""
    world.cluster.topics["orders"] = [1, 2]
    found = await walked(world, SERVERS["Kafka 0.10.2"], topic="orders", until="metadata")
    assert found.metadata.topic
    assert [p.leader for p in found.metadata.topic.partitions] == [1, 2]
    asked = [
        r.body["topics"] for r in world.brokers[1].requests if r.version < 4 and r.api is METADATA
    ]
    assert asked
    assert all(topics is None for topics in asked)


async def test_a_topic_that_is_in_no_list_of_all_does_not_exist(world: World) -> None:
    found = await walked(world, SERVERS["Kafka 0.10.2"], topic="nobody", until="metadata")
    assert found.metadata.topic
    assert found.metadata.topic.error == "UNKNOWN_TOPIC_OR_PARTITION"


@pytest.mark.parametrize("api", [METADATA, PRODUCE])
async def test_what_has_no_common_version_is_said_and_breaks_nothing(
    world: World, api: object
) -> None:
    key = getattr(api, "key", -1)
    found = await walked(world, {**BROKER_APIS, key: (90, 99)})
    assert found.bootstrap.usable
    if api is METADATA:
        (answer,) = found.metadata.answers
        assert answer.failure is Failure.NO_COMMON_VERSION
        assert answer.detail == "Metadata: the server has versions 90 to 99, kdiag 1 to 7"
        return
    outcomes = [end for p in found.produce.produced for end in (p.small, p.large)]
    assert {end.failure for end in outcomes} == {Failure.NO_COMMON_VERSION}
    assert outcomes[0].detail == "Produce: the server has versions 90 to 99, kdiag 2 to 7"


LOGIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.username": "bob",
    "sasl.password": "bob-secret",
}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize("name", ["Kafka 0.10.2", "Kafka 0.11", "Kafka 1.1", "Kafka 4.3"])
async def test_logins_of_every_age(world: World, name: str, mechanism: str) -> None:
    apis = SERVERS[name]
    await world.three(sasl=Logins({"bob": "bob-secret"}))
    for one in world.brokers.values():
        one.apis = apis
    found = await collect_facts(world, properties={**LOGIN, "sasl.mechanism": mechanism})
    assert [p.large.error for p in found.produce.produced] == ["UNKNOWN_TOPIC_OR_PARTITION"] * 3
    assert outside(world, apis) == []
    asked = {r.api for broker in world.brokers.values() for r in broker.requests}
    assert (SASL_AUTHENTICATE in asked) == (SASL_AUTHENTICATE.key in apis)


async def test_a_password_that_kafka_before_1_0_refuses(world: World) -> None:
    await world.three(sasl=Logins({"bob": "another"}))
    for one in world.brokers.values():
        one.apis = SERVERS["Kafka 0.11"]
    found = await collect_facts(world, properties={**LOGIN, "sasl.mechanism": "PLAIN"})
    failed = found.bootstrap.contacts[0].failed
    assert failed
    assert (failed.layer, failed.failure) == ("sasl", Failure.CREDENTIALS)
    assert "before Kafka 1.0" in failed.detail


async def test_a_login_waits_for_the_versions_that_nobody_has_listed_yet(world: World) -> None:
    """SaslHandshake 1 makes Kafka 0.11 log an error and hang up."""
    await world.three(sasl=Logins({"bob": "bob-secret"}))
    for one in world.brokers.values():
        one.flights = lambda n: (1, 1) if n == 0 else (2,)
    found = await collect_facts(
        world, properties={**LOGIN, "sasl.mechanism": "PLAIN"}, until="bootstrap"
    )
    assert found.bootstrap.usable
    assert [r.api for r in world.brokers[1].requests[:2]] == [API_VERSIONS, SASL_HANDSHAKE]


async def test_the_tables_are_kept_as_facts_and_shared(world: World) -> None:
    found = await walked(world, SERVERS["Kafka 2.1"])
    tables = [x.contact.dials[0].apis for x in found.listeners.listeners]
    assert tables[0] == tuple((key, *SERVERS["Kafka 2.1"][key]) for key in (0, 3, 17, 18, 32, 36))
    assert tables[0] is tables[1]
    assert tables[1] is tables[2]
    assert DESCRIBE_CONFIGS.key in {key for key, _, _ in tables[0]}
