"""Hop 1, bootstrap: can the client open a usable Kafka connection to its bootstrap server?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from kdiag.config.settings import Endpoint
from kdiag.kafka.connection import Reply
from kdiag.kafka.messages import METADATA, Question
from kdiag.network.attempt import EndpointResult
from kdiag.walk.dial import dial_endpoint
from kdiag.walk.greeting import HandshakeResult
from kdiag.walk.hop import Peer, Walk, hop
from kdiag.walk.questions import SideAnswers, ask_side_questions, open_questions


class Bootstrap(NamedTuple):
    """Every bootstrap server, dialled. `apis` (key → versions) is what the first usable one has."""

    contacts: tuple[EndpointResult, ...]
    apis: Mapping[int, tuple[int, int]] = MappingProxyType({})

    @property
    def usable(self) -> tuple[EndpointResult, ...]:
        """The servers that work."""
        return tuple(contact for contact in self.contacts if contact.usable)

    @property
    def connected_addresses(self) -> tuple[str, ...]:
        """The addresses of both ends of every connection that works."""
        dials = [dial for c in self.usable for dial in c.dials if dial.failed is None]
        return tuple(dict.fromkeys(end for d in dials for end in (d.address, d.source) if end))

    def known_by(self, walk: Walk) -> Walk:
        """The context for the hops after this one: with the protocol and the versions found."""
        dials = (dial for contact in self.contacts for dial in contact.dials)
        spoken = (dial.protocol for dial in dials if dial.protocol and not dial.failed)
        return walk.knowing(next(spoken, None), self.apis)

    @property
    def failed(self) -> tuple[str, ...]:
        """The servers that do not work."""
        return tuple(f"bootstrap {c.endpoint}" for c in self.contacts if not c.usable)

    @property
    def elapsed(self) -> float:
        """Seconds until the slowest address answered or failed."""
        return max(
            (
                (c.dns.elapsed if c.dns else 0.0) + sum(a.elapsed for a in dial.attempts)
                for c in self.contacts
                for dial in c.dials
            ),
            default=max((c.dns.elapsed for c in self.contacts if c.dns), default=0.0),
        )

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        if len(self.contacts) == 1 and self.usable:
            dial = self.contacts[0].best
            name = str(self.contacts[0].endpoint)
            known = dial is None or self.contacts[0].endpoint.host == dial.address
            return f"{name} answers" if known or not dial else f"{name} answers at {dial.address}"
        if len(self.contacts) == 1:
            failed = self.contacts[0].failed
            why = f" ({failed.layer}: {failed.failure.value})" if failed and failed.failure else ""
            return f"no usable connection to {self.contacts[0].endpoint}{why}"
        return f"{len(self.usable)} of {len(self.contacts)} servers answer"


def metadata_question(topic: str | None, *, raw: bool = False) -> Question:
    """The Metadata request for the cluster, and for a topic. Before version 4 a request that names
    a topic may create it, so that all are asked for instead."""

    def body(version: int) -> dict[str, Any]:
        named = [{"name": topic}] if topic else []
        topics = None if topic and version < 4 else named
        return {"topics": topics, "allow_auto_topic_creation": False}

    return Question(METADATA, body, raw=raw)


@hop("bootstrap")
async def bootstrap(walk: Walk) -> Bootstrap:
    """Dials every address of every server, and sends Metadata together with ApiVersions."""
    question = metadata_question(walk.settings.options.topic)
    met = await asyncio.gather(
        *(
            dial_endpoint(walk, endpoint, [question], partial(_until_answered, walk, endpoint))
            for endpoint in walk.settings.bootstrap
        )
    )
    apis: Mapping[int, tuple[int, int]] = {}
    for reached, greetings in met:
        for greeting in greetings:
            if greeting.apis and greeting.dial.failed is None:
                apis = apis or greeting.apis
                walk.wire.metadata.append((reached.endpoint, greeting.replies[0]))
    return Bootstrap(tuple(reached for reached, _ in met), apis)


async def _until_answered(
    walk: Walk, endpoint: Endpoint, greeting: HandshakeResult
) -> HandshakeResult:
    """Keeps the connection open until Metadata is answered, and one of them until the side
    questions are answered. Then it is kept for hop 3: a broker that advertises this very endpoint
    is not dialled, and no login is made, a second time."""
    conversation = greeting.conversation
    if conversation is None or not greeting.replies:
        return greeting

    def ended(last: asyncio.Future[Reply] | asyncio.Future[SideAnswers]) -> None:
        peer = Peer(greeting.dial.address, endpoint, conversation.tls is not None)
        well = not last.cancelled() and not last.exception() and not last.result().failure
        if not (well and walk.wire.keep(peer, greeting.dial, conversation, walk.net.keepable // 4)):
            conversation.close()

    def answered(reply: asyncio.Future[Reply]) -> None:
        first = walk.wire.side_answers is None and not reply.cancelled()
        if first and open_questions(walk.settings, reply.result()):
            asking = ask_side_questions(walk.settings, conversation, endpoint, reply.result())
            walk.wire.side_answers = asyncio.ensure_future(asking)
            walk.wire.side_answers.add_done_callback(ended)
        else:
            ended(reply)

    greeting.replies[0].add_done_callback(answered)
    return greeting
