"""The section consume: does the cluster let this role do what it needs?

Its questions travel with hop 4's requests to every broker; here their answers are read. A second
look follows on the same connections where something may change by itself, or where the group has
committed offsets of other topics.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdiag.kafka.connection import Reply
from kdiag.kafka.errors import error_name
from kdiag.kafka.messages import MAX_FRAME
from kdiag.network.attempt import ClientRun
from kdiag.network.dialer import in_thread
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.consume import (
    ELSEWHERE,
    LOADING,
    REBALANCES,
    UNAVAILABLE,
    BrokerAnswers,
    Consume,
    Group,
    OpenTransaction,
    PartitionOffsets,
)
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.hop import Flight, Walk, hop
from kdiag.walk.large_answers import large_answers
from kdiag.walk.questions import ALL_TOPICS, by_partition
from kdiag.walk.role_questions import (
    MOST_PARTITIONS,
    group_questions,
    nearest,
    offsets,
    open_transactions,
    producer_id,
)

# Seconds until a second look: at a rebalance, which takes three seconds where a group begins
# (group.initial.rebalance.delay.ms), and at anything else.
REBALANCE_LOOK, SECOND_LOOK = 4.0, 1.0
_LARGEST = 1 << 53  # of numbers that a peer tells
_OFFSETS_TOPIC = "__consumer_offsets"

Replies = Mapping[str, Reply]


@hop("consume")
async def consume(
    walk: Walk, bootstrap: Bootstrap, metadata: Metadata, listeners: Listeners
) -> Consume | None:
    """Reads the answers to the role's questions, and looks a second time where that may tell
    more."""
    if not listeners.reached:
        return None
    started = asyncio.get_running_loop().time()
    nodes = [listener.broker.node for listener in listeners.reached]
    flights = {node: walk.wire.consume[node] for node in nodes if node in walk.wire.consume}
    try:
        found = await _answered(walk, metadata, listeners, flights)
    finally:
        for flight in walk.wire.consume.values():
            if flight.connection:
                flight.connection.close()
    return found._replace(elapsed=asyncio.get_running_loop().time() - started)


async def _answered(
    walk: Walk, metadata: Metadata, listeners: Listeners, flights: Mapping[int, Flight]
) -> Consume:
    options = walk.settings.options
    replies = {node: await flight.ended() for node, flight in flights.items()}
    reached = {listener.broker.node for listener in listeners.reached}
    found = Consume(
        options.role,
        tuple(_answers(node, each) for node, each in replies.items()),
        tuple(b.node for b in metadata.brokers if b.node not in reached),
        options.group,
        metadata.topic.name if metadata.topic else None,
        walk.settings.of_role.get("transactional.id"),
        write=next((e for r in replies.values() for e in _errors(r.get("write"))), None),
    )
    if options.role == "idempotent":
        first = next((flight for flight in flights.values() if flight.connection), None)
        given = (await first.ask({"": producer_id()})).get("") if first else None
        return found._replace(producer=next(_errors(given), None))
    if not found.asks_group:
        return found
    coordinator = found.coordinator
    committed = {}
    if coordinator is not None:
        found = found._replace(groups=tuple(_groups(replies[coordinator])))
        committed = _offsets(replies[coordinator].get("committed"), "committed_offset")
    elif found.brokers and all(b.group == ELSEWHERE for b in found.brokers):
        found = found._replace(owner=await _owner(options.group or "", flights))
    own = {node: list(_partitions(node, r, committed)) for node, r in replies.items()}
    more, preferred, large = await asyncio.gather(
        _other_topics(own, flights, committed),
        _preferred(walk, found, own, flights),
        large_answers(walk, listeners, flights),  # the last: what is behind it gets lost with it
    )
    flights = {**flights, **{each.node: Flight(None, {}) for each in large}}
    partitions = [p._replace(preferred=preferred.get(p[:2])) for ps in own.values() for p in ps]
    found = found._replace(partitions=(*partitions, *more), large=large)
    again, client = await asyncio.gather(
        _again(found, flights, options.answer_timeout), _read_by_client(walk, metadata, found)
    )
    return again._replace(client=client)


async def _preferred(
    walk: Walk,
    found: Consume,
    own: Mapping[int, Sequence[PartitionOffsets]],
    flights: Mapping[int, Flight],
) -> dict[tuple[str, int], int]:
    """(topic, partition) → the node id of the replica that its leader prefers for the client's
    rack, for one partition of each leader."""
    rack = walk.settings.of_role.get("client.rack")
    first = {node: partitions[0] for node, partitions in own.items() if partitions}
    if not rack or found.role != "consumer" or found.failed:
        return {}
    for node in first:
        connection = flights[node].connection
        if connection:  # a record written meanwhile may be as large as it likes
            connection.max_frame = MAX_FRAME
    replies = await asyncio.gather(
        *(flights[n].ask({"": nearest(p.topic, p.number, p.end, rack)}) for n, p in first.items())
    )
    return {
        key: p.get("preferred_read_replica", -1)
        for reply in replies
        for key, p in by_partition(reply.get(""))
        if p["error_code"] == 0
    }


async def _read_by_client(walk: Walk, metadata: Metadata, found: Consume) -> ClientRun | None:
    """The real client reads what it can of the topic, where the group has a coordinator: it looks
    for that one, and elsewhere Kafka would create the topic of offsets."""
    partitions = [p for p in found.partitions if p.topic == found.topic]
    readable = found.role == "consumer" and found.coordinator is not None and not found.failed
    if not (readable and partitions and walk.net.outside):
        return None
    try:
        from kdiag.kafka.client import read_back  # 14 ms: as in hop 4
    except ImportError:  # it does not travel
        return None
    settings = walk.settings
    wanted = ("isolation.level", "client.rack")
    given = {**settings.client, **{n: v for n, v in settings.of_role.items() if n in wanted}}
    offsets = {p.number: (p.node, max(p.start, p.stable - 1)) for p in partitions}
    topic, wait = partitions[0].topic, settings.options.timeout + settings.options.answer_timeout
    left = walk.until - asyncio.get_running_loop().time() - 1
    most = max(1.0, min(wait, left))
    run = read_back, metadata.servers, topic, offsets, most, given, found.group
    return (await in_thread(*run, walk.client_security))._replace(short_of=wait - most)


async def _other_topics(
    own: Mapping[int, Sequence[PartitionOffsets]],
    flights: Mapping[int, Flight],
    committed: Mapping[tuple[str, int], int],
) -> list[PartitionOffsets]:
    """The partitions with a committed offset that are not among a broker's `own`. Every broker is
    asked about all of these; only their leaders answer."""
    known = {p[:2] for partitions in own.values() for p in partitions}
    missing: dict[str, list[int]] = {}
    for topic, number in [key for key in committed if key not in known][:MOST_PARTITIONS]:
        missing.setdefault(topic, []).append(number)
    if not missing:
        return []
    more = await asyncio.gather(*(each.ask(offsets(missing)) for each in flights.values()))
    return [p for node, r in zip(flights, more) for p in _partitions(node, r, committed)]


async def _again(found: Consume, flights: Mapping[int, Flight], answer_timeout: float) -> Consume:
    """The facts after a second look: at a group that is loading or rebalances, at a coordinator
    that is unavailable, and at partitions whose last stable offset is behind the end."""
    unsettled = ("NONE", LOADING, UNAVAILABLE)
    about = next((b.node for b in found.brokers if b.group in unsettled), None)
    if about is None and found.groups:
        group = found.groups[0]
        about = found.coordinator if group.error != "NONE" or group.state in REBALANCES else None
    behind: dict[int, dict[str, list[int]]] = {}
    for p in found.partitions:
        if p.stable < p.end:
            behind.setdefault(p.node, {}).setdefault(p.topic, []).append(p.number)
    if about is None and not behind:
        return found
    longest = SECOND_LOOK if about is None else REBALANCE_LOOK
    await asyncio.sleep(min(longest, answer_timeout))
    if about is not None and found.group:
        replies = await flights[about].ask(group_questions(found.group, found.role))
        beat = next(_errors(replies.get("group")), None)
        found = found._replace(again=beat, groups=(*found.groups, *_groups(replies)))
    looks = await asyncio.gather(
        *(
            flights[node].ask({**offsets(those), "open": open_transactions(those)})
            for node, those in behind.items()
        )
    )
    later: dict[tuple[str, int], int] = {}
    opened: dict[tuple[str, int], tuple[OpenTransaction, ...]] = {}
    for node, replies in zip(behind, looks):
        later.update({p[:2]: p.stable for p in _partitions(node, replies, {})})
        opened.update(_open(replies.get("open")))
    after = tuple(
        p._replace(later=later.get(p[:2], p.later), open=opened.get(p[:2], p.open))
        for p in found.partitions
    )
    return found._replace(partitions=after, at=int(time.time()))


async def _owner(group: str, flights: Mapping[int, Flight]) -> int | None:
    """The leader of the group's partition in the topic of offsets, -1 for none; None where no
    broker lists that topic for this client. It is listed among all topics: asked for by its name,
    some brokers would create it."""
    for flight in flights.values():
        if flight.connection:
            flight.connection.max_frame = MAX_FRAME
            reply = (await flight.ask({"": ALL_TOPICS}))[""]
            for topic in reply.body.get("topics", ()):
                leaders = {p["partition_index"]: p["leader_id"] for p in topic["partitions"]}
                if topic["name"] == _OFFSETS_TOPIC and leaders:
                    return int(leaders.get(_hash(group) % len(leaders), -1))
            return None
    return None


def _hash(text: str) -> int:
    """Kafka's hash of a group: Java's of the text, without its sign."""
    units, found = text.encode("utf-16-be", "surrogatepass"), 0
    for at in range(0, len(units), 2):
        found = (31 * found + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    return found & 0x7FFFFFFF


def _answers(node: int, replies: Replies) -> BrokerAnswers:
    failures = (reply.detail or reply.failure.words for reply in replies.values() if reply.failure)
    return BrokerAnswers(
        node,
        next(_errors(replies.get("group")), None),
        next(_errors(replies.get("transaction")), None),
        next(_errors(replies.get("read")), None),
        next(failures, ""),
    )


def _errors(reply: Reply | None) -> Iterator[str]:
    """The error names in an answer, those of partitions before its own."""
    if reply is None or reply.failure:
        return
    for topic in reply.body.get("topics", ()):
        yield from (error_name(each["error_code"]) for each in topic["partitions"])
    if "error_code" in reply.body:
        yield error_name(reply.body["error_code"])


def _groups(replies: Replies) -> Iterator[Group]:
    """The group as its coordinator describes it: by the protocol that it has, or as an error."""
    found = []
    for kind in ("share", "consumer", "classic"):
        reply = replies.get(kind)
        for group in reply.body.get("groups", ()) if reply and not reply.failure else ():
            members = tuple(f"{m['client_id']} at {m['client_host']}" for m in group["members"])
            error = error_name(group["error_code"])
            state = group["group_state"] if error == "NONE" else ""
            found.append(Group(kind, state, members, error))
    known = [group for group in found if group.error == "NONE" and group.state != "Dead"]
    # A group that a protocol does not know is no failure, and "Dead" for an older request.
    failing = [g for g in found if g.error not in ("NONE", "GROUP_ID_NOT_FOUND")]
    yield from (known or failing or [Group(state="Absent")] if found else ())[:1]


def _partitions(
    node: int, replies: Replies, committed: Mapping[Any, int]
) -> Iterator[PartitionOffsets]:
    """The partitions of which a broker tells all three offsets."""
    starts, ends, stable = (_offsets(replies.get(name)) for name in ("start", "end", "stable"))
    for key in sorted(starts.keys() & ends.keys() & stable.keys()):
        offsets = starts[key], ends[key], stable[key]
        yield PartitionOffsets(*key, node, committed.get(key, -1), *offsets)


def _offsets(reply: Reply | None, name: str = "offset") -> dict[tuple[str, int], int]:
    return {
        key: _bounded(p[name])
        for key, p in by_partition(reply)
        if p["error_code"] == 0 and p[name] >= 0
    }


def _open(reply: Reply | None) -> dict[tuple[str, int], tuple[OpenTransaction, ...]]:
    """(topic, partition) → its producers with an open transaction."""
    return {
        key: tuple(
            OpenTransaction(
                _bounded(each["producer_id"]),
                each["producer_epoch"],
                _bounded(each["current_txn_start_offset"]),
                _bounded(each["last_timestamp"]) // 1000,
            )
            for each in p["active_producers"]
            if each["current_txn_start_offset"] >= 0
        )
        for key, p in by_partition(reply)
    }


def _bounded(number: int) -> int:
    return max(-1, min(number, _LARGEST))
