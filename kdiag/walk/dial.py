"""Dials one endpoint, for hops 1 and 3: every address, then ApiVersions and further requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kdiag.config.settings import Endpoint
from kdiag.kafka.connection import KafkaConnection
from kdiag.kafka.messages import Question
from kdiag.network.attempt import (
    GONE,
    AddressResult,
    EndpointResult,
    Failure,
    LayerResult,
    clean_bytes,
)
from kdiag.network.dialer import TcpConnection
from kdiag.network.fingerprint import follow_ups, recognise
from kdiag.walk.handshake import (
    DialTarget,
    HandshakeResult,
    Transport,
    ended_by_a_side_question,
    handshake_over,
)
from kdiag.walk.hop import Peer, Walk
from kdiag.walk.routing import under_other_names

# How long a peer may be silent, as a part of the timeout, before the other transport (plaintext or
# TLS) and other protocols are tried too. A slow broker does not get these requests, and a silent
# peer still costs one timeout: the other dials get what is left, and a grace.
_HEAD_START, _GRACE = 1 / 2, 0.1

# What a peer does to a client that speaks plaintext where it wants TLS, or the reverse.
_PERHAPS_TLS = (Failure.TLS_REQUIRED, Failure.CLOSED, Failure.RESET, Failure.SILENT)
_PERHAPS_PLAINTEXT = (Failure.HANDSHAKE, Failure.CLOSED, Failure.RESET, Failure.SILENT)

Then = Callable[[HandshakeResult], Awaitable[HandshakeResult]]


async def dial_endpoint(
    walk: Walk, endpoint: Endpoint, questions: Sequence[Question], then: Then
) -> tuple[EndpointResult, tuple[HandshakeResult, ...]]:
    """Resolves an endpoint and dials all of its addresses at once; the results are in the order of
    the addresses.

    `then` continues with each address as soon as it has answered. It closes the connection in time:
    other dials may wait for the descriptor.
    """
    dns, addresses = await walk.net.resolve(endpoint.host)
    proxy = str(walk.settings.options.proxy or "")
    if dns.failure:
        lookup = await walk.net.diagnose(endpoint.host)
        return EndpointResult(endpoint, dns, lookup=lookup, proxy=proxy), ()

    addresses = walk.allowance.addresses(endpoint.host, addresses)

    async def dialled(address: str) -> HandshakeResult:
        result = await connect(walk, DialTarget(address, endpoint, questions))
        if not walk.allowance.may_be_quoted(endpoint.host, address):
            result = result._replace(dial=result.dial._replace(quotable=False))
        return await then(result)

    results = await asyncio.gather(*map(dialled, addresses))
    dials = tuple(result.dial for result in results)
    contact = EndpointResult(endpoint, dns, dials, proxy=proxy)
    failures = [dial.failed for dial in dials]
    if (
        not proxy
        and endpoint.host not in addresses
        and all(f and f.layer == "tcp" for f in failures)
    ):
        contact = contact._replace(lookup=await walk.net.diagnose(endpoint.host))
    return contact, tuple(results)


def target_of(contact: EndpointResult) -> DialTarget:
    """The address at which an endpoint works, to be dialled once more."""
    best = contact.best
    assert best is not None
    return DialTarget(best.address, contact.endpoint)


async def connect(walk: Walk, target: DialTarget) -> HandshakeResult:
    """Connects and finds out what the peer is. A peer that ends the TLS handshake is dialled under
    other names, too: a server may route by them (SNI)."""
    return await under_other_names(walk, target, await _connect(walk, target))


async def _connect(walk: Walk, target: DialTarget) -> HandshakeResult:
    """Connects, sends ApiVersions and the questions, and finds out what the peer is.

    The connection uses the walk's protocol, plaintext while none is known. Where it fails as at a
    listener with the other transport (TLS or plaintext), the other one is tried as well: it is used
    where no protocol is configured, and named as the failure where one is.
    """
    encrypted = bool(walk.protocol and walk.protocol.endswith("SSL"))
    standing = walk.wire.connections.pop(Peer(target.address, target.endpoint, encrypted), None)
    if standing and (resumed := await _resumed(target, *standing)):
        return resumed
    opened = await walk.net.connect(target.address, target.endpoint.port)
    if opened.sock is None:
        return HandshakeResult(AddressResult(target.address, (opened.tcp,), source=opened.source))
    try:
        turn = await walk.turns.take() if encrypted else None
    except BaseException:
        opened.sock.close()
        raise
    answered = asyncio.Event()
    first = asyncio.ensure_future(
        handshake_over(walk, target, opened, Transport(encrypted, True, answered))
    )
    others: list[asyncio.Future[Any]] = []
    try:
        silent = not await _answered_early(walk, first, answered, encrypted)
        if not silent and not _unclear((await first).dial, encrypted):
            return first.result()
        if silent or _perhaps_other(first.result().dial, encrypted):
            other = asyncio.ensure_future(_other_transport(walk, target, not encrypted))
            others.append(other)
        if silent:
            received = asyncio.ensure_future(_followed_up(walk, target, ()))
            others.append(received)
            tried = await _first_answer(first, answered, other, received) or _silent(
                target, opened, encrypted
            )
        else:
            tried = await first
        if others:
            # A dial that the peer ended was slow, not silent: the other dial is then slow as well.
            patient = not silent or _gave_up(tried.dial)
            await asyncio.wait(others, timeout=None if patient else _GRACE)
        if _perhaps_other(tried.dial, encrypted) and other.done():
            tried = _compared(walk, tried, other.result(), encrypted)
        if tried.dial.protocol:
            return tried
        if not silent:
            received = asyncio.ensure_future(_followed_up(walk, target, tried.dial.received))
            await received
        return tried._replace(dial=_named(tried.dial, received.result() if received.done() else ()))
    finally:
        for task in (first, *others, *([turn] if turn else [])):
            task.cancel()


async def _resumed(
    target: DialTarget, dial: AddressResult, connection: KafkaConnection
) -> HandshakeResult | None:
    """The result over a connection that hop 1 left open. None where it has ended since then, or
    ends on a question that no client sends. It costs no time here, so its layers have none."""
    replies = tuple(connection.send(question) for question in target.questions)
    layers = tuple(attempt._replace(elapsed=0.0) for attempt in dial.attempts)
    dial = dial._replace(attempts=layers, dropped=False)  # hop 1 says so
    result = HandshakeResult(dial, connection, connection.apis, replies)
    ended = bool(replies) and (await replies[0]).failure in GONE
    if ended or await ended_by_a_side_question(target, result):
        connection.close()
        return None
    return result


async def _answered_early(
    walk: Walk, first: asyncio.Future[HandshakeResult], answered: asyncio.Event, encrypted: bool
) -> bool:
    """Whether the peer answered, or the handshake ended, within the head start."""
    limit = walk.net.timeout if encrypted else walk.net.answer_timeout
    speaks = asyncio.ensure_future(answered.wait())
    either: set[asyncio.Future[Any]] = {first, speaks}
    try:
        await asyncio.wait(either, timeout=limit * _HEAD_START, return_when=asyncio.FIRST_COMPLETED)
    finally:
        speaks.cancel()
    return first.done() or answered.is_set()


async def _first_answer(
    first: asyncio.Future[HandshakeResult],
    answered: asyncio.Event,
    other: asyncio.Future[HandshakeResult],
    received: asyncio.Future[list[bytes]],
) -> HandshakeResult | None:
    """The first dial, once it has ended; None where it has no answer yet, and the other dials show
    what the peer is."""
    pending: set[asyncio.Future[Any]] = {first, other, received}
    while not first.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        speaks_other = other in done and bool(other.result().dial.protocol)
        if (speaks_other or (received in done and any(map(recognise, received.result())))) and not (
            answered.is_set() or first.done()
        ):
            return None
    return first.result()


def _silent(target: DialTarget, opened: TcpConnection, encrypted: bool) -> HandshakeResult:
    """The result for a peer that sent nothing over this transport while the walk waited."""
    layer = "tls" if encrypted else "kafka"
    silence = LayerResult(layer, 0.0, Failure.SILENT, "no answer")
    return HandshakeResult(
        AddressResult(target.address, (opened.tcp, silence), source=opened.source)
    )


def _gave_up(dial: AddressResult) -> bool:
    """Whether the peer ended the connection."""
    return dial.failed is not None and dial.failed.failure in (*GONE, Failure.HANDSHAKE)


async def _followed_up(walk: Walk, target: DialTarget, received: Sequence[bytes]) -> list[bytes]:
    """What a peer that is no broker answers to requests of other protocols, until an answer shows
    what it is; nothing where the allowance does not permit such requests."""
    if not walk.allowance.may_be_asked(target.address, target.endpoint.port):
        return []

    async def asked(question: bytes) -> bytes:
        opened = await walk.net.connect(target.address, target.endpoint.port, again=True)
        return await walk.net.probe(opened, question)

    asking = [asyncio.ensure_future(asked(each)) for each in follow_ups(b"".join(received))]
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


def _named(dial: AddressResult, received: Sequence[bytes]) -> AddressResult:
    """The dial, with the answers to requests of other protocols where these show what the peer
    is."""
    telling = [answer for answer in received if recognise(answer)]
    if not telling or not dial.failed:
        return dial
    *before, last = dial.attempts
    if last.failure is not Failure.NOT_KAFKA:
        text = clean_bytes(telling[-1])
        last = LayerResult("kafka", last.elapsed, Failure.NOT_KAFKA, text)
    return dial._replace(attempts=(*before, last), received=(*dial.received, *telling))


async def _other_transport(walk: Walk, target: DialTarget, encrypted: bool) -> HandshakeResult:
    """The same address over the other transport. Credentials are sent over it only where no
    protocol is configured."""
    opened = await walk.net.connect(target.address, target.endpoint.port, again=True)
    transport = Transport(encrypted, walk.protocol is None, asyncio.Event())
    return await handshake_over(walk, target, opened, transport)


def _unclear(dial: AddressResult, encrypted: bool) -> bool:
    """Whether a peer may use the other transport, or another protocol than Kafka."""
    failed = dial.failed
    strange = failed is not None and failed.failure is Failure.NOT_KAFKA
    return strange or _perhaps_other(dial, encrypted)


def _perhaps_other(dial: AddressResult, encrypted: bool) -> bool:
    """Whether a dial ended as plaintext to a TLS listener does, or the reverse."""
    failed = dial.failed
    if failed is None or dial.handshake:
        return False
    if encrypted:
        return failed.layer == "tls" and failed.failure in _PERHAPS_PLAINTEXT
    return failed.layer in ("tls", "kafka") and failed.failure in _PERHAPS_TLS


def _compared(
    walk: Walk, tried: HandshakeResult, other: HandshakeResult, encrypted: bool
) -> HandshakeResult:
    """The result of two dials, one over TLS and one in plaintext, of which the first failed."""
    failed = tried.dial.failed
    protocol = other.dial.protocol
    if not protocol and failed and failed.failure is Failure.TLS_REQUIRED:
        protocol = "SSL"
    if not protocol:
        strange = other.dial.failed and other.dial.failed.failure is Failure.NOT_KAFKA
        return other if strange else tried
    if walk.protocol is None:
        return other
    if other.connection:
        other.connection.close()
    tcp, *rest = tried.dial.attempts
    failure = Failure.TLS_NOT_OFFERED if encrypted else Failure.TLS_REQUIRED
    seconds = sum(attempt.elapsed for attempt in rest)
    attempts = (tcp, LayerResult("tls", seconds, failure, f"it speaks {protocol}"))
    return HandshakeResult(other.dial._replace(attempts=attempts, protocol=protocol))
