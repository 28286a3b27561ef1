"""Connections that are begun before asyncio is loaded."""

from __future__ import annotations

import asyncio
import socket
import sys
import time

import pytest

from kdiag.config.settings import Endpoint
from kdiag.kafka.dialer import KafkaDialer
from kdiag.network.attempt import Failure
from kdiag.network.head_start import MOST, begin

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


async def test_one_that_is_refused_is_refused(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    dialer = KafkaDialer(5.0, started=begin([Endpoint("127.0.0.1", port)]))
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
