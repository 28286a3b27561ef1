"""Servers that are not all of Kafka, on real TCP: each answers with the versions that it lists.

kio reads the requests and writes the answers, so that kdiag's own message table is not on both
sides of the wire, and any version is spoken that a real client chooses.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, get_args, get_type_hints
from uuid import UUID, uuid5

from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i32

PRODUCE, LIST_OFFSETS, METADATA, SASL_HANDSHAKE, API_VERSIONS = 0, 2, 3, 17, 18
INIT_PRODUCER_ID, DESCRIBE_CONFIGS, SASL_AUTHENTICATE = 22, 32, 36

UNKNOWN_TOPIC, NOT_LEADER, UNSUPPORTED_VERSION, INVALID_REQUEST = 3, 6, 35, 42
ILLEGAL_SASL_STATE, UNSUPPORTED_MECHANISM, LOGIN_FAILED = 34, 33, 58

Versions = Mapping[int, tuple[int, int]]

# As Kafka 4 lists them, as far as they are answered here.
KAFKA: Versions = {
    PRODUCE: (3, 11),
    LIST_OFFSETS: (1, 7),
    METADATA: (0, 12),
    SASL_HANDSHAKE: (0, 1),
    API_VERSIONS: (0, 4),
    INIT_PRODUCER_ID: (0, 4),
    DESCRIBE_CONFIGS: (1, 4),
    SASL_AUTHENTICATE: (0, 2),
}

TOPIC, USER, PASSWORD = "orders", "alice", "alice-secret"
CLUSTER = "controlCluster00000001"

CLOSE, SILENCE = object(), object()


@dataclass
class Connection:
    """One client's connection: to which node, and whether it has logged in."""

    node: int
    entered: bool


@dataclass(frozen=True)
class Asked:
    """A request: its API's key and version, its entity as kio reads it, and where it was asked."""

    api: int
    version: int
    body: Any
    connection: Connection


@dataclass(frozen=True)
class Throttled:
    """An answer that announces a delay, for which the connection is not read afterwards."""

    seconds: float


@dataclass(frozen=True)
class Edited:
    """The usual answer, changed."""

    edit: Callable[[dict[str, Any]], dict[str, Any]]


def as_usual(_: Asked) -> Any:
    """What Kafka answers. Instead of None, a rule may return fields of the answer, CLOSE, SILENCE,
    Throttled or Edited."""


def at_once(_: Asked) -> float:
    """No request takes any time."""
    return 0.0


@dataclass(frozen=True)
class Partial:
    """What such a server is: one small declaration.

    `leads` says which of its nodes answers for a partition's leader, by the node that was dialled
    and the leader: True where the dialled one serves it. `together` has all nodes advertise one
    address. Metadata that `omits_unknown` topics says nothing of them. `closed` are nodes that
    advertise a port on which nobody listens.
    """

    versions: Versions = field(default_factory=lambda: KAFKA)
    nodes: Sequence[int] = (1, 2, 3)
    rule: Callable[[Asked], Any] = as_usual
    takes: Callable[[Asked], float] = at_once
    leads: Callable[[int, int], bool] = lambda dialled, leader: dialled == leader
    login: bool = False
    together: bool = False
    omits_unknown: bool = False
    closed: Sequence[int] = ()


class Served:
    """A partial server that listens on 127.0.0.1 until it is stopped."""

    def __init__(self, what: Partial) -> None:
        self.what = what
        self.ports: dict[int, int] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def bootstrap(self) -> str:
        """The address of its first node."""
        return f"127.0.0.1:{self.ports[self.what.nodes[0]]}"

    async def start(self) -> None:
        """Listens, one port for each node, or one for all."""
        for node in self.what.nodes:
            if self.what.together and self.ports:
                self.ports[node] = next(iter(self.ports.values()))
                continue
            server = await asyncio.start_server(self._accept(node), "127.0.0.1", 0)
            self.ports[node] = server.sockets[0].getsockname()[1]
            if node in self.what.closed:
                server.close()
            else:
                self._servers.append(server)

    async def stop(self) -> None:
        """Ends every connection."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, node: int) -> Callable[..., None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(node, reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return accept

    async def _serve(
        self, node: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Requests are served one by one, as brokers do."""
        connection = Connection(node, entered=not self.what.login)
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                frame = await reader.readexactly(size)
                if not await self._handle(frame, connection, writer):
                    return
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _handle(
        self, frame: bytes, connection: Connection, writer: asyncio.StreamWriter
    ) -> bool:
        api, version, correlation = struct.unpack(">hhi", frame[:8])
        least, most = self.what.versions.get(api, (0, -1))
        if api == API_VERSIONS and not least <= version <= (most if most >= 0 else 3):
            fields = {"error_code": UNSUPPORTED_VERSION, "api_keys": self._api_keys()}
            writer.write(_answer(API_VERSIONS, 0, correlation, fields))
            return True
        if api != API_VERSIONS and not least <= version <= most:
            return False
        asked = Asked(api, version, _read(api, version, frame), connection)
        await asyncio.sleep(self.what.takes(asked))
        found = self.what.rule(asked)
        if found is CLOSE:
            return False
        if found is SILENCE:
            return True
        mute = 0.0
        if isinstance(found, Throttled):
            mute, found = found.seconds, None
        edit = found.edit if isinstance(found, Edited) else None
        fields = found if found is not None and edit is None else self._usual(asked)
        if fields is CLOSE:
            return False
        if edit:
            fields = edit(fields)
        if mute:
            fields = {**fields, "throttle_time": int(mute * 1000)}
        if not (api == PRODUCE and asked.body.acks == 0):
            writer.write(_answer(api, version, correlation, fields))
        await writer.drain()
        await asyncio.sleep(mute)
        return not (api == SASL_AUTHENTICATE and not connection.entered)

    def _usual(self, asked: Asked) -> Any:
        if not asked.connection.entered and asked.api not in (
            API_VERSIONS,
            SASL_HANDSHAKE,
            SASL_AUTHENTICATE,
        ):
            return CLOSE
        answers = {
            API_VERSIONS: self._versions,
            METADATA: self._metadata,
            PRODUCE: self._produce,
            LIST_OFFSETS: self._offsets,
            INIT_PRODUCER_ID: lambda _: {"producer_id": 7, "producer_epoch": 0},
            DESCRIBE_CONFIGS: self._configs,
            SASL_HANDSHAKE: self._handshake,
            SASL_AUTHENTICATE: self._authenticate,
        }
        return answers[asked.api](asked)

    def _api_keys(self) -> list[dict[str, int]]:
        return [
            {"api_key": key, "min_version": least, "max_version": most}
            for key, (least, most) in sorted(self.what.versions.items())
        ]

    def _versions(self, _: Asked) -> dict[str, Any]:
        return {"api_keys": self._api_keys()}

    def _metadata(self, asked: Asked) -> dict[str, Any]:
        wanted = asked.body.topics
        everything = wanted is None or (asked.version == 0 and not wanted)
        names = [TOPIC] if everything else [topic.name for topic in wanted]
        return {
            "brokers": [
                {"node_id": node, "host": "127.0.0.1", "port": port}
                for node, port in self.ports.items()
            ],
            "cluster_id": CLUSTER,
            "controller_id": self.what.nodes[0],
            "topics": [
                self._topic(name) for name in names if name == TOPIC or not self.what.omits_unknown
            ],
        }

    def _topic(self, name: str) -> dict[str, Any]:
        leaders = self.what.nodes if name == TOPIC else ()
        return {
            "error_code": 0 if leaders else UNKNOWN_TOPIC,
            "name": name,
            "topic_id": uuid5(UUID(int=0), name) if leaders else None,
            "partitions": [
                {
                    "partition_index": index,
                    "leader_id": leader,
                    "leader_epoch": 0,
                    "replica_nodes": [leader],
                    "isr_nodes": [leader],
                }
                for index, leader in enumerate(leaders)
            ],
        }

    def _error(self, asked: Asked, topic: str, partition: int) -> int:
        if topic != TOPIC or partition >= len(self.what.nodes):
            return UNKNOWN_TOPIC
        leader = self.what.nodes[partition]
        return 0 if self.what.leads(asked.connection.node, leader) else NOT_LEADER

    def _produce(self, asked: Asked) -> dict[str, Any]:
        return {
            "responses": [
                {
                    "name": topic.name,
                    "partition_responses": [
                        {
                            "index": partition.index,
                            "error_code": (code := self._error(asked, topic.name, partition.index)),
                            "base_offset": -1 if code else 0,
                            "log_append_time": None,
                        }
                        for partition in topic.partition_data
                    ],
                }
                for topic in asked.body.topic_data
            ]
        }

    def _offsets(self, asked: Asked) -> dict[str, Any]:
        return {
            "topics": [
                {
                    "name": topic.name,
                    "partitions": [
                        {
                            "partition_index": p.partition_index,
                            "error_code": self._error(asked, topic.name, p.partition_index),
                            "offset": 0,
                        }
                        for p in topic.partitions
                    ],
                }
                for topic in asked.body.topics
            ]
        }

    def _configs(self, asked: Asked) -> dict[str, Any]:
        node = asked.connection.node
        return {"results": [described(resource, node) for resource in asked.body.resources]}

    def _handshake(self, asked: Asked) -> dict[str, Any]:
        if not self.what.login:
            return {"error_code": ILLEGAL_SASL_STATE, "mechanisms": []}
        known = asked.body.mechanism == "PLAIN"
        return {"error_code": 0 if known else UNSUPPORTED_MECHANISM, "mechanisms": ["PLAIN"]}

    def _authenticate(self, asked: Asked) -> dict[str, Any]:
        asked.connection.entered = asked.body.auth_bytes == f"\0{USER}\0{PASSWORD}".encode()
        if asked.connection.entered:
            return {"auth_bytes": b""}
        return refused_login("Authentication failed: Invalid username or password")


def refused_login(message: str) -> dict[str, Any]:
    """The answer to a login that is refused, in these words."""
    return {"error_code": LOGIN_FAILED, "error_message": message, "auth_bytes": b""}


def described(resource: Any, node: int) -> dict[str, Any]:
    """A broker's answer about its own configuration, or that it was asked for another's."""
    own = resource.resource_type != 4 or resource.resource_name in ("", str(node))
    message = f"Unexpected broker id, expected {node} or empty string, but received "
    entry = {"name": "node.id", "value": str(node), "read_only": True, "config_source": 4}
    return {
        "error_code": 0 if own else INVALID_REQUEST,
        "error_message": None if own else message + resource.resource_name,
        "resource_type": resource.resource_type,
        "resource_name": resource.resource_name,
        "configs": [entry] if own and resource.resource_type == 4 else [],
    }


def _read(api: int, version: int, frame: bytes) -> Any:
    schema = load_request_schema(api, version)
    _, at = entity_reader(schema.__header_schema__)(frame, 0)
    return entity_reader(schema)(frame, at)[0]


def _answer(api: int, version: int, correlation: int, fields: Mapping[str, Any]) -> bytes:
    schema = load_response_schema(api, version)
    header = schema.__header_schema__(correlation_id=i32(correlation))
    out = io.BytesIO()
    for entity in (header, _made(schema, fields)):
        entity_writer(type(entity))(out, entity)
    body = out.getvalue()
    return struct.pack(">i", len(body)) + body


_ZERO: Mapping[str, Any] = {
    "bool": False,
    "string": "",
    "bytes": b"",
    "error_code": ErrorCode.none,
    "timedelta_i32": timedelta(0),
    "timedelta_i64": timedelta(0),
    "datetime_i64": datetime.fromtimestamp(0, UTC),
}


@lru_cache
def _fields(schema: Any) -> list[tuple[dataclasses.Field[Any], Any]]:
    hints = get_type_hints(schema)
    return [(one, hints[one.name]) for one in dataclasses.fields(schema)]


def _made(schema: Any, fields: Mapping[str, Any]) -> Any:
    """An entity of this schema: a field that this version lacks is left out, and one that is not
    given is nothing."""
    filled = {}
    for one, hint in _fields(schema):
        kind = one.metadata.get("kafka_type")
        if one.name in fields:
            filled[one.name] = _value(hint, kind, fields[one.name])
        elif one.default is dataclasses.MISSING:
            filled[one.name] = () if kind is None else _ZERO.get(kind, 0)
    return schema(**filled)


def _value(hint: Any, kind: str | None, value: Any) -> Any:
    if isinstance(value, list):
        nested = next(found for found in _parts(hint) if getattr(found, "__origin__", 0) is tuple)
        item = get_args(nested)[0]
        return tuple(_made(item, one) if isinstance(one, dict) else one for one in value)
    if kind in ("timedelta_i32", "timedelta_i64"):
        return timedelta(milliseconds=value)
    return ErrorCode(value) if kind == "error_code" else value


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    yield from get_args(hint)
