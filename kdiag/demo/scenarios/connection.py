"""Scenarios of one connection to the bootstrap server that fails."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from kdiag.demo.broker import CONTROLLER_APIS, FakeBroker
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import PORT, PUBLIC, World, endpoint

CONTROLLER_PORT = 9093
EVENT_HUBS = "orders.servicebus.windows.net"


@scenario
async def not_kafka(world: World) -> Start:
    """The port is that of a web server."""
    page = b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n"
    await world.server(PUBLIC[0], PORT, _answering(page))
    return Start()


@scenario
async def controller_port(world: World) -> Start:
    """The port is that of a KRaft controller."""
    controller = FakeBroker(world.cluster, 1, apis=CONTROLLER_APIS)
    await world.broker(PUBLIC[0], CONTROLLER_PORT, controller)
    return Start(endpoint(port=CONTROLLER_PORT))


@scenario
async def silent_peer(world: World) -> Start:
    """A load balancer accepts, and has no broker behind it."""
    await world.server(PUBLIC[0], PORT, _reading)
    return Start()


@scenario
async def closed_early(world: World) -> Start:
    """A load balancer accepts and hangs up."""
    await world.server(PUBLIC[0], PORT, _answering(b""))
    return Start()


@scenario
async def refused(world: World) -> Start:
    """The broker is down."""
    world.closed(PUBLIC[0], PORT)
    return Start()


@scenario
async def managed_service(world: World) -> Start:
    """Azure Event Hubs, asked for Kafka at another port than its own."""
    world.names[EVENT_HUBS] = [PUBLIC[0]]
    world.closed(PUBLIC[0], 9092)
    return Start(f"{EVENT_HUBS}:9092")


@scenario
async def timeout(world: World) -> Start:
    """A firewall drops the bootstrap port."""
    return Start()


@scenario
async def unreachable(world: World) -> Start:
    """There is no IPv6 route to the only address."""
    world.names["kafka.example.com"] = ["2001:db8::221"]
    return Start(endpoint("kafka.example.com"))


@scenario
async def name_not_found(world: World) -> Start:
    """The name is misspelt."""
    return Start(endpoint("kafak.example.com"))


@scenario
async def resolver_failed(world: World) -> Start:
    """The DNS server does not answer."""
    world.names["kafka.example.com"] = socket.EAI_AGAIN
    return Start(endpoint("kafka.example.com"))


@scenario
async def address_family(world: World) -> Start:
    """The name has an IPv6 address where nobody listens."""
    await world.three()
    world.names["kafka.example.com"] = ["::1", PUBLIC[0]]
    world.closed("::1", PORT)
    return Start(endpoint("kafka.example.com"))


def _answering(answer: bytes) -> Callable[..., Awaitable[None]]:
    """A handler that answers the first byte of a client with `answer` and then closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await reader.read(4096)
        writer.close()

    return serve


async def _reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass
    writer.close()
