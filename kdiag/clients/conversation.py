"""One connection to what should be a broker: requests go out at once, answers come in order."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from kdiag.attempt import Failure, clean_bytes
from kdiag.clients.codec import Body, WireError
from kdiag.clients.failures import os_failure, os_words
from kdiag.clients.wire import (
    MAX_FRAME,
    Api,
    check_correlation,
    decode_response,
    encode_request,
)
from kdiag.stranger import READ_LIMIT

_TLS_ALERT, _TLS_HANDSHAKE = 0x15, 0x16
_BANNER_WAIT = 0.2


class Reply(NamedTuple):
    """How one request ended: an answer, or why there is none. `elapsed` is in seconds.

    `frame` is the answer as it came, for those who asked for it raw, `body` is empty then; of a
    stranger it is the first bytes. `size` is the answer's, in bytes.
    """

    elapsed: float
    body: Body
    failure: Failure | None = None
    detail: str = ""
    frame: bytes = b""
    size: int = 0


@dataclass
class _Asked:
    api: Api
    version: int
    correlation: int
    raw: bool
    sent: float
    reply: asyncio.Future[Reply]
    timer: asyncio.TimerHandle

    def settle(self, reply: Reply) -> None:
        self.timer.cancel()
        if not self.reply.done():
            self.reply.set_result(reply)


class _Reader(asyncio.StreamReader):
    """A reader that gives what came before the connection broke, where asyncio's own drops it: a
    stranger says who it is, and resets the connection in the same breath."""

    broken: OSError | None = None

    def __init__(self, sock: socket.socket | None, loop: asyncio.AbstractEventLoop) -> None:
        """`sock` is what may be read where nothing translates what comes: not under TLS."""
        super().__init__(loop=loop)
        self._sock = sock

    def set_exception(self, exc: Any) -> None:
        """Takes the end of a connection for the end of what was sent, and keeps its cause."""
        if isinstance(exc, OSError):
            self.broken = exc
            self._take_the_rest()
            self.feed_eof()
        else:
            super().set_exception(exc)

    def _take_the_rest(self) -> None:
        """What has come already, where asyncio met the reset as it wrote, before it read."""
        if self._sock is None:
            return
        with suppress(OSError):
            rest = self._sock.recv(READ_LIMIT)
            if rest:
                self.feed_data(rest)


class Conversation:
    """Asks and listens. Whatever the peer does, every question ends in a Reply, in time."""

    def __init__(
        self,
        reader: _Reader,
        writer: asyncio.StreamWriter,
        timeout: float,
        max_frame: int = MAX_FRAME,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._max_frame = max_frame
        self._timeout = timeout
        self._asked: deque[_Asked] = deque()
        self._correlation = 0
        self._ended: tuple[Failure, str, bytes] | None = None
        self._heard = False
        self.tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def over(
        cls,
        sock: socket.socket,
        timeout: float,
        *,
        context: ssl.SSLContext | None = None,
        name: str | None = None,
        max_frame: int = MAX_FRAME,
    ) -> Conversation:
        """A conversation over a connected socket.

        With a `context` the TLS handshake comes first, within the timeout; raises its errors.
        """
        loop = asyncio.get_running_loop()
        reader = _Reader(None if context else sock, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        opening = loop.create_connection(
            lambda: protocol, sock=sock, ssl=context, server_hostname=name
        )
        transport, _ = await asyncio.wait_for(opening, timeout)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return cls(reader, writer, timeout, max_frame)

    def ask(
        self, api: Api, version: int, body: Mapping[str, Any], *, raw: bool = False
    ) -> asyncio.Future[Reply]:
        """Sends a request now; its answer, or the lack of it, is there within the timeout."""
        self._correlation += 1
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()
        sent = time.perf_counter()
        timer = loop.call_later(self._timeout, self._silent, reply, sent)
        asked = _Asked(api, version, self._correlation, raw, sent, reply, timer)
        if self._ended:
            asked.settle(self._no_answer(asked, *self._ended))
            return reply
        self._asked.append(asked)
        self._writer.write(encode_request(api, version, self._correlation, body))
        return reply

    async def hear_out(self, seconds: float) -> None:
        """Gives the peer that long to end the conversation before anything is asked."""
        await asyncio.wait({self._listening}, timeout=seconds)

    def close(self) -> None:
        """Ends it at once; what has no answer yet never gets one."""
        self._listening.cancel()
        self._end(Failure.CLOSED, "closed by kdiag")
        self._writer.transport.abort()

    async def _listen(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(4)
                self._heard = True
                (size,) = struct.unpack(">i", head)
                if not 4 <= size <= self._max_frame or not self._asked:
                    return await self._stranger(head)
                self._answer(await self._reader.readexactly(size))
        except asyncio.IncompleteReadError as error:
            if self._reader.broken:
                return self._end(os_failure(self._reader.broken), os_words(self._reader.broken))
            if error.partial and not self._heard:
                return self._end(Failure.NOT_KAFKA, clean_bytes(error.partial), error.partial)
            self._end(Failure.CLOSED, "in the middle of an answer" if error.partial else "")
        except OSError as error:
            self._end(os_failure(error), os_words(error))

    def _answer(self, frame: bytes) -> None:
        asked = self._asked.popleft()
        elapsed = time.perf_counter() - asked.sent
        try:
            if asked.raw:
                check_correlation(frame, asked.correlation)
                body: Body = {}
            else:
                body = decode_response(asked.api, asked.version, asked.correlation, frame)
        except WireError as error:
            words = f"{asked.api.name} answer: {error}; it begins {clean_bytes(frame, 40)}"
            asked.settle(Reply(elapsed, {}, Failure.NOT_KAFKA, words, frame[:READ_LIMIT]))
            return
        kept = frame if asked.raw else b""
        asked.settle(Reply(elapsed, body, frame=kept, size=len(frame)))

    async def _stranger(self, head: bytes) -> None:
        """Bytes that begin no answer of Kafka's. What a TLS listener says to plaintext is known."""
        if head[0] in (_TLS_ALERT, _TLS_HANDSHAKE) and head[1] == 3:
            return self._end(Failure.TLS_REQUIRED, clean_bytes(head))
        said = bytearray(head)

        async def hear() -> None:
            while len(said) < READ_LIMIT and (more := await self._reader.read(READ_LIMIT)):
                said.extend(more)

        with suppress(asyncio.TimeoutError, OSError):
            await asyncio.wait_for(hear(), _BANNER_WAIT)
        self._end(Failure.NOT_KAFKA, clean_bytes(bytes(said)), bytes(said[:READ_LIMIT]))
        return None

    def _silent(self, reply: asyncio.Future[Reply], sent: float) -> None:
        if not reply.done():
            words = f"no answer within {self._timeout:g} s"
            reply.set_result(Reply(time.perf_counter() - sent, {}, Failure.SILENT, words))

    def _no_answer(self, asked: _Asked, failure: Failure, detail: str, said: bytes) -> Reply:
        return Reply(time.perf_counter() - asked.sent, {}, failure, detail, said)

    def _end(self, failure: Failure, detail: str, said: bytes = b"") -> None:
        self._ended = self._ended or (failure, detail, said)
        while self._asked:
            asked = self._asked.popleft()
            asked.settle(self._no_answer(asked, *self._ended))
