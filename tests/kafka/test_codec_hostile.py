"""Hostile bytes: whatever comes in, only WireError comes out, and little is allocated."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.kafka import codec
from kdiag.kafka import messages as wire
from kdiag.kafka.codec import (
    BOOL,
    INT8,
    INT16,
    INT32,
    NULLABLE_STRING,
    STRING,
    Array,
    Blob,
    Body,
    Number,
    Reader,
    Struct,
    Type,
    WireError,
    varint,
)
from kdiag.kafka.messages import APIS, MAX_FRAME, Api

# An API whose responses are compact throughout; kdiag sends none such.
DESCRIBE_CLUSTER = Api(
    60,
    "DescribeCluster",
    (0, 1),
    0,
    Struct(("include_cluster_authorized_operations", BOOL), ("endpoint_type", INT8, 1)),
    Struct(
        ("throttle_time_ms", INT32),
        ("error_code", INT16),
        ("error_message", NULLABLE_STRING),
        ("endpoint_type", INT8, 1),
        ("cluster_id", STRING),
        ("controller_id", INT32),
        ("brokers", Array(Struct(
            ("broker_id", INT32), ("host", STRING), ("port", INT32), ("rack", NULLABLE_STRING)))),
        ("cluster_authorized_operations", INT32),
    ),
)  # fmt: skip

MUTATIONS = 20_000
MEMORY: Final = 12 << 20
# Memory grows with a frame and with what it may cost: to trace an eighth of both tells as much.
PART: Final = 8
SPOKEN = [(api, version) for api in APIS.values() for version in api.versions]
spoken = pytest.mark.parametrize(
    ("api", "version"), SPOKEN, ids=[f"{api.name}-{version}" for api, version in SPOKEN]
)


def sample(kind: Type, version: int) -> Any:
    """A value with something in every field: two items an array, no nulls."""
    if isinstance(kind, Struct):
        return {
            name: sample(type_, version) for name, type_, since in kind.fields if version >= since
        }
    if isinstance(kind, Array):
        return [sample(kind.item, version)] * 2
    if isinstance(kind, Blob):
        return "näme" if kind.text else b"bytes"
    assert isinstance(kind, Number)
    return bytes(range(16)) if kind.format == ">16s" else kind.format == ">?" or 5


def request(api: Api, version: int) -> bytes:
    return wire.encode_request(api, version, 9, sample(api.request, version))[4:]


def response(api: Api, version: int) -> bytes:
    return wire.encode_response(api, version, 9, sample(api.response, version))[4:]


def survives(frame: bytes, api: Api, version: int) -> int:
    """Read a frame both ways. 1 for each that raised WireError; any other error fails the test."""
    raised = 0
    try:
        wire.decode_request(frame)
    except WireError as error:
        is_printable(error)
        raised += 1
    try:
        wire.decode_response(api, version, None, frame)
    except WireError as error:
        is_printable(error)
        raised += 1
    return raised


def is_printable(error: WireError) -> None:
    assert str(error).isprintable()
    assert 0 < len(str(error)) < 200


@spoken
def test_every_truncation_is_an_error(api: Api, version: int) -> None:
    whole = response(api, version)
    assert wire.decode_response(api, version, 9, whole) == sample(api.response, version)
    for size in range(len(whole)):
        with pytest.raises(WireError):
            wire.decode_response(api, version, 9, whole[:size])
    asked = request(api, version)
    assert wire.decode_request(asked).body == sample(api.request, version)
    for size in range(len(asked)):
        with pytest.raises(WireError):
            wire.decode_request(asked[:size])


def mutated(rng: random.Random, frames: list[bytes]) -> bytes:
    frame = bytearray(rng.choice(frames))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(frame) + 1)
        match rng.randrange(6):
            case 0:
                frame[at : at + 1] = rng.randbytes(1)
            case 1:
                frame[at : at + 1] = rng.choice((b"\0", b"\x7f", b"\x80", b"\xff"))
            case 2:
                frame[at : at + 4] = rng.choice(EXTREMES)
            case 3:
                del frame[at : at + rng.randint(1, 8)]
            case 4:
                frame[at:at] = rng.randbytes(rng.randint(1, 8))
            case _:
                other = rng.choice(frames)
                frame[at:] = other[rng.randrange(len(other)) :]
    return bytes(frame)


EXTREMES = [
    *(struct.pack(">i", number) for number in (2**31 - 1, -(2**31), -2, -1, 1 << 20)),
    *(struct.pack(">h", number) for number in (2**15 - 1, -(2**15), -2, -1)),
    *(b"\xff" * size for size in (1, 5, 10)),
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80\x01",
]


def test_mutated_frames_raise_nothing_else() -> None:
    rng = random.Random(9092)
    frames = [make(api, version) for api, version in SPOKEN for make in (request, response)]
    raised = 0
    for _ in range(MUTATIONS):
        raised += survives(mutated(rng, frames), *rng.choice(SPOKEN))
    # Some mutated frames are valid still, in one of two directions; otherwise nothing was tried.
    assert MUTATIONS / 2 < raised < MUTATIONS * 2


@spoken
def test_extreme_numbers_anywhere_raise_nothing_else(api: Api, version: int) -> None:
    raised = 0
    for frame in (request(api, version), response(api, version)):
        for at in range(len(frame)):
            # A third of them at each place, and the others at the next two.
            for extreme in EXTREMES[at % 3 :: 3]:
                changed = frame[:at] + extreme + frame[at + len(extreme) :]
                raised += survives(changed, api, version)
    assert raised


@given(frame=st.binary(max_size=200), spoken_at=st.integers(0, len(SPOKEN) - 1))
@example(frame=b"", spoken_at=0)
@hypothesis_settings(max_examples=500, deadline=None, database=None, derandomize=True)
def test_no_bytes_raise_anything_else(frame: bytes, spoken_at: int) -> None:
    survives(frame, *SPOKEN[spoken_at])


NO_TOPICS, CORRELATION = struct.pack(">i", 0), struct.pack(">i", 9)


@pytest.mark.parametrize("count", [2**31 - 1, -(2**31), -2, -1, 1000])
@pytest.mark.parametrize(
    ("api", "before"),
    [
        (wire.PRODUCE, b""),
        (wire.PRODUCE, struct.pack(">ihc", 1, 1, b"t")),
        (wire.METADATA, bytes(4)),
        (wire.METADATA, bytes(4 + 4 + 2 + 4)),
        (wire.SASL_HANDSHAKE, bytes(2)),
        (wire.DESCRIBE_CONFIGS, bytes(4)),
    ],
    ids=["topics", "partitions", "brokers", "metadata-topics", "mechanisms", "results"],
)
def test_absurd_counts_are_errors(api: Api, before: bytes, count: int) -> None:
    frame = CORRELATION + before + struct.pack(">i", count) + bytes(900)
    with pytest.raises(WireError, match=rf"(^|\s){count} items announced, 900 bytes left"):
        wire.decode_response(api, api.versions[0], 9, frame)


@pytest.mark.parametrize("length", [2**15 - 1, -(2**15), -2, -1, 901])
def test_absurd_lengths_of_text_are_errors(length: int) -> None:
    frame = CORRELATION + struct.pack(">hih", 0, 1, length) + bytes(900)
    with pytest.raises(WireError, match=rf"^mechanisms: .*{length}\b"):
        wire.decode_response(wire.SASL_HANDSHAKE, 1, 9, frame)


@pytest.mark.parametrize("length", [2**31 - 1, -(2**31), -2, -1, 901])
def test_absurd_lengths_of_bytes_are_errors(length: int) -> None:
    frame = CORRELATION + struct.pack(">hhi", 0, -1, length) + bytes(900)
    with pytest.raises(WireError, match=rf"^auth_bytes: .*{length}\b"):
        wire.decode_response(wire.SASL_AUTHENTICATE, 0, 9, frame)


@pytest.mark.parametrize("length", [2**15 - 1, -(2**15), -2, 901])
def test_absurd_lengths_of_nullable_text_are_errors(length: int) -> None:
    head = CORRELATION + bytes(2)
    null = head + struct.pack(">h", -1) + bytes(900)
    assert wire.decode_response(wire.SASL_AUTHENTICATE, 0, 9, null)["error_message"] is None
    with pytest.raises(WireError, match=rf"^error_message: .*{length}\b"):
        wire.decode_response(
            wire.SASL_AUTHENTICATE, 0, 9, head + struct.pack(">h", length) + bytes(900)
        )


@pytest.mark.parametrize("size", [-1, 4, 2**31 - 1])
def test_no_more_is_taken_than_there_is(size: int) -> None:
    reader = Reader(b"abc")
    with pytest.raises(WireError, match=f"{size} bytes announced, 3 left"):
        reader.take(size)
    assert reader.take(3) == b"abc"


@pytest.mark.parametrize(
    "number", [b"\xff" * 5, b"\xff" * 900, b"\x80" * 900, b"\xff\xff\xff\xff\x7f", b"\0"]
)
@pytest.mark.parametrize(
    ("api", "version", "before"),
    [
        (wire.API_VERSIONS, 3, bytes(2)),
        (DESCRIBE_CLUSTER, 1, bytes(1 + 4 + 2 + 1 + 1)),
        (DESCRIBE_CLUSTER, 1, bytes(1 + 4 + 2 + 1 + 1) + b"\1" + bytes(4)),
    ],
    ids=["api_keys", "cluster_id", "brokers"],
)
def test_absurd_compact_lengths_are_errors(
    api: Api, version: int, before: bytes, number: bytes
) -> None:
    with pytest.raises(WireError):
        wire.decode_response(api, version, 9, CORRELATION + before + number + bytes(99))


@pytest.mark.parametrize("tags", [b"\xff" * 6, b"\xff\xff\xff\xff\x7f" + bytes(99), b"\1\0\x7f"])
def test_absurd_tags_are_errors(tags: bytes) -> None:
    body = CORRELATION + bytes(2) + b"\1" + bytes(4)
    assert wire.decode_response(wire.API_VERSIONS, 3, 9, body + b"\0")["api_keys"] == []
    with pytest.raises(WireError):
        wire.decode_response(wire.API_VERSIONS, 3, 9, body + tags)


def test_more_tags_than_any_real_answer_has_are_an_error() -> None:
    count = 1 << 20
    body = CORRELATION + bytes(2) + b"\1" + bytes(4) + varint(count) + bytes(2 * count)
    with pytest.raises(WireError, match="more values than any real answer has"):
        wire.decode_response(wire.API_VERSIONS, 3, 9, body)


def test_a_varint_has_five_bytes_at_most() -> None:
    body = CORRELATION + bytes(2)
    with pytest.raises(WireError, match="over five bytes"):
        wire.decode_response(wire.API_VERSIONS, 3, 9, body + b"\x80" * 5 + b"\1" + bytes(5))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 16383, 16384, 2**31 - 1, 2**32])
def test_varints_of_every_size_are_kept(number: int) -> None:
    assert Reader(varint(number)).varint() == number


def test_an_answer_to_another_request_is_an_error() -> None:
    with pytest.raises(WireError, match="answers request 9, request 8 was asked"):
        wire.decode_response(wire.METADATA, 7, 8, response(wire.METADATA, 7))


@pytest.mark.parametrize(("key", "version"), [(1, 0), (-1, 0), (3, 8), (3, -1), (18, 1), (99, 7)])
def test_requests_that_are_not_in_the_table_are_errors(key: int, version: int) -> None:
    frame = struct.pack(">hhih", key, version, 9, -1) + bytes(90)
    with pytest.raises(WireError, match=f"API {key} version {version} is not supported here"):
        wire.decode_request(frame)


def text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value


def filled(before: bytes, item: bytes, size: int = MAX_FRAME // PART) -> bytes:
    """A frame of this size: an array of as many of these items as fit."""
    count = (size - len(before) - 8) // len(item)
    return CORRELATION + before + struct.pack(">i", count) + item * count


def compact(api_fields: bytes, value: bytes) -> bytes:
    return CORRELATION + api_fields + varint(len(value) + 1) + value


INT = struct.pack(">i", 1 << 20)
METADATA_HEAD = bytes(4) + NO_TOPICS + text(b"c") + INT
ONE_TOPIC = METADATA_HEAD + struct.pack(">ih", 1, 0) + text(b"t") + b"\0"
REPLICAS = struct.pack(">i", 3) + INT * 3
PARTITION = bytes(2) + INT * 3 + REPLICAS * 2 + bytes(4)
ROOM = MAX_FRAME // PART - 64


def worst() -> Iterator[Any]:
    sasl, metadata = wire.SASL_HANDSHAKE, wire.METADATA
    for name, value in {
        "empty-texts": b"",
        "control-characters": b"\1",
        "short-wide-texts": "\u0100".encode(),
        "bad-utf8": b"\xff",
        "long-escapes": b"\1" * 1000,
        # One wide character makes CPython spend four bytes on each of the others.
        "long-wide-escapes": b"\1" * 1000 + "😀".encode(),
        "longest-texts": b"\1" * 32767,
    }.items():
        yield pytest.param(sasl, 1, filled(bytes(2), text(value)), id=name)
    broker = INT + text(b"ab") + INT + text(b"c")
    yield pytest.param(metadata, 7, filled(bytes(4), broker), id="brokers")
    topic = bytes(2) + text(b"") + bytes(5)
    yield pytest.param(metadata, 7, filled(METADATA_HEAD, topic), id="topics")
    yield pytest.param(metadata, 7, filled(ONE_TOPIC, PARTITION), id="partitions")
    bare = bytes(2) + INT * 3 + bytes(12)
    yield pytest.param(metadata, 7, filled(ONE_TOPIC, bare), id="bare-partitions")
    replicas = ONE_TOPIC + struct.pack(">i", 1) + bytes(2) + INT * 3
    yield pytest.param(metadata, 7, filled(replicas, INT), id="replicas")
    yield pytest.param(wire.API_VERSIONS, 0, filled(bytes(2), b"\3\3" * 3), id="apis")
    keys = bytes(2) + varint(ROOM // 7 + 1) + (b"\3\3" * 3 + b"\0") * (ROOM // 7)
    yield pytest.param(wire.API_VERSIONS, 3, CORRELATION + keys + bytes(5), id="compact-apis")
    tags = bytes(2) + b"\1" + bytes(4) + varint(ROOM // 2) + bytes(ROOM)
    yield pytest.param(wire.API_VERSIONS, 3, CORRELATION + tags, id="tags")
    cluster = bytes(1 + 4 + 2 + 1)
    for name, value in {
        "wide-cluster-id": b"a" * (ROOM - 4) + "😀".encode(),
        "bad-cluster-id": b"\xff" * ROOM,
        "escaped-cluster-id": b"\1" * ROOM,
    }.items():
        yield pytest.param(DESCRIBE_CLUSTER, 0, compact(cluster, value), id=name)
    auth = CORRELATION + bytes(2) + text(b"") + struct.pack(">i", ROOM) + bytes(ROOM)
    yield pytest.param(wire.SASL_AUTHENTICATE, 0, auth, id="auth-bytes")
    configs = bytes(4) + struct.pack(">ih", 1, 0) + text(b"") + b"\2" + text(b"")
    config = text(b"") + text(b"") + bytes(3 + 4)
    yield pytest.param(wire.DESCRIBE_CONFIGS, 1, filled(configs, config), id="configs")
    synonyms = configs + struct.pack(">i", 1) + text(b"") + text(b"") + bytes(3)
    yield pytest.param(wire.DESCRIBE_CONFIGS, 1, filled(synonyms, bytes(5)), id="synonyms")
    produced = struct.pack(">i", 1) + text(b"")
    partition = INT + bytes(2) + struct.pack(">q", 1 << 40) * 3
    yield pytest.param(wire.PRODUCE, 7, filled(produced, partition), id="produced")


def peak_of_decoding(api: Api, version: int, frame: bytes) -> tuple[Body | None, int]:
    """What a response decodes to (None: WireError), and the most memory it took, in bytes."""
    body = None
    tracemalloc.start()
    try:
        body = wire.decode_response(api, version, 9, frame)
    except WireError as error:
        is_printable(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return body, peak


@pytest.mark.parametrize(("api", "version", "frame"), list(worst()))
def test_large_frames_take_little_memory(
    api: Api, version: int, frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "MAX_DECODED", codec.MAX_DECODED // PART)
    assert MAX_FRAME // PART - 33_000 < len(frame) <= MAX_FRAME // PART  # no item is longer
    # What other threads of this process hold counts as well, but not each time.
    peaks = (peak_of_decoding(api, version, frame)[1] for _ in range(3))
    assert any(0 < peak < MEMORY // PART for peak in peaks)


def test_the_largest_frame_takes_little_memory() -> None:
    """The one that takes the most, as large as it can be."""
    frame = filled(bytes(2), text(b"\1" * 1000), MAX_FRAME)
    body, peak = peak_of_decoding(wire.SASL_HANDSHAKE, 1, frame)
    assert body is None
    assert codec.MAX_DECODED * 0.9 < peak < MEMORY


def test_the_largest_request_takes_little_memory() -> None:
    head = struct.pack(">hhih", wire.PRODUCE.key, 7, 9, -1)
    topics = struct.pack(">hhii", -1, 1, 1000, 1) + text(b"t")
    count = (MAX_FRAME - 64) // 8
    frame = head + topics + struct.pack(">i", count) + (INT + struct.pack(">i", -1)) * count
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="more values than any real answer has"):
            wire.decode_request(frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0 < peak < MEMORY


def test_a_hundred_thousand_brokers_are_too_many() -> None:
    broker = INT + text(b"ab") + INT + text(b"c")
    brokers = bytes(4) + struct.pack(">i", 100_000) + broker * 100_000
    frame = CORRELATION + brokers + text(b"c") + INT + NO_TOPICS
    body, peak = peak_of_decoding(wire.METADATA, 7, frame)
    assert body is None
    assert peak < MEMORY


def test_a_topic_of_ten_thousand_partitions_is_not_too_large() -> None:
    frame = CORRELATION + ONE_TOPIC + struct.pack(">i", 10_000) + PARTITION * 10_000
    body, peak = peak_of_decoding(wire.METADATA, 7, frame)
    assert body is not None
    assert len(body["topics"][0]["partitions"]) == 10_000
    assert peak < MEMORY


def test_a_cluster_of_a_thousand_brokers_is_not_too_large() -> None:
    broker = INT + text(b"b-1000.kafka.eu-west-2.example.com") + INT + text(b"use1-az1")
    brokers = bytes(4) + struct.pack(">i", 1000) + broker * 1000
    frame = CORRELATION + brokers + text(b"c") + INT + NO_TOPICS
    assert len(wire.decode_response(wire.METADATA, 7, 9, frame)["brokers"]) == 1000
