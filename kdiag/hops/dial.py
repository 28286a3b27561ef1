"""Dialling one endpoint the way hops 1 and 3 both do: every address, then ApiVersions and more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdiag.attempt import Attempt, Contact, Dial, Failure
from kdiag.clients.conversation import Conversation, Reply
from kdiag.clients.errors import error_name
from kdiag.clients.net import Net
from kdiag.clients.wire import API_VERSIONS, METADATA, PRODUCE, SASL_HANDSHAKE, Api
from kdiag.settings import Endpoint

# Only a controller lists the quorum's own requests; only a broker lists these two.
_BROKER_APIS = frozenset({METADATA.key, PRODUCE.key})
_CONTROLLER_APIS = frozenset(range(52, 57)) | {62}

Question = tuple[Api, int, Mapping[str, Any]]


@dataclass(frozen=True)
class Greeting:
    """What came of one address: its dial and, where a broker answered, the connection and the
    replies to what was asked along with ApiVersions (the same flight)."""

    dial: Dial
    conversation: Conversation | None = None
    apis: Mapping[int, tuple[int, int]] | None = None
    replies: tuple[asyncio.Future[Reply], ...] = ()


async def contact(
    net: Net, endpoint: Endpoint, questions: Sequence[Question], *, raw: bool = False
) -> tuple[Contact, tuple[Greeting, ...]]:
    """Resolves an endpoint and greets all of its addresses at once, in the order they resolved."""
    dns, addresses = await net.resolve(endpoint.host)
    greetings = await asyncio.gather(
        *(greet(net, address, endpoint.port, questions, raw=raw) for address in addresses)
    )
    return Contact(endpoint, dns, tuple(g.dial for g in greetings)), tuple(greetings)


async def greet(
    net: Net, address: str, port: int, questions: Sequence[Question], *, raw: bool = False
) -> Greeting:
    """Connects, asks ApiVersions and `questions` in one flight, and judges who speaks there.

    The replies are left to be awaited, but for the first: a listener that wants SASL answers
    ApiVersions and hangs up on whatever comes next.
    """
    tcp, conversation = await net.connect(address, port)
    if conversation is None:
        return Greeting(Dial(address, (tcp,)))
    versions = conversation.ask(API_VERSIONS, 0, {})
    replies = tuple(conversation.ask(*question, raw=raw) for question in questions)
    kafka, apis = _speaker(await versions)
    dial = Dial(address, (tcp, kafka), conversation.local)
    if kafka.failure:
        conversation.close()
        return Greeting(dial)
    if (await replies[0]).failure in (Failure.CLOSED, Failure.RESET):
        sasl = await _sasl(net, address, port)
        if sasl:
            return Greeting(replace(dial, attempts=(tcp, kafka, sasl)))
    return Greeting(dial, conversation, apis, replies)


def _speaker(reply: Reply) -> tuple[Attempt, dict[int, tuple[int, int]]]:
    """Who answered ApiVersions: a broker, a KRaft controller, or nobody that speaks Kafka."""
    if reply.failure:
        return Attempt("kafka", reply.elapsed, reply.failure, reply.detail), {}
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


async def _sasl(net: Net, address: str, port: int) -> Attempt | None:
    """Whether a listener that hung up wants SASL. Asking for no real mechanism makes it list those
    that it has, and authenticates nobody."""
    _, conversation = await net.connect(address, port)
    if conversation is None:
        return None
    reply = await conversation.ask(SASL_HANDSHAKE, 1, {"mechanism": "KDIAG"})
    conversation.close()
    mechanisms = reply.body.get("mechanisms")
    if not mechanisms:
        return None
    return Attempt("sasl", reply.elapsed, Failure.SASL_REQUIRED, ", ".join(mechanisms))
