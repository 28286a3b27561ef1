"""TLS over a connected socket, in less memory than asyncio takes for it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from typing import TYPE_CHECKING, Any

READ_BUFFER = 16 << 10  # bytes: a record of TLS, and nobody needs to read more at once


if TYPE_CHECKING:
    Waiter = asyncio.Future[None]


class _SmallProtocol(SSLProtocol):
    """asyncio's TLS, which has a buffer of 256 KiB for each connection, with a smaller one."""

    max_size = READ_BUFFER


async def secured(
    sock: socket.socket,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    name: str | None,
) -> Any:
    """A transport for `protocol` once the handshake is made, as loop.create_connection gives it
    with `ssl`; raises what that raises, and the socket is closed then."""
    loop = asyncio.get_running_loop()
    shaken: Waiter = loop.create_future()
    tls = _SmallProtocol(loop, protocol, context, shaken, False, name)
    transport = tls._app_transport
    try:
        await loop.create_connection(lambda: tls, sock=sock)
        await shaken
    except BaseException:
        transport.close()
        raise
    return transport
