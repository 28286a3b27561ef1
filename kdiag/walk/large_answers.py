"""Do large answers arrive? The request writes nothing, and its answer needs several packets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from kdiag.kafka.connection import KafkaConnection
from kdiag.kafka.messages import LIST_OFFSETS, Question, no_such_topic
from kdiag.network.attempt import Failure, Received
from kdiag.walk.dial import connect, target_of
from kdiag.walk.facts.consume import AnswerTry, LargeAnswer
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.facts.produce import LARGE
from kdiag.walk.handshake import DialTarget
from kdiag.walk.hop import Flight, Walk
from kdiag.walk.questions import offsets_body

_PARTITIONS = LARGE // 22 + 1  # of each, an answer has 22 bytes and more


async def large_answers(
    walk: Walk, listeners: Listeners, flights: Mapping[int, Flight]
) -> tuple[LargeAnswer, ...]:
    """The brokers whose large answer did not arrive on their connection in `flights`; these were
    asked again on a new one."""
    addresses = {x.broker.node: target_of(x.contact) for x in listeners.reached}
    connections = {n: flight.connection for n, flight in flights.items() if flight.connection}
    found = await asyncio.gather(
        *(_broker(walk, node, addresses[node], each) for node, each in connections.items())
    )
    return tuple(each for each in found if each)


async def _broker(
    walk: Walk, node: int, target: DialTarget, connection: KafkaConnection
) -> LargeAnswer | None:
    """What became of the large answer of a broker that has answered small requests there; None
    where it arrived, or where its request did not."""
    first = await _tried(connection, walk.net.timeout)
    if first is None:
        return None
    opened = (await connect(walk, target)).connection
    if opened is None:
        return LargeAnswer(node, (first,))
    try:
        small = await opened.send(offsets_of_nothing(1))
        second = None if small.failure else await _tried(opened, walk.net.timeout)
    finally:
        opened.close()
    return LargeAnswer(node, (first, second) if second else (first,))


async def _tried(connection: KafkaConnection, patience: float) -> AnswerTry | None:
    """Asks for a large answer; None unless the request arrived and the answer did not. The wait
    ends after `patience` seconds where the system says that the answer has a gap."""
    before = connection.received()
    reply = connection.send(offsets_of_nothing(_PARTITIONS))
    await asyncio.wait({reply}, timeout=patience)
    elapsed = patience
    if not reply.done() and not _gap(connection, before):
        elapsed = (await reply).elapsed
    gap, sent = _gap(connection, before), connection.sent()
    answered = reply.done() and reply.result().failure is not Failure.SILENT
    return None if answered or (sent and sent.lost) else AnswerTry(elapsed, gap)


def _gap(connection: KafkaConnection, before: Received | None) -> bool | None:
    """Whether bytes arrived before others that precede them, since `before`."""
    after = connection.received()
    return after.out_of_order > before.out_of_order if before and after else None


def offsets_of_nothing(partitions: int) -> Question:
    """The question for the offsets of so many partitions of a topic that does not exist: every
    broker answers it, with an error for each of them."""
    return Question(LIST_OFFSETS, offsets_body({no_such_topic(): range(partitions)}))
