"""Scenarios of a proxy that every connection goes through."""

from __future__ import annotations

from kdiag.demo.proxy import FakeProxy
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import PORT, World, endpoint

_PROXY = "203.0.113.80"
_NAMES = ("b1.kafka.example", "b2.kafka.example", "b3.kafka.example")


async def _cluster(world: World) -> None:
    """Three brokers that advertise names, which the proxy alone resolves."""
    await world.three(*((name, PORT) for name in _NAMES))
    addresses = [address for address, _ in world.nat]
    world.names.update({name: [address] for name, address in zip(_NAMES, addresses, strict=True)})


@scenario
async def proxy_refused(world: World) -> Start:
    """An HTTP proxy allows the bootstrap server alone."""
    await _cluster(world)
    denied = b"HTTP/1.1 403 Forbidden\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\n\r\n"
    proxy = FakeProxy(world, dict.fromkeys(_NAMES[1:], denied))
    await world.server(_PROXY, 3128, proxy.http)
    return Start(endpoint(_NAMES[0]), proxy=f"http://{_PROXY}:3128")


@scenario
async def proxy_not_connected(world: World) -> Start:
    """A SOCKS5 proxy does not reach broker 2, and does not say why."""
    await _cluster(world)
    proxy = FakeProxy(world, {_NAMES[1]: 1})
    await world.server(_PROXY, 1080, proxy.socks5)
    return Start(endpoint(_NAMES[0]), proxy=f"socks5h://{_PROXY}:1080")
