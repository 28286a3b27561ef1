"""Opens TLS over a connected socket, with less memory than asyncio takes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from typing import TYPE_CHECKING, Any

READ_BUFFER = 16 << 10  # bytes: the size of a TLS record

if TYPE_CHECKING:
    Waiter = asyncio.Future[None]


class _SmallProtocol(SSLProtocol):
    """asyncio's TLS with a smaller buffer than its 256 KiB for each connection."""

    max_size = READ_BUFFER


async def secured(
    sock: socket.socket,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    name: str | None,
) -> Any:
    """The transport for `protocol` after the handshake, as loop.create_connection returns it with
    `ssl`. Raises its errors, and closes the socket then."""
    loop = asyncio.get_running_loop()
    handshake: Waiter = loop.create_future()
    tls = _SmallProtocol(loop, protocol, context, handshake, False, name)
    transport = tls._app_transport
    try:
        await loop.create_connection(lambda: tls, sock=sock)
        await handshake
    except BaseException:
        transport.close()
        raise
    return transport
