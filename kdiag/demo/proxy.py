"""A SOCKS5 and HTTP proxy in a simulated network, which can refuse connections."""

from __future__ import annotations

import asyncio
import base64
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdiag.demo.world import World

_END = b"\r\n\r\n"
_OPENED = b"HTTP/1.1 200 Connection established" + _END
_REPLY = b"\5%c\0\1\0\0\0\0\0\0"


@dataclass
class FakeProxy:
    """Connects to the addresses and names of a World; `refusals` maps a host to the SOCKS5 reply,
    or to the whole HTTP answer, that a client gets in place of a connection. A client has to log in
    with `login`, user:password, where there is one. `asked` are the hosts of all requests, `tried`
    counts logins."""

    world: World
    refusals: Mapping[str, int | bytes] = field(default_factory=dict)
    login: str = ""
    asked: list[str] = field(default_factory=list)
    tried: int = 0

    async def socks5(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serves one SOCKS5 client."""
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if self.login else 0
        writer.write(bytes([5, wanted if wanted in methods else 255]))
        if wanted not in methods:
            return writer.close()
        if self.login:
            self.tried += 1
            _, length = await reader.readexactly(2)
            user = await reader.readexactly(length)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            right = b"%s:%s" % (user, password) == self.login.encode()
            writer.write(b"\1\0" if right else b"\1\1")
            if not right:
                return writer.close()
        *_, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, await reader.readexactly(length))
        port = int.from_bytes(await reader.readexactly(2), "big")
        refusal = self._refusal(host, port, 4, 5)
        code = refusal if isinstance(refusal, int) else 0
        writer.write(_REPLY % code)
        return writer.close() if code else await self._relay(host, port, reader, writer)

    async def http(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serves one client of CONNECT."""
        head = await reader.readuntil(_END)
        basic = base64.b64encode(self.login.encode())
        self.tried += b"Proxy-Authorization" in head
        if self.login and b"Basic %s\r\n" % basic not in head:
            asks = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic"
            writer.write(asks + _END)
            return writer.close()
        target = head.split(b" ")[1].decode()
        host, port = target.rpartition(":")[0].strip("[]"), int(target.rpartition(":")[2])
        failed = b"HTTP/1.1 503 Service Unavailable" + _END
        refusal = self._refusal(host, port, failed, failed)
        writer.write(refusal if isinstance(refusal, bytes) else _OPENED)
        return writer.close() if refusal else await self._relay(host, port, reader, writer)

    def _refusal(
        self, host: str, port: int, unknown: int | bytes, closed: int | bytes
    ) -> int | bytes | None:
        self.asked.append(host)
        if host in self.refusals:
            return self.refusals[host]
        found = self.world.names.get(host, [host])
        if isinstance(found, int):
            return unknown
        return None if (found[0], port) in self.world.nat else closed

    async def _relay(
        self, host: str, port: int, reader: StreamReader, writer: StreamWriter
    ) -> None:
        found = self.world.names.get(host, [host])
        assert not isinstance(found, int)
        sock = self.world.socket()
        await asyncio.get_running_loop().sock_connect(
            sock, ("127.0.0.1", self.world.nat[found[0], port])
        )
        upstream_reader, upstream_writer = await asyncio.open_connection(sock=sock)
        await asyncio.gather(_copied(reader, upstream_writer), _copied(upstream_reader, writer))


async def _copied(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
