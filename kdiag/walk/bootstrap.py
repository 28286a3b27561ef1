"""Hop 1, bootstrap: can the client open a usable Kafka connection to its bootstrap server?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from kdiag.config.settings import Endpoint
from kdiag.kafka.connection import Reply
from kdiag.walk.canonical import servers
from kdiag.walk.dial import dial_endpoint
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.handshake import HandshakeResult
from kdiag.walk.hop import Peer, Walk, hop
from kdiag.walk.questions import (
    SideAnswers,
    ask_side_questions,
    metadata_question,
    open_questions,
)


@hop("bootstrap")
async def bootstrap(walk: Walk) -> Bootstrap:
    """Dials every address of every server, and sends Metadata together with ApiVersions."""
    topic = walk.settings.options.topic
    question = metadata_question([topic] if topic else ())
    endpoints = await servers(walk)
    dialled = await asyncio.gather(
        *(
            dial_endpoint(walk, endpoint, [question], partial(_until_answered, walk, endpoint))
            for endpoint in endpoints
        )
    )
    apis: Mapping[int, tuple[int, int]] = {}
    for reached, results in dialled:
        for result in results:
            if result.apis and result.dial.failed is None:
                apis = apis or result.apis
                walk.wire.metadata.append((reached.endpoint, result.replies[0]))
    contacts = (
        contact._replace(given=given) for (contact, _), given in zip(dialled, endpoints.values())
    )
    return Bootstrap(tuple(contacts), apis)


async def _until_answered(
    walk: Walk, endpoint: Endpoint, result: HandshakeResult
) -> HandshakeResult:
    """Keeps the connection open until Metadata is answered, and one of them until the side
    questions are answered. Then it is kept for hop 3: a broker that advertises this very endpoint
    is not dialled, and no login is made, a second time."""
    connection = result.connection
    if connection is None or not result.replies:
        return result

    def ended(last: asyncio.Future[Reply] | asyncio.Future[SideAnswers]) -> None:
        peer = Peer(result.dial.address, endpoint, connection.tls is not None)
        well = not last.cancelled() and not last.exception() and not last.result().failure
        if not (well and walk.wire.keep(peer, result.dial, connection, walk.net.keepable // 4)):
            connection.close()

    def answered(reply: asyncio.Future[Reply]) -> None:
        first = walk.wire.side_answers is None and not reply.cancelled()
        if first and open_questions(walk.settings, reply.result()):
            asking = ask_side_questions(walk.settings, connection, endpoint, reply.result())
            walk.wire.side_answers = asyncio.ensure_future(asking)
            walk.wire.side_answers.add_done_callback(ended)
        else:
            ended(reply)

    result.replies[0].add_done_callback(answered)
    return result
