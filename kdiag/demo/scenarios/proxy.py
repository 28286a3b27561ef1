"""Scenarios of proxies: one that every connection goes through, and those in front of brokers."""

from __future__ import annotations

import ssl

from kdiag.demo.broker import FakeBroker, FakeNode
from kdiag.demo.certificates import authority, server_context
from kdiag.demo.proxy import FakeProxy
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.scenarios.tls import tls_client
from kdiag.demo.world import PORT, PUBLIC, World, endpoint

_PROXY = "203.0.113.80"
_NAMES = ("b1.kafka.example", "b2.kafka.example", "b3.kafka.example")


async def _cluster(world: World, tls: ssl.SSLContext | None = None) -> None:
    """Three brokers that advertise names."""
    await world.three(*((name, PORT) for name in _NAMES), tls=tls)
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


@scenario
async def no_sni_route(world: World) -> Start:
    """A proxy that routes by name (SNI) has no route for broker 3."""
    await _cluster(world, routing(_NAMES, _NAMES[:2]))
    return Start(endpoint(_NAMES[0]), security=tls_client())


def routing(names: tuple[str, ...], routes: tuple[str, ...]) -> ssl.SSLContext:
    """The TLS context of a proxy that has a certificate of all names, and routes for some; a client
    that sends no name gets the first one's."""
    context = server_context(authority().issue("proxy", names))

    def choose(_: object, name: str | None, __: object) -> int | None:
        known = name is None or name in routes
        return None if known else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = choose
    return context


@scenario
async def proxy_port(world: World) -> Start:
    """HAProxy listens on 1038, and the broker behind it advertises 9092."""
    world.cluster.nodes.append(FakeNode(1, PUBLIC[0], 9092))
    await world.broker(PUBLIC[0], 1038, FakeBroker(world.cluster, 1))
    world.closed(PUBLIC[0], 9092)
    return Start(endpoint(port=1038))
