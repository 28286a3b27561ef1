"""The demo's scenarios, named after the finding that each leads to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kdiag.clients.wire import METADATA, PRODUCE, SASL_HANDSHAKE, Request
from kdiag.demo.broker import CONTROLLER_APIS, HANG_UP, SILENCE, Broker, Cluster, Node
from kdiag.demo.world import CLUSTER_ID, PORT, PRIVATE, PUBLIC, World, endpoint
from kdiag.report import Report
from kdiag.settings import settings
from kdiag.walk import Observer, walk

LEADER_NOT_AVAILABLE, TOPIC_DENIED, INVALID_TOPIC, LISTENER_NOT_FOUND = 5, 29, 17, 72
CONTROLLER_PORT = 9093


@dataclass(frozen=True)
class Start:
    """Where the walk starts in a scenario."""

    bootstrap: str = endpoint()
    topic: str | None = None


Build = Callable[[World], Awaitable[Start]]
SCENARIOS: dict[str, Build] = {}


def scenario(build: Build) -> Build:
    """Declares a scenario; its name is the function's, with dashes."""
    SCENARIOS[build.__name__.replace("_", "-")] = build
    return build


async def play(
    name: str, *, timeout: float = 1.0, deadline: float = 30.0, observe: Observer | None = None
) -> Report:
    """Builds a scenario, walks it, and takes it down again."""
    world = World()
    try:
        start = await SCENARIOS[name](world)
        asked = settings(start.bootstrap, topic=start.topic, timeout=timeout, deadline=deadline)
        return await walk(asked, world.net, observe or (lambda hop, summary: None))
    finally:
        await world.end()


@scenario
async def healthy(world: World) -> Start:
    """Three brokers, each at the public address that it advertises."""
    await world.three()
    return Start()


@scenario
async def private_address(world: World) -> Start:
    """Brokers on EC2 that advertise the addresses of their VPC."""
    await world.three(*((address, PORT) for address in PRIVATE))
    # Each broker's own port leads to it from outside as well, which is what the fix rests on.
    return Start(f"{endpoint()},{endpoint(PUBLIC[1])},{endpoint(PUBLIC[2])}")


@scenario
async def loopback_address(world: World) -> Start:
    """A container image's default: every broker advertises localhost."""
    await world.three(*(("localhost", PORT + node) for node in (1, 2, 3)))
    world.names["localhost"] = ["127.0.0.1"]
    for node in (1, 2, 3):
        world.closed("127.0.0.1", PORT + node)
    return Start()


@scenario
async def unusable_address(world: World) -> Start:
    """Brokers that advertise what they bind to."""
    await world.three(*(("0.0.0.0", PORT) for _ in PUBLIC))
    return Start()


@scenario
async def internal_name(world: World) -> Start:
    """Brokers on EC2 that advertise their private DNS names."""
    names = (f"ip-{address.replace('.', '-')}.eu-west-2.compute.internal" for address in PRIVATE)
    await world.three(*((name, PORT) for name in names))
    return Start()


@scenario
async def wrong_broker(world: World) -> Start:
    """Brokers 2 and 3 advertise each other's address."""
    await world.three(*((PUBLIC[index], PORT) for index in (0, 2, 1)))
    return Start()


@scenario
async def shared_address(world: World) -> Start:
    """All brokers advertise the load balancer in front of them."""
    await world.three(*((PUBLIC[0], PORT) for _ in PUBLIC))
    return Start()


@scenario
async def wrong_cluster(world: World) -> Start:
    """Broker 3's address leads to another cluster."""
    await world.three()
    other = Cluster("anotherCluster00000002", world.cluster.nodes)
    await world.broker(PUBLIC[2], PORT, Broker(other, 3))
    return Start()


@scenario
async def port_closed(world: World) -> Start:
    """Broker 2 is down: its host answers, its port is closed."""
    await world.three()
    world.closed(PUBLIC[1], PORT)
    return Start()


@scenario
async def advertised_blocked(world: World) -> Start:
    """The security group lets the bootstrap port through, and not the brokers' own."""
    await world.three(*((PUBLIC[0], 32000 + node) for node in (1, 2, 3)))
    return Start()


@scenario
async def path_mtu(world: World) -> Start:
    """Broker 1 is behind a tunnel that drops large packets."""
    await world.three()

    def drop_large(request: Request) -> Any:
        large = request.api is PRODUCE and len(str(request.body)) > 4096
        return SILENCE if large else None

    world.brokers[1].control = drop_large
    return Start()


@scenario
async def produce_unanswered(world: World) -> Start:
    """Broker 3 hangs on produce requests."""
    await world.three()
    world.brokers[3].control = lambda request: SILENCE if request.api is PRODUCE else None
    return Start()


@scenario
async def throttled(world: World) -> Start:
    """This client's quota is used up."""
    await world.three()

    def slow(request: Request) -> Any:
        return {"topics": [], "throttle_time_ms": 700} if request.api is PRODUCE else None

    world.brokers[2].control = slow
    return Start()


@scenario
async def not_kafka(world: World) -> Start:
    """The port is that of a web server."""
    page = b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n"
    await world.server(PUBLIC[0], PORT, _answering(page))
    return Start()


@scenario
async def controller_port(world: World) -> Start:
    """The port is that of a KRaft controller."""
    controller = Broker(world.cluster, 1, apis=CONTROLLER_APIS)
    await world.broker(PUBLIC[0], CONTROLLER_PORT, controller)
    return Start(endpoint(port=CONTROLLER_PORT))


@scenario
async def tls_required(world: World) -> Start:
    """The listener speaks TLS."""
    await world.server(PUBLIC[0], PORT, _answering(b"\x15\x03\x03\x00\x02\x02\x50"))
    return Start()


@scenario
async def sasl_required(world: World) -> Start:
    """The listener wants a login."""
    await world.three()
    mechanisms = {"error_code": 33, "mechanisms": ["SCRAM-SHA-512", "PLAIN"]}

    def login_first(request: Request) -> Any:
        if request.api is SASL_HANDSHAKE:
            return mechanisms
        return HANG_UP if request.api is METADATA else None

    world.brokers[1].control = login_first
    return Start()


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


@scenario
async def metadata_unanswered(world: World) -> Start:
    """The broker hangs on the metadata request."""
    await world.three()
    world.brokers[1].control = lambda request: SILENCE if request.api is METADATA else None
    return Start()


@scenario
async def metadata_error(world: World) -> Start:
    """The answer to the metadata request is cut short."""
    await world.three()
    world.brokers[1].control = lambda request: (
        b"\0\0\0\x08" + request.correlation.to_bytes(4, "big") + b"\xff\xff\xff\xff"
        if request.api is METADATA
        else None
    )
    return Start()


@scenario
async def no_brokers(world: World) -> Start:
    """A broker that has not found its cluster yet."""
    await world.broker(PUBLIC[0], PORT, Broker(world.cluster, 1))
    return Start()


@scenario
async def unknown_topic(world: World) -> Start:
    """The topic does not exist."""
    await world.three()
    return Start(topic="ordres")


@scenario
async def topic_denied(world: World) -> Start:
    """The client may not see the topic."""
    return await _topic(world, {"error_code": TOPIC_DENIED, "partitions": []})


@scenario
async def no_leader(world: World) -> Start:
    """Both replicas of partition 1 are down."""
    dead = _partition(1, -1, (4, 5), (), LEADER_NOT_AVAILABLE)
    return await _topic(world, {"error_code": 0, "partitions": [_partition(0, 1), dead]})


@scenario
async def listener_missing_on_leader(world: World) -> Start:
    """Partition 1's leader has no listener of the name that we came in by."""
    lost = _partition(1, -1, error=LISTENER_NOT_FOUND)
    return await _topic(world, {"error_code": 0, "partitions": [_partition(0, 1), lost]})


@scenario
async def under_replicated(world: World) -> Start:
    """Broker 3 is behind."""
    behind = _partition(0, 1, isr=(1, 2))
    return await _topic(world, {"error_code": 0, "partitions": [behind]})


@scenario
async def bootstraps_disagree(world: World) -> Start:
    """The list names servers of two clusters."""
    await world.three()
    other = Cluster("anotherCluster00000002", [Node(1, "3.10.139.230", PORT)])
    await world.broker("3.10.139.230", PORT, Broker(other, 1))
    return Start(f"{endpoint()},{endpoint('3.10.139.230')}")


async def _topic(world: World, told: Mapping[str, Any]) -> Start:
    """Three brokers, of which the first tells this of topic orders."""
    await world.three()
    nodes = [{"node_id": n.node, "host": n.host, "port": n.port, "rack": None}
             for n in world.cluster.nodes]  # fmt: skip

    def answer(request: Request) -> Any:
        if request.api is not METADATA or not request.body["topics"]:
            return None
        return {
            "throttle_time_ms": 0,
            "brokers": nodes,
            "cluster_id": CLUSTER_ID,
            "controller_id": 3,
            "topics": [{"name": "orders", "is_internal": False, **told}],
        }

    world.brokers[1].control = answer
    return Start(topic="orders")


def _partition(
    index: int,
    leader: int,
    replicas: tuple[int, ...] = (1, 2, 3),
    isr: tuple[int, ...] = (1, 2, 3),
    error: int = 0,
) -> dict[str, Any]:
    return {
        "error_code": error,
        "partition_index": index,
        "leader_id": leader,
        "leader_epoch": 0,
        "replica_nodes": list(replicas),
        "isr_nodes": list(isr),
        "offline_replicas": [],
    }


def _answering(said: bytes) -> Callable[..., Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        await reader.read(4096)
        writer.close()

    return serve


async def _reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass
    writer.close()
