"""Speaks with one address, over TLS or in plaintext: ApiVersions, a login, and further requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from kdiag.config.settings import Endpoint
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.dialer import ConnectionResult
from kdiag.kafka.errors import error_name
from kdiag.kafka.messages import (
    API_VERSIONS,
    METADATA,
    PRODUCE,
    SASL_HANDSHAKE,
    Question,
    Versions,
    listed_versions,
)
from kdiag.kafka.server_words import limits_connections
from kdiag.network.attempt import GONE, AddressResult, Failure, LayerResult
from kdiag.network.dialer import TcpConnection, in_thread
from kdiag.walk.hop import Walk

# Only a controller lists the quorum's own requests; only a broker lists these two.
_BROKER_APIS = frozenset({METADATA.key, PRODUCE.key})
_CONTROLLER_APIS = frozenset(range(52, 57)) | {62}

_ENDED = (*GONE, Failure.CLIENT_CERTIFICATE)

# Failures that only a peer that speaks TLS can bring about.
_BY_TLS = (
    Failure.UNTRUSTED,
    Failure.NAME_MISMATCH,
    Failure.EXPIRED,
    Failure.CLIENT_CERTIFICATE,
)
_OF_TLS = (Failure.TLS_REQUIRED, Failure.CLIENT_CERTIFICATE, Failure.HANDSHAKE)

_WITHOUT_SASL, _WITH_SASL = ("PLAINTEXT", "SSL"), ("SASL_PLAINTEXT", "SASL_SSL")

# Asking for no real mechanism makes a listener list those that it has, and authenticates nobody.
_NO_MECHANISM = "KDIAG"

MAX_MECHANISMS = 16

# A login that a connection limit refused is tried again: how often, and after how many seconds.
_TRIES, _BACKOFF = 3, 1.0


class HandshakeResult(NamedTuple):
    """The result at one address: its dial and, where a broker answered, the connection, its table
    of ApiVersions, and the replies to the questions, in their order. Without a login the questions
    are sent together with ApiVersions."""

    dial: AddressResult
    conversation: KafkaConnection | None = None
    apis: Versions | None = None
    replies: tuple[asyncio.Future[Reply], ...] = ()


class DialTarget(NamedTuple):
    """One address to dial, the endpoint that its certificate must name, and what to send."""

    address: str
    endpoint: Endpoint
    questions: Sequence[Question] = ()


class Way(NamedTuple):
    """How to speak with an address: over TLS or not, and whether credentials may be sent. `spoken`
    is set as soon as an answer shows that the peer speaks like this."""

    encrypted: bool
    may_log_in: bool
    spoken: asyncio.Event


async def greet_one_way(
    walk: Walk, target: DialTarget, line: TcpConnection, way: Way
) -> HandshakeResult:
    """Sends ApiVersions, the login and the questions over a TCP connection. A login that a
    connection limit refused is tried again after a while; where the connection ends on a question
    that no client sends, all is sent again without it."""
    greeting = await _greet(walk, target, line, way)
    if len(target.questions) > 1 and _dropped(greeting.dial):
        greeting = await _less(walk, target, greeting, way)
    for _ in range(_TRIES - 1):
        failed = greeting.dial.failed
        if not (failed and failed.layer == "sasl" and limits_connections(failed.detail)):
            break
        await asyncio.sleep(_BACKOFF)
        greeting = await _greet(walk, target, await _line(walk, target), way)
    if not await ended_by_a_side_question(target, greeting):
        return greeting
    assert greeting.conversation is not None
    greeting.conversation.close()
    clients = target._replace(questions=[each for each in target.questions if not each.side])
    again = await _greet(walk, clients, await _line(walk, target), way)
    if again.dial.failed:
        return greeting
    fresh = iter(again.replies)
    replies = [
        reply if each.side else next(fresh)
        for each, reply in zip(target.questions, greeting.replies)
    ]
    return again._replace(replies=tuple(replies))


def _dropped(dial: AddressResult) -> bool:
    """Whether the connection ended with ApiVersions unanswered."""
    failed = dial.failed
    return failed is not None and failed.layer == "kafka" and failed.failure in GONE


async def _less(
    walk: Walk, target: DialTarget, dropped: HandshakeResult, way: Way
) -> HandshakeResult:
    """Sends the first question alone: a proxy may close on one request that it forbids, and drop
    the requests before it as well. The other questions count as those that the peer closed on."""
    first = target._replace(questions=target.questions[:1])
    greeting = await _greet(walk, first, await _line(walk, target), way)
    if greeting.dial.failed or not greeting.replies:
        return dropped
    failed = dropped.dial.failed
    assert failed is not None
    others = []
    for _ in target.questions[1:]:
        others.append(asyncio.get_running_loop().create_future())
        others[-1].set_result(Reply(failed.elapsed, {}, failed.failure, failed.detail))
    return greeting._replace(replies=(*greeting.replies, *others))


async def ended_by_a_side_question(target: DialTarget, greeting: HandshakeResult) -> bool:
    """Whether the peer closed the connection with a side question unanswered: a broker serves a
    connection in order, so what comes behind that question cannot be why."""
    if len(greeting.replies) != len(target.questions):
        return False
    for question, reply in zip(target.questions, greeting.replies):
        if question.side and (await reply).failure in GONE:
            return True
    return False


async def _line(walk: Walk, target: DialTarget) -> TcpConnection:
    """One more connection to an address."""
    return await walk.net.connect(target.address, target.endpoint.port, again=True)


async def _greet(walk: Walk, target: DialTarget, line: TcpConnection, way: Way) -> HandshakeResult:
    """TLS if it is to be encrypted, ApiVersions and, where configured, SASL."""
    connected = await walk.net.open(line, target.endpoint.host if way.encrypted else None)
    dial = AddressResult(
        target.address, connected.attempts, line.source, handshake=connected.handshake
    )
    if connected.handshake:
        way.spoken.set()
    if way.encrypted and (connected.handshake or connected.attempts[-1].failure in _BY_TLS):
        dial = dial._replace(protocol="SSL")
    if connected.connection is None:
        return HandshakeResult(await _asked_for_sasl(dial, connected.unverified))
    try:
        return await _introduced(walk, target, connected, dial, way)
    except BaseException:  # cancelled: another way was faster
        connected.connection.close()
        raise


async def _introduced(
    walk: Walk, target: DialTarget, connected: ConnectionResult, dial: AddressResult, way: Way
) -> HandshakeResult:
    """The Kafka part of a greeting.

    Only the first reply is awaited here: a listener that requires SASL answers ApiVersions and
    closes on the next request. Before the versions are known a login waits for them: SaslHandshake
    has no version that all of Kafka 0.11 to 4.x take.
    """
    conversation = connected.connection
    assert conversation is not None
    sasl = walk.login.sasl if way.may_log_in and walk.protocol not in _WITHOUT_SASL else None
    logs_in = sasl is not None or (way.may_log_in and walk.protocol in _WITH_SASL)
    questions = (
        [_handshake(sasl.mechanism if sasl else _NO_MECHANISM)] if logs_in else target.questions
    )
    versions = conversation.request(API_VERSIONS, 0, {})
    replies: tuple[asyncio.Future[Reply], ...] = ()
    if walk.apis or not logs_in:
        replies = tuple(conversation.send(question, walk.apis) for question in questions)
    spoken = await versions
    kafka, apis = _speaker(spoken)
    if connected.handshake and connected.handshake.wants_certificate and kafka.failure in _ENDED:
        # Under TLS 1.3 the server judges the client's certificate after the handshake.
        refused = connected.attempts[-1]._replace(
            failure=Failure.CLIENT_CERTIFICATE, detail=kafka.detail
        )
        conversation.close()
        return HandshakeResult(dial._replace(attempts=(*connected.attempts[:-1], refused)))
    heard = (spoken.frame,) if spoken.frame else ()
    dial = dial._replace(attempts=(*connected.attempts, kafka), heard=heard)
    if kafka.failure:
        conversation.close()
        return HandshakeResult(dial)
    way.spoken.set()
    dial = dial._replace(
        protocol="SSL" if way.encrypted else "PLAINTEXT", apis=walk.wire.table(apis)
    )
    greeting = HandshakeResult(dial, conversation, apis, replies)
    if not replies:
        replies = tuple(conversation.send(question) for question in questions)
        greeting = greeting._replace(replies=replies)
    elif any(_outside(question, walk.apis, apis) for question in questions):
        greeting = await _asked_again(walk, target, greeting, way, questions)
    if logs_in:
        return await _logged_in(walk, target, greeting, await greeting.replies[0])
    if replies and (await greeting.replies[0]).failure in GONE:
        return await _turned_away(walk, target, greeting, way)
    return greeting


def _handshake(mechanism: str) -> Question:
    return Question(SASL_HANDSHAKE, {"mechanism": mechanism})


def _outside(question: Question, supposed: Versions, apis: Versions) -> bool:
    """Whether a question was asked in a version that the server, as it says now, does not have."""
    version = question.api.version(supposed)
    version = question.api.versions[0] if version is None else version
    least, most = apis.get(question.api.key, (0, -1))
    return not least <= version <= most


async def _asked_again(
    walk: Walk,
    target: DialTarget,
    greeting: HandshakeResult,
    way: Way,
    questions: Sequence[Question],
) -> HandshakeResult:
    """The questions on a new connection, in versions that the server has: it closes a connection on
    others."""
    assert greeting.conversation is not None
    greeting.conversation.close()
    name = target.endpoint.host if way.encrypted else None
    again = await walk.net.open(await _line(walk, target), name)
    if again.connection is None:
        return greeting
    again.connection.apis = greeting.apis
    replies = tuple(again.connection.send(question) for question in questions)
    return greeting._replace(conversation=again.connection, replies=replies)


async def _logged_in(
    walk: Walk, target: DialTarget, greeting: HandshakeResult, handshake: Reply
) -> HandshakeResult:
    """Logs in, then sends the questions; where the listener has no SASL and none is configured,
    sends the questions without a login."""
    assert greeting.conversation is not None
    entered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    async def by_client() -> tuple[Failure | None, str]:
        # The real client costs an import that few logins need, and does not travel with the hops.
        from kdiag.kafka.client import enter

        given = walk.settings
        security = given.security._replace(protocol=f"SASL_{greeting.dial.protocol}")
        server, limit = str(target.endpoint), walk.net.answer_timeout
        entered.set_result(
            await in_thread(enter, server, given.options.topic, limit, given.client, security)
        )
        return entered.result().failure, entered.result().detail

    sasl = await walk.login.on(greeting.conversation, handshake, target.endpoint.host, by_client)
    dial = greeting.dial._replace(mechanisms=_mechanisms(handshake))
    offered = sasl.failure is not Failure.SASL_NOT_OFFERED
    if offered or walk.protocol:  # else the credentials are left over, and nobody asked for them
        dial = dial._replace(attempts=(*dial.attempts, sasl))
    if offered:
        dial = dial._replace(protocol=f"SASL_{dial.protocol}")
    if dial.failed:
        greeting.conversation.close()
        return HandshakeResult(dial)
    if entered.done():  # the probe is not logged in: what is known is what the client was told
        greeting.conversation.close()
        return greeting._replace(dial=dial, conversation=None, replies=(entered,))
    asked = [greeting.conversation.send(question) for question in target.questions]
    return greeting._replace(dial=dial, replies=tuple(asked))


async def _turned_away(
    walk: Walk, target: DialTarget, greeting: HandshakeResult, way: Way
) -> HandshakeResult:
    """Whether a listener that closed after ApiVersions requires SASL, and which mechanisms it
    has."""
    assert greeting.conversation is not None
    greeting.conversation.close()  # it has ended, and the descriptor is wanted
    name = target.endpoint.host if way.encrypted else None
    again = await walk.net.open(await _line(walk, target), name)
    if again.connection is None:
        return greeting
    try:
        again.connection.apis = greeting.apis
        reply = await again.connection.send(_handshake(_NO_MECHANISM))
    finally:
        again.connection.close()
    mechanisms = _mechanisms(reply)
    if not mechanisms:
        return greeting
    sasl = LayerResult("sasl", reply.elapsed, Failure.SASL_REQUIRED, ", ".join(mechanisms))
    attempts = (*greeting.dial.attempts, sasl)
    protocol = f"SASL_{greeting.dial.protocol}"
    return HandshakeResult(
        greeting.dial._replace(attempts=attempts, protocol=protocol, mechanisms=mechanisms)
    )


async def _asked_for_sasl(dial: AddressResult, unverified: KafkaConnection | None) -> AddressResult:
    """A dial whose TLS handshake failed, with the mechanisms that the peer requires next, so that
    the fix is complete."""
    if unverified is None:
        return dial
    try:
        reply = await unverified.send(_handshake(_NO_MECHANISM))
    finally:
        unverified.close()
    mechanisms = _mechanisms(reply)
    return dial._replace(protocol="SASL_SSL", mechanisms=mechanisms) if mechanisms else dial


def _mechanisms(reply: Reply) -> tuple[str, ...]:
    """The SASL mechanisms that a listener lists, at most MAX_MECHANISMS."""
    return tuple(reply.body.get("mechanisms", ()))[:MAX_MECHANISMS]


def _speaker(reply: Reply) -> tuple[LayerResult, dict[int, tuple[int, int]]]:
    """Who answered ApiVersions: a broker, a KRaft controller, or nobody that speaks Kafka."""
    if reply.failure:
        layer = "tls" if reply.failure in _OF_TLS else "kafka"
        return LayerResult(layer, reply.elapsed, reply.failure, reply.detail), {}
    apis = listed_versions(reply.body)
    if not _BROKER_APIS & apis.keys() and _CONTROLLER_APIS & apis.keys():
        words = "its ApiVersions lists neither Metadata nor Produce, but the controllers' requests"
        return LayerResult("kafka", reply.elapsed, Failure.CONTROLLER, words), apis
    if not apis:
        words = f"ApiVersions answers {error_name(reply.body['error_code'])} and lists no request"
        return LayerResult("kafka", reply.elapsed, Failure.NOT_KAFKA, words), apis
    return LayerResult("kafka", reply.elapsed), apis
