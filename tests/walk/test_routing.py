"""Proxies in front of brokers: what is dialled to find out how they route, and what it proves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kdiag.api import walk
from kdiag.config.settings import settings
from kdiag.demo.broker import FakeBroker, FakeNode
from kdiag.demo.certificates import authority, server_context
from kdiag.demo.scenarios.proxy import routing
from kdiag.demo.scenarios.tls import tls_client
from kdiag.demo.world import PORT, PUBLIC, World, endpoint
from kdiag.network.dialer import TcpConnection
from kdiag.report.model import Report
from kdiag.walk.runner import nobody

NAMES = ("b1.example", "b2.example", "b3.example")


def walked(
    build: Callable[[World], Any], server: str, *, tls: bool = True
) -> tuple[Report, list[tuple[str, int]]]:
    """The report of a walk in a world, and the addresses of all its connections."""
    opened: list[tuple[str, int]] = []

    async def run() -> Report:
        world = World()
        await build(world)
        made = settings(server, timeout=2.0)
        made = made._replace(security=tls_client()) if tls else made
        dialer = world.net(made)
        connect = dialer.connect

        async def counted(address: str, port: int, *, again: bool = False) -> TcpConnection:
            opened.append((address, port))
            return await connect(address, port, again=again)

        dialer.connect = counted  # type: ignore[method-assign]
        try:
            return await walk(made, lambda _: dialer, nobody)
        finally:
            await world.end()

    return asyncio.run(run()), opened


def by_name(*routes: str, hosts: tuple[str, ...] = NAMES) -> Callable[[World], Any]:
    """Brokers behind a proxy that has these routes."""

    async def build(world: World) -> None:
        await world.three(*((host, PORT) for host in hosts), tls=routing((*NAMES, *PUBLIC), routes))
        world.names.update({name: [at] for name, at in zip(NAMES, PUBLIC, strict=True)})

    return build


def test_a_healthy_walk_dials_nothing_more() -> None:
    report, opened = walked(by_name(*NAMES), endpoint(NAMES[0]))
    assert report.ok
    assert len(opened) == 3, "hop 3 goes on with hop 1's"


def test_a_name_without_a_route_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    report, opened = walked(by_name(*NAMES[:2]), endpoint(NAMES[0]))
    assert (report.root_cause, report.exit_code) == ("KD313", 30)
    (finding,) = (each for each in report.findings if each.code == "KD313")
    assert finding.subjects == ["broker 3"]
    assert finding.message.endswith("has no route for: b3.example")
    assert any("it completes one without a name (SNI)" in line for line in finding.evidence)
    monkeypatch.setattr("kdiag.walk.allowance.MAX_RENAMED", 0)
    _, without = walked(by_name(*NAMES[:2]), endpoint(NAMES[0]))
    assert len(opened) - len(without) == 2, "without a name, and once more with its own"
    assert report.cluster and report.cluster.brokers[2].layers["tls"] == "handshake"


def test_a_server_that_ends_every_handshake_is_no_router() -> None:
    async def build(world: World) -> None:
        await by_name(*NAMES)(world)
        context = server_context(authority().issue("broker", NAMES))
        context.sni_callback = lambda *_: 112  # unrecognized_name, whatever the name
        await world.broker(PUBLIC[2], PORT, FakeBroker(world.cluster, 3), context)

    report, _ = walked(build, endpoint(NAMES[0]))
    assert report.root_cause == "KD121"
    assert "KD313" not in [finding.code for finding in report.findings]


def test_a_server_that_recovers_is_no_router(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the first three handshakes, whatever their name, and completes the rest."""
    ended: list[str | None] = []

    async def build(world: World) -> None:
        await by_name(*NAMES)(world)
        context = server_context(authority().issue("broker", NAMES))

        def limited(_: object, name: str | None, __: object) -> int | None:
            ended.append(name)
            return 112 if len(ended) <= 3 else None

        context.sni_callback = limited
        await world.broker(PUBLIC[2], PORT, FakeBroker(world.cluster, 3), context)

    report, _ = walked(build, endpoint(NAMES[0]))
    assert ended[3:] == [None, NAMES[2]]
    assert "KD313" not in [finding.code for finding in report.findings]


def test_an_address_is_no_name_to_route_by() -> None:
    hosts = (NAMES[0], NAMES[1], PUBLIC[2])

    async def build(world: World) -> None:
        await by_name(*NAMES, hosts=hosts)(world)
        context = routing((*NAMES, *PUBLIC), NAMES)
        inner = context.sni_callback
        context.sni_callback = lambda s, n, c: inner(s, n, c) if n else 112  # type: ignore[misc]
        await world.broker(PUBLIC[2], PORT, FakeBroker(world.cluster, 3), context)

    report, _ = walked(build, endpoint(NAMES[0]))
    assert report.root_cause == "KD313"
    (finding,) = (each for each in report.findings if each.code == "KD313")
    assert any("it completes one for b1.example" in line for line in finding.evidence)
    assert "TLS sends no name for an address" in finding.remedies[0].summary


def test_a_bootstrap_server_without_a_route_is_said_so() -> None:
    report, _ = walked(by_name(*NAMES[1:]), endpoint(NAMES[0]))
    assert (report.root_cause, report.exit_code) == ("KD116", 10)
    (finding,) = report.findings
    assert finding.remedies[0].summary.startswith("Add a route for b1.example")


def test_few_addresses_are_dialled_under_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdiag.walk.allowance.MAX_RENAMED", 1)
    report, _ = walked(by_name(NAMES[0]), endpoint(NAMES[0]))
    assert report.cluster
    ends = sorted(str(broker.layers["tls"]) for broker in report.cluster.brokers[1:])
    assert len(ends) == 2
    (finding,) = (each for each in report.findings if each.code == "KD313")
    assert len(finding.subjects) == 1


# Ports.


def on_another_port(*nodes: int, answers: int = 1, closed: bool = True) -> Callable[[World], Any]:
    """Brokers that advertise 9092 and more, behind a proxy on 1038."""

    async def build(world: World) -> None:
        for node in nodes:
            world.cluster.nodes.append(FakeNode(node, PUBLIC[0], 9091 + node))
            if closed:
                world.closed(PUBLIC[0], 9091 + node)
        await world.broker(PUBLIC[0], 1038, FakeBroker(world.cluster, answers))

    return build


def test_the_proxys_port_is_to_be_advertised_where_the_broker_answers_there() -> None:
    report, opened = walked(on_another_port(1), endpoint(port=1038), tls=False)
    assert report.root_cause == "KD305"
    finding = report.findings[0]
    assert "you connected leads to broker 1: 3.10.139.221:1038" in finding.message
    assert any("EXTERNAL://3.10.139.221:1038" in fix.snippet for fix in finding.remedies)
    assert opened == [(PUBLIC[0], 1038), (PUBLIC[0], 9092), (PUBLIC[0], 1038)]


def test_one_port_is_not_proposed_for_several_brokers() -> None:
    report, opened = walked(on_another_port(1, 2, 3, answers=2), endpoint(port=1038), tls=False)
    assert report.root_cause == "KD305"
    finding = report.findings[0]
    assert finding.subjects == ["broker 1", "broker 2", "broker 3"]
    assert "leads to broker 2: " in finding.message
    assert not any(fix.snippet for fix in finding.remedies)
    assert "a port of its own at the proxy" in finding.remedies[0].summary
    assert opened.count((PUBLIC[0], 1038)) == 2, "one for all of them"


def test_a_port_that_is_blocked_is_not_called_closed() -> None:
    report, opened = walked(on_another_port(1, closed=False), endpoint(port=1038), tls=False)
    assert report.root_cause == "KD306"
    assert opened == [(PUBLIC[0], 1038), (PUBLIC[0], 9092)]


def test_one_broker_that_is_down_says_nothing_of_the_others_port() -> None:
    async def build(world: World) -> None:
        await world.three((PUBLIC[0], PORT), (PUBLIC[1], 9999), (PUBLIC[2], PORT))
        world.closed(PUBLIC[1], 9999)

    report, _ = walked(build, endpoint(), tls=False)
    (finding,) = (each for each in report.findings if each.code == "KD305")
    assert "you connected" not in finding.message
