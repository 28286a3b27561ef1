"""Hop 3, listeners: does each advertised address work, and does the right broker answer there?"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from kdiag.address import is_unusable
from kdiag.config.settings import Endpoint
from kdiag.kafka.connection import KafkaConnection
from kdiag.network.attempt import GONE, AddressResult, EndpointResult, Failure, LayerResult
from kdiag.walk.dial import connect, dial_endpoint
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners, suspect
from kdiag.walk.facts.metadata import Broker, Metadata
from kdiag.walk.greeting import DialTarget, HandshakeResult
from kdiag.walk.hop import Walk, hop
from kdiag.walk.identity import (
    IdentityAnswer,
    IdentityProof,
    identity_of,
    identity_questions,
    other_cluster,
    prove_identity,
    with_identity,
)
from kdiag.walk.produce_request import produce_questions, produce_results

MAX_BROKERS = 1000  # that are dialled: more than real clusters have, and few enough to end in time
MAX_CANDIDATES, MOST_CANDIDATES = 4, 256  # for one broker, and for all of them
MAX_HELD = 64 << 20  # bytes of answers at once


@hop("listeners")
async def listeners(walk: Walk, bootstrap: Bootstrap, metadata: Metadata) -> Listeners | None:
    """Dials all brokers at once: the advertised address of each, and its candidates."""
    if not metadata.brokers:
        return None
    walk = walk.after(bootstrap)
    loop = asyncio.get_running_loop()
    started = loop.time()
    gate = asyncio.Semaphore(max(1, MAX_HELD // walk.net.max_frame))

    async def seen(broker: Broker, endpoint: Endpoint, mates: Sequence[int] = ()) -> EndpointResult:
        async with gate:
            return await identified(walk, broker, endpoint, bootstrap.apis, metadata, mates=mates)

    mates: dict[Endpoint, list[int]] = defaultdict(list)
    for broker in metadata.brokers:
        mates[broker.advertised].append(broker.node)

    # Whoever answers names itself, whichever broker it is asked for: a candidate of many brokers is
    # dialled once.
    beside = {broker: _candidates(walk, broker, bootstrap) for broker in _chosen(metadata)}
    wanted = {endpoint: broker for broker, endpoints in beside.items() for endpoint in endpoints}
    asking = dict(islice(wanted.items(), MOST_CANDIDATES))
    walk.allowance.leave_out(len(wanted) - len(asking))
    found = await asyncio.gather(
        *(seen(broker, broker.advertised, mates[broker.advertised]) for broker in beside),
        *(seen(broker, endpoint) for endpoint, broker in asking.items()),
    )
    results = dict(zip(asking, found[len(beside) :]))
    known = tuple(
        Listener(
            broker,
            reached,
            tuple(_for_broker(results[one], broker) for one in beside[broker] if one in results),
        )
        for broker, reached in zip(beside, found)
    )
    return Listeners(known, loop.time() - started, len(metadata.brokers) - len(known))


def _chosen(metadata: Metadata) -> tuple[Broker, ...]:
    """The brokers to dial; of very many not all, but those that lead the topic's partitions."""
    leaders = {p.leader for p in metadata.topic.partitions} if metadata.topic else set()
    ordered = sorted(metadata.brokers, key=lambda broker: broker.node not in leaders)
    return tuple(sorted(ordered[:MAX_BROKERS], key=lambda broker: broker.node))


def _candidates(walk: Walk, broker: Broker, bootstrap: Bootstrap) -> tuple[Endpoint, ...]:
    """Where else this broker may answer: what `--map` says, and, for an address that is suspect
    from here, the same port on the hosts that the bootstrap servers answered on."""
    advertised = broker.advertised
    mapped = [found for m in walk.settings.options.mapped if (found := m.apply(advertised))]
    hosts = [c.endpoint.host for c in bootstrap.usable] if suspect(advertised, bootstrap) else []
    same_port = [Endpoint(host, advertised.port) for host in hosts if 0 < advertised.port < 65536]
    others = dict.fromkeys(mapped + same_port)
    others.pop(advertised, None)
    return tuple(others)[:MAX_CANDIDATES]


async def identified(
    walk: Walk,
    broker: Broker,
    endpoint: Endpoint,
    apis: Mapping[int, tuple[int, int]],
    metadata: Metadata,
    *,
    mates: Sequence[int] = (),
) -> EndpointResult:
    """Dials one endpoint and finds out which broker of which cluster answers. `mates` are the
    brokers that advertise it, this one included, where it is hop 3's own dial: the produce requests
    of hop 4 are then sent together with the questions, and their results kept for that hop."""
    if is_unusable(endpoint.host, endpoint.port):
        return EndpointResult(endpoint, None)
    questions = identity_questions(broker, apis)
    asked = len(questions)
    if mates:
        questions += produce_questions()

    async def known(greeting: HandshakeResult) -> HandshakeResult:
        there = GreetedListener(endpoint, mates, greeting, asked)
        return HandshakeResult(await _identified(walk, metadata, broker, there))

    reached, _ = await dial_endpoint(walk, endpoint, questions, known)
    return reached


class GreetedListener(NamedTuple):
    """The answers of an address to the questions of hop 3, the first `asked` of them about its
    identity, then those of hop 4, if any. `mates` are the brokers that advertise it."""

    endpoint: Endpoint
    mates: Sequence[int]
    greeting: HandshakeResult
    asked: int


async def _identified(
    walk: Walk, metadata: Metadata, broker: Broker, there: GreetedListener
) -> AddressResult:
    """The dial with its identity. The connection is closed in the end, or left to the produce
    requests that hop 4 waits for, as far as descriptors allow."""
    greeting, produce = there.greeting, there.greeting.replies[there.asked :]
    said = await _identity(metadata, broker, greeting, there.asked)
    if there.mates and said and said.failure in GONE:  # perhaps for what stood behind it
        _close(greeting.conversation)
        target = DialTarget(greeting.dial.address, there.endpoint, identity_questions(broker, {}))
        greeting, produce = await connect(walk, target), ()
        said = await _identity(metadata, broker, greeting, 1)
    conversation, dial = greeting.conversation, greeting.dial
    if said is None:
        _close(conversation)
        return dial
    proof = IdentityProof()
    doubtful = len(there.mates) > 1 or said.node != broker.node
    known = said.failure or other_cluster(metadata, said)
    if conversation and there.mates and doubtful and not known:
        proof = await prove_identity(walk, metadata, conversation, broker.node, there.mates)
    dial = with_identity(broker, metadata, dial, said, proof)
    if not conversation or not there.mates or dial.failed or broker.node in walk.wire.produce:
        _close(conversation)
        return dial
    small, large = produce or tuple(conversation.send(each) for each in produce_questions())
    flight = produce_results(conversation, (small, large), walk.net.timeout)
    walk.wire.produce[broker.node] = asyncio.ensure_future(flight)
    if sum(not each.done() for each in walk.wire.produce.values()) > walk.net.keepable:
        await walk.wire.produce[broker.node]
    return dial


async def _identity(
    metadata: Metadata, broker: Broker, greeting: HandshakeResult, asked: int
) -> IdentityAnswer | None:
    """What the peer says of itself, where a broker answered; else None."""
    if greeting.dial.failed or not greeting.replies:
        return None
    return await identity_of(broker, metadata, greeting.replies[:asked])


def _close(conversation: KafkaConnection | None) -> None:
    if conversation:
        conversation.close()


def _for_broker(reached: EndpointResult, broker: Broker) -> EndpointResult:
    """The result of an address that was dialled for another broker, judged for this one."""
    return reached._replace(dials=tuple(_identity_for(broker, dial) for dial in reached.dials))


def _identity_for(broker: Broker, dial: AddressResult) -> AddressResult:
    """The dial with its identity right or wrong, depending on which broker is meant."""
    *before, last = dial.attempts
    if dial.answered_as is None or last.failure not in (None, Failure.WRONG_NODE):
        return dial
    right = dial.answered_as == broker.node
    identity = LayerResult(
        last.layer,
        last.elapsed,
        None if right else Failure.WRONG_NODE,
        "" if right else f"broker {dial.answered_as} answers",
    )
    return dial._replace(attempts=(*before, identity))
