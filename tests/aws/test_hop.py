"""Hop 5: which addresses AWS is asked about, and who answers at the public ones of private ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest

from kdiag.aws.facts import ClientAddress, Snapshot
from kdiag.aws.hop import AwsCompanion, AwsFacts
from kdiag.config.settings import settings
from kdiag.demo.broker import FakeBroker
from kdiag.demo.world import PORT, PRIVATE, PUBLIC, World, endpoint
from kdiag.walk.hop import Walk
from kdiag.walk.hops import HOPS
from tests.clouds import interface, snapshot
from tests.gathered import PLAINTEXT


class Asked:
    """An AWS that notes what it is asked about."""

    def __init__(self, world: Snapshot) -> None:
        self.world = world
        self.about: Mapping[str, tuple[str, ...]] = {}

    async def look(
        self, addresses: Mapping[str, tuple[str, ...]]
    ) -> tuple[Snapshot, ClientAddress]:
        self.about = addresses
        return self.world, ClientAddress("203.0.113.10", "interface")


THREE = snapshot(*(interface(node) for node in (1, 2, 3)))


async def gathered(
    build: Callable[[World], Awaitable[None]], told: Snapshot = THREE, bootstrap: str = endpoint()
) -> tuple[AwsFacts | None, Asked]:
    """The hop's facts, after the walk's own hops."""
    world, cloud = World(), Asked(told)
    try:
        await build(world)
        asked = settings(bootstrap, timeout=0.5, properties=PLAINTEXT)
        walk = Walk(asked, world.net(asked))
        facts: dict[type, object] = {}
        for hop in HOPS[:3]:
            if hop.ready(facts) and (found := await hop.run(walk, facts)) is not None:
                facts[hop.gives] = found
        found = await AwsCompanion(cloud).hop.run(walk, facts)
        await walk.net.close()
        return found, cloud
    finally:
        await world.end()


def advertising(*hosts: str) -> Callable[[World], Awaitable[None]]:
    async def build(world: World) -> None:
        await world.three(*((host, PORT) for host in hosts))

    return build


async def test_aws_is_asked_about_every_address_of_the_walk() -> None:
    _, cloud = await gathered(advertising(*PUBLIC))
    assert cloud.about == {address: (address,) for address in PUBLIC}


async def test_names_are_asked_for_by_what_they_resolve_to_or_carry() -> None:
    name, internal = "kafka.example.com", "ip-10-0-1-12.eu-west-2.compute.internal"

    async def build(world: World) -> None:
        world.names[name] = [PUBLIC[0], PUBLIC[1]]
        await world.three((name, PORT), (internal, PORT), ("kafka-3", PORT))

    _, cloud = await gathered(build)
    assert cloud.about == {
        PUBLIC[0]: (PUBLIC[0],), name: (PUBLIC[0], PUBLIC[1]), internal: ("10.0.1.12",),
        "kafka-3": (),
    }  # fmt: skip


async def test_the_public_address_of_a_private_one_is_dialled_and_proven() -> None:
    found, _ = await gathered(advertising(*PRIVATE))
    assert found
    assert {node: str(proof.endpoint) for node, proof in found.proofs.items()} == {
        node: f"{PUBLIC[node - 1]}:{PORT}" for node in (1, 2, 3)
    }
    for node, proof in found.proofs.items():
        assert proof.usable
        assert proof.best
        assert proof.best.answered_as == node


async def test_another_broker_at_the_public_address_is_no_proof() -> None:
    async def build(world: World) -> None:
        await world.three(*((address, PORT) for address in PRIVATE))
        await world.broker(PUBLIC[1], PORT, FakeBroker(world.cluster, 3))

    found, _ = await gathered(build)
    assert found
    proof = found.proofs[2]
    assert not proof.usable
    assert proof.best
    assert proof.best.answered_as == 3


@pytest.mark.parametrize(
    "told",
    [
        snapshot(*(interface(node, public="") for node in (1, 2, 3))),
        snapshot(*(interface(1, vpc=vpc, id=vpc) for vpc in ("vpc-1", "vpc-2"))),
        Snapshot(),
    ],
    ids=["no public address", "one of two VPCs", "unknown"],
)
async def test_nothing_is_dialled_that_is_not_surely_the_broker_s(told: Snapshot) -> None:
    found, _ = await gathered(advertising(*PRIVATE), told)
    assert found
    assert found.proofs == {}


async def test_an_address_that_works_needs_no_other() -> None:
    found, _ = await gathered(advertising(*PUBLIC))
    assert found
    assert found.proofs == {}


async def test_a_bootstrap_that_fails_is_asked_about_all_the_same() -> None:
    async def nobody(world: World) -> None:
        world.closed(PUBLIC[0], PORT)

    found, cloud = await gathered(nobody)
    assert found
    assert cloud.about == {PUBLIC[0]: (PUBLIC[0],)}
