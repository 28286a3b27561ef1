"""Hop 4, produce: does every broker take a produce request that I send straight to it?"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from kdiag.network.attempt import ClientRun, Delivery, Failure
from kdiag.network.dialer import in_thread
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.dial import connect
from kdiag.walk.greeting import GONE, DialTarget
from kdiag.walk.hop import Walk, hop
from kdiag.walk.listeners import Listener, Listeners
from kdiag.walk.metadata import Metadata
from kdiag.walk.produce_request import ProduceResult, produce_questions, produce_results

_NO_CONNECTION = (Failure.REFUSED, Failure.TIMEOUT, Failure.UNREACHABLE)

_TO_TELL = 3.0  # seconds from when the real client's time is over until its failure is known


class BrokerProduce(NamedTuple):
    """The results of a small and of a large produce request to a broker; neither writes. Where one
    of the two got no answer they were sent again on a connection of their own, and `first` has how
    they ended before; for the topic that was named, if one was (`own`)."""

    node: int
    small: ProduceResult
    large: ProduceResult
    first: tuple[ProduceResult, ...] = ()
    own: bool = False

    @property
    def answered(self) -> bool:
        """Whether the broker answered both, with success or an error: requests get through."""
        return not self.small.unanswered and not self.large.unanswered

    @property
    def lost(self) -> bool:
        """Whether an answer is missing, and not because the request is large."""
        return not self.answered and not self.vanished

    @property
    def vanished(self) -> bool:
        """Whether on both connections the small one was answered and the large one was not, and
        nothing says that its bytes arrived."""
        tries = (self.first, (self.small, self.large))
        return all(
            pair
            and not pair[0].failure
            and pair[1].failure is Failure.SILENT
            and (pair[1].sent is None or pair[1].sent.lost)
            for pair in tries
        )

    @property
    def ends_large(self) -> bool:
        """Whether the small one was answered, and the connection ended on the large one."""
        return not self.small.failure and self.large.failure in GONE

    @property
    def unreachable(self) -> bool:
        """Whether no second connection could be made."""
        return self.small.failure in _NO_CONNECTION


class Produce(NamedTuple):
    """Hop 4's facts. `unreached` are the node ids that hop 3 could not hand over; `produced` is
    empty where only the real client can log in."""

    produced: tuple[BrokerProduce, ...]
    unreached: tuple[int, ...]
    client: ClientRun | None
    elapsed: float

    def acknowledged(self, node: int) -> bool:
        """Whether that broker acknowledged a record of the real client."""
        return any(each.error is None for each in self._deliveries(node))

    def client_tried(self, node: int) -> bool:
        """Whether the real client tried to write to that broker, and had its time."""
        cut_off = self.client.cut_off if self.client else ()
        return any(each not in cut_off for each in self._deliveries(node))

    def client_answered(self, node: int) -> bool:
        """Whether that broker answered the real client, perhaps with an error: the
        client's own errors begin with an underscore."""
        return any(
            each.error is None or not each.error.startswith("_") for each in self._deliveries(node)
        )

    def _deliveries(self, node: int) -> list[Delivery]:
        deliveries = self.client.deliveries if self.client else ()
        return [each for each in deliveries if each.node == node]

    @property
    def failed(self) -> tuple[str, ...]:
        """The brokers that did not answer, or did not take the real client's record."""
        refused = self.client.deliveries if self.client else ()
        cut_off = self.client.cut_off if self.client else ()
        nodes = [
            p.node for p in self.produced if not p.answered and not self.client_answered(p.node)
        ]
        nodes += [d.node for d in refused if d.error and d not in cut_off]
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
async def produce(
    walk: Walk, bootstrap: Bootstrap, metadata: Metadata, listeners: Listeners
) -> Produce | None:
    """Reads what every broker that was reached answered in hop 3's flight, and asks again where an
    answer is missing; with a topic, lets the real client write as well. It also tries the leaders
    at whose address another broker seems to be: whether clients can write is what counts."""
    reached = listeners.reached
    tried = {x.broker.node for x in listeners.listeners if _writable(x)}
    if not reached and not (metadata.topic and tried):
        return None
    walk = bootstrap.known_by(walk)
    loop = asyncio.get_running_loop()
    started = loop.time()
    asked = () if walk.login.by_client else reached
    produced, client = await asyncio.gather(
        asyncio.gather(*(_produced(walk, metadata, listener) for listener in asked)),
        _written(walk, metadata, tried),
    )
    found = Produce(tuple(produced), (), client, loop.time() - started)
    out_of_reach = [x.broker.node for x in listeners.listeners if not x.contact.usable]
    return found._replace(unreached=tuple(n for n in out_of_reach if not found.acknowledged(n)))


def _writable(listener: Listener) -> bool:
    """Whether the real client is to try. It is librdkafka, which a certificate that only Java takes
    would stop."""
    failed = listener.contact.failed
    another = failed is not None and failed.failure is Failure.WRONG_NODE
    return (listener.contact.usable or another) and not listener.contact.only_java


async def _produced(walk: Walk, metadata: Metadata, listener: Listener) -> BrokerProduce:
    """What became of hop 3's requests; where one has no answer, they are sent again, by themselves,
    on a new connection, and then for the topic that was named: a proxy may close on any other."""
    node = listener.broker.node
    first: tuple[ProduceResult, ...] = ()
    if node in walk.wire.produce:
        small, large = await walk.wire.produce[node]
        if not (small.unanswered or large.unanswered):
            return BrokerProduce(node, small, large)
        first = (small, large)
    topic = metadata.topic
    own = bool(first) and topic is not None and topic.error == "NONE"
    name = topic.name if topic and own else None
    return BrokerProduce(node, *await _alone(walk, listener, name), first=first, own=own)


async def _alone(
    walk: Walk, listener: Listener, topic: str | None
) -> tuple[ProduceResult, ProduceResult]:
    """The two requests on a connection where nothing else is asked."""
    best = listener.contact.best
    assert best is not None
    endpoint = listener.contact.endpoint
    greeting = await connect(walk, DialTarget(best.address, endpoint))
    failed = greeting.dial.failed
    if greeting.conversation is None or failed:
        failure = failed.failure if failed else Failure.CLOSED
        elapsed, detail = (failed.elapsed, failed.detail) if failed else (0.0, "")
        lost = ProduceResult(elapsed, failure=failure, detail=detail)
        return lost, lost
    small, large = (greeting.conversation.send(each) for each in produce_questions(topic))
    return await produce_results(greeting.conversation, (small, large), walk.net.timeout)


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
    from kdiag.kafka.client import deliver

    answered = (answer.endpoint for answer in metadata.answers if not answer.failure)
    servers = ",".join(map(str, dict.fromkeys(answered)))
    asked = walk.settings
    security = asked.security._replace(protocol=walk.protocol, sasl=walk.login.ready)
    topic = metadata.topic.name
    needed, wait = _patience(walk, metadata)
    ran = await in_thread(deliver, servers, topic, leaders, wait, asked.client, security)
    own = asked.client.get("message.timeout.ms", "")  # 0 for none
    own_limit = own.isdecimal() and 0 < int(own) <= wait * 1000
    return ran if own_limit else ran._replace(short_of=needed - wait)


def _patience(walk: Walk, metadata: Metadata) -> tuple[float, float]:
    """Seconds that the real client is to have, and those that it gets, as far as the deadline
    leaves them and what it takes to tell how it ended. One behind the other it waits for five
    answers at most: versions and metadata, then a leader's versions, the topic's metadata again,
    and the record's."""
    asked = walk.settings
    late = max(walk.login.slowest, *(answer.elapsed for answer in metadata.answers))
    left = walk.until - asyncio.get_running_loop().time() - _TO_TELL
    needed = asked.options.timeout + max(asked.options.answer_timeout, 5 * late)
    return needed, max(asked.options.timeout, min(needed, left))
