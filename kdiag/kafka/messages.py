"""The Kafka protocol, as much of it as a probe needs: one table, read both ways.

The table says how each message looks; the demo's and the tests' brokers answer with the same table
in the other direction. The versions of a request stand in the order of preference: the first one is
sent to a peer that has not listed its versions yet, and exists from Kafka 0.11 to 4.x.

Source: https://kafka.apache.org/protocol (message formats by API key and version).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from kdiag.config.record import NamedTuple
from kdiag.kafka.api import Api as Api
from kdiag.kafka.api import Question as Question
from kdiag.kafka.api import Versions as Versions
from kdiag.kafka.codec import (
    BOOL,
    BYTES,
    INT8,
    INT16,
    INT32,
    INT64,
    INTS,
    NULLABLE_BYTES,
    NULLABLE_STRING,
    STRING,
    Array,
    Body,
    Reader,
    Struct,
    WireError,
    skip_tags,
    varint,
)
from kdiag.kafka.group_messages import GROUP_MESSAGES

CLIENT_ID = "kdiag"
MAX_FRAME = 4 << 20

PRODUCE = Api(
    0,
    "Produce",
    (3, 4, 5, 6, 7, 2),
    9,
    Struct(
        ("transactional_id", NULLABLE_STRING, 3),
        ("acks", INT16),
        ("timeout_ms", INT32),
        ("topics", Array(Struct(("name", STRING), ("partitions", Array(Struct(
            ("index", INT32), ("records", NULLABLE_BYTES))))))),
    ),
    Struct(
        ("topics", Array(Struct(("name", STRING), ("partitions", Array(Struct(
            ("index", INT32), ("error_code", INT16), ("base_offset", INT64),
            ("log_append_time_ms", INT64), ("log_start_offset", INT64, 5))))))),
        ("throttle_time_ms", INT32),
    ),
)  # fmt: skip

LIST_OFFSETS = Api(
    2,
    "ListOffsets",
    (1, 2, 3, 4, 5),
    6,
    Struct(
        ("replica_id", INT32),
        ("isolation_level", INT8, 2),
        ("topics", Array(Struct(("name", STRING), ("partitions", Array(Struct(
            ("partition_index", INT32), ("current_leader_epoch", INT32, 4),
            ("timestamp", INT64))))))),
    ),
    Struct(
        ("throttle_time_ms", INT32, 2),
        ("topics", Array(Struct(("name", STRING), ("partitions", Array(Struct(
            ("partition_index", INT32), ("error_code", INT16), ("timestamp", INT64),
            ("offset", INT64), ("leader_epoch", INT32, 4))))))),
    ),
)  # fmt: skip

# In the version that counts brokers which are down (Kafka 4.0, KIP-1073).
DESCRIBE_CLUSTER = Api(
    60,
    "DescribeCluster",
    (2,),
    0,
    Struct(
        ("include_cluster_authorized_operations", BOOL), ("endpoint_type", INT8),
        ("include_fenced_brokers", BOOL),
    ),
    Struct(
        ("throttle_time_ms", INT32), ("error_code", INT16), ("error_message", NULLABLE_STRING),
        ("endpoint_type", INT8), ("cluster_id", STRING), ("controller_id", INT32),
        ("brokers", Array(Struct(
            ("broker_id", INT32), ("host", STRING), ("port", INT32), ("rack", NULLABLE_STRING),
            ("is_fenced", BOOL)))),
        ("cluster_authorized_operations", INT32),
    ),
)  # fmt: skip

# ListOffsets in the versions that take an isolation level.
ISOLATED_OFFSETS = LIST_OFFSETS._replace(versions=(2, 3, 4, 5))

METADATA = Api(
    3,
    "Metadata",
    (4, 5, 6, 7, 3, 2, 1),
    9,
    Struct(
        ("topics", Array(Struct(("name", STRING)), nullable=True)),
        ("allow_auto_topic_creation", BOOL, 4),
    ),
    Struct(
        ("throttle_time_ms", INT32, 3),
        ("brokers", Array(Struct(
            ("node_id", INT32), ("host", STRING), ("port", INT32), ("rack", NULLABLE_STRING)))),
        ("cluster_id", NULLABLE_STRING, 2),
        ("controller_id", INT32),
        ("topics", Array(Struct(
            ("error_code", INT16), ("name", STRING), ("is_internal", BOOL),
            ("partitions", Array(Struct(
                ("error_code", INT16), ("partition_index", INT32), ("leader_id", INT32),
                ("leader_epoch", INT32, 7), ("replica_nodes", INTS), ("isr_nodes", INTS),
                ("offline_replicas", INTS, 5))))))),
    ),
)  # fmt: skip

SASL_HANDSHAKE = Api(
    17,
    "SaslHandshake",
    (1, 0),  # after version 0 the mechanism's messages go without a header: Kafka before 1.0
    99,
    Struct(("mechanism", STRING)),
    Struct(("error_code", INT16), ("mechanisms", Array(STRING))),
)

API_VERSIONS = Api(
    18,
    "ApiVersions",
    (0, 3, 5),
    3,
    Struct(
        ("client_software_name", STRING, 3), ("client_software_version", STRING, 3),
        ("cluster_id", NULLABLE_STRING, 5), ("node_id", INT32, 5),
    ),
    Struct(
        ("error_code", INT16),
        ("api_keys", Array(Struct(
            ("api_key", INT16), ("min_version", INT16), ("max_version", INT16)))),
        ("throttle_time_ms", INT32, 1),
    ),
)  # fmt: skip

DESCRIBE_CONFIGS = Api(
    32,
    "DescribeConfigs",
    (1, 0),
    4,
    Struct(
        ("resources", Array(Struct(
            ("resource_type", INT8), ("resource_name", STRING),
            ("configuration_keys", Array(STRING, nullable=True))))),
        ("include_synonyms", BOOL, 1),
    ),
    Struct(
        ("throttle_time_ms", INT32),
        ("results", Array(Struct(
            ("error_code", INT16), ("error_message", NULLABLE_STRING), ("resource_type", INT8),
            ("resource_name", STRING),
            # In version 0 a boolean stands for the source: whether the value is the default.
            ("configs", Array(Struct(
                ("name", STRING), ("value", NULLABLE_STRING), ("read_only", BOOL),
                ("config_source", INT8), ("is_sensitive", BOOL),
                ("synonyms", Array(Struct(
                    ("name", STRING), ("value", NULLABLE_STRING), ("source", INT8))), 1))))))),
    ),
)  # fmt: skip

END_TXN = Api(
    26,
    "EndTxn",
    (1, 0, 2),
    3,
    Struct(
        ("transactional_id", STRING), ("producer_id", INT64), ("producer_epoch", INT16),
        ("committed", BOOL),
    ),
    Struct(("throttle_time_ms", INT32), ("error_code", INT16)),
)  # fmt: skip

SASL_AUTHENTICATE = Api(
    36,
    "SaslAuthenticate",
    (1, 0),
    2,
    Struct(("auth_bytes", BYTES)),
    Struct(
        ("error_code", INT16),
        ("error_message", NULLABLE_STRING),
        ("auth_bytes", BYTES),
        ("session_lifetime_ms", INT64, 1),
    ),
)

APIS: Final[Mapping[int, Api]] = {
    api.key: api
    for api in (
        PRODUCE,
        LIST_OFFSETS,
        METADATA,
        SASL_HANDSHAKE,
        API_VERSIONS,
        END_TXN,
        DESCRIBE_CONFIGS,
        DESCRIBE_CLUSTER,
        SASL_AUTHENTICATE,
        *GROUP_MESSAGES,
    )
}


class Request(NamedTuple):
    """A request as a broker reads it."""

    api: Api
    version: int
    correlation: int
    client_id: str | None
    body: Body


def encode_request(
    api: Api,
    version: int,
    correlation: int,
    body: Mapping[str, Any],
    client_id: str = CLIENT_ID,
) -> bytes:
    """Encodes a request, with its length in front."""
    flexible = version >= api.flexible_since
    out = bytearray(struct.pack(">hhi", api.key, version, correlation))
    NULLABLE_STRING.write(out, client_id, version, False)
    if flexible:
        out.append(0)
    api.request.write(out, body, version, flexible)
    return struct.pack(">i", len(out)) + bytes(out)


def decode_response(api: Api, version: int, correlation: int | None, frame: bytes) -> Body:
    """The body of a response. `frame` comes without its length; bytes after the body are ignored.

    Raises WireError when it is no answer to that very request (to any, for a correlation of None).
    """
    if correlation is not None:
        check_correlation(frame, correlation)
    reader = Reader(frame)
    reader.take(4)
    flexible = version >= api.flexible_since
    if flexible and api is not API_VERSIONS:
        skip_tags(reader)
    return api.response.read(reader, version, flexible)


def listed_versions(body: Body) -> dict[int, tuple[int, int]]:
    """The table of an ApiVersions response."""
    return {api["api_key"]: (api["min_version"], api["max_version"]) for api in body["api_keys"]}


def check_correlation(frame: bytes, correlation: int) -> None:
    """Raises WireError unless a frame answers the request of that number."""
    found = INT32.read(Reader(frame), 0, False)
    if found != correlation:
        raise WireError(f"answers request {found}, request {correlation} was asked")


def mentions(frame: bytes, text: str) -> bool:
    """Whether a frame contains a string; the frame is not decoded."""
    out = bytearray()
    STRING.write(out, text, 0, False)
    return bytes(out) in frame


def decode_request(frame: bytes) -> Request:
    """Decodes a client's request, for the fake broker. Raises WireError."""
    reader = Reader(frame)
    key, version, correlation = struct.unpack(">hhi", reader.take(8))
    client_id = NULLABLE_STRING.read(reader, 0, False)
    api = APIS.get(key)
    if api is None or version not in api.versions:
        raise WireError(f"API {key} version {version} is not supported here")
    flexible = version >= api.flexible_since
    if flexible:
        skip_tags(reader)
    return Request(
        api, version, correlation, client_id, api.request.read(reader, version, flexible)
    )


def encode_response(api: Api, version: int, correlation: int, body: Mapping[str, Any]) -> bytes:
    """Encodes a response with its length in front, for the fake broker."""
    out = bytearray(struct.pack(">i", correlation))
    flexible = version >= api.flexible_since
    if flexible and api is not API_VERSIONS:
        out.append(0)
    api.response.write(out, body, version, flexible)
    return struct.pack(">i", len(out)) + bytes(out)


def throttled_ms(api: Api, version: int, frame: bytes) -> int:
    """How long a response says that the broker mutes the connection, where the body begins with it;
    nothing else is decoded."""
    name, _, since = api.response.fields[0]
    if name != "throttle_time_ms" or version < since:
        return 0
    reader = Reader(frame)
    reader.take(4)
    if version >= api.flexible_since:
        skip_tags(reader)
    return int(INT32.read(reader, version, False))


def no_such_topic() -> str:
    """A random topic name that no cluster has: a request about it has no effect."""
    return f"kdiag-no-such-topic-{os.urandom(8).hex()}"


def records(version: int, values: Sequence[bytes]) -> bytes:
    """Well-formed records, uncompressed, in the format of a version of Produce."""
    return record_batch(values) if version >= 3 else message_set(values)


def message_set(values: Sequence[bytes]) -> bytes:
    """Well-formed messages (magic 1), which Kafka 0.10 takes, one for each value."""
    out = b""
    for offset, value in enumerate(values):
        checked = struct.pack(">bbqii", 1, 0, 0, -1, len(value)) + value
        out += struct.pack(">qiI", offset, 4 + len(checked), zlib.crc32(checked)) + checked
    return out


def record_batch(values: Sequence[bytes]) -> bytes:
    """A well-formed batch (magic 2, uncompressed, no producer id) with a record for each value."""
    records = b"".join(_record(offset, value) for offset, value in enumerate(values))
    last = len(values) - 1
    checked = struct.pack(">hiqqqhii", 0, last, 0, 0, -1, -1, -1, len(values)) + records
    head = struct.pack(">ibI", -1, 2, _crc32c(checked))
    return struct.pack(">qi", 0, len(head) + len(checked)) + head + checked


def _record(offset: int, value: bytes) -> bytes:
    no_key, no_headers = _zigzag(-1), _zigzag(0)
    body = b"\0" + _zigzag(0) + _zigzag(offset) + no_key + _zigzag(len(value)) + value + no_headers
    return _zigzag(len(body)) + body


def _zigzag(value: int) -> bytes:
    return varint(value * 2 if value >= 0 else -value * 2 - 1)


@lru_cache(maxsize=8)
def _crc32c(data: bytes) -> int:
    crc, table = 0xFFFFFFFF, _CRC_TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC_TABLE = tuple(_crc_entry(value) for value in range(256))
