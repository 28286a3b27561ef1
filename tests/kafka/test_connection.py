"""One connection to what may be a broker: whatever the peer does, every question is answered, in
time and in little memory."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from kdiag.demo.broker import HANG_UP, SILENCE, FakeBroker, FakeCluster, FakeNode
from kdiag.demo.world import Serve
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.messages import (
    API_VERSIONS,
    MAX_FRAME,
    METADATA,
    PRODUCE,
    Request,
    encode_response,
)
from kdiag.network.attempt import Failure
from tests import peers

GENEROUS = 20.0
MEMORY = 24 << 20  # bytes: one frame of 4 MiB, its copies, and what decoding may cost
QUESTION = {"topics": [], "allow_auto_topic_creation": False}

Talk = Callable[[Serve, float], Awaitable[KafkaConnection]]


@pytest_asyncio.fixture
async def talk() -> AsyncIterator[Talk]:
    """Starts a server of any kind on loopback, and gives a conversation with it."""
    servers: list[asyncio.Server] = []
    conversations: list[KafkaConnection] = []

    async def begin(serve: Serve, timeout: float = GENEROUS) -> KafkaConnection:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        return await reach(server.sockets[0].getsockname()[1], timeout)

    async def reach(port: int, timeout: float) -> KafkaConnection:
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        conversations.append(await KafkaConnection.over(sock, timeout))
        return conversations[-1]

    yield begin
    for conversation in conversations:
        conversation.close()
    for server in servers:
        server.close()
    await asyncio.sleep(0)


async def ask(conversation: KafkaConnection) -> Reply:
    return await conversation.request(API_VERSIONS, 0, {})


def served(broker: FakeBroker) -> Serve:
    """A broker's own side of a connection."""
    return broker._serve


def broker(control: Callable[[Request], object] = lambda _: None) -> FakeBroker:
    return FakeBroker(FakeCluster("c", [FakeNode(1, "b", 9092)]), 1, control)


async def test_an_answer(talk: Talk) -> None:
    conversation = await talk(served(broker()), GENEROUS)
    reply = await ask(conversation)
    assert reply.failure is None
    assert {key["api_key"] for key in reply.body["api_keys"]} >= {0, 3, 18}
    assert 0 < reply.elapsed < GENEROUS
    assert reply.frame == b""


async def after_a_reset(words: bytes) -> Reply:
    """The answer of a peer that said this and reset the connection before the conversation began,
    as a broker may after a TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname())
        gone, _ = server.accept()
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.sendall(words)
        gone.close()
    poll = select.poll()
    poll.register(sock, 0)  # the reset shows without being asked for
    assert poll.poll(GENEROUS * 1000)
    sock.setblocking(False)
    conversation = await KafkaConnection.over(sock, GENEROUS)
    reply = await ask(conversation)
    conversation.close()
    return reply


async def test_a_peer_that_was_gone_before_the_conversation_began() -> None:
    assert (await after_a_reset(b"")).failure is Failure.RESET
    assert (await after_a_reset(b"\0")).failure is Failure.RESET


async def test_what_a_stranger_said_before_a_reset_is_heard() -> None:
    reply = await after_a_reset(peers.SSH)
    assert (reply.failure, reply.detail) == (Failure.NOT_KAFKA, "SSH-2.0-OpenSSH_9.6")


async def test_questions_go_out_at_once_and_answers_come_in_order(talk: Talk) -> None:
    one = broker()
    one.flights = lambda _: (4,)
    conversation = await talk(served(one), GENEROUS)
    asked = [conversation.request(METADATA, 7, QUESTION) for _ in range(2)]
    asked += [conversation.request(API_VERSIONS, version, v3(version)) for version in (0, 3)]
    replies = await asyncio.gather(*asked)
    assert [reply.failure for reply in replies] == [None] * 4
    assert [sorted(reply.body)[0] for reply in replies] == ["brokers"] * 2 + ["api_keys"] * 2


def v3(version: int) -> dict[str, str]:
    return {"client_software_name": "k", "client_software_version": "1"} if version == 3 else {}


async def test_a_raw_answer_is_kept_as_it_came(talk: Talk) -> None:
    conversation = await talk(served(broker()), GENEROUS)
    reply = await conversation.request(METADATA, 7, QUESTION, raw=True)
    assert (reply.failure, dict(reply.body)) == (None, {})
    assert reply.frame[:4] == b"\0\0\0\x01"
    assert b"\0\x01b" in reply.frame


async def test_a_raw_answer_must_be_to_that_question_all_the_same(talk: Talk) -> None:
    conversation = await talk(peers.says(peers.versions(correlation=9)), GENEROUS)
    reply = await conversation.request(API_VERSIONS, 0, {}, raw=True)
    assert reply.failure is Failure.NOT_KAFKA
    assert "answers request 9, request 1 was asked" in reply.detail


STRANGE = {
    "HTTP": (peers.says(peers.HTTP), Failure.NOT_KAFKA, "HTTP/1.1 400 Bad Request"),
    "SSH, unasked": (peers.greets(peers.SSH), Failure.NOT_KAFKA, "SSH-2.0-OpenSSH_9.6"),
    "TLS alert": (peers.says(peers.TLS_ALERT), Failure.TLS_REQUIRED, "\\x15\\x03\\x03"),
    "TLS handshake": (peers.says(b"\x16\x03\x01\0\x05hello"), Failure.TLS_REQUIRED, ""),
    "2^31 - 1 bytes": (peers.says(b"\x7f\xff\xff\xff" + b"k" * 100), Failure.NOT_KAFKA, "kkk"),
    "-1 bytes": (peers.says(b"\xff\xff\xff\xffk"), Failure.NOT_KAFKA, "\\xff\\xff"),
    "-2^31 bytes": (peers.says(b"\x80\0\0\0"), Failure.NOT_KAFKA, "\\x80"),
    "no bytes": (peers.says(b"\0\0\0\0"), Failure.NOT_KAFKA, "\\x00"),
    "too few for a header": (peers.says(b"\0\0\0\x03abc"), Failure.NOT_KAFKA, "abc"),
    "just too many": (
        peers.says(struct.pack(">i", MAX_FRAME + 1)), Failure.NOT_KAFKA, "@\\x00\\x01"
    ),
    "nothing but a header": (peers.says(b"\0\0\0\x04\0\0\0\x01"), Failure.NOT_KAFKA, "announced"),
    "garbage after the header": (
        peers.says(b"\0\0\0\x0c\0\0\0\x01" + b"\xfe\xdc\xba\x98" * 2),
        Failure.NOT_KAFKA,
        "ApiVersions answer",
    ),
    "2^31 - 1 items": (
        peers.says(b"\0\0\0\x0a\0\0\0\x01\0\0\x7f\xff\xff\xff"),
        Failure.NOT_KAFKA,
        "2147483647 items announced",
    ),
    "one byte, then closed": (peers.says_and_hangs_up(b"\0"), Failure.NOT_KAFKA, "\\x00"),
    "a length and a byte, then closed": (
        peers.says_and_hangs_up(b"\0\0\0\x40\0"), Failure.CLOSED, "in the middle of an answer"
    ),
    "closed": (peers.hangs_up_when_asked, Failure.CLOSED, ""),
    "reset": (peers.resets, Failure.RESET, "Connection reset by peer"),
    "reset in the middle": (peers.resets_in_the_middle, Failure.RESET, ""),
}  # fmt: skip


@pytest.mark.parametrize(("serve", "failure", "said"), STRANGE.values(), ids=STRANGE.keys())
async def test_what_is_no_answer(talk: Talk, serve: Serve, failure: Failure, said: str) -> None:
    conversation = await talk(serve, GENEROUS)
    reply = await ask(conversation)
    assert reply.failure is failure
    assert said in reply.detail
    assert reply.detail.isprintable()
    assert len(reply.detail) < 4000


async def test_after_a_strangers_words_nothing_is_waited_for(talk: Talk) -> None:
    conversation = await talk(peers.says(peers.HTTP), GENEROUS)
    together = await asyncio.gather(ask(conversation), ask(conversation))
    late = await ask(conversation)
    assert [reply.failure for reply in (*together, late)] == [Failure.NOT_KAFKA] * 3


SILENT = {
    "silence": peers.silent,
    "half a length": peers.says(b"\0\0"),
    "half an answer": peers.says(peers.versions()[:-1]),
    "a length and nothing": peers.says(struct.pack(">i", MAX_FRAME)),
    "a byte now and then": peers.drips(peers.versions() * 50, 0.03),
    "a byte of 4 MiB now and then": peers.drips(struct.pack(">i", MAX_FRAME) + b"k" * 900, 0.01),
}


@pytest.mark.parametrize("serve", SILENT.values(), ids=SILENT.keys())
async def test_what_never_becomes_an_answer_is_given_up_on(talk: Talk, serve: Serve) -> None:
    conversation = await talk(serve, 0.3)
    started = time.perf_counter()
    reply = await ask(conversation)
    assert reply.failure is Failure.SILENT
    assert reply.detail == "no answer within 0.3 s"
    assert time.perf_counter() - started < GENEROUS / 2


async def test_one_byte_at_a_time_is_an_answer_as_well(talk: Talk) -> None:
    reply = await ask(await talk(peers.drips(peers.versions(), 0), GENEROUS))
    assert reply.failure is None
    assert len(reply.body["api_keys"]) == 2


FLOODS = {
    "zeros": (b"", b"\0" * 65536),
    "letters": (b"", b"k" * 65536),
    "an answer, then letters": (peers.versions(), b"k" * 65536),
    "2^31 - 1 bytes": (b"\x7f\xff\xff\xff", b"\xff" * 65536),
    "frames of 4 MiB": (b"", struct.pack(">i", MAX_FRAME) + bytes(MAX_FRAME)),
    "answers to nothing": (peers.versions(), peers.versions() * 1000),
    "values": (
        struct.pack(">iihi", 3_000_010, 1, 0, 500_000),
        struct.pack(">hhh", 1, 2, 3) * 10_000,
    ),
}


@pytest.mark.parametrize(("start", "block"), FLOODS.values(), ids=FLOODS.keys())
async def test_an_endless_stream_costs_little_memory(
    talk: Talk, start: bytes, block: bytes
) -> None:
    conversation = await talk(peers.floods(start, block), 2.0)
    tracemalloc.start()
    try:
        replies = await asyncio.gather(ask(conversation), ask(conversation))
        await asyncio.sleep(0.2)  # whatever it still sends
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert replies[1].failure is not None
    assert most < MEMORY + 2 * len(block), "of which the flood itself takes its block"


async def test_an_answer_that_is_late_is_not_taken_for_the_next_one(talk: Talk) -> None:
    gate = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await gate.wait()
        writer.write(peers.versions(1) + encode_response(METADATA, 7, 2, empty()))
        await peers.silent(reader, writer)

    conversation = await talk(serve, 1.0)
    first = conversation.request(API_VERSIONS, 0, {})
    assert (await first).failure is Failure.SILENT
    second = conversation.request(METADATA, 7, QUESTION)
    gate.set()
    reply = await second
    assert reply.failure is None
    assert reply.body["cluster_id"] == "late"


def empty() -> dict[str, object]:
    return {
        "throttle_time_ms": 0, "brokers": [], "cluster_id": "late", "controller_id": 1, "topics": []
    }  # fmt: skip


async def test_silence_ends_for_each_question_by_itself(talk: Talk) -> None:
    conversation = await talk(served(broker(lambda r: SILENCE if r.api is PRODUCE else None)), 0.3)
    versions = conversation.request(API_VERSIONS, 0, {})
    lost = conversation.request(PRODUCE, 7, produce())
    assert (await versions).failure is None
    assert (await lost).failure is Failure.SILENT


def produce() -> dict[str, object]:
    return {"transactional_id": None, "acks": 1, "timeout_ms": 1000, "topics": []}


async def test_an_answer_that_was_read_counts_even_when_the_peer_hangs_up(talk: Talk) -> None:
    conversation = await talk(
        served(broker(lambda r: HANG_UP if r.api is METADATA else None)), GENEROUS
    )
    versions, metadata = await asyncio.gather(
        conversation.request(API_VERSIONS, 0, {}), conversation.request(METADATA, 7, QUESTION)
    )
    assert versions.failure is None
    assert metadata.failure in (Failure.CLOSED, Failure.RESET)


async def test_closing_ends_what_is_pending_and_what_comes_after(talk: Talk) -> None:
    conversation = await talk(peers.silent, GENEROUS)
    pending = conversation.request(API_VERSIONS, 0, {})
    conversation.close()
    conversation.close()
    after = conversation.request(API_VERSIONS, 0, {})
    for reply in await asyncio.wait_for(asyncio.gather(pending, after), GENEROUS / 2):
        assert reply.failure is Failure.CLOSED


async def test_a_peer_that_never_reads_holds_nobody_up(talk: Talk) -> None:
    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(3)
        writer.close()

    conversation = await talk(deaf, 0.3)
    body = {
        **produce(),
        "topics": [{"name": "t", "partitions": [{"index": 0, "records": bytes(1 << 20)}]}],
    }
    replies = await asyncio.gather(*(conversation.request(PRODUCE, 7, body) for _ in range(8)))
    assert {reply.failure for reply in replies} == {Failure.SILENT}
