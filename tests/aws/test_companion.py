"""Hop 5 in parallel with the walk: the time of the calls, and the verdict of the walk."""

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
from tests.collected import PLAINTEXT

BROKERS = snapshot(*(interface(node) for node in (1, 2, 3)))
DescribeResult = tuple[Snapshot, ClientAddress]


class RecordingAwsClient:
    """A client of the AWS API that records the addresses, and responds when a test permits it."""

    def __init__(self, *, respond: bool = True) -> None:
        self.described: list[Mapping[str, tuple[str, ...]]] = []
        self.called, self.may_respond = asyncio.Event(), asyncio.Event()
        self.cancelled = False
        if respond:
            self.may_respond.set()

    async def describe(self, addresses: Mapping[str, tuple[str, ...]]) -> DescribeResult:
        self.described.append(dict(addresses))
        self.called.set()
        try:
            await self.may_respond.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return BROKERS, ClientAddress("203.0.113.10", "interface")


class FailingAwsClient(RecordingAwsClient):
    async def describe(self, addresses: Mapping[str, tuple[str, ...]]) -> DescribeResult:
        raise RuntimeError("a bug")


async def report_of(
    world: World, cloud: RecordingAwsClient, servers: str = endpoint(), **overrides: float
) -> Report:  # fmt: skip
    walk_settings = settings(servers, properties=PLAINTEXT, **{"timeout": 2.0, **overrides})  # type: ignore[arg-type]
    return await walk(walk_settings, world.net, lambda hop, summary: None, cloud)


def hop(report: Report, name: str) -> str:
    return next(step.status for step in report.hops if step.hop == name)


async def test_aws_is_called_while_kdiag_dials_the_brokers(world: World) -> None:
    """Broker 3 closes the connection at the call to AWS. With a later call, broker 3 is silent."""
    await world.three()
    cloud = RecordingAwsClient()

    async def close_when_called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await cloud.called.wait()
        writer.close()

    await world.server(PUBLIC[2], PORT, close_when_called)
    report = await report_of(world, cloud)
    assert report.cluster
    assert report.cluster.brokers[2].layers["kafka"] == "closed"
    assert len(cloud.described) == 1
    assert set(cloud.described[0]) == set(PUBLIC)


async def test_a_failed_bootstrap_server_is_described(world: World) -> None:
    world.closed(PUBLIC[0], PORT)
    cloud = RecordingAwsClient()
    report = await report_of(world, cloud)
    assert (report.exit_code, report.failing_hop) == (10, "bootstrap")
    assert cloud.described == [{PUBLIC[0]: (PUBLIC[0],)}]
    assert report.aws


async def test_advertised_names_are_resolved_before_hop_3(world: World) -> None:
    name, moved = "kafka.example.com", "kafka-2.example.com"
    world.names = {name: [PUBLIC[0]], moved: [PUBLIC[1]]}
    await world.three((name, PORT), (moved, PORT), (PUBLIC[2], PORT))
    cloud = RecordingAwsClient()
    await report_of(world, cloud)
    (about,) = cloud.described
    assert (about[name], about[moved]) == ((PUBLIC[0],), (PUBLIC[1],))


async def test_a_name_with_a_new_address_is_described_again(world: World) -> None:
    name, addresses = "kafka.example.com", iter(PUBLIC)
    await world.three((name, PORT))
    world.lookup = lambda host, *_: [(0, 0, 0, "", (next(addresses), 0))]  # type: ignore[method-assign]
    cloud = RecordingAwsClient()
    await report_of(world, cloud, endpoint(name))
    seen = [each[name] for each in cloud.described]
    assert len(seen) == 2
    assert seen[0] != seen[1]


@pytest.mark.parametrize("broken", [False, True], ids=["the walk passes", "a broker is down"])
async def test_an_exception_of_the_aws_client_does_not_change_the_verdict_of_the_walk(
    world: World, broken: bool
) -> None:
    await world.three()
    if broken:
        world.closed(PUBLIC[2], PORT)
    report = await report_of(world, FailingAwsClient())
    assert "KD001" in {finding.code for finding in report.findings if finding.hop == "aws"}
    assert hop(report, "aws") == "fail"
    assert hop(report, "produce") == ("skipped" if broken else "pass")
    assert report.exit_code == (30 if broken else 1)


@pytest.mark.parametrize("broken", [False, True], ids=["the walk passes", "a broker is down"])
async def test_aws_calls_after_the_deadline_do_not_change_the_verdict_of_the_walk(
    world: World, broken: bool
) -> None:
    await world.three()
    if broken:
        world.closed(PUBLIC[2], PORT)
    report = await report_of(world, RecordingAwsClient(respond=False), deadline=1.5)
    assert [f.code for f in report.findings if f.hop == "aws"] == ["KD002"]
    assert report.exit_code == (30 if broken else 50)


async def test_the_facts_of_aws_are_kept_if_the_deadline_ends_hop_3(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    report = await report_of(world, RecordingAwsClient(), timeout=5.0, deadline=1.0)
    assert report.failing_hop == "listeners"
    assert report.aws
    assert report.aws.addresses


async def test_an_interrupted_walk_cancels_the_calls(world: World) -> None:
    await world.three(*((address, PORT) for address in PRIVATE))
    cloud = RecordingAwsClient(respond=False)
    walking = asyncio.create_task(report_of(world, cloud))
    await cloud.called.wait()
    walking.cancel()
    report = await walking
    assert report.interrupted
    await asyncio.sleep(0)
    assert cloud.cancelled
