"""The produce request that writes nothing, in two sizes, and its result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.errors import error_name
from kdiag.kafka.messages import PRODUCE, Question, no_such_topic, records
from kdiag.network.attempt import Failure
from kdiag.walk.facts.produce import LARGE, SMALL, ProduceResult

NO_SUCH_PARTITION = (1 << 31) - 1  # which no topic has


def produce_questions(topic: str | None = None) -> list[Question]:
    """The small and the large produce request: for a topic that does not exist or, if `topic` is
    given, for a partition that it does not have."""
    index = 0 if topic is None else NO_SUCH_PARTITION
    name = no_such_topic() if topic is None else topic
    return [Question(PRODUCE, partial(produce_body, name, index, size)) for size in (SMALL, LARGE)]


def produce_body(topic: str, index: int, size: int, version: int) -> Mapping[str, Any]:
    """A produce request with a record of that size."""
    partition = {"index": index, "records": records(version, [b"k" * size])}
    return {
        "transactional_id": None,
        "acks": -1,
        "timeout_ms": 1000,
        "topics": [{"name": topic, "partitions": [partition]}],
    }


async def produce_results(
    connection: KafkaConnection,
    replies: tuple[asyncio.Future[Reply], asyncio.Future[Reply]],
    patience: float,
    *,
    keep: bool = False,
) -> tuple[ProduceResult, ProduceResult]:
    """The results of both requests; closes the connection, unless it is to be kept. The wait for
    the large one ends after `patience` seconds where the system says that its bytes do not get
    through."""
    small, large = replies
    try:
        first = produce_result(await small)
        await asyncio.wait({large}, timeout=patience)
        sent = None if first.failure else connection.sent()
        if not large.done() and sent and sent.lost:
            text = f"no answer within {patience:g} s"
            return first, ProduceResult(patience, failure=Failure.SILENT, detail=text, sent=sent)
        second = produce_result(await large)
        if second.failure is Failure.SILENT:
            second = second._replace(sent=connection.sent())
        return first, second
    finally:
        if not keep:
            connection.close()


def produce_result(reply: Reply) -> ProduceResult:
    """The result of a produce request, read from its reply."""
    if reply.failure:
        return ProduceResult(reply.elapsed, failure=reply.failure, detail=reply.detail)
    errors = [p["error_code"] for topic in reply.body["topics"] for p in topic["partitions"]]
    name = error_name(errors[0]) if errors else None
    return ProduceResult(reply.elapsed, name, reply.throttle_ms)
