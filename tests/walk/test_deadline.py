"""`--deadline` ends the whole command: what is still running afterwards, and what is still done, by
counting. No test measures time."""

from __future__ import annotations

import asyncio
import base64
import itertools
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from io import StringIO
from typing import Any

import pytest

from kdiag.config.settings import Settings, settings
from kdiag.demo.broker import SILENCE, FakeBroker, FakeNode
from kdiag.demo.logins import Logins
from kdiag.demo.world import PORT, PUBLIC, World, WorldDialer, endpoint
from kdiag.kafka.login import MAX_PROOFS
from kdiag.kafka.messages import PRODUCE, SASL_AUTHENTICATE, Request
from kdiag.network.dialer import TcpConnection
from kdiag.report.judge import judge
from kdiag.report.render import RENDERERS, render
from kdiag.walk.facts.run import WalkResult
from kdiag.walk.runner import collect, nobody, within
from tests import peers

MANY, PATIENT = 60, 600.0
MOST_CALLS = 1000  # of Python's functions, to judge and print one broker: 0.2 ms
SCRAM = {
    "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256",
    "sasl.username": "alice", "sasl.password": "alice-secret",
}  # fmt: skip


class Counting(WorldDialer):
    """Counts what is dialled."""

    dialled = 0

    async def connect(self, address: str, port: int, **how: Any) -> TcpConnection:
        self.dialled += 1
        return await super().connect(address, port, **how)


async def healthy(world: World, count: int, **broker: Any) -> None:
    for node in range(1, count + 1):
        address = f"3.13.{node // 250}.{node % 250 + 1}"
        world.cluster.nodes.append(FakeNode(node, address, PORT))
        made = FakeBroker(world.cluster, node, **broker)
        world.brokers[node] = await world.broker(address, PORT, made)


async def silent_bootstraps(world: World) -> dict[str, Any]:
    for address in PUBLIC:
        await world.server(address, PORT, peers.silent)
    return {"bootstrap": ",".join(endpoint(address) for address in PUBLIC)}


async def silent_tls(world: World) -> dict[str, Any]:
    await silent_bootstraps(world)
    return {"properties": {"security.protocol": "SSL"}}


async def brokers_that_cannot_be_reached(world: World) -> dict[str, Any]:
    for node in range(1, MANY + 1):
        world.cluster.nodes.append(FakeNode(node, f"10.0.0.{node}", PORT))
    await world.broker(PUBLIC[0], PORT, FakeBroker(world.cluster, 999))
    return {}


async def silence_at_produce(world: World) -> dict[str, Any]:
    await healthy(world, MANY, control=lambda r: SILENCE if r.api is PRODUCE else None)
    return {"bootstrap": endpoint(world.cluster.nodes[0].host)}


async def silence_before_produce(world: World) -> dict[str, Any]:
    """The deadline ends hop 3, which has sent the requests of hop 4 already."""
    found = await silence_at_produce(world)
    world.cluster.nodes.append(FakeNode(MANY + 1, PUBLIC[0], PORT))
    await world.server(PUBLIC[0], PORT, peers.silent)
    return found


async def iterations(world: World) -> dict[str, Any]:
    """Each login asks for a million iterations of its own: half a second of a processor each."""
    salts = itertools.count(10_000_000_000)

    def control(request: Request) -> object:
        if request.api is not SASL_AUTHENTICATE:
            return None
        nonce = bytes(request.body["auth_bytes"]).rpartition(b"r=")[2]
        salt = base64.b64encode(b"%d" % next(salts))
        said = b"r=" + nonce + b"x,s=" + salt + b",i=1000000"
        return {**ACCEPTED, "auth_bytes": said}

    await healthy(world, MANY, sasl=Logins({"alice": "alice-secret"}))
    for node in range(2, MANY + 1):  # the first login is accepted: all others follow at once
        world.brokers[node].control = control
    return {"bootstrap": endpoint(world.cluster.nodes[0].host), "properties": SCRAM}


ACCEPTED = {"error_code": 0, "error_message": None, "session_lifetime_ms": 0}

Build = Callable[[World], Awaitable[dict[str, Any]]]
BUILDS: tuple[Build, ...] = (
    silent_bootstraps, silent_tls, brokers_that_cannot_be_reached, silence_at_produce,
    silence_before_produce, iterations,
)  # fmt: skip


async def cut_off(world: World, **asked: Any) -> tuple[WalkResult, Settings, Counting]:
    """A walk that the deadline ends."""
    asked = {"timeout": PATIENT, "answer_timeout": PATIENT, "deadline": 1.0, **asked}
    made = settings(asked.pop("bootstrap", endpoint()), **asked)
    nets: list[Counting] = []

    def net(of: Settings) -> Counting:
        nets.append(Counting(world, of))
        return nets[0]

    result = await collect(made, net, nobody)
    assert [failure.error for failure in result.walk.failures] == [""], result.walk.failures
    return result, made, nets[0]


def tasks() -> list[str]:
    """The tasks that are the walk's."""
    codes = [(task, getattr(task.get_coro(), "cr_code", None)) for task in asyncio.all_tasks()]
    return [
        code.co_qualname if sys.version_info >= (3, 11) else code.co_name
        for task, code in codes
        if code and "/kdiag/" in code.co_filename and "/kdiag/demo/" not in code.co_filename
    ]


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
async def test_nothing_runs_on_after_the_deadline(world: World, build: Build) -> None:
    before = threading.active_count()
    _, _, net = await cut_off(world, **await build(world))
    assert tasks() == []
    assert not net._open
    dialled = net.dialled
    requests = sum(len(broker.requests) for broker in world.brokers.values())
    left = [thread for thread in threading.enumerate() if thread.name == "kdiag"]
    assert len(left) <= MAX_PROOFS + before
    for _ in range(50):
        await asyncio.sleep(0)
    assert net.dialled == dialled
    assert sum(len(broker.requests) for broker in world.brokers.values()) == requests


async def test_what_a_task_that_runs_on_looks_like() -> None:
    from kdiag.walk.turns import Turns

    waiting = asyncio.ensure_future(Turns().take())
    assert tasks() == ["Turns.take"]
    await waiting


async def test_what_is_done_after_the_deadline_grows_with_the_brokers_alone() -> None:
    """Judging and printing, in calls of functions for each broker, in each form."""
    ends = []
    for brokers in (20, 80):
        world = World()
        await healthy(world, brokers)
        try:
            asked = settings(endpoint(world.cluster.nodes[0].host), deadline=PATIENT)
            result = await collect(asked, world.net, nobody)
        finally:
            await world.end()
        assert not result.walk.failures, "as much is known as there can be"
        ends.append(partial(_finish, asked, result))
    for form in RENDERERS:
        few, many = (_calls(partial(finish, form)) for finish in ends)
        assert many - few < 60 * MOST_CALLS, (form, few, many)


def _finish(asked: Settings, result: WalkResult, form: str) -> None:
    render(form, judge(asked, result, time.perf_counter()), StringIO())


def _calls(function: Callable[[], None]) -> int:
    """How many calls of Python's functions it takes, once all is loaded."""
    function()
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


async def test_ctrl_c_is_not_lost_to_a_connection_that_is_there_at_that_moment() -> None:
    """As asyncio.wait_for loses it before Python 3.12."""
    connected, goes_on = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def hop() -> None:
        await asyncio.wait_for(connected, PATIENT)
        goes_on.set()
        await asyncio.sleep(PATIENT)

    running = asyncio.ensure_future(within(PATIENT, hop()))
    await asyncio.sleep(0.05)
    connected.set_result(None)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 30)
    assert goes_on.is_set() is (sys.version_info < (3, 12))


async def test_a_task_that_takes_too_long_has_ended() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(PATIENT)
        finally:
            ended.set()

    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, slow())
    assert ended.is_set()
