"""Hop 2, metadata: does the client get the metadata of the cluster and of its topic?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from kdiag.config.options import TOPIC_NAME
from kdiag.config.settings import Endpoint
from kdiag.kafka.connection import Reply
from kdiag.kafka.errors import NAMES, UNKNOWN_TOPIC, error_name
from kdiag.kafka.messages import MAX_FRAME
from kdiag.network.attempt import Failure
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.hop import Walk, hop

SPARE = 64 << 10  # bytes
# UpdateMetadata, by which a controller among the brokers tells the others: only brokers that use
# ZooKeeper list it ("listeners": ["zkBroker"] in Kafka's UpdateMetadataRequest.json).
_OF_ZOOKEEPER = 6
MOST_ALIKE, MOST_TOPICS = 3, 20_000  # told, and looked at
MOST_TWICE = 10  # brokers under the id of another that are told


class Broker(NamedTuple):
    """A broker of the metadata: node id and advertised address."""

    node: int
    advertised: Endpoint


class Partition(NamedTuple):
    """A partition: node ids of its leader (-1 for none), replicas, in-sync replicas; error name."""

    number: int
    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    error: str = "NONE"


class Topic(NamedTuple):
    """The topic that was asked for, with the broker's error name for it ("NONE" when it exists).
    `left_out` tells that the answer has no word of it, which is no broker's way to say unknown."""

    name: str
    error: str
    partitions: tuple[Partition, ...] = ()
    left_out: bool = False


class MetadataAnswer(NamedTuple):
    """The answer of one bootstrap connection to the metadata request: seconds, or why there is
    none."""

    endpoint: Endpoint
    elapsed: float
    failure: Failure | None = None
    detail: str = ""
    cluster_id: str | None = None
    throttle_ms: int = 0


class Metadata(NamedTuple):
    """The cluster, by the first bootstrap connection that listed brokers; `answers` has all.

    `alike` are the topics whose names are much like that of a `topic` which does not exist, the
    most alike first; None where nobody told. `controller` is None where clients cannot know it:
    the brokers of a KRaft cluster name any live node. `creates` is what the broker says of
    auto.create.topics.enable then, "true" or "false", or the name of its error. `transaction` names
    its error for the end of a transaction that there is not, where the client has a
    transactional.id.
    """

    answers: tuple[MetadataAnswer, ...]
    brokers: tuple[Broker, ...] = ()
    cluster_id: str | None = None
    controller: int | None = None
    topic: Topic | None = None
    alike: tuple[str, ...] | None = None
    twice: tuple[Broker, ...] = ()  # listed under the id of a broker before them: nobody dials them
    creates: str | None = None
    transaction: str | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """The servers, where none of them listed a broker."""
        return () if self.brokers else tuple(f"bootstrap {a.endpoint}" for a in self.answers)

    @property
    def elapsed(self) -> float:
        """Seconds that the slowest answer took."""
        return max((answer.elapsed for answer in self.answers), default=0.0)

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        if all(answer.failure for answer in self.answers):
            return "no answer to the metadata request"
        count = len(self.brokers)
        parts = [f"{count} broker{'' if count == 1 else 's'}"]
        if self.cluster_id:
            parts.append(f"cluster {self.cluster_id}")
        if self.controller is not None:
            parts.append(f"controller {self.controller}")
        if self.topic:
            count = len(self.topic.partitions)
            told = f"{count} partition{'' if count == 1 else 's'}"
            said = told if self.topic.error == "NONE" else self.topic.error
            said = "left out" if self.topic.left_out else said
            parts.append(f"topic {self.topic.name}: {said}")
        return ", ".join(parts)


@hop("metadata")
async def metadata(walk: Walk, bootstrap: Bootstrap) -> Metadata | None:
    """Waits for the replies to hop 1's Metadata requests, from every bootstrap connection."""
    if not bootstrap.usable:
        return None
    found = await _answered(bootstrap.known_by(walk))
    walk.wire.close_others({broker.advertised for broker in found.brokers})
    return found


async def _answered(walk: Walk) -> Metadata:
    asked = walk.settings.options.topic
    replies = [_about(await reply, asked) for _, reply in walk.wire.metadata]
    told = list(zip((endpoint for endpoint, _ in walk.wire.metadata), replies))
    answers = tuple(
        MetadataAnswer(
            endpoint,
            reply.elapsed,
            reply.failure,
            reply.detail,
            reply.body.get("cluster_id"),
            reply.throttle_ms,
        )
        for endpoint, reply in told
    )
    best = max(replies, key=_worth)
    # What one broker says of the cluster the others say too: none has reason to say much more.
    walk.net.max_frame = min(MAX_FRAME, 2 * best.size + SPARE)
    if best.failure:
        return Metadata(answers)
    found = Metadata(answers, *_read(best.body, asked, _OF_ZOOKEEPER in walk.apis))
    found = found._replace(twice=_twice(best.body))
    if walk.wire.side_answers:
        side = await walk.wire.side_answers
        found = found._replace(transaction=side.transaction)
        if side.listing and found.topic and found.topic.error == UNKNOWN_TOPIC:
            found = found._replace(creates=side.creates, alike=_listed(found.topic, side.listing))
    return found


def _listed(topic: Topic, listing: Reply) -> tuple[str, ...] | None:
    """The topics that are much like this one, None where they were not listed."""
    if listing.failure:
        return None
    others = (other["name"] for other in listing.body["topics"] if not other["is_internal"])
    return _alike(topic.name, others)


def _alike(name: str, others: Iterable[str]) -> tuple[str, ...]:
    """Up to MOST_ALIKE of these topics, upper and lower case being the same."""
    from difflib import get_close_matches  # only where a topic does not exist

    # What could be no topic's name is a text that somebody wants to see in a command.
    near = {
        other.lower(): other
        for other in islice(others, MOST_TOPICS)
        if abs(len(other) - len(name)) <= len(name) // 2 and re.match(TOPIC_NAME, other)
    }
    found = get_close_matches(name.lower(), near, n=MOST_ALIKE, cutoff=0.7)
    return tuple(near[lowered] for lowered in found)


def _about(reply: Reply, topic: str | None) -> Reply:
    """The reply; where it leaves out the topic that was asked for, with that topic as unknown.
    Below version 4 all topics were asked for; else a proxy leaves out what none of its rules has.
    """
    if reply.failure or topic is None or topic in (t["name"] for t in reply.body["topics"]):
        return reply
    unknown = {"error_code": NAMES.index(UNKNOWN_TOPIC) - 1, "name": topic, "partitions": []}
    unknown |= {"is_internal": False, "left_out": reply.version >= 4}
    topics = [*reply.body["topics"], unknown]
    return reply._replace(body={**reply.body, "topics": topics})


def _worth(reply: Reply) -> tuple[bool, bool, bool]:
    names_all = not any(topic.get("left_out") for topic in reply.body.get("topics", ()))
    return reply.failure is None, bool(reply.body.get("brokers")), names_all


def _twice(body: Mapping[str, Any]) -> tuple[Broker, ...]:
    """The first brokers whose node id the answer has for another one before them."""
    seen: set[int] = set()
    found: list[Broker] = []
    for each in body["brokers"]:
        if each["node_id"] in seen and len(found) < MOST_TWICE:
            found.append(Broker(each["node_id"], Endpoint(each["host"], each["port"])))
        seen.add(each["node_id"])
    return tuple(found)


def _read(
    body: Mapping[str, Any], asked: str | None, zookeeper: bool
) -> tuple[tuple[Broker, ...], str | None, int | None, Topic | None]:
    """A Metadata response's brokers (once each, by node id), cluster id, controller, and the topic
    that was asked for: nobody else may name one to write to."""
    brokers = {
        b["node_id"]: Broker(b["node_id"], Endpoint(b["host"], b["port"]))
        for b in reversed(body["brokers"])
    }
    controller = body["controller_id"]
    topics = [
        Topic(
            topic["name"],
            error_name(topic["error_code"]),
            tuple(
                Partition(
                    p["partition_index"],
                    p["leader_id"],
                    tuple(p["replica_nodes"]),
                    tuple(p["isr_nodes"]),
                    error_name(p["error_code"]),
                )
                for p in topic["partitions"]
            ),
            topic.get("left_out", False),
        )
        for topic in body["topics"]
        if topic["name"] == asked
    ]
    return (
        tuple(sorted(brokers.values(), key=lambda broker: broker.node)),
        body.get("cluster_id"),
        controller if zookeeper and controller >= 0 else None,
        topics[0] if topics else None,
    )
