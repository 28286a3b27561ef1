"""Starts connections before asyncio is loaded (25 ms); hop 1 continues with them."""

from __future__ import annotations

import _socket as socket  # socket itself makes enums of all its constants: 3 ms with what it needs
import _thread
import sys
import time

TYPE_CHECKING = False  # typing takes 2 ms to import, in which no packet is on the wire
if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 16  # connections

# Linux, struct tcp_info: where tcpi_last_data_sent and tcpi_last_data_recv (milliseconds ago),
# tcpi_rtt (microseconds) and tcpi_bytes_received stand.
_SENT, _RECEIVED, _RTT, _BYTES_RECEIVED = 44, 52, 68, 128


class StartedConnection:
    """A socket that is connecting to the address of a bootstrap server; `flight` is what a thread
    sends as soon as the peer accepts, b"" for nothing. `began` is by time.perf_counter()."""

    def __init__(self, address: str, port: int, sock: socket.socket, flight: bytes) -> None:
        self.address, self.port, self.sock = address, port, sock
        self.began = time.perf_counter()
        self._flight, self._sent = flight, b""
        self._lock = _thread.allocate_lock()
        if flight:
            _thread.start_new_thread(self._send, (sock.fileno(),))

    def _send(self, handle: int) -> None:
        from select import POLLOUT, poll  # 0.3 ms

        connected = poll()
        connected.register(handle, POLLOUT)
        events = connected.poll(60_000)  # hop 1 has ended by then
        with self._lock:
            if self._flight and events == [(handle, POLLOUT)]:
                try:
                    self._sent = self._flight[: self.sock.send(self._flight)]
                except OSError:  # hop 1 reports it
                    return

    def take(self) -> bytes:
        """The bytes that were sent; the thread sends none from now on."""
        with self._lock:
            self._flight = b""
            return self._sent

    def took(self, connected: socket.socket) -> float | None:
        """How many seconds the peer took to accept, by the kernel's clock; None where the kernel
        does not know, as after a lost packet."""
        return _number(_tcp_info(connected), _RTT) / 1e6 or None

    def waited(self, connected: socket.socket) -> float:
        """How many seconds ago the flight was sent, or how many the peer took to answer it."""
        info = _tcp_info(connected)
        answered = _number(info, _BYTES_RECEIVED, 8)
        return max(0, _number(info, _SENT) - (_number(info, _RECEIVED) if answered else 0)) / 1e3


def _tcp_info(sock: socket.socket) -> bytes:
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:
        return b""


def _number(info: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(info[at : at + size], sys.byteorder)


def begin(
    endpoints: Iterable[tuple[str, int]], flight: bytes = b""
) -> tuple[StartedConnection, ...]:
    """Starts a connection to each endpoint that is an IP literal; a name needs a lookup first.

    Linux only: other systems do not say afterwards how long a connect took, and do not answer a
    second `connect` with the result of the first. A failure shows again in hop 1.
    """
    if sys.platform != "linux":
        return ()
    started: list[StartedConnection] = []
    for host, port in tuple(dict.fromkeys(endpoints))[:MOST]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            socket.inet_pton(family, host)
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect_ex((host, port))
            started.append(StartedConnection(host, port, sock, flight))
        except OSError:  # a name, or no descriptor, or no such family: hop 1 reports it
            continue
    return tuple(started)
