"""Starts connections before asyncio is loaded (25 ms); hop 1 continues with them."""

from __future__ import annotations

import _socket as socket  # socket itself makes enums of all its constants: 3 ms with what it needs
import sys
from collections.abc import Iterable
from typing import NamedTuple

from kdiag.config.settings import Endpoint

MOST = 16  # connections
_RTT = 68  # where Linux has the round trip, in microseconds, in its struct tcp_info


class StartedConnection(NamedTuple):
    """A socket that is connecting to the address of a bootstrap server."""

    address: str
    port: int
    sock: socket.socket

    def took(self, connected: socket.socket) -> float | None:
        """How many seconds the peer took to accept, by the kernel's clock; None where the kernel
        does not know, as after a lost packet."""
        try:
            info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT + 4)
        except OSError:
            return None
        microseconds = int.from_bytes(info[_RTT:], sys.byteorder)
        return microseconds / 1e6 if microseconds else None


def begin(endpoints: Iterable[Endpoint]) -> tuple[StartedConnection, ...]:
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
            sock.connect_ex((host, port))
        except OSError:  # a name, or no descriptor, or no such family: hop 1 reports it
            continue
        started.append(StartedConnection(host, port, sock))
    return tuple(started)
