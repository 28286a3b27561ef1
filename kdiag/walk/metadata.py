"""Hop 2, metadata: does the client get the metadata of the cluster and of its topic?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from kdiag.config.options import TOPIC_NAME
from kdiag.config.settings import Endpoint
from kdiag.kafka.connection import Reply
from kdiag.kafka.errors import NAMES, UNKNOWN_TOPIC, error_name
from kdiag.kafka.messages import MAX_FRAME
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.metadata import Broker, Metadata, MetadataAnswer, Partition, Topic
from kdiag.walk.hop import Walk, hop

SPARE = 64 << 10  # bytes
# UpdateMetadata, by which a controller among the brokers tells the others: only brokers that use
# ZooKeeper list it ("listeners": ["zkBroker"] in Kafka's UpdateMetadataRequest.json).
_OF_ZOOKEEPER = 6
MOST_ALIKE, MOST_TOPICS = 3, 20_000  # in the report, and compared
MOST_TWICE = 10  # in the report, of the brokers that have the node id of another one


@hop("metadata")
async def metadata(walk: Walk, bootstrap: Bootstrap) -> Metadata | None:
    """Waits for the replies to hop 1's Metadata requests, from every bootstrap connection."""
    if not bootstrap.usable:
        return None
    found = await _answered(walk.after(bootstrap))
    walk.wire.close_others({broker.advertised for broker in found.brokers})
    return found


async def _answered(walk: Walk) -> Metadata:
    name = walk.settings.options.topic
    replies = [_about(await reply, name) for _, reply in walk.wire.metadata]
    answered = list(zip((endpoint for endpoint, _ in walk.wire.metadata), replies))
    answers = tuple(
        MetadataAnswer(
            endpoint,
            reply.elapsed,
            reply.failure,
            reply.detail,
            reply.body.get("cluster_id"),
            reply.throttle_ms,
        )
        for endpoint, reply in answered
    )
    best = max(replies, key=_worth)
    # The other brokers describe the same cluster, so their replies are about as long.
    walk.net.max_frame = min(MAX_FRAME, 2 * best.size + SPARE)
    if best.failure:
        return Metadata(answers)
    found = Metadata(answers, *_read(best.body, name, _OF_ZOOKEEPER in walk.apis))
    found = found._replace(twice=_twice(best.body))
    if walk.wire.side_answers:
        side = await walk.wire.side_answers
        found = found._replace(transaction=side.transaction)
        if side.listing and found.topic and found.topic.error == UNKNOWN_TOPIC:
            found = found._replace(creates=side.creates, alike=_listed(found.topic, side.listing))
    return found


def _listed(topic: Topic, listing: Reply) -> tuple[str, ...] | None:
    """The topics with similar names; None where the broker did not list topics."""
    if listing.failure:
        return None
    others = (other["name"] for other in listing.body["topics"] if not other["is_internal"])
    return _alike(topic.name, others)


def _alike(name: str, others: Iterable[str]) -> tuple[str, ...]:
    """At most MOST_ALIKE topics with similar names, whatever the case of their letters."""
    from difflib import get_close_matches  # 1.8 ms: only where a topic does not exist

    # A text that is no topic name could be meant to get into a command that a user copies.
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
    body: Mapping[str, Any], wanted: str | None, zookeeper: bool
) -> tuple[tuple[Broker, ...], str | None, int | None, Topic | None]:
    """The brokers of a Metadata response (each node id once), cluster id, controller, and the topic
    `wanted`: kdiag writes to no other topic."""
    brokers = {
        b["node_id"]: Broker(b["node_id"], Endpoint(b["host"], b["port"]), b["rack"])
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
        if topic["name"] == wanted
    ]
    return (
        tuple(sorted(brokers.values(), key=lambda broker: broker.node)),
        body.get("cluster_id"),
        controller if zookeeper and controller >= 0 else None,
        topics[0] if topics else None,
    )
