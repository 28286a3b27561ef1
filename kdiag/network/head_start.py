"""Connections that are begun before asyncio is loaded (25 ms), for hop 1 to go on with."""

from __future__ import annotations

import _socket as socket  # socket itself makes enums of all its constants: 3 ms with what it needs
import sys
from collections.abc import Iterable
from typing import NamedTuple

from kdiag.config.settings import Endpoint

MOST = 16  # connections
_RTT = 68  # where Linux has the round trip, in microseconds, in its struct tcp_info


class Begun(NamedTuple):
    """A socket that connects to an address of a bootstrap server, without anybody waiting."""

    address: str
    port: int
    sock: socket.socket

    def took(self, connected: socket.socket) -> float | None:
        """How many seconds the peer took to accept, by the kernel's clock; None where it does not
        know, as after a packet that was lost."""
        try:
            told = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT + 4)
        except OSError:
            return None
        microseconds = int.from_bytes(told[_RTT:], sys.byteorder)
        return microseconds / 1e6 if microseconds else None


def begin(endpoints: Iterable[Endpoint]) -> tuple[Begun, ...]:
    """Begins to connect to each endpoint that is an IP literal; a name has to be looked up first.

    Only Linux says afterwards how long that took, and takes a second `connect` for the question
    whether the first one has ended. What fails here fails for whoever goes on with it.
    """
    if sys.platform != "linux":
        return ()
    begun: list[Begun] = []
    for host, port in tuple(dict.fromkeys(endpoints))[:MOST]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            socket.inet_pton(family, host)
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex((host, port))
        except OSError:  # a name; or no descriptor, no such family: the walk says so
            continue
        begun.append(Begun(host, port, sock))
    return tuple(begun)
