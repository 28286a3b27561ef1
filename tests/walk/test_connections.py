"""A walk holds one connection to each broker at a time, and logs in to each broker once."""

from __future__ import annotations

import pytest

from kdiag.demo.broker import HANG_UP
from kdiag.demo.logins import Logins
from kdiag.demo.world import PORT, PUBLIC, World
from kdiag.kafka.messages import API_VERSIONS, METADATA, Request
from tests.collected import collect_facts

PLAIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "bob",
    "sasl.password": "bob-secret",
}


def connections(world: World) -> list[int]:
    return [world.brokers[node].connections for node in (1, 2, 3)]


@pytest.mark.parametrize("topic", [None, "orders", "no-such-topic"])
async def test_one_connection_and_one_login_to_each_broker(world: World, topic: str | None) -> None:
    logins = Logins({"bob": "bob-secret"})
    world.cluster.topics["orders"] = [1, 2, 3]
    await world.three(sasl=logins)
    for one in world.brokers.values():
        one.most = 1  # as max.connections.per.ip=1: a second one at the same time is closed
    found = await collect_facts(world, properties=PLAIN, topic=topic)
    assert len(found.listeners.reached) == 3
    assert all(produced.answered for produced in found.produce.produced)
    assert connections(world) == [1, 1, 1]
    assert logins.attempts == {"bob": 3}


async def test_several_servers_are_each_gone_on_with(world: World) -> None:
    await world.three()
    await collect_facts(world, ",".join(f"{address}:{PORT}" for address in PUBLIC))
    assert connections(world) == [1, 1, 1]


async def test_a_server_that_is_advertised_under_another_name_is_dialled_by_it(
    world: World,
) -> None:
    world.names["bootstrap.example.com"] = [PUBLIC[0]]
    await world.three()
    for one in world.brokers.values():
        one.most = 1
    found = await collect_facts(world, f"bootstrap.example.com:{PORT}")
    assert len(found.listeners.reached) == 3
    assert connections(world) == [2, 1, 1], "one after the other"


async def test_a_connection_that_ended_meanwhile_is_made_again(world: World) -> None:
    """An idle one is closed by a proxy, or by the broker."""
    await world.three()
    seen: list[Request] = []

    def control(request: Request) -> object:
        seen.append(request)
        return HANG_UP if len(seen) == 3 else None

    world.brokers[1].control = control
    found = await collect_facts(world)
    assert [request.api for request in seen[:2]] == [API_VERSIONS, METADATA]
    assert found.listener(1).contact.usable
    assert found.listener(1).contact.dials[0].answered_as == 1
    assert connections(world) == [2, 1, 1]


async def test_few_descriptors_are_not_kept_for_later(world: World) -> None:
    await world.three()
    found = await collect_facts(world, capacity=4)
    assert len(found.listeners.reached) == 3
    assert all(produced.answered for produced in found.produce.produced)
