"""Peers that mean harm, or are just odd: a walk among them always ends, small and in order."""

from __future__ import annotations

import asyncio
import random
import struct
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from kdiag.demo.broker import FakeBroker, FakeNode
from kdiag.demo.certificates import Authority, server_context
from kdiag.demo.logins import Logins
from kdiag.demo.world import PORT, PUBLIC, World
from kdiag.kafka.messages import METADATA, Request, encode_response
from kdiag.rules.rule import Remedy
from kdiag.walk import listeners as walk_listeners
from kdiag.walk.listeners import MAX_BROKERS
from tests import walks
from tests.hostile.peers import NASTY, fuzzed
from tests.hostile.walking import MARK, among, copyable, holds


@bounded(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32))
def test_whatever_brokers_answer(seed: int) -> None:
    """More of it by hand: python -m tests.hostile.fuzz."""
    holds(asyncio.run(fuzzed(random.Random(seed))))


async def drip(reader: Reader, writer: Writer) -> None:
    """A valid beginning, one byte at a time."""
    await reader.read(1)
    for byte in struct.pack(">iihi", 4096, 1, 0, 400) + bytes(8000):
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.01)


async def stream(reader: Reader, writer: Writer) -> None:
    """An answer without an end."""
    await reader.read(1)
    while True:
        writer.write(b"A" * 65536)
        await writer.drain()


async def web(reader: Reader, writer: Writer) -> None:
    """A web server's head with escapes, and a page without an end."""
    await reader.read(1)
    writer.write(b"HTTP/1.1 200 \x1b[31mOK\r\nServer: \x1b]0;t\x07\xe2\x80\xae\r\n\r\n")
    while True:
        writer.write(b"<p>\x1b[5m" * 8192)
        await writer.drain()


def says(data: bytes) -> Callable[[Reader, Writer], Awaitable[None]]:
    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(data)
        await reader.read()

    return serve


PEERS: dict[str, Callable[[Reader, Writer], Awaitable[None]]] = {
    "drip": drip,
    "stream": stream,
    "web": web,
    "longest": says(b"\x7f\xff\xff\xff" + b"x" * 100),
    "negative": says(b"\xff\xff\xff\xff"),
    "zero": says(b"\0\0\0\0"),
    "a valid head, then garbage": says(struct.pack(">ii", 64, 1) + b"\xff" * 60),
    "2^31 items": says(struct.pack(">iihi", 10, 1, 0, 2**31 - 1)),
    "a TLS alert": says(b"\x15\x03\x03\x00\x02\x02\x50"),
    "half a TLS record": says(b"\x16\x03\x03\x40\x00\x02"),
    "SSH with escapes": says(b"SSH-2.0-\x1b[31mOpen\r\n"),
}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("place", ["bootstrap", "advertised"])
async def test_a_peer(world: World, peer: str, place: str) -> None:
    if place == "bootstrap":
        await world.server(PUBLIC[0], PORT, PEERS[peer])
    else:
        await world.three()
        await world.server(PUBLIC[2], PORT, PEERS[peer])
    report = await among(world)
    holds(report)
    assert report.exit_code == {"bootstrap": 10, "advertised": 30}[place]


async def test_brokers_without_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 the first 100 are dialled, if that is the limit. As it is, the next test has it."""
    monkeypatch.setattr(walk_listeners, "MAX_BROKERS", MAX_BROKERS // 10)
    await world.three()
    tells(world, [(node, PUBLIC[(node - 1) % 3], PORT) for node in range(1000)])
    report = await among(world, timeout=5.0, deadline=45.0)
    holds(report)
    assert (report.exit_code, report.root_cause) == (30, "KD308")
    assert sum(broker.connections for broker in world.brokers.values()) <= MAX_BROKERS // 10 + 10
    assert report.hops[2].summary.startswith("3 of 100 advertised addresses reached (900 more")


async def test_a_hundred_thousand_brokers_are_no_answer_that_is_believed(world: World) -> None:
    await world.three()
    tells(world, [(node, PUBLIC[(node - 1) % 3], PORT) for node in range(100_000)])
    report = await among(world, timeout=5.0, deadline=45.0, memory_mb=150)
    holds(report)
    assert (report.exit_code, report.root_cause) == (20, "KD202")
    assert sum(broker.connections for broker in world.brokers.values()) <= 10


async def test_brokers_without_number_that_nobody_can_dial(world: World) -> None:
    """Each may be met at the bootstrap's own address: it is asked for 1,000 of them."""
    await world.three()
    tells(world, [(node, "0.0.0.0", PORT) for node in range(2 * MAX_BROKERS)])
    report = await among(world, timeout=5.0, deadline=45.0, memory_mb=150)
    holds(report)
    assert report.root_cause == "KD303"
    assert world.brokers[1].connections <= MAX_BROKERS + 1


def tells(world: World, crowd: Sequence[tuple[int, str, int]]) -> None:
    """Has the first broker list these: node id, host, port."""
    brokers = [
        {"node_id": node, "host": host, "port": port, "rack": None} for node, host, port in crowd
    ]
    first = world.brokers[1]
    usual = {"throttle_time_ms": 0, "cluster_id": world.cluster.id, "controller_id": 1}

    @cache
    def head(topics: str) -> bytes:
        asked = [first._topic(name) for name in topics.split()]
        body = {**usual, "brokers": brokers, "topics": asked}
        return encode_response(METADATA, 7, 0, body)[8:]

    def tell(request: Request) -> Any:
        if request.api is not METADATA:
            return None
        body = head(" ".join(topic["name"] for topic in request.body["topics"] or ()))
        return struct.pack(">ii", len(body) + 4, request.correlation) + body

    head("")
    first.control = tell


@pytest.mark.parametrize("nasty", NASTY)
async def test_a_name_in_every_place(world: World, nasty: str) -> None:
    await world.three(*((nasty or "h", PORT) for _ in PUBLIC))
    world.cluster.id = nasty
    world.cluster.nodes.append(FakeNode(4, nasty, 0))
    holds(await among(world))


async def test_mechanisms_without_number(world: World) -> None:
    many = tuple(f"\x1b[31mM{number}[bold]" for number in range(5000))
    await world.three(sasl=Logins({}, mechanisms=many))
    report = await among(world)
    holds(report)
    assert report.root_cause == "KD117"
    assert len(walks.shown(report)) < 20_000


async def test_an_answer_that_is_twice_the_limit(world: World) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(struct.pack(">i", 8 << 20) + bytes(8 << 20))
        await writer.drain()

    await world.server(PUBLIC[0], PORT, serve)
    holds(await among(world))


@pytest.mark.parametrize(
    "names", [("a\nb.example",), tuple(f"h{n}.example" for n in range(1500)), ("*.*.*",)]
)
async def test_a_certificate(world: World, names: tuple[str, ...]) -> None:
    issuer = Authority("\x1b[31mCA\n[bold]")
    context = server_context(issuer.issue("\u202eCN\x07", names))
    broker = FakeBroker(world.cluster, 1)
    await world.broker(PUBLIC[0], PORT, broker, context)
    report = await among(world, timeout=1.0)
    holds(report)
    assert report.root_cause == "KD112"


async def test_what_these_tests_rest_on_can_fail(world: World) -> None:
    await world.three()
    report = await among(world)
    assert report.exit_code == 0
    holds(report)
    with pytest.raises(AssertionError):
        holds(replace(report, exit_code=1))
    with pytest.raises(AssertionError):
        holds(replace(report, target=["\u202e"], notes=["x"], kdiag_version="\x1b[31m"))
    copyable(Remedy("x.", f"getent ahosts '{MARK}'", "shell"))
    for snippet, kind in ((f"getent ahosts {MARK}", "shell"), (f"a={MARK}", "properties")):
        with pytest.raises(AssertionError):
            copyable(Remedy("x.", snippet, kind))
