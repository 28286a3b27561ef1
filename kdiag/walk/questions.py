"""The requests that several hops send, how their answers are read, and the side questions: further
requests on a bootstrap connection, if the metadata is not enough."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from kdiag.config.record import NamedTuple
from kdiag.config.settings import Endpoint, Settings
from kdiag.kafka.codec import Body
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.errors import UNKNOWN_TOPIC, error_name
from kdiag.kafka.messages import DESCRIBE_CONFIGS, END_TXN, METADATA, Question
from kdiag.network.attempt import Failure

CREATES = "auto.create.topics.enable"
_BROKER_RESOURCE = 4
LATEST, EARLIEST = -1, -2  # of ListOffsets, in place of a time

Partitions = Mapping[str, Iterable[int]]  # topic → numbers


def metadata_question(topics: Iterable[str] | None = (), *, raw: bool = False) -> Question:
    """The Metadata request for the cluster and these topics; None for all topics. Before version 4
    a request that names a topic may create it, so that request asks for all topics."""
    names = None if topics is None else [{"name": name} for name in topics]

    def body(version: int) -> Body:
        named = names if version >= 4 or not names else None
        return {"topics": named, "allow_auto_topic_creation": False}

    return Question(METADATA, body, raw=raw)


ALL_TOPICS = metadata_question(None)


def offsets_body(partitions: Partitions, timestamp: int = LATEST, isolation_level: int = 0) -> Body:
    """The body of a ListOffsets request; it is answered for a topic that does not exist, too, and
    creates none."""
    fields = {"current_leader_epoch": -1, "timestamp": timestamp}
    topics = by_topic(partitions, fields)
    return {"replica_id": -1, "isolation_level": isolation_level, "topics": topics}


def by_topic(partitions: Partitions, more: Mapping[str, int]) -> list[Body]:
    """The topics of a request, with the same fields (`more`) for each partition."""
    return [
        {"name": name, "partitions": [{"partition_index": n, **more} for n in numbers]}
        for name, numbers in partitions.items()
    ]


def by_partition(reply: Reply | None) -> Iterator[tuple[tuple[str, int], Body]]:
    """(topic, partition) and what an answer has about it; nothing of a failed reply."""
    for topic in reply.body.get("topics", ()) if reply else ():
        for partition in topic["partitions"]:
            yield (topic["name"], partition["partition_index"]), partition


def broker_configs(node: int, names: Sequence[str], *, raw: bool = False) -> Question:
    """The question for these settings of a broker, as DescribeConfigs answers it."""
    resource = {
        "resource_type": _BROKER_RESOURCE,
        "resource_name": str(node),
        "configuration_keys": list(names),
    }
    body = {"resources": [resource], "include_synonyms": False}
    return Question(DESCRIBE_CONFIGS, body, raw=raw, side=True)


def configs(results: Iterable[Body]) -> Iterator[tuple[str, str]]:
    """The names and values in answers of DescribeConfigs, of those settings that have a value."""
    for result in results:
        yield from ((c["name"], c["value"]) for c in result["configs"] if c["value"])


def who_answered(error_message: str | None) -> int | None:
    """The node id of a broker that got the question for another broker: its error names it."""
    named = re.search(r"Unexpected broker id, expected (\d{1,10}) or empty", error_message or "")
    return int(named.group(1)) if named else None


class SideAnswers(NamedTuple):
    """The answers to the side questions. `listing` is about all topics, `creates` whether brokers
    create topics by themselves: "true", "false", or the name of the error; both where the topic
    does not exist. `transaction` names the broker's error for the end of a transaction that there
    is not. None where it was not asked or has no answer. `failure` is why the connection cannot be
    used any longer."""

    listing: Reply | None = None
    creates: str | None = None
    transaction: str | None = None
    failure: Failure | None = None


Ask = Callable[[Question], Awaitable[Reply]]


def open_questions(settings: Settings, reply: Reply) -> bool:
    """Whether the reply to Metadata makes side questions necessary."""
    return not reply.failure and (_unknown_topic(reply) or bool(_transactional(settings)))


async def ask_side_questions(
    settings: Settings, connection: KafkaConnection, endpoint: Endpoint, reply: Reply
) -> SideAnswers:
    """Sends the side questions one after the other, until one fails."""
    failures: list[Failure] = []

    async def ask(question: Question) -> Reply:
        if failures:
            return Reply(0.0, {}, failures[0])
        reply = await connection.send(question)
        if reply.failure and reply.failure is not Failure.NO_COMMON_VERSION:
            failures.append(reply.failure)
        return reply

    found = SideAnswers()
    if _unknown_topic(reply):
        listing = await ask(ALL_TOPICS)
        creates = await _creates(ask, _nearest(reply.body["brokers"], endpoint))
        found = found._replace(listing=listing, creates=creates)
    name = _transactional(settings)
    if name:
        found = found._replace(transaction=await _ended(ask, name))
    return found._replace(failure=next(iter(failures), None))


async def _creates(ask: Ask, node: int) -> str | None:
    """Whether the broker creates a topic that somebody asks for, as it says itself. Who is asked
    for another broker's configuration names itself in the error, and is asked again."""
    for _ in range(2):
        reply = await ask(broker_configs(node, (CREATES,)))
        for result in reply.body.get("results", ())[:1]:
            error = error_name(result["error_code"])
            if error == "NONE":
                values = (value for name, value in configs((result,)) if name == CREATES)
                return next((v for v in values if v in ("true", "false")), None)
            answering = who_answered(result["error_message"])
            if answering is None:
                return error
            node = answering
    return None


async def _ended(ask: Ask, transactional_id: str) -> str | None:
    """The broker's error for the end of a transaction that does not exist."""
    reply = await ask(end_of_transaction(transactional_id))
    return None if reply.failure else error_name(reply.body["error_code"])


def end_of_transaction(transactional_id: str) -> Question:
    """The end of a transaction by a producer that no broker knows.

    Every broker looks first whether the client may use that id. Allowed, it is refused all the
    same: no transaction ends, no producer is fenced, and nothing is created.
    """
    nobody = int.from_bytes(os.urandom(7), "big") | 1 << 56
    body = {
        "transactional_id": transactional_id,
        "producer_id": nobody,
        "producer_epoch": 0,
        "committed": False,
    }
    return Question(END_TXN, body, side=True)


def _nearest(brokers: list[Mapping[str, Any]], endpoint: Endpoint) -> int:
    """The node id of the broker that advertises this very endpoint, or else of any."""
    here = [b["node_id"] for b in brokers if Endpoint(b["host"], b["port"]) == endpoint]
    return int([*here, *(b["node_id"] for b in brokers), 0][0])


def _transactional(settings: Settings) -> str:
    """The transactional.id of the client; "" where there is none, or `--as transactional` has every
    broker asked."""
    return (
        ""
        if settings.options.role == "transactional"
        else settings.client.get("transactional.id", "")
    )


def _unknown_topic(reply: Reply) -> bool:
    topics = reply.body.get("topics", ())
    return any(error_name(topic["error_code"]) == UNKNOWN_TOPIC for topic in topics)
