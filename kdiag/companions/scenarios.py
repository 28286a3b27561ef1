"""Demo scenarios with a Schema Registry or Kafka Connect beside a cluster that works."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus

from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import World

ADDRESS, HOST = "203.0.113.20", "rest.example.com"
REGISTRY, CONNECT = 8081, 8083
URL = f"http://{HOST}:{REGISTRY}"

Answers = Mapping[str, tuple[int, object]]


async def serve(world: World, port: int, pages: Answers, *, needs_login: bool = False) -> None:
    """Starts a REST server; `pages` has status and JSON by path. Without a page for `*`, each other
    path is answered with 404."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.read(1 << 16)).decode("latin-1")
        path = request.split(" ")[1].partition("?")[0] if request.startswith("GET ") else ""
        status, content = pages.get(path) or pages.get("*") or (404, {"error_code": 404})
        status = status if path else 400
        if needs_login and "\r\nauthorization: " not in request.lower():
            status, content = 401, {"error_code": 401}
        body = json.dumps(content).encode()
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/json", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        writer.close()

    world.names[HOST] = [ADDRESS]
    await world.server(ADDRESS, port, served)


def _registry(cluster: str) -> Answers:
    clusters = {"kafka-cluster": cluster, "schema-registry-cluster": "schema-registry"}
    content = {"scope": {"path": [], "clusters": clusters}}
    return {"/subjects": (200, ["orders-value"]), "/v1/metadata/id": (200, content)}


def _connect(cluster: str) -> Answers:
    root = {"version": "4.3.1", "commit": "26b251a451ce941d", "kafka_cluster_id": cluster}
    return {"/": (200, root), "/health": (200, {"status": "healthy", "message": ""})}


@scenario
async def companion_unreachable(world: World) -> Start:
    """Brokers are well; the port of their Schema Registry is closed."""
    await world.three()
    world.names[HOST] = [ADDRESS]
    world.closed(ADDRESS, REGISTRY)
    return Start(properties={"schema.registry.url": URL})


@scenario
async def companion_tls(world: World) -> Start:
    """The client's Schema Registry speaks plaintext, and its URL is https."""
    await world.three()
    await serve(world, REGISTRY, _registry(world.cluster.id))
    return Start(properties={"schema.registry.url": URL.replace("http", "https")})


@scenario
async def companion_login(world: World) -> Start:
    """The Schema Registry requires a login of its own; the client has none."""
    await world.three()
    await serve(world, REGISTRY, _registry(world.cluster.id), needs_login=True)
    return Start(properties={"schema.registry.url": URL})


@scenario
async def companion_unhealthy(world: World) -> Start:
    """The Schema Registry answers, and says that it cannot read its topic."""
    await world.three()
    content = {"error_code": 50001, "message": "Error while retrieving the list of all subjects"}
    await serve(world, REGISTRY, {"*": (500, content)})
    return Start(properties={"schema.registry.url": URL})


@scenario
async def companion_answer(world: World) -> Start:
    """The client's schema.registry.url leads to Kafka Connect."""
    await world.three()
    await serve(world, CONNECT, _connect(world.cluster.id))
    return Start(properties={"schema.registry.url": f"http://{HOST}:{CONNECT}"})


@scenario
async def companion_other_cluster(world: World) -> Start:
    """Kafka Connect works, with another cluster than this one."""
    await world.three()
    await serve(world, CONNECT, _connect("aNotherCluster000000000"))
    return Start(http=(f"http://{HOST}:{CONNECT}",))


@scenario
async def healthy_companions(world: World) -> Start:
    """A Schema Registry and a worker of Kafka Connect, both of this cluster."""
    await world.three()
    await serve(world, REGISTRY, _registry(world.cluster.id))
    await serve(world, CONNECT, _connect(world.cluster.id))
    properties = {"schema.registry.url": URL}
    return Start(properties=properties, http=(f"http://{HOST}:{CONNECT}",))
