"""Hop 3, listeners: can I use each advertised address, and does it lead to the broker it names?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import NamedTuple

from kdiag.address import (
    internal_name,
    is_loopback,
    is_private,
    is_unusable,
    same_network,
)
from kdiag.attempt import Attempt, Contact, Dial, Failure
from kdiag.clients.codec import Body, WireError
from kdiag.clients.conversation import Reply
from kdiag.clients.errors import error_name
from kdiag.clients.wire import (
    DESCRIBE_CONFIGS,
    METADATA,
    Api,
    Question,
    decode_response,
    mentions,
)
from kdiag.hop import Walk, hop
from kdiag.hops.bootstrap import Bootstrap, about
from kdiag.hops.dial import contact
from kdiag.hops.greeting import Greeting
from kdiag.hops.metadata import Broker, Metadata
from kdiag.settings import Endpoint

MAX_BROKERS = 1000  # that are dialled: more than real clusters have, and few enough to end in time
MAX_CANDIDATES = 4  # for one broker
MAX_HELD = 64 << 20  # bytes of answers at once

_BROKER_RESOURCE = 4
_WHO_ANSWERED = re.compile(r"Unexpected broker id, expected (\d{1,10}) or empty")
_NOT_ALLOWED = ("CLUSTER_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED")


class Listener(NamedTuple):
    """One broker at its advertised address, and at others that it could advertise instead."""

    broker: Broker
    contact: Contact
    candidates: tuple[Contact, ...] = ()

    @property
    def proven(self) -> Contact | None:
        """The candidate where this very broker answers, if there is one."""
        for candidate in self.candidates:
            best = candidate.best
            if candidate.usable and best and best.answered_as == self.broker.node:
                return candidate
        return None


class Listeners(NamedTuple):
    """Every advertised address, dialled; `elapsed` in seconds for all of them at once. `untried`
    counts the brokers beyond MAX_BROKERS."""

    listeners: tuple[Listener, ...]
    elapsed: float
    untried: int = 0

    @property
    def failed(self) -> tuple[str, ...]:
        """The brokers whose advertised address did not lead to them."""
        return tuple(f"broker {x.broker.node}" for x in self.listeners if not x.contact.usable)

    @property
    def reached(self) -> tuple[Listener, ...]:
        """Those whose advertised address led to the broker it names."""
        return tuple(listener for listener in self.listeners if listener.contact.usable)

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        reached, count = len(self.reached), len(self.listeners)
        proven = sum(
            1
            for listener in self.reached
            if listener.contact.best and listener.contact.best.answered_as is not None
        )
        line = f"{reached} of {count} advertised address{'' if count == 1 else 'es'} reached"
        if self.untried:
            line += f" ({self.untried} more not tried)"
        if not reached:
            return line
        if proven == reached:
            return f"{line}, identity proven"
        words = {
            attempt.detail
            for listener in self.reached
            for attempt in listener.contact.attempts
            if attempt.failure is Failure.DENIED
        }
        why = f" ({', '.join(sorted(words))})" if words else ""
        whose = f"identity of {proven} proven" if proven else "identity not proven"
        return f"{line}, {whose}{why}"


@hop("listeners")
async def listeners(walk: Walk, bootstrap: Bootstrap, metadata: Metadata) -> Listeners | None:
    """Dials the brokers at once: each one's advertised address, and its candidates beside it."""
    if not metadata.brokers:
        return None
    loop = asyncio.get_running_loop()
    started = loop.time()
    gate = asyncio.Semaphore(max(1, MAX_HELD // walk.net.max_frame))

    async def seen(broker: Broker, endpoint: Endpoint, *, keep: bool) -> Contact:
        async with gate:
            return await identified(walk, broker, endpoint, bootstrap.apis, metadata, keep=keep)

    # Whoever answers names itself, whichever broker it is asked for: a candidate of many brokers is
    # dialled once.
    beside = {broker: _candidates(walk, broker, bootstrap) for broker in _chosen(metadata)}
    asking = {endpoint: broker for broker, endpoints in beside.items() for endpoint in endpoints}
    found = await asyncio.gather(
        *(seen(broker, broker.advertised, keep=True) for broker in beside),
        *(seen(broker, endpoint, keep=False) for endpoint, broker in asking.items()),
    )
    met = dict(zip(asking, found[len(beside) :]))
    known = tuple(
        Listener(broker, reached, tuple(_judged(met[one], broker) for one in beside[broker]))
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
    mapped = [found for m in walk.settings.mapped if (found := m.apply(advertised))]
    hosts = [c.endpoint.host for c in bootstrap.usable] if suspect(advertised, bootstrap) else []
    same_port = [Endpoint(host, advertised.port) for host in hosts if 0 < advertised.port < 65536]
    others = dict.fromkeys(mapped + same_port)
    others.pop(advertised, None)
    return tuple(others)[:MAX_CANDIDATES]


def suspect(advertised: Endpoint, bootstrap: Bootstrap) -> bool:
    """True for an address that by its looks works elsewhere, but not the way this client came."""
    host = advertised.host
    if is_unusable(host, advertised.port):
        return True
    if internal_name(host):
        return not any(internal_name(c.endpoint.host) for c in bootstrap.usable)
    if is_loopback(host):
        return not any(is_loopback(end) for end in bootstrap.came_in)
    return is_private(host) and not any(same_network(host, end) for end in bootstrap.came_in)


async def identified(
    walk: Walk,
    broker: Broker,
    endpoint: Endpoint,
    apis: Mapping[int, tuple[int, int]],
    metadata: Metadata,
    *,
    keep: bool = False,
) -> Contact:
    """One endpoint, dialled, and asked which broker of which cluster it is; with `keep`, a
    connection to the right one is kept for the hop after, as far as descriptors allow."""
    if is_unusable(endpoint.host, endpoint.port):
        return Contact(endpoint, None)

    async def known(greeting: Greeting) -> Greeting:
        dial = _meant(broker, await _identity(broker, metadata, greeting))
        if greeting.conversation:
            room = broker.node not in walk.kept and len(walk.kept) < walk.net.keepable
            if keep and room and not dial.failed:
                walk.kept[broker.node] = greeting.conversation
            else:
                greeting.conversation.close()
        return Greeting(dial)

    reached, _ = await contact(walk, endpoint, _questions(broker, apis), known)
    return reached


def _judged(reached: Contact, broker: Broker) -> Contact:
    """A contact that was made for another broker, as this one's."""
    return reached._replace(dials=tuple(_meant(broker, dial) for dial in reached.dials))


def _meant(broker: Broker, dial: Dial) -> Dial:
    """The dial with its identity right or wrong, depending on which broker is meant."""
    *before, last = dial.attempts
    if dial.answered_as is None or last.failure not in (None, Failure.WRONG_NODE):
        return dial
    right = dial.answered_as == broker.node
    identity = Attempt(
        last.layer,
        last.elapsed,
        None if right else Failure.WRONG_NODE,
        "" if right else f"broker {dial.answered_as} answers",
    )
    return dial._replace(attempts=(*before, identity))


def _questions(broker: Broker, apis: Mapping[int, tuple[int, int]]) -> list[Question]:
    """Which cluster are you of? Which broker are you? The second only where it is understood."""
    questions = [about(None, raw=True)]
    if DESCRIBE_CONFIGS.key in apis:
        resource = {
            "resource_type": _BROKER_RESOURCE,
            "resource_name": str(broker.node),
            "configuration_keys": ["node.id", "broker.id"],
        }
        body = {"resources": [resource], "include_synonyms": False}
        questions.append(Question(DESCRIBE_CONFIGS, body, raw=True, side=True))
    return questions


async def _identity(broker: Broker, metadata: Metadata, greeting: Greeting) -> Dial:
    """The dial with its identity layer: ok, wrong cluster, denied; none if unproven."""
    dial = greeting.dial
    if dial.failed or not greeting.replies:
        return dial
    replies = await asyncio.gather(*greeting.replies)
    cluster_id = _cluster(replies[0], metadata.cluster_id)
    node, denied = _node(broker, replies[1]) if len(replies) > 1 else (None, "")
    elapsed = max(reply.elapsed for reply in replies)

    def ended(failure: Failure | None, detail: str = "") -> Dial:
        attempt = Attempt("identity", elapsed, failure, detail)
        return dial._replace(
            attempts=(*dial.attempts, attempt), answered_as=node, cluster_id=cluster_id
        )

    if replies[0].failure:
        return ended(replies[0].failure, f"Metadata: {replies[0].detail}")
    if cluster_id and metadata.cluster_id and cluster_id != metadata.cluster_id:
        return ended(Failure.WRONG_CLUSTER, f"it is of cluster {cluster_id}")
    if node is not None:
        return ended(None)
    if denied:
        return ended(Failure.DENIED, denied)
    return dial._replace(cluster_id=cluster_id)


def _cluster(reply: Reply, expected: str | None) -> str | None:
    """The cluster id in a Metadata answer.

    Every broker lists all brokers, so reading n of these in full is quadratic: where the expected
    id stands in the bytes, it is not read again.
    """
    if expected and mentions(reply.frame, expected):
        return expected
    try:
        found = _decoded(METADATA, reply).get("cluster_id")
    except WireError:
        return None
    return str(found) if found else None


def _decoded(api: Api, reply: Reply) -> Body:
    """A raw answer's body, empty where there is none. Raises WireError."""
    if reply.failure or not reply.frame:
        return {}
    return decode_response(api, reply.version, None, reply.frame)


def _node(broker: Broker, reply: Reply) -> tuple[int | None, str]:
    """Which node answered DescribeConfigs for this broker's id, and the error name if it may not
    say. A node that is asked for another's configuration names itself in the error."""
    try:
        results = _decoded(DESCRIBE_CONFIGS, reply).get("results", [])
    except WireError:
        return None, ""
    for result in results:
        error = error_name(result["error_code"])
        if error == "NONE":
            values = [c["value"] for c in result["configs"] if c["value"]]
            own = [int(v) for v in values if v.isascii() and v.isdigit() and len(v) <= 10]
            return (own[0] if own else broker.node), ""
        named = _WHO_ANSWERED.search(result["error_message"] or "")
        if named:
            return int(named.group(1)), ""
        if error in _NOT_ALLOWED:
            return None, error
    return None, ""
