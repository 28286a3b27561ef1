"""A fake Kafka broker on real TCP, for the demo and for tests.

It decodes requests and encodes responses with the message table of kdiag.kafka. One `FakeBroker` is
one listener; its `control` receives every request first and can replace the answer.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdiag.demo.groups import GROUP_APIS, FakeRoles, by_topic
from kdiag.demo.logins import ILLEGAL_SASL_STATE, Logins, ServerLogin
from kdiag.kafka.codec import WireError
from kdiag.kafka.messages import (
    API_VERSIONS,
    DESCRIBE_CLUSTER,
    DESCRIBE_CONFIGS,
    END_TXN,
    LIST_OFFSETS,
    MAX_FRAME,
    METADATA,
    PRODUCE,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    Request,
    decode_request,
    encode_response,
)

# API key → oldest and newest version, as Kafka 4.3.1 lists them for clients; for APIs that the fake
# broker answers, only the versions that it answers.
BROKER_APIS: Mapping[int, tuple[int, int]] = {
    **dict.fromkeys((8, 10, 11, 13, 14, 19, 20, 37, 44), (0, 4)),
    **GROUP_APIS,
    END_TXN.key: (0, 2),
    PRODUCE.key: (3, 7),
    LIST_OFFSETS.key: (1, 5),
    METADATA.key: (1, 7),
    SASL_HANDSHAKE.key: (0, 1),
    API_VERSIONS.key: (0, 3),
    DESCRIBE_CONFIGS.key: (1, 1),
    SASL_AUTHENTICATE.key: (0, 1),
    DESCRIBE_CLUSTER.key: (0, 2),
}
# From Kafka 4.4 on ApiVersions rejects a client that expects another node (KIP-1242).
NEWER_APIS: Mapping[int, tuple[int, int]] = {**BROKER_APIS, API_VERSIONS.key: (0, 5)}
CONTROLLER_APIS: Mapping[int, tuple[int, int]] = dict.fromkeys(
    (1, 17, 18, *range(52, 57), 59, 60, 62, 63), (0, 1)
)

UNKNOWN_TOPIC, NOT_LEADER, UNSUPPORTED_VERSION, INVALID_REQUEST = 3, 6, 35, 42
REBOOTSTRAP_REQUIRED = 129

NO_LOGIN_HERE: Mapping[str, Any] = {
    "error_code": ILLEGAL_SASL_STATE,
    "mechanisms": [],
    "error_message": "SaslAuthenticate request received after successful authentication",
    "auth_bytes": b"",
    "session_lifetime_ms": 0,
}


@dataclass
class FakeNode:
    """A broker in the metadata: node id, advertised host and port."""

    node: int
    host: str
    port: int


@dataclass
class FakeCluster:
    """The state that the brokers of one cluster share. `topics` maps a topic to the leaders of its
    partitions, by node id.

    `records` are the batches that clients wrote: (topic, partition, bytes). `creates` is the value
    of auto.create.topics.enable, `offsets_factor` that of offsets.topic.replication.factor;
    `configs` has other settings, `fenced` counts brokers that are down; `racks` has the rack of
    each node that has one.
    """

    id: str
    nodes: list[FakeNode] = field(default_factory=list)
    topics: dict[str, list[int]] = field(default_factory=dict)
    records: list[tuple[str, int, bytes]] = field(default_factory=list)
    creates: bool = False
    offsets_factor: int = 1
    configs: dict[str, str] = field(
        default_factory=lambda: {"process.roles": "broker", "connections.max.idle.ms": "600000"}
    )
    fenced: int = 0
    racks: dict[int, str] = field(default_factory=dict)
    roles: FakeRoles = field(default_factory=FakeRoles)


_MAX_MUTE_MS = 60_000  # milliseconds

SILENCE, HANG_UP, RESET = object(), object(), object()
Control = Callable[[Request], Any]


def as_usual(_: Request) -> None:
    """The control of a healthy broker. It returns None: the broker sends its usual answer.

    Another control may return the body of the answer, bytes to send unchanged, SILENCE (no answer),
    HANG_UP (close the connection) or RESET (end it with RST).
    """


def at_once(_: Request) -> float:
    """The delay or quota of a fast broker: 0 for every request."""
    return 0.0


def one_by_one(_: int) -> Sequence[int]:
    """The flights of a broker that answers each request as soon as it arrives."""
    return ()


@dataclass
class FakeBroker:
    """One listener of one broker. `connections` counts connections, `requests` has all requests.

    `apis` are the versions that ApiVersions lists; `greeting` are bytes sent after the connect.
    With `sasl`, clients must log in, as with Kafka.
    `flights` returns, for the n-th connection, how many requests each flight has: the broker reads
    that many before it answers the first, so a client that waits in between gets no answer.
    `delay` returns the seconds that an answer takes; a connection serves one request at a time.
    `quota` returns the throttle time in milliseconds: the answer announces it, and the broker reads
    nothing from the connection for as long. Above `most` open connections a new one is closed, as
    by max.connections.per.ip. With `routes` the listener serves the partitions of every leader, as
    a proxy may.
    """

    cluster: FakeCluster
    node: int
    control: Control = as_usual
    apis: Mapping[int, tuple[int, int]] = field(default_factory=lambda: BROKER_APIS)
    greeting: bytes = b""
    sasl: Logins | None = None
    flights: Callable[[int], Sequence[int]] = one_by_one
    delay: Callable[[Request], float] = at_once
    quota: Callable[[Request], float] = at_once
    most: int = 1 << 30
    routes: bool = False
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _serving: dict[asyncio.StreamWriter, Any] = field(default_factory=dict)

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
    ) -> int:
        """Listens on `port` (0: a free one), with TLS where a server context is given. Returns the
        port."""
        self._server = await asyncio.start_server(self._serve, host, port, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Closes the listener and every connection."""
        if self._server:
            self._server.close()
        for writer in self._serving:
            writer.transport.abort()
        await asyncio.sleep(0)
        if self._serving:  # a TLS connection ends only after some iterations of the event loop
            await asyncio.wait(self._serving.values(), timeout=1.0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sizes = iter(self.flights(self.connections))
        self.connections += 1
        if len(self._serving) >= self.most:
            writer.close()
            return
        self._serving[writer] = asyncio.current_task()
        login = ServerLogin(self.sasl) if self.sasl else None
        try:
            writer.write(self.greeting)
            open_ = True
            while open_:
                least = 0 if login and login.raw else 8
                frames = [await _frame(reader, least) for _ in range(next(sizes, 1))]
                open_ = all([await self._handle(frame, writer, login) for frame in frames])
        # A loop that ends cancels this; in streams of Python 3.11 it would end in a traceback.
        except (asyncio.IncompleteReadError, WireError, OSError, asyncio.CancelledError):
            pass
        finally:
            del self._serving[writer]
            writer.close()

    async def _handle(
        self, frame: bytes, writer: asyncio.StreamWriter, login: ServerLogin | None
    ) -> bool:
        """Answers one request. Returns False where the broker closes the connection."""
        if login and login.raw:
            message = login.token(frame)
            if message is not None:
                writer.write(struct.pack(">i", len(message)) + message)
            return not login.failed
        key, version, correlation = struct.unpack(">hhi", frame[:8])
        least, most = self.apis.get(key, (0, -1))
        served = version in API_VERSIONS.versions and least <= version <= most
        if key == API_VERSIONS.key and not served:
            body = {"error_code": UNSUPPORTED_VERSION, "api_keys": []}
            writer.write(encode_response(API_VERSIONS, 0, correlation, body))
            return True
        request = decode_request(frame)
        self.requests.append(request)
        await asyncio.sleep(self.delay(request))
        answer = self.control(request)
        if answer is None and not least <= version <= most:
            raise WireError(f"{request.api.name} {version} is not served here")
        if answer is RESET:
            reset(writer)
        if answer in (HANG_UP, RESET):
            return False
        if answer is SILENCE:
            return True
        if answer is None and login:
            answer = login.answer(request)
        if answer is None:
            answer = self._answer(request)
        muted = int(self.quota(request))
        if not isinstance(answer, bytes):
            body = {**answer, "throttle_time_ms": muted} if muted else answer
            answer = encode_response(request.api, request.version, request.correlation, body)
        writer.write(answer)
        await writer.drain()
        await asyncio.sleep(min(muted, _MAX_MUTE_MS) / 1000)
        return not (login and login.failed)

    def _answer(self, request: Request) -> Mapping[str, Any]:
        answers = {
            API_VERSIONS.key: self._versions,
            METADATA.key: self._metadata,
            DESCRIBE_CONFIGS.key: self._configs,
            DESCRIBE_CLUSTER.key: self._registered,
            PRODUCE.key: self._produce,
            LIST_OFFSETS.key: self._offsets,
        }
        build = answers.get(request.api.key)
        if build is None:
            found = self.cluster.roles.answer(request, self.node, self._leader_error)
            return NO_LOGIN_HERE if found is None else found
        return build(request.body)

    def _versions(self, body: Mapping[str, Any]) -> dict[str, Any]:
        error = self._node_error(body.get("cluster_id"), body.get("node_id", -1))
        if error:
            return {"error_code": error, "api_keys": [], "throttle_time_ms": 0}
        keys = [
            {"api_key": key, "min_version": least, "max_version": most}
            for key, (least, most) in sorted(self.apis.items())
        ]
        return {"error_code": 0, "api_keys": keys, "throttle_time_ms": 0}

    def _node_error(self, cluster_id: str | None, node: int) -> int:
        """The error code for a client that expects this cluster id and node id; a client names both
        or none."""
        if (cluster_id is None) != (node < 0):
            return INVALID_REQUEST
        expected = cluster_id is None or (cluster_id, node) == (self.cluster.id, self.node)
        return 0 if expected else REBOOTSTRAP_REQUIRED

    def _offsets(self, body: Mapping[str, Any]) -> dict[str, Any]:
        def one(topic: str, partition: Mapping[str, Any]) -> dict[str, Any]:
            number, isolation = partition["partition_index"], body.get("isolation_level", 0)
            return {
                "partition_index": number,
                "error_code": self._leader_error(topic, number),
                "timestamp": -1,
                "offset": self.cluster.roles.offset(
                    topic, number, partition["timestamp"], isolation
                ),
                "leader_epoch": 0,
            }

        return {"topics": by_topic(body, one), "throttle_time_ms": 0}

    def _leader_error(self, topic: str, number: int) -> int:
        """The error code for a request for a partition: 0 where this broker leads it."""
        leaders = self.cluster.topics.get(topic, [])
        if not 0 <= number < len(leaders):
            return UNKNOWN_TOPIC
        return 0 if self.routes or leaders[number] == self.node else NOT_LEADER

    def _metadata(self, body: Mapping[str, Any]) -> dict[str, Any]:
        requested = body["topics"]
        everything = list(self.cluster.topics)
        names = everything if requested is None else [topic["name"] for topic in requested]
        return {
            "throttle_time_ms": 0,
            "brokers": [
                {
                    "node_id": n.node,
                    "host": n.host,
                    "port": n.port,
                    "rack": self.cluster.racks.get(n.node),
                }
                for n in self.cluster.nodes
            ],
            "cluster_id": self.cluster.id,
            "controller_id": self.cluster.nodes[-1].node if self.cluster.nodes else -1,
            "topics": [self._topic(name) for name in names],
        }

    def _topic(self, name: str) -> dict[str, Any]:
        leaders = self.cluster.topics.get(name)
        nodes = [n.node for n in self.cluster.nodes]
        return {
            "error_code": UNKNOWN_TOPIC if leaders is None else 0,
            "name": name,
            "is_internal": False,
            "partitions": [
                {
                    "error_code": 0,
                    "partition_index": index,
                    "leader_id": leader,
                    "leader_epoch": 0,
                    "replica_nodes": nodes,
                    "isr_nodes": nodes,
                    "offline_replicas": [],
                }
                for index, leader in enumerate(leaders or ())
            ],
        }

    def _registered(self, _: Mapping[str, Any]) -> dict[str, Any]:
        live = [(n.node, n.host, n.port, False) for n in self.cluster.nodes]
        down = [(100 + n, "", 0, True) for n in range(self.cluster.fenced)]
        return {
            **dict.fromkeys(("throttle_time_ms", "error_code", "controller_id"), 0),
            "error_message": None,
            "endpoint_type": 1,
            "cluster_id": self.cluster.id,
            "brokers": [
                {"broker_id": node, "host": host, "port": port, "rack": None, "is_fenced": fenced}
                for node, host, port, fenced in (*live, *down)
            ],
            "cluster_authorized_operations": -(1 << 31),
        }

    def _configs(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "throttle_time_ms": 0,
            "results": [self._config(resource) for resource in body["resources"]],
        }

    def _config(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        own = resource["resource_name"] == str(self.node)
        message = (
            f"Unexpected broker id, expected {self.node} or empty string, "
            f"but received {resource['resource_name']}"
        )
        values = {
            "node.id": str(self.node),
            "auto.create.topics.enable": str(self.cluster.creates).lower(),
            "offsets.topic.replication.factor": str(self.cluster.offsets_factor),
            **self.cluster.configs,
        }
        entries = [
            {
                "name": name,
                "value": value,
                "read_only": True,
                "config_source": 4,
                "is_sensitive": False,
                "synonyms": [],
            }
            for name, value in values.items()
            if name in resource["configuration_keys"]
        ]
        return {
            "error_code": 0 if own else INVALID_REQUEST,
            "error_message": None if own else message,
            "resource_type": resource["resource_type"],
            "resource_name": resource["resource_name"],
            "configs": entries if own else [],
        }

    def _produce(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"topics": by_topic(body, self._written), "throttle_time_ms": 0}

    def _written(self, topic: str, partition: Mapping[str, Any]) -> dict[str, Any]:
        known = partition["index"] < len(self.cluster.topics.get(topic, ()))
        if known:
            self.cluster.records.append((topic, partition["index"], partition["records"]))
        return {
            "index": partition["index"],
            "error_code": 0 if known else UNKNOWN_TOPIC,
            "base_offset": len(self.cluster.records) - 1 if known else -1,
            "log_append_time_ms": -1,
            "log_start_offset": 0 if known else -1,
        }


def reset(writer: asyncio.StreamWriter) -> None:
    """Has the connection end with RST, once it is closed."""
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def _frame(reader: asyncio.StreamReader, least: int) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    if not least <= size <= MAX_FRAME:
        raise WireError(f"a request of {size} bytes")
    return await reader.readexactly(size)
