"""The requests about a role's rights, its group and its partitions. None leaves anything behind.

FindCoordinator would create the topic of offsets, JoinGroup leaves an empty group, and
InitProducerId with a transactional.id fences its producer: these are never sent.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from kdiag.kafka.group_messages import (
    CONSUMER_GROUP_DESCRIBE,
    DESCRIBE_GROUPS,
    DESCRIBE_PRODUCERS,
    FETCH,
    HEARTBEAT,
    INIT_PRODUCER_ID,
    OFFSET_FETCH,
    SHARE_GROUP_DESCRIBE,
)
from kdiag.kafka.messages import ISOLATED_OFFSETS, PRODUCE, Question, Versions, no_such_topic
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import SMALL
from kdiag.walk.hop import Walk
from kdiag.walk.produce_request import NO_SUCH_PARTITION, produce_body
from kdiag.walk.questions import (
    EARLIEST,
    LATEST,
    Partitions,
    by_topic,
    end_of_transaction,
    offsets_body,
)

MOST_PARTITIONS = 500  # of one request
_BEYOND = 1 << 62  # an offset that no partition has: the answer has no records
_KINDS = {"classic": DESCRIBE_GROUPS, "consumer": CONSUMER_GROUP_DESCRIBE}


def role_questions(
    walk: Walk, metadata: Metadata, node: int, apis: Versions
) -> dict[str, Question]:
    """The questions for one broker, by name, as far as `apis` lists them."""
    options = walk.settings.options
    if not options.role:
        return {}
    questions: dict[str, Question] = {}
    led = led_by(metadata, node)
    if options.group and options.role in ("consumer", "share"):
        questions.update(group_questions(options.group, options.role))
        if options.role == "consumer":
            body = {"group_id": options.group, "topics": None}
            questions["committed"] = Question(OFFSET_FETCH, body, side=True)
        if led:
            questions["read"] = Question(FETCH, _fetch(led), side=True)
            questions.update(offsets(led))
    elif led:
        written = partial(produce_body, next(iter(led)), NO_SUCH_PARTITION, SMALL)
        questions["write"] = Question(PRODUCE, written, side=True)
    name = walk.settings.of_role.get("transactional.id")
    if name and options.role == "transactional":
        questions["transaction"] = end_of_transaction(name)
    return {name: each for name, each in questions.items() if each.api.version(apis) is not None}


def led_by(metadata: Metadata, node: int) -> dict[str, list[int]]:
    """The partitions of the topic of `--topic` that a broker leads."""
    if not metadata.topic or metadata.topic.error != "NONE":
        return {}
    numbers = [p.number for p in metadata.topic.partitions if p.leader == node]
    return {metadata.topic.name: numbers[:MOST_PARTITIONS]} if numbers else {}


def group_questions(group: str, role: str) -> dict[str, Question]:
    """A heartbeat of no member, which only the group's coordinator takes; and the questions that
    describe the group, by the kind of group that each is about."""
    beat = {"group_id": group, "generation_id": -1, "member_id": no_such_topic()}
    kinds = {"share": SHARE_GROUP_DESCRIBE} if role == "share" else _KINDS
    body = {"groups": [group], "group_ids": [group], "include_authorized_operations": False}
    return {
        "group": Question(HEARTBEAT, beat, side=True),
        **{kind: Question(api, body, side=True) for kind, api in kinds.items()},
    }


def offsets(partitions: Partitions) -> dict[str, Question]:
    """The questions for the first offset, the end, and the last stable offset of partitions."""
    offsets = {"start": (EARLIEST, 0), "end": (LATEST, 0), "stable": (LATEST, 1)}
    return {
        name: Question(ISOLATED_OFFSETS, offsets_body(partitions, *how), side=True)
        for name, how in offsets.items()
    }


def _fetch(partitions: Partitions, offset: int = _BEYOND, rack: str = "") -> dict[str, Any]:
    """A Fetch without a session, whose answer has no records: offsets beyond the end. A broker
    looks first whether the client may read the topic."""
    fields = {
        "current_leader_epoch": -1,
        "fetch_offset": offset,
        "log_start_offset": -1,
        "partition_max_bytes": 1,
    }
    return {
        "replica_id": -1,
        "max_wait_ms": 0,
        "min_bytes": 0,
        "max_bytes": 1,
        "isolation_level": 0,
        "session_id": 0,
        "session_epoch": -1,
        "topics": by_topic(partitions, fields),
        "forgotten": [],
        "rack_id": rack,
    }


def nearest(topic: str, number: int, end: int, rack: str) -> Question:
    """A Fetch at the end of a partition from a rack: its leader names the replica that it prefers,
    or answers without a record."""
    return Question(FETCH, _fetch({topic: [number]}, end, rack), side=True)


def open_transactions(partitions: Partitions) -> Question:
    """The question for the producers of partitions."""
    topics = [{"name": name, "partition_indexes": list(ns)} for name, ns in partitions.items()]
    return Question(DESCRIBE_PRODUCERS, {"topics": topics}, side=True)


def producer_id() -> Question:
    """The question for an id of an idempotent producer, as every such producer sends it. The
    cluster gives out one more id."""
    body = {"transactional_id": None, "transaction_timeout_ms": 60_000}
    return Question(INIT_PRODUCER_ID, body, side=True)
