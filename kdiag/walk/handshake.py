"""The handshake with one address, over TLS or plaintext: ApiVersions, login, further requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kdiag.config.record import NamedTuple
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
from kdiag.kafka.refusals import limits_connections
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

# A mechanism that does not exist: the listener lists its own mechanisms, and authenticates nobody.
_NO_MECHANISM = "KDIAG"

MAX_MECHANISMS = 16

# A login that a connection limit refused is tried again: how often, and after how many seconds.
_TRIES, _BACKOFF = 3, 1.0


class HandshakeResult(NamedTuple):
    """The result at one address: its dial and, where a broker answered, the connection, its table
    of ApiVersions, and the replies to the questions, in their order. Without a login the questions
    are sent together with ApiVersions."""

    dial: AddressResult
    connection: KafkaConnection | None = None
    apis: Versions | None = None
    replies: tuple[asyncio.Future[Reply], ...] = ()


class DialTarget(NamedTuple):
    """One address to dial, the endpoint that its certificate must name, and what to send."""

    address: str
    endpoint: Endpoint
    questions: Sequence[Question] = ()


class Transport(NamedTuple):
    """How to speak with an address: over TLS or in plaintext, and whether credentials may be sent.
    `answered` is set as soon as an answer shows that the peer speaks this transport. `in_turn`: the
    questions wait for the answer to ApiVersions, as those of clients do."""

    encrypted: bool
    may_log_in: bool
    answered: asyncio.Event
    in_turn: bool = False


async def handshake_over(
    walk: Walk, target: DialTarget, opened: TcpConnection, transport: Transport
) -> HandshakeResult:
    """Sends ApiVersions, the login and the questions over a TCP connection. A login that a
    connection limit refused is tried again after a while, and so is, at once, a connection that
    ends without an answer: clients connect again. Where the peer closes the connection on a
    question that no client sends (`side`), the other questions are sent again without it."""
    result = await _handshake_once(walk, target, opened, transport)
    if _dropped(result.dial):
        retry = _first_question_alone if len(target.questions) > 1 else _second_connection
        result = await retry(walk, target, result, transport._replace(in_turn=True))
    for _ in range(_TRIES - 1):
        failed = result.dial.failed
        if not (failed and failed.layer == "sasl" and limits_connections(failed.detail)):
            break
        await asyncio.sleep(_BACKOFF)
        result = await _handshake_once(walk, target, await _reconnected(walk, target), transport)
    if not await ended_by_a_side_question(target, result):
        return result
    assert result.connection is not None
    result.connection.close()
    clients = target._replace(questions=[each for each in target.questions if not each.side])
    again = await _handshake_once(walk, clients, await _reconnected(walk, target), transport)
    if again.dial.failed:
        return result
    fresh = iter(again.replies)
    replies = [
        reply if each.side else next(fresh) for each, reply in zip(target.questions, result.replies)
    ]
    return again._replace(replies=tuple(replies))


def _dropped(dial: AddressResult) -> bool:
    """Whether the connection ended with ApiVersions unanswered."""
    failed = dial.failed
    return failed is not None and failed.layer == "kafka" and failed.failure in GONE


async def _second_connection(
    walk: Walk, target: DialTarget, dropped: HandshakeResult, transport: Transport
) -> HandshakeResult:
    """The result of a second connection, where a broker answers there."""
    again = await _handshake_once(walk, target, await _reconnected(walk, target), transport)
    if not again.dial.protocol:
        return dropped
    return again._replace(dial=again.dial._replace(dropped=True))


async def _first_question_alone(
    walk: Walk, target: DialTarget, dropped: HandshakeResult, transport: Transport
) -> HandshakeResult:
    """Sends the first question alone: a proxy may close on one request that it forbids, and drop
    the requests before it as well. The other questions count as those that the peer closed on."""
    first = target._replace(questions=target.questions[:1])
    result = await _handshake_once(walk, first, await _reconnected(walk, target), transport)
    if result.dial.failed or not result.replies:
        return dropped
    failed = dropped.dial.failed
    assert failed is not None
    others = []
    for _ in target.questions[1:]:
        others.append(asyncio.get_running_loop().create_future())
        others[-1].set_result(Reply(failed.elapsed, {}, failed.failure, failed.detail))
    return result._replace(replies=(*result.replies, *others))


async def ended_by_a_side_question(target: DialTarget, result: HandshakeResult) -> bool:
    """Whether the peer closed the connection before it answered a side question: a broker serves
    requests in order, so a later request cannot be the reason."""
    if len(result.replies) != len(target.questions):
        return False
    for question, reply in zip(target.questions, result.replies):
        if question.side and (await reply).failure in GONE:
            return True
    return False


async def _reconnected(walk: Walk, target: DialTarget) -> TcpConnection:
    """One more TCP connection to the address."""
    return await walk.net.connect(target.address, target.endpoint.port, again=True)


async def _handshake_once(
    walk: Walk, target: DialTarget, opened: TcpConnection, transport: Transport
) -> HandshakeResult:
    """One handshake: TLS if the transport uses it, ApiVersions and, where configured, SASL."""
    connected = await walk.net.open(opened, target.endpoint.host if transport.encrypted else None)
    dial = AddressResult(
        target.address,
        connected.attempts,
        opened.source,
        handshake=connected.handshake,
        dropped=connected.dropped,
    )
    if connected.handshake:
        transport.answered.set()
    if transport.encrypted and (connected.handshake or connected.attempts[-1].failure in _BY_TLS):
        dial = dial._replace(protocol="SSL")
    if connected.connection is None:
        return HandshakeResult(await _with_mechanisms(dial, connected.unverified))
    try:
        return await _kafka_handshake(walk, target, connected, dial, transport)
    except BaseException:  # cancelled: the other transport was faster
        connected.connection.close()
        raise


async def _kafka_handshake(
    walk: Walk,
    target: DialTarget,
    connected: ConnectionResult,
    dial: AddressResult,
    transport: Transport,
) -> HandshakeResult:
    """Sends ApiVersions, then logs in or sends the questions, over an open connection.

    Only the first reply is awaited here: a listener that requires SASL answers ApiVersions and
    closes on the next request. Before the versions are known a login waits for them: SaslHandshake
    has no version that all of Kafka 0.11 to 4.x take.
    """
    connection = connected.connection
    assert connection is not None
    sasl = walk.login.sasl if transport.may_log_in and walk.protocol not in _WITHOUT_SASL else None
    logs_in = sasl is not None or (transport.may_log_in and walk.protocol in _WITH_SASL)
    questions = (
        [_sasl_handshake(sasl.mechanism if sasl else _NO_MECHANISM)]
        if logs_in
        else target.questions
    )
    versions = connection.request(API_VERSIONS, 0, {})
    replies: tuple[asyncio.Future[Reply], ...] = ()
    if (walk.apis or not logs_in) and not transport.in_turn:
        replies = tuple(connection.send(question, walk.apis) for question in questions)
    reply = await versions
    kafka, apis = _kafka_layer(reply)
    received = (reply.frame,) if reply.frame else ()
    dial = dial._replace(attempts=_attempts(connected, kafka), received=received)
    if kafka.failure:
        connection.close()
        return HandshakeResult(dial)
    transport.answered.set()
    dial = dial._replace(
        protocol="SSL" if transport.encrypted else "PLAINTEXT", apis=walk.wire.table(apis)
    )
    result = HandshakeResult(dial, connection, apis, replies)
    if not replies:
        replies = tuple(connection.send(question) for question in questions)
        result = result._replace(replies=replies)
    elif any(_unsupported(question, walk.apis, apis) for question in questions):
        result = await _resent(walk, target, result, transport, questions)
    if logs_in:
        return await _logged_in(walk, target, result, await result.replies[0])
    if replies and (await result.replies[0]).failure in GONE:
        return await _requiring_sasl(walk, target, result, transport)
    return result


def _attempts(connected: ConnectionResult, kafka: LayerResult) -> tuple[LayerResult, ...]:
    """The layers up to ApiVersions. Under TLS 1.3 the server judges the client's certificate after
    the handshake: TLS is the layer that fails then."""
    handshake = connected.handshake
    if handshake and handshake.wants_certificate and kafka.failure in _ENDED:
        *before, tls = connected.attempts
        return (*before, tls._replace(failure=Failure.CLIENT_CERTIFICATE, detail=kafka.detail))
    return (*connected.attempts, kafka)


def _sasl_handshake(mechanism: str) -> Question:
    return Question(SASL_HANDSHAKE, {"mechanism": mechanism})


def _unsupported(question: Question, supposed: Versions, apis: Versions) -> bool:
    """Whether a question was sent in a version that the server's ApiVersions table does not
    list."""
    version = question.api.version(supposed)
    version = question.api.versions[0] if version is None else version
    least, most = apis.get(question.api.key, (0, -1))
    return not least <= version <= most


async def _resent(
    walk: Walk,
    target: DialTarget,
    result: HandshakeResult,
    transport: Transport,
    questions: Sequence[Question],
) -> HandshakeResult:
    """The questions on a new connection, in versions that the server has: it closes a connection on
    others."""
    connection = await _reopened(walk, target, result, transport)
    if connection is None:
        return result
    replies = tuple(connection.send(question) for question in questions)
    return result._replace(connection=connection, replies=replies)


async def _reopened(
    walk: Walk, target: DialTarget, result: HandshakeResult, transport: Transport
) -> KafkaConnection | None:
    """A new connection in place of one that the peer closes, and whose versions it keeps."""
    assert result.connection is not None
    result.connection.close()  # frees the descriptor
    name = target.endpoint.host if transport.encrypted else None
    again = await walk.net.open(await _reconnected(walk, target), name)
    if again.connection:
        again.connection.apis = result.apis
    return again.connection


async def _logged_in(
    walk: Walk, target: DialTarget, result: HandshakeResult, handshake: Reply
) -> HandshakeResult:
    """Logs in, then sends the questions; where the listener has no SASL and none is configured,
    sends the questions without a login."""
    assert result.connection is not None
    entered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    async def by_client() -> tuple[Failure | None, str]:
        # The real client costs an import that few logins need, and does not travel with the hops.
        from kdiag.kafka.client import login_by_client  # 14 ms

        settings = walk.settings
        security = settings.security._replace(protocol=f"SASL_{result.dial.protocol}")
        server, limit = str(target.endpoint), walk.net.answer_timeout
        entered.set_result(
            await in_thread(
                login_by_client, server, settings.options.topic, limit, settings.client, security
            )
        )
        return entered.result().failure, entered.result().detail

    sasl = await walk.login.log_in(result.connection, handshake, target.endpoint.host, by_client)
    dial = result.dial._replace(mechanisms=_mechanisms(handshake))
    offered = sasl.failure is not Failure.SASL_NOT_OFFERED
    if offered or walk.protocol:  # else the listener does not want the credentials
        dial = dial._replace(attempts=(*dial.attempts, sasl))
    if offered:
        dial = dial._replace(protocol=f"SASL_{dial.protocol}")
    if dial.failed:
        result.connection.close()
        return HandshakeResult(dial)
    if entered.done():  # only the real client is logged in, so only its reply is known
        result.connection.close()
        return result._replace(dial=dial, connection=None, replies=(entered,))
    replies = tuple(result.connection.send(question) for question in target.questions)
    return result._replace(dial=dial, replies=replies)


async def _requiring_sasl(
    walk: Walk, target: DialTarget, result: HandshakeResult, transport: Transport
) -> HandshakeResult:
    """Finds out whether a listener that closed after ApiVersions requires SASL, and which
    mechanisms it has."""
    connection = await _reopened(walk, target, result, transport)
    reply = await _last_question(connection) if connection else None
    mechanisms = _mechanisms(reply) if reply else ()
    if not reply or not mechanisms:
        return result
    sasl = LayerResult("sasl", reply.elapsed, Failure.SASL_REQUIRED, ", ".join(mechanisms))
    attempts = (*result.dial.attempts, sasl)
    protocol = f"SASL_{result.dial.protocol}"
    return HandshakeResult(
        result.dial._replace(attempts=attempts, protocol=protocol, mechanisms=mechanisms)
    )


async def _with_mechanisms(
    dial: AddressResult, unverified: KafkaConnection | None
) -> AddressResult:
    """A dial whose TLS handshake failed, with the mechanisms that the peer requires next, so that
    the fix is complete."""
    mechanisms = _mechanisms(await _last_question(unverified)) if unverified else ()
    return dial._replace(protocol="SASL_SSL", mechanisms=mechanisms) if mechanisms else dial


async def _last_question(connection: KafkaConnection) -> Reply:
    """Asks for a mechanism that does not exist, and closes the connection."""
    try:
        return await connection.send(_sasl_handshake(_NO_MECHANISM))
    finally:
        connection.close()


def _mechanisms(reply: Reply) -> tuple[str, ...]:
    """The SASL mechanisms that a listener lists, at most MAX_MECHANISMS."""
    return tuple(reply.body.get("mechanisms", ()))[:MAX_MECHANISMS]


def _kafka_layer(reply: Reply) -> tuple[LayerResult, dict[int, tuple[int, int]]]:
    """The result of the layer "kafka", and the ApiVersions table: of a broker, a KRaft controller,
    or a server that does not speak Kafka."""
    if reply.failure:
        layer = "tls" if reply.failure in _OF_TLS else "kafka"
        return LayerResult(layer, reply.elapsed, reply.failure, reply.detail), {}
    apis = listed_versions(reply.body)
    if not _BROKER_APIS & apis.keys() and _CONTROLLER_APIS & apis.keys():
        text = "its ApiVersions lists neither Metadata nor Produce, but the controllers' requests"
        return LayerResult("kafka", reply.elapsed, Failure.CONTROLLER, text), apis
    if not apis:
        text = f"ApiVersions answers {error_name(reply.body['error_code'])} and lists no request"
        return LayerResult("kafka", reply.elapsed, Failure.NOT_KAFKA, text), apis
    return LayerResult("kafka", reply.elapsed), apis
