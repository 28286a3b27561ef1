"""Hop 5: the addresses of the AWS calls, and the results of dialling public addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest

from kdiag.aws.facts import ClientAddress, Snapshot
from kdiag.aws.hop import AwsCompanion, AwsFacts
from kdiag.config.settings import settings
from kdiag.demo.broker import FakeBroker
from kdiag.demo.world import PORT, PRIVATE, PUBLIC, World, endpoint
from kdiag.walk.facts import Facts
from kdiag.walk.hop import walk_context
from kdiag.walk.hops import HOPS
from tests.clouds import interface, snapshot
from tests.collected import PLAINTEXT


class RecordingAwsClient:
    """A client of the AWS API that records the addresses."""

    def __init__(self, world: Snapshot) -> None:
        self.snapshot = world
        self.described: Mapping[str, tuple[str, ...]] = {}

    async def describe(
        self, addresses: Mapping[str, tuple[str, ...]]
    ) -> tuple[Snapshot, ClientAddress]:
        self.described = addresses
        return self.snapshot, ClientAddress("203.0.113.10", "interface")


THREE = snapshot(*(interface(node) for node in (1, 2, 3)))


async def aws_facts(
    build: Callable[[World], Awaitable[None]],
    account_facts: Snapshot = THREE,
    bootstrap: str = endpoint(),
) -> tuple[AwsFacts | None, RecordingAwsClient]:
    """The facts of hop 5, after hops 1 to 3."""
    world, cloud = World(), RecordingAwsClient(account_facts)
    try:
        await build(world)
        walk_settings = settings(bootstrap, timeout=1.0, properties=PLAINTEXT)
        walk = walk_context(walk_settings, world.net(walk_settings))
        facts = Facts()
        for hop in HOPS[:3]:
            if hop.ready(facts) and (found := await hop.run(walk, facts)) is not None:
                facts = facts.adding(found)
        made = await AwsCompanion(cloud).hop.run(walk, facts)
        await walk.net.close()
        return made if isinstance(made, AwsFacts) else None, cloud
    finally:
        await world.end()


def advertising(*hosts: str) -> Callable[[World], Awaitable[None]]:
    async def build(world: World) -> None:
        await world.three(*((host, PORT) for host in hosts))

    return build


async def test_every_address_of_the_walk_is_described() -> None:
    _, cloud = await aws_facts(advertising(*PUBLIC))
    assert cloud.described == {address: (address,) for address in PUBLIC}


async def test_names_are_described_by_their_dns_addresses_or_by_the_address_in_them() -> None:
    name, internal = "kafka.example.com", "ip-10-0-1-12.eu-west-2.compute.internal"

    async def build(world: World) -> None:
        world.names[name] = [PUBLIC[0], PUBLIC[1]]
        await world.three((name, PORT), (internal, PORT), ("kafka-3", PORT))

    _, cloud = await aws_facts(build)
    assert cloud.described == {
        PUBLIC[0]: (PUBLIC[0],), name: (PUBLIC[0], PUBLIC[1]), internal: ("10.0.1.12",),
        "kafka-3": (),
    }  # fmt: skip


async def test_the_public_address_of_a_private_one_is_dialled() -> None:
    found, _ = await aws_facts(advertising(*PRIVATE))
    assert found
    assert {node: str(result.endpoint) for node, result in found.public_results.items()} == {
        node: f"{PUBLIC[node - 1]}:{PORT}" for node in (1, 2, 3)
    }
    for node, result in found.public_results.items():
        assert result.usable
        assert result.best
        assert result.best.answered_as == node


async def test_another_broker_at_the_public_address_is_a_failure() -> None:
    async def build(world: World) -> None:
        await world.three(*((address, PORT) for address in PRIVATE))
        await world.broker(PUBLIC[1], PORT, FakeBroker(world.cluster, 3))

    found, _ = await aws_facts(build)
    assert found
    result = found.public_results[2]
    assert not result.usable
    assert result.best
    assert result.best.answered_as == 3


@pytest.mark.parametrize(
    "account_facts",
    [
        snapshot(*(interface(node, public="") for node in (1, 2, 3))),
        snapshot(*(interface(1, vpc=vpc, id=vpc) for vpc in ("vpc-1", "vpc-2"))),
        Snapshot(),
    ],
    ids=["no public address", "one of two VPCs", "unknown"],
)
async def test_no_address_is_dialled_if_the_interface_is_not_clear(account_facts: Snapshot) -> None:
    found, _ = await aws_facts(advertising(*PRIVATE), account_facts)
    assert found
    assert found.public_results == {}


async def test_the_public_address_of_a_working_one_is_not_dialled() -> None:
    found, _ = await aws_facts(advertising(*PUBLIC))
    assert found
    assert found.public_results == {}


async def test_a_failed_bootstrap_server_is_described() -> None:
    async def closed(world: World) -> None:
        world.closed(PUBLIC[0], PORT)

    found, cloud = await aws_facts(closed)
    assert found
    assert cloud.described == {PUBLIC[0]: (PUBLIC[0],)}
