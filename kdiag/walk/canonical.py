"""The bootstrap servers of a client that takes their canonical names from reverse DNS."""

from __future__ import annotations

import asyncio
import socket

from kdiag.config.settings import Endpoint
from kdiag.network.attempt import clean
from kdiag.network.dialer import TcpDialer, in_thread
from kdiag.walk.hop import Walk


async def servers(walk: Walk) -> dict[Endpoint, Endpoint | None]:
    """The servers to dial. Where the client takes canonical names, each of these, with the server
    as the user wrote it."""
    settings = walk.settings
    if not settings.canonical:
        return dict.fromkeys(settings.bootstrap)
    found: dict[Endpoint, Endpoint | None] = {}
    for given in settings.bootstrap:
        names = await canonical_names(walk.net, given.host, settings.canonical == "java")
        for name in names or (given.host,):
            found.setdefault(Endpoint(name, given.port), given)
    return found


async def canonical_names(net: TcpDialer, host: str, confirmed: bool) -> tuple[str, ...]:
    """The names that reverse DNS has for the addresses of a host, and each address that has none;
    empty where the host does not resolve. `confirmed`: a name counts only where it leads back to
    its address, as with Java's clients."""
    _, addresses = await net.resolve(host)
    names = await asyncio.gather(*(_name(net, address) for address in addresses))
    if confirmed:
        back = await asyncio.gather(*map(net.resolve, names))
        found = zip(addresses, names, back)
        names = [name if address in again else address for address, name, (_, again) in found]
    return tuple(dict.fromkeys(names))


async def _name(net: TcpDialer, address: str) -> str:
    try:
        looking = in_thread(net.reverse, (address, 0), socket.NI_NUMERICSERV)
        name, _ = await asyncio.wait_for(asyncio.shield(looking), net.timeout)
    except (asyncio.TimeoutError, OSError):
        return address
    return clean(name) or address
