"""Connections that are begun before asyncio is loaded."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from functools import partial

import pytest

from kdiag.api import run
from kdiag.config.settings import Endpoint, Settings, settings
from kdiag.demo.world import Serve
from kdiag.kafka.dialer import KafkaDialer
from kdiag.kafka.first_flight import FIRST_FLIGHT
from kdiag.kafka.messages import API_VERSIONS, METADATA, encode_request
from kdiag.network.attempt import Failure
from kdiag.network.head_start import MOST, StartedConnection, begin
from kdiag.report.model import Report
from kdiag.walk.questions import metadata_question
from kdiag.walk.runner import plain_dialer
from tests import peers
from tests.running import ENOUGH, Brokers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone begins them")


@pytest.fixture
def server() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


async def test_the_walk_goes_on_with_it_and_the_kernel_says_how_long_it_took(
    server: socket.socket,
) -> None:
    port = server.getsockname()[1]
    begun = begin([Endpoint("127.0.0.1", port)])
    idle = 0.3
    time.sleep(idle)  # as long as asyncio is loaded
    dialer = KafkaDialer(5.0, started=begun)
    line = await dialer.connect("127.0.0.1", port)
    assert line.sock
    assert line.tcp.failure is None
    assert 0 < line.tcp.elapsed < idle
    server.setblocking(False)
    first, peer = server.accept()
    assert peer == line.sock.getsockname()
    with pytest.raises(BlockingIOError):
        server.accept()
    other = await dialer.connect("127.0.0.1", port)  # one that nobody has begun
    assert other.sock
    for sock in (first, line.sock, other.sock):
        sock.close()


@pytest.mark.parametrize("flight", [b"", FIRST_FLIGHT])
async def test_one_that_is_refused_is_refused(server: socket.socket, flight: bytes) -> None:
    port = server.getsockname()[1]
    server.close()
    begun = begin([Endpoint("127.0.0.1", port)], flight)
    time.sleep(0.05)  # the thread has seen it by then
    dialer = KafkaDialer(5.0, started=begun)
    line = await dialer.connect("127.0.0.1", port)
    assert line.sock is None
    assert line.tcp.failure is Failure.REFUSED


async def test_what_nobody_goes_on_with_is_closed(server: socket.socket) -> None:
    (begun,) = begin([Endpoint("127.0.0.1", server.getsockname()[1])])
    dialer = KafkaDialer(5.0, started=[begun])
    await dialer.close()
    assert begun.sock.fileno() == -1


def test_names_wait_and_many_are_too_many(server: socket.socket) -> None:
    port = server.getsockname()[1]
    assert begin([Endpoint("localhost", port), Endpoint("fe80::1%lo", port)]) == ()
    same = [Endpoint("127.0.0.1", port)] * 3
    assert len(begin(same)) == 1
    begun = begin([Endpoint(f"127.0.0.{n + 1}", port) for n in range(MOST + 5)])
    assert len(begun) == MOST
    for each in begun:
        each.sock.close()


async def test_a_place_is_free_again_when_it_is_closed(server: socket.socket) -> None:
    """It counts as a socket of the walk."""
    port = server.getsockname()[1]
    dialer = KafkaDialer(0.2, started=begin([Endpoint("127.0.0.1", port)]))
    dialer.capacity = 3  # lookups apart, one first connection
    line = await dialer.connect("127.0.0.1", port)
    waiting = asyncio.ensure_future(dialer.connect("127.0.0.1", port))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert line.sock
    line.sock.close()
    other = await waiting
    assert other.sock
    other.sock.close()


def test_the_first_flight_is_what_hop_1_sends() -> None:
    version = METADATA.versions[0]
    metadata = encode_request(METADATA, version, 2, metadata_question().in_version(version))
    assert encode_request(API_VERSIONS, 0, 1, {}) + metadata == FIRST_FLIGHT


async def test_a_thread_sends_the_first_flight_and_the_walk_counts_its_time(
    server: socket.socket,
) -> None:
    port = server.getsockname()[1]
    (begun,) = begin([Endpoint("127.0.0.1", port)], FIRST_FLIGHT)
    with server.accept()[0] as peer:
        assert peer.recv(len(FIRST_FLIGHT), socket.MSG_WAITALL) == FIRST_FLIGHT
        idle = 0.3
        time.sleep(idle)  # as long as asyncio is loaded, and the peer does not answer
        line = await KafkaDialer(5.0, started=[begun]).connect("127.0.0.1", port)
        assert line.sock
        assert line.sent == FIRST_FLIGHT
        assert 0 < line.tcp.elapsed < idle / 2 < line.waited
        peer.sendall(b"an answer")
        assert line.sock.getsockname() == peer.getpeername()
        line.sock.close()


async def test_the_time_of_an_answer_ends_when_it_came(server: socket.socket) -> None:
    port = server.getsockname()[1]
    before = time.monotonic()
    (begun,) = begin([Endpoint("127.0.0.1", port)], FIRST_FLIGHT)
    with server.accept()[0] as peer:
        peer.recv(len(FIRST_FLIGHT), socket.MSG_WAITALL)
        peer.sendall(b"an answer")
        took, tick = time.monotonic() - before, 0.05
        time.sleep(0.3)  # as long as asyncio is loaded
        line = await KafkaDialer(5.0, started=[begun]).connect("127.0.0.1", port)
        assert line.sock
        assert line.waited < took + tick
        line.sock.close()


def test_nothing_is_sent_after_hop_1_has_taken_over() -> None:
    mine, peer = socket.socketpair()
    with mine, peer:
        begun = StartedConnection("127.0.0.1", 1, mine, b"")
        begun._flight = FIRST_FLIGHT  # without a thread: the test is the thread
        assert begun.take() == b""
        begun._send(mine.fileno())
        assert begun.take() == b""
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)


def patient(port: int, seconds: float) -> Settings:
    return settings(f"127.0.0.1:{port}", timeout=seconds, answer_timeout=seconds)


def flown(port: int, seconds: float = 5.0) -> Report:
    """The report of a walk that continues with a connection whose first flight was sent."""
    begun = begin([Endpoint("127.0.0.1", port)], FIRST_FLIGHT)
    give_up = time.monotonic() + ENOUGH
    while not begun[0]._sent and time.monotonic() < give_up:
        time.sleep(0.001)
    time.sleep(0.05)  # what the peer does about it
    return run(patient(port, seconds), partial(plain_dialer, started=begun))


@pytest.mark.parametrize(
    "serve",
    [
        peers.silent, peers.hangs_up_when_asked, peers.resets, peers.resets_in_the_middle,
        peers.says(peers.TLS_ALERT), peers.says_and_hangs_up(peers.HTTP), peers.greets(peers.SSH),
    ],
)  # fmt: skip
def test_a_peer_that_is_no_broker_is_judged_as_without_a_head_start(
    brokers: Brokers, serve: Serve
) -> None:
    port = brokers.serve(serve)
    seconds = 1.0 if serve is peers.silent else 10.0
    plain, ahead = run(patient(port, seconds)), flown(port, seconds)
    assert ahead.root_cause == plain.root_cause
    assert ahead.root_cause
    assert ahead.bootstrap[0].layers == plain.bootstrap[0].layers


def test_a_broker_is_asked_once(brokers: Brokers) -> None:
    asked: list[str] = []
    brokers.three().brokers[1].control = lambda request: asked.append(request.api.name)
    _, _, port = brokers.bootstrap.partition(":")
    assert run(settings(brokers.bootstrap)).ok
    plain, asked[:] = list(asked), []
    before = time.monotonic()
    ahead = flown(int(port))
    assert ahead.ok
    # It sleeps before the walk.
    assert 50 <= ahead.elapsed_ms <= (time.monotonic() - before) * 1000 + 1
    assert asked == plain
    assert asked.count("ApiVersions") == 1
