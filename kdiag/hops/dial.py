"""Dialling one endpoint the way hops 1 and 3 both do: every address, then ApiVersions and more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kdiag.attempt import Attempt, Contact, Dial, Failure, clean_bytes
from kdiag.clients.conversation import Conversation, Reply
from kdiag.clients.errors import error_name
from kdiag.clients.line import Connection, Line
from kdiag.clients.net import in_thread
from kdiag.clients.wire import API_VERSIONS, METADATA, PRODUCE, SASL_HANDSHAKE, Api
from kdiag.hop import Walk
from kdiag.settings import Endpoint
from kdiag.stranger import follow_ups, recognise

# Only a controller lists the quorum's own requests; only a broker lists these two.
_BROKER_APIS = frozenset({METADATA.key, PRODUCE.key})
_CONTROLLER_APIS = frozenset(range(52, 57)) | {62}

# How long a peer may be silent, as a part of the timeout, before it is also asked the other way
# round, in plaintext instead of TLS or the reverse, and in other languages. A slow broker is spared
# the nonsense, and a silent peer still costs one timeout: the others get what is left, and a grace.
_HEAD_START, _GRACE = 1 / 2, 0.1

# What a peer does to a client that speaks plaintext where it wants TLS, or the reverse.
_PERHAPS_TLS = (Failure.TLS_REQUIRED, Failure.CLOSED, Failure.RESET, Failure.SILENT)
_PERHAPS_PLAINTEXT = (Failure.HANDSHAKE, Failure.CLOSED, Failure.RESET, Failure.SILENT)
_GONE = (Failure.CLOSED, Failure.RESET)
_ENDED = (*_GONE, Failure.CLIENT_CERTIFICATE)

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

Question = tuple[Api, int, Mapping[str, Any]]


class Greeting(NamedTuple):
    """What came of one address: its dial and, where a broker answered, the connection and the
    replies to what was asked along with ApiVersions (the same flight)."""

    dial: Dial
    conversation: Conversation | None = None
    apis: Mapping[int, tuple[int, int]] | None = None
    replies: tuple[asyncio.Future[Reply], ...] = ()


class Knock(NamedTuple):
    """One address to greet: where it is, what its certificate is to name, and what to ask."""

    address: str
    endpoint: Endpoint
    questions: Sequence[Question] = ()
    raw: bool = False


Then = Callable[[Greeting], Awaitable[Greeting]]


async def contact(
    walk: Walk, endpoint: Endpoint, questions: Sequence[Question], then: Then, *, raw: bool = False
) -> tuple[Contact, tuple[Greeting, ...]]:
    """Resolves an endpoint and greets all of its addresses at once, in the order they resolved.

    `then` goes on with each as soon as it is greeted. It sees to it that the connection is closed
    in time, whatever becomes of others: they may be waiting for the descriptor.
    """
    dns, addresses = await walk.net.resolve(endpoint.host)
    if dns.failure:
        return Contact(endpoint, dns, lookup=await walk.net.explained(endpoint.host)), ()

    async def met(address: str) -> Greeting:
        return await then(await greet(walk, Knock(address, endpoint, questions, raw)))

    greetings = await asyncio.gather(*map(met, addresses))
    return Contact(endpoint, dns, tuple(g.dial for g in greetings)), tuple(greetings)


async def greet(walk: Walk, knock: Knock) -> Greeting:
    """Connects, asks ApiVersions and the questions, and tells who speaks there, and how.

    The walk's protocol is spoken, plaintext while none is known. What fails as it would at a
    listener that speaks the other (TLS or not) is asked that way as well: it is entered when the
    protocol is ours to find out, and named as the failure when it was asked for.
    """
    line = await walk.net.connect(knock.address, knock.endpoint.port)
    if line.sock is None:
        return Greeting(Dial(knock.address, (line.tcp,), source=line.source))
    encrypted = bool(walk.protocol and walk.protocol.endswith("SSL"))
    first = asyncio.ensure_future(_greet(walk, knock, line, encrypted))
    others: list[asyncio.Future[Any]] = []
    try:
        await asyncio.wait({first}, timeout=walk.net.timeout * _HEAD_START)
        silent = not first.done()
        if first.done() and not _unclear(first.result().dial, encrypted):
            return first.result()
        if silent or _perhaps_other(first.result().dial, encrypted):
            other = asyncio.ensure_future(_other_way(walk, knock, not encrypted))
            others.append(other)
        if silent:
            heard = asyncio.ensure_future(_followed_up(walk, knock, ()))
            others.append(heard)
        tried = await first
        if others:
            # One that ended in the end was slow, not silent: so is the other, then.
            patient = not silent or _gave_up(tried.dial)
            await asyncio.wait(others, timeout=None if patient else _GRACE)
        if _perhaps_other(tried.dial, encrypted) and other.done():
            tried = _told_apart(walk, tried, other.result(), encrypted)
        if tried.dial.protocol:
            return tried
        if not silent:
            heard = asyncio.ensure_future(_followed_up(walk, knock, tried.dial.heard))
            await heard
        return tried._replace(dial=_named(tried.dial, heard.result() if heard.done() else ()))
    finally:
        for task in (first, *others):
            task.cancel()


def _gave_up(dial: Dial) -> bool:
    """Whether the peer ended a dial."""
    return dial.failed is not None and dial.failed.failure in (*_GONE, Failure.HANDSHAKE)


async def _followed_up(walk: Walk, knock: Knock, said: Sequence[bytes]) -> list[bytes]:
    """What a peer that is no broker says when it is asked in other languages, until one of its
    answers tells who it is."""

    async def asked(question: bytes) -> bytes:
        line = await walk.net.connect(knock.address, knock.endpoint.port, again=True)
        return await walk.net.overhear(line, question)

    asking = [asyncio.ensure_future(asked(each)) for each in follow_ups(b"".join(said))]
    answers: list[bytes] = []
    try:
        for answered in asyncio.as_completed(asking):
            answers.append(await answered)
            if recognise(answers[-1]):
                break
    finally:
        for task in asking:
            task.cancel()
    return [answer for answer in answers if answer]


def _named(dial: Dial, heard: Sequence[bytes]) -> Dial:
    """A dial to no broker, with what was heard when it was asked in other languages, if that is
    one we know."""
    telling = [said for said in heard if recognise(said)]
    if not telling or not dial.failed:
        return dial
    *before, last = dial.attempts
    if last.failure is not Failure.NOT_KAFKA:
        words = clean_bytes(telling[-1])
        last = Attempt("kafka", last.elapsed, Failure.NOT_KAFKA, words)
    return dial._replace(attempts=(*before, last), heard=(*dial.heard, *telling))


async def _other_way(walk: Walk, knock: Knock, encrypted: bool) -> Greeting:
    """The same address the other way round. Credentials are for the way that was asked for."""
    line = await walk.net.connect(knock.address, knock.endpoint.port, again=True)
    may_log_in = walk.protocol is None
    return await _greet(walk, knock, line, encrypted, may_log_in=may_log_in)


def _unclear(dial: Dial, encrypted: bool) -> bool:
    """Whether there is more to find out about a peer: it may speak the other way, or no Kafka."""
    failed = dial.failed
    strange = failed is not None and failed.failure is Failure.NOT_KAFKA
    return strange or _perhaps_other(dial, encrypted)


def _perhaps_other(dial: Dial, encrypted: bool) -> bool:
    """Whether a dial ended as one does that speaks plaintext to a TLS listener, or the reverse."""
    failed = dial.failed
    if failed is None or dial.handshake:
        return False
    if encrypted:
        return failed.layer == "tls" and failed.failure in _PERHAPS_PLAINTEXT
    return failed.layer in ("tls", "kafka") and failed.failure in _PERHAPS_TLS


def _told_apart(walk: Walk, tried: Greeting, other: Greeting, encrypted: bool) -> Greeting:
    """What two dials together say, one over TLS and one in plaintext, of which the first failed."""
    failed = tried.dial.failed
    spoken = other.dial.protocol
    if not spoken and failed and failed.failure is Failure.TLS_REQUIRED:
        spoken = "SSL"
    if not spoken:
        strange = other.dial.failed and other.dial.failed.failure is Failure.NOT_KAFKA
        return other if strange else tried
    if walk.protocol is None:
        return other
    if other.conversation:
        other.conversation.close()
    tcp, *rest = tried.dial.attempts
    failure = Failure.TLS_NOT_OFFERED if encrypted else Failure.TLS_REQUIRED
    seconds = sum(attempt.elapsed for attempt in rest)
    attempts = (tcp, Attempt("tls", seconds, failure, f"it speaks {spoken}"))
    return Greeting(other.dial._replace(attempts=attempts, protocol=spoken))


async def _greet(
    walk: Walk, knock: Knock, line: Line, encrypted: bool, *, may_log_in: bool = True
) -> Greeting:
    """One way of greeting: TLS if `encrypted`, ApiVersions and, where configured, SASL."""
    met = await walk.net.converse(line, knock.endpoint.host if encrypted else None)
    dial = Dial(knock.address, met.attempts, line.source, handshake=met.handshake)
    if encrypted and (met.handshake or met.attempts[-1].failure in _BY_TLS):
        dial = dial._replace(protocol="SSL")
    if met.conversation is None:
        return Greeting(await _asked_for_sasl(dial, met.unverified))
    try:
        return await _introduced(walk, knock, met, dial, may_log_in=may_log_in)
    except BaseException:  # cancelled: another way was faster
        met.conversation.close()
        raise


async def _introduced(
    walk: Walk, knock: Knock, met: Connection, dial: Dial, *, may_log_in: bool
) -> Greeting:
    """The Kafka part of a greeting.

    The replies are left to be awaited, but for the first: a listener that wants SASL answers
    ApiVersions and hangs up on whatever comes next.
    """
    conversation = met.conversation
    assert conversation is not None
    encrypted = conversation.tls is not None
    sasl = walk.login.sasl if may_log_in and walk.protocol not in _WITHOUT_SASL else None
    asked_for = may_log_in and walk.protocol in _WITH_SASL
    versions = conversation.ask(API_VERSIONS, 0, {})
    replies: tuple[asyncio.Future[Reply], ...] = ()
    handshake: asyncio.Future[Reply] | None = None
    if sasl or asked_for:
        mechanism = sasl.mechanism if sasl else _NO_MECHANISM
        handshake = conversation.ask(SASL_HANDSHAKE, 1, {"mechanism": mechanism})
    else:
        replies = tuple(conversation.ask(*q, raw=knock.raw) for q in knock.questions)
    spoken = await versions
    kafka, apis = _speaker(spoken)
    if met.handshake and met.handshake.wants_certificate and kafka.failure in _ENDED:
        # Under TLS 1.3 the server judges the client's certificate after the handshake.
        refused = met.attempts[-1]._replace(failure=Failure.CLIENT_CERTIFICATE, detail=kafka.detail)
        conversation.close()
        return Greeting(dial._replace(attempts=(*met.attempts[:-1], refused)))
    heard = (spoken.frame,) if spoken.frame else ()
    dial = dial._replace(attempts=(*met.attempts, kafka), heard=heard)
    if kafka.failure:
        conversation.close()
        return Greeting(dial)
    dial = dial._replace(protocol="SSL" if encrypted else "PLAINTEXT")
    greeting = Greeting(dial, conversation, apis, replies)
    if handshake:
        return await _logged_in(walk, knock, greeting, await handshake)
    if replies and (await replies[0]).failure in _GONE:
        return await _turned_away(walk, knock, greeting, encrypted)
    return greeting


async def _logged_in(walk: Walk, knock: Knock, met: Greeting, handshake: Reply) -> Greeting:
    """A greeting that goes on with a login, then asks; without SASL over there it just asks, if
    nobody asked for SASL."""
    assert met.conversation is not None
    entered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    async def by_client() -> tuple[Failure | None, str]:
        # The real client costs an import that few logins need, and does not travel with the hops.
        from kdiag.clients.kafka import enter

        given = walk.settings
        security = given.security._replace(protocol=f"SASL_{met.dial.protocol}")
        server, limit = str(knock.endpoint), walk.net.timeout
        entered.set_result(
            await in_thread(enter, server, given.topic, limit, given.client, security)
        )
        return entered.result().failure, entered.result().detail

    sasl = await walk.login.on(met.conversation, handshake, knock.endpoint.host, by_client)
    dial = met.dial._replace(mechanisms=_mechanisms(handshake))
    offered = sasl.failure is not Failure.SASL_NOT_OFFERED
    if offered or walk.protocol:  # else the credentials are left over, and nobody asked for them
        dial = dial._replace(attempts=(*dial.attempts, sasl))
    if offered:
        dial = dial._replace(protocol=f"SASL_{dial.protocol}")
    if dial.failed:
        met.conversation.close()
        return Greeting(dial)
    if entered.done():  # the probe is not logged in: what is known is what the client was told
        met.conversation.close()
        return met._replace(dial=dial, conversation=None, replies=(entered,))
    asked = [met.conversation.ask(*question, raw=knock.raw) for question in knock.questions]
    return met._replace(dial=dial, replies=tuple(asked))


async def _turned_away(walk: Walk, knock: Knock, met: Greeting, encrypted: bool) -> Greeting:
    """A listener that answered ApiVersions and hung up on the next request: does it want SASL?"""
    assert met.conversation is not None
    met.conversation.close()  # it has ended, and the descriptor is wanted
    line = await walk.net.connect(knock.address, knock.endpoint.port, again=True)
    again = await walk.net.converse(line, knock.endpoint.host if encrypted else None)
    if again.conversation is None:
        return met
    try:
        reply = await again.conversation.ask(SASL_HANDSHAKE, 1, {"mechanism": _NO_MECHANISM})
    finally:
        again.conversation.close()
    mechanisms = _mechanisms(reply)
    if not mechanisms:
        return met
    sasl = Attempt("sasl", reply.elapsed, Failure.SASL_REQUIRED, ", ".join(mechanisms))
    attempts = (*met.dial.attempts, sasl)
    protocol = f"SASL_{met.dial.protocol}"
    return Greeting(met.dial._replace(attempts=attempts, protocol=protocol, mechanisms=mechanisms))


async def _asked_for_sasl(dial: Dial, unverified: Conversation | None) -> Dial:
    """A dial whose handshake failed, with what the peer would want next: the fix is whole then."""
    if unverified is None:
        return dial
    try:
        reply = await unverified.ask(SASL_HANDSHAKE, 1, {"mechanism": _NO_MECHANISM})
    finally:
        unverified.close()
    mechanisms = _mechanisms(reply)
    return dial._replace(protocol="SASL_SSL", mechanisms=mechanisms) if mechanisms else dial


def _mechanisms(reply: Reply) -> tuple[str, ...]:
    """The SASL mechanisms that a listener told of, no more than any real one has."""
    return tuple(reply.body.get("mechanisms", ()))[:MAX_MECHANISMS]


def _speaker(reply: Reply) -> tuple[Attempt, dict[int, tuple[int, int]]]:
    """Who answered ApiVersions: a broker, a KRaft controller, or nobody that speaks Kafka."""
    if reply.failure:
        layer = "tls" if reply.failure in _OF_TLS else "kafka"
        return Attempt(layer, reply.elapsed, reply.failure, reply.detail), {}
    apis = {
        api["api_key"]: (api["min_version"], api["max_version"]) for api in reply.body["api_keys"]
    }
    if not _BROKER_APIS & apis.keys() and _CONTROLLER_APIS & apis.keys():
        words = "its ApiVersions lists neither Metadata nor Produce, but the controllers' requests"
        return Attempt("kafka", reply.elapsed, Failure.CONTROLLER, words), apis
    if not apis:
        words = f"ApiVersions answers {error_name(reply.body['error_code'])} and lists no request"
        return Attempt("kafka", reply.elapsed, Failure.NOT_KAFKA, words), apis
    return Attempt("kafka", reply.elapsed), apis
