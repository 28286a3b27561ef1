"""What the operating system says of bytes that were sent: tests/lab has packets that vanish."""

from __future__ import annotations

import socket
import struct
import sys

import pytest

from kdiag.network.attempt import Received, Sent
from kdiag.network.tcp_info import from_linux, from_macos, lossy, received, sent

linux = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux's own struct")


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return client, server.accept()[0]


@linux
def test_what_the_peer_acknowledged_has_arrived() -> None:
    client, peer = connected()
    with client, peer:
        client.sendall(b"k" * 9000)
        assert len(peer.recv(9000, socket.MSG_WAITALL)) == 9000
        found = sent(client)
    assert found
    assert found.arrived
    assert not found.lost


@linux
def test_what_the_peer_does_not_read_has_not_arrived() -> None:
    """Whether it is lost is open: a full receive buffer makes Linux drop segments too."""
    client, peer = connected()
    with client, peer:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                client.send(b"k" * 65536)
        found = sent(client)
    assert found
    assert found.unsent > 0
    assert not found.arrived


@linux
def test_segments_that_were_sent_again_and_never_acknowledged_are_lost() -> None:
    client, peer = connected()
    with client, peer:
        client.sendall(b"k")
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        assert from_linux(info) == Sent(0, 0, 0)
        found = from_linux(lossy(info, segments=7, again=3))
    assert found == Sent(7, 3, 0)
    assert found.lost


@linux
def test_nothing_arrives_out_of_order_on_loopback() -> None:
    client, peer = connected()
    with client, peer:
        peer.sendall(b"k" * 9000)
        assert len(client.recv(9000, socket.MSG_WAITALL)) == 9000
        assert received(client) == Received(0)
    one, other = socket.socketpair()
    with one, other:
        assert received(one) is None


@pytest.mark.parametrize("info", [b"", bytes(104), bytes(147), bytes(256)])
def test_a_kernel_that_counts_nothing_proves_nothing(info: bytes) -> None:
    assert from_linux(info) is None


@linux
def test_a_socket_that_is_no_tcp_connection_proves_nothing() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert sent(one) is None


@pytest.mark.parametrize(
    ("window", "left", "again", "found"),
    [
        (65535, 0, 0, Sent(0, 0, 0)),
        (65535, 9000, 4, Sent(9000, 4, 0)),
        (0, 9000, 4, Sent(0, 4, 9000)),
        (4000, 9000, 0, Sent(4000, 0, 5000)),
    ],
)
def test_macos_counts_bytes(window: int, left: int, again: int, found: Sent) -> None:
    """After the layout in xnu's netinet/tcp.h; it was not run on a Mac."""
    info = bytearray(112)
    struct.pack_into("=II", info, 28, window, left)
    struct.pack_into("=Q", info, 104, again)
    assert from_macos(bytes(info)) == found
    assert from_macos(bytes(info[:100])) is None
