"""Hop 4, produce: does every broker take a produce request that I send straight to it?"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from kdiag.attempt import ClientRun, Failure
from kdiag.clients.conversation import Conversation, Reply
from kdiag.clients.errors import error_name
from kdiag.clients.net import in_thread
from kdiag.clients.wire import PRODUCE, Question, no_such_topic, records
from kdiag.hop import Walk, hop
from kdiag.hops.dial import greet
from kdiag.hops.greeting import Knock
from kdiag.hops.listeners import Listener, Listeners
from kdiag.hops.metadata import Metadata

SMALL, LARGE = 1, 16 * 1024  # bytes of one record: one packet, and more than any packet holds

_TO_TELL = 3.0  # seconds from when the real client's time is over until its failure is known


class Outcome(NamedTuple):
    """How one produce request ended: seconds, the broker's error name, or why it has no answer."""

    elapsed: float
    error: str | None = None
    throttle_ms: int = 0
    failure: Failure | None = None
    detail: str = ""


class Produced(NamedTuple):
    """What a broker made of a small and of a large request that write nothing."""

    node: int
    small: Outcome
    large: Outcome

    @property
    def answered(self) -> bool:
        """True when it answered both, whatever it said: the path carries produce requests."""
        return self.small.failure is None and self.large.failure is None


class Produce(NamedTuple):
    """Hop 4's facts. `unreached` are the node ids that hop 3 could not hand over; `produced` is
    empty where only the real client can log in."""

    produced: tuple[Produced, ...]
    unreached: tuple[int, ...]
    client: ClientRun | None
    elapsed: float

    @property
    def failed(self) -> tuple[str, ...]:
        """The brokers that did not answer, or did not take the real client's record."""
        refused = self.client.deliveries if self.client else ()
        nodes = [p.node for p in self.produced if not p.answered]
        nodes += [delivery.node for delivery in refused if delivery.error]
        return tuple(dict.fromkeys(f"broker {node}" for node in nodes))

    @property
    def skipped_because(self) -> str | None:
        """Why this hop says nothing of the whole cluster, None where it does."""
        if self.unreached:
            return "not every broker was reached"
        if not self.produced and self.client is None:
            return "only the real client can log in, and it writes to what --topic names"
        return None

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        answered = sum(produced.answered for produced in self.produced)
        count = len(self.produced)
        parts = []
        if self.produced:
            parts.append(f"{answered} of {count} broker{'' if count == 1 else 's'} answered")
            if self.unreached:
                parts[0] += f", {len(self.unreached)} not asked"
        if self.client:
            written = sum(delivery.error is None for delivery in self.client.deliveries)
            parts.append(f"{written} of {len(self.client.deliveries)} records acknowledged")
        return "; ".join(parts)


@hop("produce")
async def produce(walk: Walk, metadata: Metadata, listeners: Listeners) -> Produce | None:
    """Asks every broker that was reached; with a topic, lets the real client write as well."""
    if not listeners.reached:
        return None
    loop = asyncio.get_running_loop()
    started = loop.time()
    asked = () if walk.login.by_client else listeners.reached
    produced, client = await asyncio.gather(
        asyncio.gather(*(_produced(walk, listener) for listener in asked)),
        # The real client is librdkafka, which such a certificate would stop, and Java's would not.
        _written(
            walk, metadata, {x.broker.node for x in listeners.reached if not x.contact.only_java}
        ),
    )
    unreached = tuple(x.broker.node for x in listeners.listeners if not x.contact.usable)
    return Produce(tuple(produced), unreached, client, loop.time() - started)


async def _produced(walk: Walk, listener: Listener) -> Produced:
    """A small request and a large one, one behind the other on the connection of hop 3."""
    node = listener.broker.node
    conversation = walk.kept.get(node)
    if conversation is None:
        best = listener.contact.best
        assert best is not None
        greeting = await greet(walk, Knock(best.address, listener.contact.endpoint))
        conversation = greeting.conversation
        failed = greeting.dial.failed
        if conversation is None or failed:
            elapsed = failed.elapsed if failed else 0.0
            failure = failed.failure if failed else Failure.CLOSED
            lost = Outcome(elapsed, failure=failure, detail=failed.detail if failed else "")
            return Produced(node, lost, lost)
    topic = no_such_topic()
    small, large = await asyncio.gather(
        _ask(conversation, topic, SMALL), _ask(conversation, topic, LARGE)
    )
    conversation.close()
    return Produced(node, small, large)


async def _ask(conversation: Conversation, topic: str, size: int) -> Outcome:
    """One well-formed batch for a topic that does not exist: it is refused, and proves the path."""

    def body(version: int) -> dict[str, Any]:
        partition = {"index": 0, "records": records(version, [b"k" * size])}
        return {
            "transactional_id": None,
            "acks": -1,
            "timeout_ms": 1000,
            "topics": [{"name": topic, "partitions": [partition]}],
        }

    return _outcome(await conversation.send(Question(PRODUCE, body)))


def _outcome(reply: Reply) -> Outcome:
    if reply.failure:
        return Outcome(reply.elapsed, failure=reply.failure, detail=reply.detail)
    errors = [p["error_code"] for topic in reply.body["topics"] for p in topic["partitions"]]
    name = error_name(errors[0]) if errors else None
    return Outcome(reply.elapsed, name, reply.throttle_ms)


async def _written(walk: Walk, metadata: Metadata, reached: set[int]) -> ClientRun | None:
    """One record for each leader that was reached, by the real client."""
    if not metadata.topic or not walk.net.outside:
        return None
    leaders: dict[int, int] = {}
    for partition in metadata.topic.partitions:
        if partition.leader in reached:
            leaders.setdefault(partition.leader, partition.number)
    if not leaders:
        return None
    # The real client costs an import that only --topic needs, and does not travel with the hops.
    from kdiag.clients.kafka import deliver

    answered = (answer.endpoint for answer in metadata.answers if not answer.failure)
    servers = ",".join(map(str, dict.fromkeys(answered)))
    asked = walk.settings
    security = asked.security._replace(protocol=walk.protocol, sasl=walk.login.ready)
    topic = metadata.topic.name
    wait = _patience(walk, metadata)
    return await in_thread(deliver, servers, topic, leaders, wait, asked.client, security)


def _patience(walk: Walk, metadata: Metadata) -> float:
    """Seconds for the real client, which connects, logs in and asks twice, for the metadata and to
    a leader; as far as the deadline leaves them and what it takes to tell how it ended."""
    asked = walk.settings
    late = max(walk.login.slowest, *(answer.elapsed for answer in metadata.answers))
    left = walk.until - asyncio.get_running_loop().time() - _TO_TELL
    needed = asked.timeout + max(asked.answer_timeout, 2.5 * late)
    return max(asked.timeout, min(needed, left))
