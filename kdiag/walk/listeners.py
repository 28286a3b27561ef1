"""Hop 3, listeners: does each advertised address work, and does the right broker answer there?"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice

from kdiag.address import is_undialable
from kdiag.config.record import NamedTuple
from kdiag.config.settings import Endpoint
from kdiag.kafka.connection import KafkaConnection
from kdiag.network.attempt import GONE, AddressResult, EndpointResult, Failure, LayerResult
from kdiag.walk.dial import connect, dial_endpoint
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners, outlier, suspect
from kdiag.walk.facts.metadata import Broker, Metadata
from kdiag.walk.handshake import DialTarget, HandshakeResult
from kdiag.walk.hop import Flight, Walk, hop
from kdiag.walk.identity import (
    IdentityAnswer,
    IdentityProof,
    identity_of,
    identity_questions,
    other_cluster,
    prove_identity,
    with_identity,
)
from kdiag.walk.internal_topics import Checked, check, doubtful, settings_to_ask
from kdiag.walk.produce_request import produce_questions, produce_results
from kdiag.walk.role_questions import role_questions
from kdiag.walk.routing import at_bootstrap_ports

MAX_BROKERS = 1000  # dialled at most: more than a real cluster has, and the dials end in time
MAX_CANDIDATES, MOST_CANDIDATES = 4, 256  # for one broker, and for all of them
MAX_HELD = 64 << 20  # bytes of replies in memory at one time


@hop("listeners")
async def listeners(walk: Walk, bootstrap: Bootstrap, metadata: Metadata) -> Listeners | None:
    """Dials all brokers at once: the advertised address of each, and its candidates."""
    if not metadata.brokers:
        return None
    walk = walk.after(bootstrap)
    loop = asyncio.get_running_loop()
    started = loop.time()
    gate = asyncio.Semaphore(max(1, MAX_HELD // walk.net.max_frame))

    async def dialled(
        broker: Broker, endpoint: Endpoint, sharing: Sequence[int] = ()
    ) -> EndpointResult:
        async with gate:
            return await identified(
                walk, broker, endpoint, bootstrap.apis, metadata, sharing=sharing
            )

    sharing: dict[Endpoint, list[int]] = defaultdict(list)
    for broker in metadata.brokers:
        sharing[broker.advertised].append(broker.node)

    # A broker names itself, whichever broker kdiag expects: a candidate address of many brokers is
    # dialled once.
    usual = usual_port(metadata.brokers)
    chosen = {broker: _candidates(walk, broker, bootstrap, usual) for broker in _chosen(metadata)}
    endpoints_of = {
        endpoint: broker for broker, endpoints in chosen.items() for endpoint in endpoints
    }
    asking = dict(islice(endpoints_of.items(), MOST_CANDIDATES))
    walk.allowance.leave_out(len(endpoints_of) - len(asking))
    counted = walk.wire.counting(len(chosen), lambda result: result.usable)
    found = await asyncio.gather(
        *(
            counted(dialled(broker, broker.advertised, sharing[broker.advertised]))
            for broker in chosen
        ),
        *(dialled(broker, endpoint) for endpoint, broker in asking.items()),
    )
    results = dict(zip(asking, found[len(chosen) :]))
    known = tuple(
        Listener(
            broker,
            reached,
            tuple(_for_broker(results[one], broker) for one in chosen[broker] if one in results),
        )
        for broker, reached in zip(chosen, found)
    )
    known = await at_bootstrap_ports(known, bootstrap, dialled, _for_broker)
    ended = Listeners(known, loop.time() - started, len(metadata.brokers) - len(known))
    return ended if walk.wire.internal is None else await _with_internal(walk, metadata, ended)


async def _with_internal(walk: Walk, metadata: Metadata, found: Listeners) -> Listeners:
    """The facts with what a broker answered about internal topics."""
    assert walk.wire.internal
    checked: Checked = await walk.wire.internal
    topics = doubtful(walk.wire.settings.values(), len(metadata.brokers))
    internal = (topic._replace(exists=checked.exists.get(topic.name)) for topic in topics)
    return found._replace(internal=tuple(internal), room=checked.room)


def _chosen(metadata: Metadata) -> tuple[Broker, ...]:
    """The brokers to dial; of very many not all, but those that lead the topic's partitions."""
    leaders = {p.leader for p in metadata.topic.partitions} if metadata.topic else set()
    ordered = sorted(metadata.brokers, key=lambda broker: broker.node not in leaders)
    return tuple(sorted(ordered[:MAX_BROKERS], key=lambda broker: broker.node))


def _candidates(
    walk: Walk, broker: Broker, bootstrap: Bootstrap, usual: int | None
) -> tuple[Endpoint, ...]:
    """Other addresses at which this broker may answer: those of `--map`; for an advertised address
    that is suspect, the same port on the hosts of the bootstrap servers that work; and for a port
    that no other broker has, the `usual` one."""
    advertised = broker.advertised
    mapped = [found for m in walk.settings.options.mapped if (found := m.apply(advertised))]
    hosts = [c.endpoint.host for c in bootstrap.usable] if suspect(advertised, bootstrap) else []
    same_port = [Endpoint(host, advertised.port) for host in hosts if 0 < advertised.port < 65536]
    same_host = [Endpoint(advertised.host, usual)] if usual and not same_port else []
    others = dict.fromkeys(mapped + same_port + same_host)
    others.pop(advertised, None)
    return tuple(others)[:MAX_CANDIDATES]


def usual_port(brokers: Sequence[Broker]) -> int | None:
    """The port that all brokers but one advertise, of three or more; None where there is none."""
    found = outlier([broker.advertised.port for broker in brokers])
    return found[1] if found and 0 < found[1] < 65536 else None


async def identified(
    walk: Walk,
    broker: Broker,
    endpoint: Endpoint,
    apis: Mapping[int, tuple[int, int]],
    metadata: Metadata,
    *,
    sharing: Sequence[int] = (),
) -> EndpointResult:
    """Dials one endpoint and finds out which broker of which cluster answers. `sharing` are the
    node ids of the brokers that advertise it, this one included; empty where no broker advertises
    it. For an advertised address the produce requests of hop 4 are sent together with the
    questions, and hop 4 reads their results."""
    if is_undialable(endpoint.host, endpoint.port):
        return EndpointResult(endpoint, None)
    questions = identity_questions(broker, apis, settings_to_ask(walk.settings))
    about_identity = len(questions)
    role: tuple[str, ...] = ()
    if sharing:
        asked = role_questions(walk, metadata, broker.node, apis)
        role, questions = tuple(asked), [*questions, *asked.values(), *produce_questions()]

    async def known(result: HandshakeResult) -> HandshakeResult:
        replies = ListenerReplies(endpoint, sharing, result, about_identity, role)
        return HandshakeResult(await _identified(walk, metadata, broker, replies))

    reached, _ = await dial_endpoint(walk, endpoint, questions, known)
    return reached


class ListenerReplies(NamedTuple):
    """The replies of an address: the first `about_identity` of them to the questions about its
    identity, then those to the questions of the names in `role`, and to the produce requests, if
    any. `sharing` are the node ids of the brokers that advertise the address."""

    endpoint: Endpoint
    sharing: Sequence[int]
    result: HandshakeResult
    about_identity: int
    role: tuple[str, ...] = ()


async def _identified(
    walk: Walk, metadata: Metadata, broker: Broker, replies: ListenerReplies
) -> AddressResult:
    """The dial with its identity. The connection is closed at the end, or stays open for the
    produce requests that hop 4 waits for, as far as file descriptors allow."""
    result, after = replies.result, replies.about_identity + len(replies.role)
    produce = result.replies[after:]
    asked = dict(zip(replies.role, result.replies[replies.about_identity : after]))
    identity = await _identity(metadata, broker, result, replies.about_identity)
    if replies.sharing and identity and identity.failure in GONE:  # perhaps on a produce request
        _close(result.connection)
        target = DialTarget(result.dial.address, replies.endpoint, identity_questions(broker, {}))
        result, produce, asked = await connect(walk, target), (), {}
        identity = await _identity(metadata, broker, result, 1)
    connection, dial = result.connection, result.dial
    if identity is None:
        _close(connection)
        return dial
    proof = IdentityProof()
    doubted = len(replies.sharing) > 1 or identity.node != broker.node
    known = identity.failure or other_cluster(metadata, identity)
    if connection and replies.sharing and doubted and not known:
        proof = await prove_identity(walk, metadata, connection, broker.node, replies.sharing)
    dial = with_identity(broker, metadata, dial, identity, proof)
    if not connection or not replies.sharing or dial.failed or broker.node in walk.wire.produce:
        _close(connection)
        return dial
    if replies.role and not asked:
        again = role_questions(walk, metadata, broker.node, connection.apis or {})
        asked = {name: connection.send(each) for name, each in again.items()}
    await _internal_topics(walk, metadata, broker, identity, connection)
    keep = bool(walk.settings.options.role) and len(walk.wire.consume) < walk.net.keepable // 2
    if walk.settings.options.role:
        walk.wire.consume[broker.node] = Flight(connection if keep else None, asked)
    small, large = produce or tuple(connection.send(each) for each in produce_questions())
    flight = produce_results(connection, (small, large), walk.net.timeout, keep=keep)
    walk.wire.produce[broker.node] = asyncio.ensure_future(flight)
    if sum(not each.done() for each in walk.wire.produce.values()) > walk.net.keepable:
        await walk.wire.produce[broker.node]
    return dial


async def _identity(
    metadata: Metadata, broker: Broker, result: HandshakeResult, about_identity: int
) -> IdentityAnswer | None:
    """What the peer says of itself; None where no broker answered."""
    if result.dial.failed or not result.replies:
        return None
    return await identity_of(broker, metadata, result.replies[:about_identity])


async def _internal_topics(
    walk: Walk,
    metadata: Metadata,
    broker: Broker,
    identity: IdentityAnswer,
    connection: KafkaConnection,
) -> None:
    """Keeps the settings of a broker. The first one by which an internal topic takes more replicas
    than there are brokers is asked for more, on its connection."""
    walk.wire.settings[broker.node] = identity.settings
    count = len(metadata.brokers)
    topics = doubtful((identity.settings,), count)
    if topics and walk.wire.internal is None:
        asking = check(topics, identity.settings, connection, count)
        walk.wire.internal = asyncio.ensure_future(asking)
        await walk.wire.internal


def _close(connection: KafkaConnection | None) -> None:
    if connection:
        connection.close()


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
