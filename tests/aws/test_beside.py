"""Hop 5 beside the walk: when AWS is asked, and that the walk's verdict never hangs on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from kdiag.api import walk
from kdiag.aws.facts import ClientAddress, Snapshot
from kdiag.config.settings import settings
from kdiag.demo.world import PORT, PRIVATE, PUBLIC, World, endpoint
from kdiag.report.model import Report
from tests.clouds import interface, snapshot
from tests.gathered import PLAINTEXT

THREE = snapshot(*(interface(node) for node in (1, 2, 3)))
Told = tuple[Snapshot, ClientAddress]


class Asked:
    """An AWS that answers once it may, and notes what it is asked about."""

    def __init__(self, *, may: bool = True) -> None:
        self.about: list[Mapping[str, tuple[str, ...]]] = []
        self.begun, self.may = asyncio.Event(), asyncio.Event()
        self.dropped = False
        if may:
            self.may.set()

    async def look(self, addresses: Mapping[str, tuple[str, ...]]) -> Told:
        self.about.append(dict(addresses))
        self.begun.set()
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.dropped = True
            raise
        return THREE, ClientAddress("203.0.113.10", "interface")


class Broken(Asked):
    async def look(self, addresses: Mapping[str, tuple[str, ...]]) -> Told:
        raise RuntimeError("a bug")


async def walked(
    world: World, cloud: Asked, servers: str = endpoint(), **asked: float
) -> Report:  # fmt: skip
    given = settings(servers, properties=PLAINTEXT, **{"timeout": 2.0, **asked})  # type: ignore[arg-type]
    return await walk(given, world.net, lambda hop, summary: None, cloud)


def hop(report: Report, name: str) -> str:
    return next(step.status for step in report.hops if step.hop == name)


async def test_aws_is_asked_while_brokers_are_dialled(world: World) -> None:
    """Broker 3 hangs up as soon as AWS is asked; were AWS asked later, it would be silent."""
    await world.three()
    cloud = Asked()

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await cloud.begun.wait()
        writer.close()

    await world.server(PUBLIC[2], PORT, waits)
    report = await walked(world, cloud)
    assert report.cluster
    assert report.cluster.brokers[2].layers["kafka"] == "closed"
    assert len(cloud.about) == 1
    assert set(cloud.about[0]) == set(PUBLIC)


async def test_a_bootstrap_that_fails_is_asked_about(world: World) -> None:
    world.closed(PUBLIC[0], PORT)
    cloud = Asked()
    report = await walked(world, cloud)
    assert (report.exit_code, report.failing_hop) == (10, "bootstrap")
    assert cloud.about == [{PUBLIC[0]: (PUBLIC[0],)}]
    assert report.aws


async def test_names_are_resolved_ahead(world: World) -> None:
    name, moved = "kafka.example.com", "kafka-2.example.com"
    world.names = {name: [PUBLIC[0]], moved: [PUBLIC[1]]}
    await world.three((name, PORT), (moved, PORT), (PUBLIC[2], PORT))
    cloud = Asked()
    await walked(world, cloud)
    (about,) = cloud.about
    assert (about[name], about[moved]) == ((PUBLIC[0],), (PUBLIC[1],))


async def test_names_that_moved_meanwhile_are_asked_about_again(world: World) -> None:
    name, told = "kafka.example.com", iter(PUBLIC)
    await world.three((name, PORT))
    world.lookup = lambda host, *_: [(0, 0, 0, "", (next(told), 0))]  # type: ignore[method-assign]
    cloud = Asked()
    await walked(world, cloud, endpoint(name))
    seen = [each[name] for each in cloud.about]
    assert len(seen) == 2
    assert seen[0] != seen[1]


@pytest.mark.parametrize("broken", [False, True], ids=["the walk passes", "a broker is down"])
async def test_a_bug_beside_the_walk_is_no_failure_of_it(world: World, broken: bool) -> None:
    await world.three()
    if broken:
        world.closed(PUBLIC[2], PORT)
    report = await walked(world, Broken())
    assert "KD001" in {finding.code for finding in report.findings if finding.hop == "aws"}
    assert hop(report, "aws") == "fail"
    assert hop(report, "produce") == ("skipped" if broken else "pass")
    assert report.exit_code == (30 if broken else 1)


@pytest.mark.parametrize("broken", [False, True], ids=["the walk passes", "a broker is down"])
async def test_the_deadline_that_cuts_aws_is_no_failure_of_the_walk(
    world: World, broken: bool
) -> None:
    await world.three()
    if broken:
        world.closed(PUBLIC[2], PORT)
    report = await walked(world, Asked(may=False), deadline=1.5)
    assert [f.code for f in report.findings if f.hop == "aws"] == ["KD002"]
    assert report.exit_code == (30 if broken else 50)


async def test_what_aws_said_is_kept_when_the_deadline_passes_in_hop_3(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    report = await walked(world, Asked(), timeout=5.0, deadline=1.0)
    assert report.failing_hop == "listeners"
    assert report.aws
    assert report.aws.addresses


async def test_an_interrupted_walk_asks_no_longer(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    cloud = Asked(may=False)
    walking = asyncio.create_task(walked(world, cloud))
    await cloud.begun.wait()
    walking.cancel()
    report = await walking
    assert report.interrupted
    await asyncio.sleep(0)
    assert cloud.dropped
