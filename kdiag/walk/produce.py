"""Hop 4, produce: does every broker answer a produce request that is sent straight to it?"""

from __future__ import annotations

import asyncio
import math

from kdiag.network.attempt import ClientRun, Failure
from kdiag.network.dialer import in_thread
from kdiag.text import whole_number
from kdiag.walk.dial import connect, target_of
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import BrokerProduce, Produce, ProduceResult
from kdiag.walk.hop import Walk, hop
from kdiag.walk.produce_request import produce_questions, produce_results

_REPORTING = 3.0  # seconds from when the real client's time is over until its failure is known


@hop("produce")
async def produce(
    walk: Walk, bootstrap: Bootstrap, metadata: Metadata, listeners: Listeners
) -> Produce | None:
    """Waits for the replies to the produce requests that hop 3 sent, and repeats those without an
    answer; with a topic, the real client writes as well. The client also writes to leaders at whose
    address another broker seems to answer: it shows whether clients can write there."""
    reached = listeners.reached
    tried = {x.broker.node for x in listeners.listeners if _writable(x)}
    if not reached and not (metadata.topic and tried):
        return None
    walk = walk.after(bootstrap)
    loop = asyncio.get_running_loop()
    started = loop.time()
    listed = () if walk.login.by_client else reached
    counted = walk.wire.counting(len(listed), lambda result: result.answered)
    produced, client = await asyncio.gather(
        asyncio.gather(*(counted(_produced(walk, metadata, listener)) for listener in listed)),
        _written(walk, metadata, tried),
    )
    found = Produce(tuple(produced), (), client, loop.time() - started)
    out_of_reach = [x.broker.node for x in listeners.listeners if not x.contact.usable]
    left = tuple(n for n in out_of_reach if not found.acknowledged(n))
    leaders = {p.leader for p in metadata.topic.partitions} if metadata.topic else set()
    proven = bool(leaders) and all(found.acknowledged(node) for node in leaders)
    idle = tuple(n for n in left if n not in leaders) if proven else ()
    return found._replace(unreached=left, idle=idle)


def _writable(listener: Listener) -> bool:
    """Whether the real client writes to this broker. It is librdkafka, which refuses a certificate
    that only Java trusts."""
    failed = listener.contact.failed
    another = failed is not None and failed.failure is Failure.WRONG_NODE
    return (listener.contact.usable or another) and not listener.contact.only_java


async def _produced(walk: Walk, metadata: Metadata, listener: Listener) -> BrokerProduce:
    """The results of hop 3's requests. Where one has no answer, both are sent again, alone, on a
    new connection, and for the topic of `--topic`: a proxy may close on any other topic."""
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
    """Sends the two requests on a connection of their own."""
    result = await connect(walk, target_of(listener.contact))
    failed = result.dial.failed
    if result.connection is None or failed:
        failure = failed.failure if failed else Failure.CLOSED
        elapsed, detail = (failed.elapsed, failed.detail) if failed else (0.0, "")
        lost = ProduceResult(elapsed, failure=failure, detail=detail)
        return lost, lost
    small, large = (result.connection.send(each) for each in produce_questions(topic))
    return await produce_results(result.connection, (small, large), walk.net.timeout)


async def _written(walk: Walk, metadata: Metadata, reached: set[int]) -> ClientRun | None:
    """The real client writes one record to each leader that was reached."""
    if not metadata.topic or not walk.net.outside:
        return None
    leaders: dict[int, int] = {}
    for partition in metadata.topic.partitions:
        if partition.leader in reached:
            leaders.setdefault(partition.leader, partition.number)
    if not leaders:
        return None
    # The real client costs an import that only --topic needs, and does not travel with the hops.
    from kdiag.kafka.client import deliver  # 13 ms

    needed, wait = _patience(walk, metadata)
    client, topic = walk.settings.client, metadata.topic.name
    run = deliver, metadata.servers, topic, leaders, wait, client, walk.client_security
    ran = await in_thread(*run)
    own = whole_number(client.get("message.timeout.ms", "")) or math.inf  # 0 for none
    return ran if own <= wait * 1000 else ran._replace(short_of=needed - wait)


def _patience(walk: Walk, metadata: Metadata) -> tuple[float, float]:
    """The seconds that the real client may need, and those that it gets before the deadline. It
    waits for five answers at most, one after the other: versions and metadata, then a leader's
    versions, the topic's metadata again, and the answer to the record."""
    options = walk.settings.options
    late = max(walk.login.slowest, *(answer.elapsed for answer in metadata.answers))
    left = walk.until - asyncio.get_running_loop().time() - _REPORTING
    needed = options.timeout + max(options.answer_timeout, 5 * late)
    return needed, max(options.timeout, min(needed, left))
