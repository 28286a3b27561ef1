"""A small internet on loopback: brokers at public addresses, names, and places that stay silent.

Addresses are played: what the walk dials as 3.10.139.221:9094 is translated, as a NAT does, to a
port on 127.0.0.1. What is not translated is dialled as it is, but bound to the loopback device,
where its packets vanish: nothing leaves this machine.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kdiag.config.settings import Endpoint, Settings
from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.demo.logins import Logins
from kdiag.network.dialer import Dialer
from kdiag.network.line import TcpConnection
from kdiag.network.sockets import Counted
from kdiag.network.tcp_info import lossy

CLIENT = "203.0.113.10"
PUBLIC = ("3.10.139.221", "3.10.139.222", "3.10.139.223")
PRIVATE = ("10.0.1.11", "10.0.1.12", "10.0.1.13")
PORT = 9094
NARROW = 1400  # bytes
CLUSTER_ID = "kdiagDemoCluster000001"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@dataclass
class World:
    """What there is to dial. `nat` maps (address, port) to a port on 127.0.0.1; `names` maps a host
    to its addresses, or to the resolver's error code. On the way to `narrow` addresses large
    packets vanish."""

    cluster: FakeCluster = field(default_factory=lambda: FakeCluster(CLUSTER_ID))
    nat: dict[tuple[str, int], int] = field(default_factory=dict)
    names: dict[str, list[str] | int] = field(default_factory=dict)
    narrow: set[str] = field(default_factory=set)
    brokers: dict[int, FakeBroker] = field(default_factory=dict)
    _servers: list[asyncio.Server | FakeBroker] = field(default_factory=list)
    _closed: list[socket.socket] = field(default_factory=list)

    async def broker(
        self, address: str, port: int, broker: FakeBroker, tls: ssl.SSLContext | None = None
    ) -> FakeBroker:
        """A broker that answers at this address, over TLS if told how."""
        self.nat[address, port] = await broker.start(tls=tls)
        self._servers.append(broker)
        return broker

    async def three(
        self,
        *advertised: tuple[str, int],
        tls: ssl.SSLContext | None = None,
        sasl: Logins | None = None,
    ) -> None:
        """Three brokers at the public addresses, that advertise these (their own, if none)."""
        told = advertised or tuple((address, PORT) for address in PUBLIC)
        for node, (host, port) in enumerate(told, start=1):
            self.cluster.nodes.append(FakeNode(node, host, port))
            self.brokers[node] = await self.broker(
                PUBLIC[node - 1], PORT, FakeBroker(self.cluster, node, sasl=sasl), tls
            )

    async def server(self, address: str, port: int, serve: Serve) -> None:
        """A server of any other kind at this address."""
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.nat[address, port] = server.sockets[0].getsockname()[1]
        self._servers.append(server)

    def closed(self, address: str, port: int) -> None:
        """A host that is there, with nobody listening on that port."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))  # bound and never listened on: no one else gets the port
        self.nat[address, port] = sock.getsockname()[1]
        self._closed.append(sock)

    def net(self, settings: Settings) -> Dialer:
        """The way into this world, for a walk."""
        return WorldDialer(self, settings)

    async def end(self) -> None:
        """Stops everything that listens, and gives back the ports that nobody listened on."""
        for sock in self._closed:
            sock.close()
        for server in self._servers:
            if isinstance(server, FakeBroker):
                await server.stop()
            else:
                server.close()

    def lookup(self, host: str, *_: object) -> list[Any]:
        """getaddrinfo, by `names` alone; a name that is not there does not exist."""
        found = self.names.get(host, socket.EAI_NONAME)
        if isinstance(found, int):
            raise socket.gaierror(found, _RESOLVER_WORDS[found])
        return [(0, 0, 0, "", (address, 0)) for address in found]


class WorldDialer(Dialer):
    """A network whose addresses are translated by a world's table."""

    outside = False

    def __init__(self, world: World, settings: Settings) -> None:
        super().__init__(
            settings.timeout,
            answer_timeout=settings.answer_timeout,
            family=settings.family,
            lookup=world.lookup,
            device="lo",
            tls=settings.security.tls,
        )
        self._nat, self._narrow = world.nat, world.narrow

    async def connect(self, address: str, port: int, *, again: bool = False) -> TcpConnection:
        """Dials the port on 127.0.0.1 that plays this address."""
        if (address, port) not in self._nat:
            return await super().connect(address, port, again=again)
        line = await super().connect("127.0.0.1", self._nat[address, port], again=again)
        if line.sock and address in self._narrow:
            line.sock.__class__ = _Narrowed
        return line._replace(address=address, port=port, source=line.source and CLIENT)


class _Narrowed(Counted):
    """A socket whose large packets vanish on the way, which the system notices: nobody acknowledges
    them, however often they are sent."""

    _lost = False

    def send(self, data: Any, flags: int = 0) -> int:
        """Sends what fits a small packet, and loses all else."""
        if len(data) < NARROW:
            return super().send(data, flags)
        self._lost = True
        return len(data)

    def getsockopt(self, level: int, name: int, size: int = 0) -> Any:
        """Tells of the segments that were lost, where Linux tells of a connection."""
        if not size:
            return super().getsockopt(level, name)
        found = super().getsockopt(level, name, size)
        asked = self._lost and (level, name) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return lossy(found, segments=7, again=3) if asked else found


def endpoint(address: str = PUBLIC[0], port: int = PORT) -> str:
    """`host:port`, as a user would write it."""
    return str(Endpoint(address, port))


_RESOLVER_WORDS = {
    socket.EAI_NONAME: "Name or service not known",
    socket.EAI_AGAIN: "Temporary failure in name resolution",
}
