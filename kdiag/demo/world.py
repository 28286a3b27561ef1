"""A simulated network on loopback: brokers at public addresses, host names, and silent addresses.

A table translates each simulated address, as NAT does: 3.10.139.221:9094 becomes a port on
127.0.0.1. An address without an entry is dialled unchanged, but through the loopback device, which
drops the packets. Where a socket cannot be bound to a device, nothing is sent, and the dialer waits
for the timeout: no packet leaves this machine.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from kdiag.address import is_unusable
from kdiag.config.settings import Endpoint, Settings
from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.demo.logins import Logins
from kdiag.kafka.connection import KafkaConnection
from kdiag.kafka.dialer import ConnectionResult, KafkaDialer
from kdiag.kafka.messages import CLIENT_ID
from kdiag.kafka.proxy_dialer import ProxyDialer
from kdiag.network.attempt import LayerResult, Received, Sent
from kdiag.network.dialer import TcpConnection, connect_failure
from kdiag.network.sockets import Counted
from kdiag.network.tcp_info import lossy
from kdiag.walk.facts.produce import LARGE

CLIENT = "203.0.113.10"
PUBLIC = ("3.10.139.221", "3.10.139.222", "3.10.139.223")
PRIVATE = ("10.0.1.11", "10.0.1.12", "10.0.1.13")
PORT = 9094
SMALL_PACKET = 1400  # bytes; larger packets to `World.narrow` addresses are lost
CLUSTER_ID = "kdiagDemoCluster000001"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@dataclass
class World:
    """A simulated network. `nat` maps (address, port) to a port on 127.0.0.1; `names` maps a host
    to its addresses, or to the resolver's error code. Large packets to `narrow` addresses are
    lost, and so are large answers from `deaf` ones. `canonical` maps an address to its name by
    reverse DNS."""

    cluster: FakeCluster = field(default_factory=lambda: FakeCluster(CLUSTER_ID))
    nat: dict[tuple[str, int], int] = field(default_factory=dict)
    names: dict[str, list[str] | int] = field(default_factory=dict)
    narrow: set[str] = field(default_factory=set)
    canonical: dict[str, str] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    brokers: dict[int, FakeBroker] = field(default_factory=dict)
    _servers: list[asyncio.Server | FakeBroker] = field(default_factory=list)
    _closed: list[socket.socket] = field(default_factory=list)

    async def broker(
        self, address: str, port: int, broker: FakeBroker, tls: ssl.SSLContext | None = None
    ) -> FakeBroker:
        """Starts a broker at this address, with TLS where a server context is given."""
        self.nat[address, port] = await broker.start(tls=tls)
        self._servers.append(broker)
        return broker

    async def three(
        self,
        *advertised: tuple[str, int],
        tls: ssl.SSLContext | None = None,
        sasl: Logins | None = None,
    ) -> None:
        """Starts brokers 1 to 3 at the public addresses. They advertise `advertised`, by default
        their own addresses."""
        advertised = advertised or tuple((address, PORT) for address in PUBLIC)
        for node, (host, port) in enumerate(advertised, start=1):
            self.cluster.nodes.append(FakeNode(node, host, port))
            self.brokers[node] = await self.broker(
                PUBLIC[node - 1], PORT, FakeBroker(self.cluster, node, sasl=sasl), tls
            )

    async def server(self, address: str, port: int, serve: Serve) -> None:
        """Starts a server of another kind at this address; `serve` handles each connection."""

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A loop that ends cancels it: streams of Python 3.11 print a traceback then.
            with suppress(asyncio.CancelledError):
                await serve(reader, writer)

        server = await asyncio.start_server(served, "127.0.0.1", 0)
        self.nat[address, port] = server.sockets[0].getsockname()[1]
        self._servers.append(server)

    def closed(self, address: str, port: int) -> None:
        """Adds an address that refuses connections on this port."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))  # bound and not listening: no other process gets the port
        self.nat[address, port] = sock.getsockname()[1]
        self._closed.append(sock)

    def socket(self) -> socket.socket:
        """A socket that cannot leave this machine, for a server that dials others."""
        made = socket.socket()
        made.setblocking(False)
        if bindable():
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        return made

    def net(self, settings: Settings) -> KafkaDialer:
        """The dialer with which a walk connects to this network."""
        proxy = settings.options.proxy
        return _ProxiedDialer(proxy, self, settings) if proxy else WorldDialer(self, settings)

    async def end(self) -> None:
        """Stops every server and frees the reserved ports."""
        for sock in self._closed:
            sock.close()
        for server in self._servers:
            if isinstance(server, FakeBroker):
                await server.stop()
            else:
                server.close()

    def lookup(self, host: str, _port: object = None, family: int = 0, *_: object) -> list[Any]:
        """A getaddrinfo that resolves from `names`; any other name does not exist. Raises
        socket.gaierror."""
        result = self.names.get(host, socket.EAI_NONAME)
        if isinstance(result, int):
            raise socket.gaierror(result, _RESOLVER_MESSAGES[result])
        other = {socket.AF_INET: True, socket.AF_INET6: False}.get(socket.AddressFamily(family))
        return [(0, 0, 0, "", (x, 0)) for x in result if (":" in x) is not other]

    def reverse(self, address: tuple[str, int], *_: object) -> tuple[str, str]:
        """A getnameinfo that finds the names of `canonical`."""
        return self.canonical.get(address[0], address[0]), str(address[1])


@cache
def bindable() -> bool:
    """Whether a socket can be bound to the loopback device: Linux, since 5.7 without privileges."""
    with socket.socket() as sock, suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        return True
    return False


class WorldDialer(KafkaDialer):
    """A dialer that translates addresses by the table of a World."""

    outside = False

    def __init__(self, world: World, settings: Settings) -> None:
        super().__init__(
            settings.options.timeout,
            answer_timeout=settings.options.answer_timeout,
            patience=settings.options.patience,
            family=settings.family,
            lookup=world.lookup,
            device="lo" if bindable() else None,
            tls=settings.security.tls,
            client_id=settings.client.get("client.id") or CLIENT_ID,
        )
        self._nat, self._narrow, self._deaf = world.nat, world.narrow, world.deaf
        self.reverse = world.reverse

    async def connect(self, address: str, port: int, *, again: bool = False) -> TcpConnection:
        """Connects to the port on 127.0.0.1 that stands for this address."""
        if (address, port) not in self._nat:
            if is_unusable(address, port):  # this machine itself, and not its services
                refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
                failed = LayerResult("tcp", 0.0, *connect_failure(refused, 0.0))
                return TcpConnection(address, port, failed)
            if self._device:
                return await super().connect(address, port, again=again)
            if ":" in address:  # Linux has no route to it over loopback either
                absent = OSError(errno.ENETUNREACH, "no route")
                failed = LayerResult("tcp", 0.0, *connect_failure(absent, 0.0))
            else:
                await asyncio.sleep(self.timeout)
                failure = connect_failure(TimeoutError(), self.timeout)
                failed = LayerResult("tcp", self.timeout, *failure)
            return TcpConnection(address, port, failed)
        connection = await super().connect("127.0.0.1", self._nat[address, port], again=again)
        if connection.sock and address in self._narrow and sys.platform == "linux":
            connection.sock.__class__ = _LossySocket
        source = connection.source and CLIENT
        return connection._replace(address=address, port=port, source=source)

    async def open(self, tcp: TcpConnection, name: str | None = None) -> ConnectionResult:
        """Opens a Kafka connection. Where the system cannot be made to say that packets are lost,
        the connection to a `narrow` address says so itself."""
        result = await super().open(tcp, name)
        if result.connection and tcp.address in self._narrow and sys.platform != "linux":
            result.connection.__class__ = _LossyConnection
        if result.connection and tcp.address in self._deaf:
            result.connection.__class__ = _DeafConnection
        return result


class _ProxiedDialer(ProxyDialer, WorldDialer):
    """A dialer through a proxy of the World, whose address is translated."""


class _LossyConnection(KafkaConnection):
    """A connection whose large requests are lost on the way."""

    _lost = False

    def _write(self, frame: bytes) -> None:
        if len(frame) < SMALL_PACKET:
            super()._write(frame)
        else:
            self._flush()
            self._lost = True

    def sent(self) -> Sent | None:
        """Some segments were sent again and never acknowledged, once a request is lost."""
        return Sent(7, 3, 0) if self._lost else super().sent()


class _DeafConnection(KafkaConnection):
    """A connection whose large answers are lost on the way, but for their last packet."""

    _lost = False

    def _handle_response(self, frame: bytes) -> None:
        self._lost = self._lost or len(frame) > LARGE
        if not self._lost:
            super()._handle_response(frame)

    def received(self) -> Received | None:
        """One segment arrived before others, once an answer is lost."""
        return Received(int(self._lost))


class _LossySocket(Counted):
    """A socket whose large packets are lost. TCP_INFO reports them as sent again and never
    acknowledged."""

    _lost = False

    def send(self, data: Any, flags: int = 0) -> int:
        """Sends data that fits into a small packet, and drops larger data."""
        if len(data) < SMALL_PACKET:
            return super().send(data, flags)
        self._lost = True
        return len(data)

    def getsockopt(self, level: int, name: int, size: int = 0) -> Any:
        """The option's value; TCP_INFO counts the lost segments."""
        if not size:
            return super().getsockopt(level, name)
        found = super().getsockopt(level, name, size)
        changed = self._lost and (level, name) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return lossy(found, segments=7, again=3) if changed else found


def endpoint(address: str = PUBLIC[0], port: int = PORT) -> str:
    """`host:port`, as a user writes a bootstrap server."""
    return str(Endpoint(address, port))


_RESOLVER_MESSAGES = {
    socket.EAI_NONAME: "Name or service not known",
    socket.EAI_AGAIN: "Temporary failure in name resolution",
}
