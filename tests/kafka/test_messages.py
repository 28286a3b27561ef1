"""Every message of the table against kio, which reads and writes the same protocol on its own."""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from kio.index import load_request_schema, load_response_schema
from kio.records.readers import read_batch
from kio.schema.errors import ErrorCode
from kio.schema.request_header.v1.header import RequestHeader as RequestHeader1
from kio.schema.request_header.v2.header import RequestHeader as RequestHeader2
from kio.schema.response_header.v0.header import ResponseHeader as ResponseHeader0
from kio.schema.response_header.v1.header import ResponseHeader as ResponseHeader1
from kio.serial import entity_reader, entity_writer

from kdiag.kafka import messages as wire
from kdiag.kafka.codec import BOOL, INT8, INT16, INT32, INT64, Array, Blob, Body, Struct, Type
from kdiag.kafka.messages import APIS, Api

SPOKEN = [(api, version) for api in APIS.values() for version in api.versions]
# Kafka 4.0 took these out (KIP-896), and kio with it: test_old_versions has them by hand.
TAKEN_OUT = {("Produce", 2), ("DescribeConfigs", 0)}
# And this one is new in Kafka 4.4: test_apiversions_5_names_the_node has it by hand.
NOT_YET = {("ApiVersions", 5)}
KIOS = [(api, version) for api, version in SPOKEN if (api.name, version) not in TAKEN_OUT | NOT_YET]
spoken, kios = (
    pytest.mark.parametrize(
        ("api", "version"), which, ids=[f"{api.name}-{version}" for api, version in which]
    )
    for which in (SPOKEN, KIOS)
)
quick = hypothesis_settings(max_examples=6, deadline=None, database=None, derandomize=True)

# Where kio names a field otherwise than we do, beyond its dropping of "_ms".
KIO_NAMES = {
    ("ProduceRequest", "topics"): "topic_data",
    ("TopicProduceData", "partitions"): "partition_data",
    ("ProduceResponse", "topics"): "responses",
    ("TopicProduceResponse", "partitions"): "partition_responses",
    ("FetchRequest", "forgotten"): "forgotten_topics_data",
    ("FetchTopic", "name"): "topic",
    ("FetchPartition", "partition_index"): "partition",
    ("ForgottenTopic", "name"): "topic",
    ("FetchResponse", "topics"): "responses",
    ("FetchableTopicResponse", "name"): "topic",
    ("PartitionData", "aborted"): "aborted_transactions",
}

# What we show of a text is cleaned, so what is compared here needs no cleaning.
TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12) | st.just("ä" * 1024)
NUMBERS = {
    kind.format: st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
    for kind, bits in ((INT8, 8), (INT16, 16), (INT32, 32), (INT64, 64))
} | {BOOL.format: st.booleans(), ">16s": st.binary(min_size=16, max_size=16)}

# kio holds these as an enumeration, a date in whole seconds and a duration, each with its range.
NARROWER = {
    "error_code": st.sampled_from([code.value for code in ErrorCode]),
    "log_append_time_ms": st.integers(0, 4 * 10**9).map(lambda s: s * 1000) | st.just(-1),
    "session_lifetime_ms": st.integers(-(10**12), 10**12),
}


def bodies(struct_: Struct, version: int) -> st.SearchStrategy[Body]:
    """Bodies that this struct can hold in this version."""
    return st.fixed_dictionaries(
        {name: values(name, kind, version) for name, kind, since in struct_.fields
         if version >= since}
    )  # fmt: skip


def values(name: str, kind: Type, version: int) -> st.SearchStrategy[Any]:
    if name in NARROWER:
        return NARROWER[name]
    found: st.SearchStrategy[Any]
    if isinstance(kind, Struct):
        return bodies(kind, version)
    if isinstance(kind, Array):
        found = st.lists(values("", kind.item, version), max_size=3)
    elif isinstance(kind, Blob):
        found = TEXT if kind.text else st.binary(max_size=300)
    else:
        return NUMBERS[getattr(kind, "format", "")]
    return found | st.none() if kind.nullable else found


def kio_name(owner: type, name: str) -> str:
    return KIO_NAMES.get((owner.__name__, name), name.removesuffix("_ms"))


def to_kio(schema: type, body: Body) -> Any:
    """Our body as kio's entity; a field that one of us lacks is an error."""
    hints = get_type_hints(schema)
    kinds = {f.name: f.metadata.get("kafka_type") for f in dataclasses.fields(schema)}
    filled = {}
    for name, value in body.items():
        field = kio_name(schema, name)
        filled[field] = to_kio_value(hints[field], kinds[field], value)
    # What kio has a default for would otherwise go unnoticed when our table lacks it.
    untagged = {f.name for f in dataclasses.fields(schema) if "tag" not in f.metadata}
    assert set(filled) == untagged
    return schema(**filled)


def to_kio_value(hint: Any, kind: str | None, value: Any) -> Any:
    if isinstance(value, list):
        nested = next(
            (arg for arg in (hint, *get_args(hint)) if getattr(arg, "__origin__", None) is tuple),
            hint,
        )
        item = get_args(nested)[0]
        return tuple(to_kio(item, v) if isinstance(v, dict) else v for v in value)
    if isinstance(value, dict):
        return to_kio(hint, value)
    if kind in ("timedelta_i32", "timedelta_i64"):
        return timedelta(milliseconds=value)
    if kind == "uuid":
        return UUID(bytes=value) if any(value) else None
    if kind == "datetime_i64":
        return None if value == -1 else datetime.fromtimestamp(value // 1000, UTC)
    return ErrorCode(value) if kind == "error_code" else value


def from_kio(entity: Any, struct_: Struct, version: int) -> Body:
    """kio's entity under our names; a field that one of us lacks is an error."""
    ours = [(name, kind) for name, kind, since in struct_.fields if version >= since]
    theirs = {f.name for f in dataclasses.fields(entity) if "tag" not in f.metadata}
    assert {kio_name(type(entity), name) for name, _ in ours} == theirs
    return {
        name: from_kio_value(getattr(entity, kio_name(type(entity), name)), name, kind, version)
        for name, kind in ours
    }


def from_kio_value(value: Any, name: str, kind: Type, version: int) -> Any:
    if getattr(kind, "format", "") == ">16s":
        return value.bytes if value else bytes(16)
    if isinstance(kind, Array) and value is not None:
        return [from_kio_value(v, "", kind.item, version) for v in value]
    if isinstance(kind, Struct):
        return from_kio(value, kind, version)
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    if name == "log_append_time_ms":
        return -1 if value is None else int(value.timestamp()) * 1000
    return value


def written(*entities: Any) -> bytes:
    out = io.BytesIO()
    for entity in entities:
        entity_writer(type(entity))(out, entity)
    return out.getvalue()


def read(data: bytes, *schemas: Any) -> list[Any]:
    """Entities of these schemas, one after the other, and nothing after them."""
    found, at = [], 0
    for schema in schemas:
        entity, size = entity_reader(schema)(data, at)
        found.append(entity)
        at += size
    assert at == len(data)
    return found


def request_header(schema: Any, correlation: int, client_id: str | None) -> Any:
    """The header that kio puts before a request of this schema."""
    return schema.__header_schema__(
        request_api_key=schema.__api_key__,
        request_api_version=schema.__version__,
        correlation_id=correlation,
        client_id=client_id,
    )


def response_header(schema: Any, correlation: int) -> Any:
    return schema.__header_schema__(correlation_id=correlation)


def unframed(message: bytes) -> bytes:
    (size,) = struct.unpack(">i", message[:4])
    assert size == len(message) - 4
    return message[4:]


# kio has nearly every version that is spoken here, so each is compared with itself.
@kios
def test_the_table_has_the_headers_of_the_protocol(api: Api, version: int) -> None:
    flexible = version >= api.flexible_since
    request, response = (
        load_request_schema(api.key, version),
        load_response_schema(api.key, version),
    )
    assert request.__header_schema__ is (RequestHeader2 if flexible else RequestHeader1)
    # An old broker answers ApiVersions before the two agree on a version: its header never changes.
    newer = flexible and api is not wire.API_VERSIONS
    assert response.__header_schema__ is (ResponseHeader1 if newer else ResponseHeader0)


@kios
@given(data=st.data(), correlation=NUMBERS[">i"])
@quick
def test_kio_reads_the_requests_written_here(
    api: Api, version: int, data: st.DataObject, correlation: int
) -> None:
    body = data.draw(bodies(api.request, version))
    schema = load_request_schema(api.key, version)
    frame = unframed(wire.encode_request(api, version, correlation, body))
    header, entity = read(frame, schema.__header_schema__, schema)
    assert header == request_header(schema, correlation, wire.CLIENT_ID)
    assert from_kio(entity, api.request, version) == body


@kios
@given(data=st.data(), correlation=NUMBERS[">i"], client_id=st.none() | TEXT)
@quick
def test_requests_written_by_kio_are_read_here(
    api: Api, version: int, data: st.DataObject, correlation: int, client_id: str | None
) -> None:
    body = data.draw(bodies(api.request, version))
    schema = load_request_schema(api.key, version)
    header = request_header(schema, correlation, client_id)
    found = wire.decode_request(written(header, to_kio(schema, body)))
    assert found == wire.Request(api, version, correlation, client_id, body)


@kios
@given(data=st.data(), correlation=NUMBERS[">i"], rest=st.binary(max_size=5))
@quick
def test_responses_written_by_kio_are_read_here(
    api: Api, version: int, data: st.DataObject, correlation: int, rest: bytes
) -> None:
    body = data.draw(bodies(api.response, version))
    schema = load_response_schema(api.key, version)
    header = response_header(schema, correlation)
    frame = written(header, to_kio(schema, body)) + rest
    assert wire.decode_response(api, version, correlation, frame) == body
    assert wire.decode_response(api, version, None, frame) == body


@kios
@given(data=st.data(), correlation=NUMBERS[">i"])
@quick
def test_kio_reads_the_responses_written_here(
    api: Api, version: int, data: st.DataObject, correlation: int
) -> None:
    body = data.draw(bodies(api.response, version))
    schema = load_response_schema(api.key, version)
    frame = unframed(wire.encode_response(api, version, correlation, body))
    header, entity = read(frame, schema.__header_schema__, schema)
    assert header.correlation_id == correlation
    assert from_kio(entity, api.response, version) == body


@spoken
@given(data=st.data())
@quick
def test_what_is_written_here_is_read_here(api: Api, version: int, data: st.DataObject) -> None:
    asked, answered = (
        data.draw(bodies(api.request, version)),
        data.draw(bodies(api.response, version)),
    )
    request = wire.decode_request(unframed(wire.encode_request(api, version, 7, asked)))
    assert request == wire.Request(api, version, 7, wire.CLIENT_ID, asked)
    response = unframed(wire.encode_response(api, version, 7, answered))
    assert wire.decode_response(api, version, 7, response) == answered


def test_tagged_fields_are_skipped() -> None:
    schema = load_response_schema(wire.API_VERSIONS.key, 3)
    body = {"error_code": 0, "api_keys": [], "throttle_time_ms": 5}
    entity = dataclasses.replace(
        to_kio(schema, body), finalized_features_epoch=77, zk_migration_ready=True
    )
    frame = written(response_header(schema, 1), entity)
    assert len(frame) > len(unframed(wire.encode_response(wire.API_VERSIONS, 3, 1, body)))
    assert wire.decode_response(wire.API_VERSIONS, 3, 1, frame) == body


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("two\nlines", "two\\nlines"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1023 + "…"),
        ("😀" * 1025, "😀" * 1023 + "…"),
        ("😀" * 8000, "😀" * 1023 + "…"),
        ("x" * 32767, "x" * 1023 + "…"),
    ],
    ids=["escape", "newline", "bidi", "longest", "cut", "cut-wide", "cut-wider", "cut-most"],
)
def test_the_text_of_a_peer_is_cleaned_and_cut(sent: str, shown: str) -> None:
    body = {"error_code": 33, "mechanisms": [sent]}
    frame = unframed(wire.encode_response(wire.SASL_HANDSHAKE, 1, 1, body))
    found = wire.decode_response(wire.SASL_HANDSHAKE, 1, 1, frame)
    assert found == {"error_code": 33, "mechanisms": [shown]}


def test_text_that_is_no_utf8_is_shown_with_replacements() -> None:
    frame = struct.pack(">ihih", 1, 0, 1, 3) + b"a\xffb"
    found = wire.decode_response(wire.SASL_HANDSHAKE, 1, 1, frame)
    assert found["mechanisms"] == ["a\ufffdb"]


def test_a_string_in_a_frame_is_found_without_decoding() -> None:
    body = {"error_code": 0, "mechanisms": ["SCRAM-SHA-512"]}
    frame = unframed(wire.encode_response(wire.SASL_HANDSHAKE, 1, 1, body))
    assert wire.mentions(frame, "SCRAM-SHA-512")
    assert not wire.mentions(frame, "SCRAM-SHA-256")
    assert not wire.mentions(frame, "SCRAM")  # only part of that string


def test_crc32c() -> None:
    # The check value of CRC-32C (Castagnoli) in the catalogue of parametrised CRCs.
    assert wire._crc32c(b"123456789") == 0xE3069283
    assert wire._crc32c(b"") == 0


# kio checks magic, CRC and every length by itself, the CRC with a library of its own.
@pytest.mark.parametrize(
    "contents",
    [
        [b""],
        [b"x"],
        [b"kdiag"] * 3,
        [bytes(63)],
        [bytes(64)],
        [bytes(range(256)) * 64],
        [b"r"] * 70,
    ],
    ids=["empty", "1-byte", "three", "63-bytes", "64-bytes", "16-KiB", "70-records"],
)
def test_kio_reads_the_record_batches_written_here(contents: list[bytes]) -> None:
    data = wire.record_batch(contents)
    batch, size = read_batch(data, 0)
    assert size == len(data) == batch.batch_length + 12
    assert [record.value for record in batch.records] == contents
    assert [record.offset for record in batch.records] == list(range(len(contents)))
    assert {(record.key, record.headers, record.attributes) for record in batch.records} == {
        (None, (), 0)
    }
    assert batch.last_offset_delta == len(contents) - 1
    assert (batch.base_offset, batch.attributes, batch.partition_leader_epoch) == (0, 0, -1)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (-1, -1, -1)


@given(contents=st.lists(st.binary(max_size=200), min_size=1, max_size=5))
@quick
def test_kio_reads_any_record_batch_written_here(contents: list[bytes]) -> None:
    batch, _ = read_batch(wire.record_batch(contents), 0)
    assert [record.value for record in batch.records] == contents


def test_old_versions() -> None:
    """What Kafka 4.0 no longer takes, byte by byte, from the protocol's page."""
    head = struct.pack(">hhih", 0, 2, 7, 5) + b"kdiag"
    partition = {"index": 1, "records": b"abc"}
    body = {"acks": -1, "timeout_ms": 9, "topics": [{"name": "t", "partitions": [partition]}]}
    rest = struct.pack(">hiih", -1, 9, 1, 1) + b"t" + struct.pack(">iii", 1, 1, 3) + b"abc"
    assert unframed(wire.encode_request(wire.PRODUCE, 2, 7, body)) == head + rest
    answer = struct.pack(">iih", 7, 1, 1) + b"t" + struct.pack(">iihqqi", 1, 1, 3, -1, -1, 250)
    found = wire.decode_response(wire.PRODUCE, 2, 7, answer)
    assert found["topics"][0]["partitions"] == [
        {"index": 1, "error_code": 3, "base_offset": -1, "log_append_time_ms": -1}
    ]
    assert found["throttle_time_ms"] == 250
    config = struct.pack(">h", 9) + b"broker.id" + struct.pack(">h", 1) + b"5" + b"\1\0\0"
    answer = struct.pack(">iii", 7, 0, 1) + struct.pack(">hhbh", 0, -1, 4, 1) + b"5"
    answer += struct.pack(">i", 1) + config
    (result,) = wire.decode_response(wire.DESCRIBE_CONFIGS, 0, 7, answer)["results"]
    (only,) = result["configs"]
    assert (only["name"], only["value"], only["read_only"]) == ("broker.id", "5", True)


def test_a_message_set() -> None:
    """Kafka's message format 1: offset, size, CRC, magic, attributes, timestamp, key, value."""
    data = wire.records(2, [b"a", b"bc"])
    assert wire.records(3, [b"a", b"bc"]) == wire.record_batch([b"a", b"bc"])
    at, found = 0, []
    while at < len(data):
        offset, size, crc = struct.unpack_from(">qiI", data, at)
        checked = data[at + 16 : at + 12 + size]
        assert crc == zlib.crc32(checked)
        magic, attributes, _, key, length = struct.unpack_from(">bbqii", checked)
        assert (magic, attributes, key, length) == (1, 0, -1, len(checked) - 18)
        found.append((offset, checked[18:]))
        at += 12 + size
    assert found == [(0, b"a"), (1, b"bc")]


def test_a_throttle_is_read_without_decoding() -> None:
    for api, version, frame in (
        (wire.METADATA, 4, struct.pack(">ii", 1, 77)),
        (wire.DESCRIBE_CONFIGS, 1, struct.pack(">ii", 1, 77)),
    ):
        assert wire.throttled_ms(api, version, frame + b"rest") == 77
    assert wire.throttled_ms(wire.METADATA, 2, struct.pack(">ii", 1, 77)) == 0
    assert wire.throttled_ms(wire.PRODUCE, 3, struct.pack(">ii", 1, 77)) == 0


def test_apiversions_5_names_the_node() -> None:
    """As ApiVersionsRequest.json of Kafka 4.4.0 has it, and as its broker was seen to read it."""
    body = {
        "client_software_name": "kdiag",
        "client_software_version": "1",
        "cluster_id": "abc",
        "node_id": 2,
    }
    header = b"\x00\x12\x00\x05\x00\x00\x00\x07\x00\x05kdiag\x00"
    written = header + b"\x06kdiag" + b"\x021" + b"\x04abc" + b"\x00\x00\x00\x02" + b"\x00"
    request = wire.encode_request(wire.API_VERSIONS, 5, 7, body)
    assert request == len(written).to_bytes(4, "big") + written
    assert wire.decode_request(request[4:]).body == body
    nobody = {**body, "cluster_id": None, "node_id": -1}
    assert b"\x021\x00\xff\xff\xff\xff\x00" in wire.encode_request(wire.API_VERSIONS, 5, 7, nobody)
