"""One connection to what should be a broker: requests go out at once, answers come in order."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from kdiag.kafka.codec import Body, WireError
from kdiag.kafka.messages import (
    API_VERSIONS,
    MAX_FRAME,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    Api,
    Question,
    Versions,
    check_correlation,
    decode_response,
    encode_request,
    listed_versions,
    throttled_ms,
)
from kdiag.network.attempt import Failure, Sent, clean_bytes
from kdiag.network.errors import os_failure, os_words
from kdiag.network.fingerprint import READ_LIMIT
from kdiag.network.tcp_info import sent
from kdiag.network.tls_transport import secured

_TLS_ALERT, _TLS_HANDSHAKE = 0x15, 0x16
_BANNER_WAIT = 0.2
_ONE_PACKET = 1000  # bytes: what fits one whatever the path

# At a login a broker may first ask a resolver that is silent, ten seconds by default, or a login
# service; a client waits for 30 seconds and longer.
PATIENCE_AT_LOGIN = 2
_LOGIN = (None, SASL_HANDSHAKE, SASL_AUTHENTICATE)

MAX_THROTTLE = 15.0  # seconds that a quota may mute a connection, and kdiag still waits


class Reply(NamedTuple):
    """How one request ended: an answer, or why there is none. `elapsed` is in seconds, from when
    the peer could begin with it: it was sent, the answer before it on this connection had come, and
    no quota muted the connection.

    `frame` is the answer as it came, for those who asked for it raw, `body` is empty then; of a
    stranger it is the first bytes. `size` is the answer's, in bytes; `version` is the request's.
    `throttle_ms` is how long the peer mutes the connection after this answer, as it says.
    """

    elapsed: float
    body: Body
    failure: Failure | None = None
    detail: str = ""
    frame: bytes = b""
    size: int = 0
    version: int = 0
    throttle_ms: int = 0


@dataclass
class _Asked:
    """A request on its way; without an `api` it is a SASL message that has no header."""

    api: Api | None
    version: int
    correlation: int
    raw: bool
    sent: float
    reply: asyncio.Future[Reply]

    def settle(self, reply: Reply) -> None:
        if not self.reply.done():
            self.reply.set_result(reply._replace(version=self.version))


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


class KafkaConnection:
    """Asks and listens. Whatever the peer does, every question ends in a Reply, in time.

    `answer_timeout` (seconds) bounds the wait for an answer once the one before it has come:
    brokers serve a connection one request at a time; an answer at a login may take twice as long.
    `apis` is the table of ApiVersions, once it
    was asked for and has come.
    """

    def __init__(
        self,
        reader: _Reader,
        writer: asyncio.StreamWriter,
        answer_timeout: float,
        max_frame: int = MAX_FRAME,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._unsent = b""
        self.max_frame = max_frame
        self._timeout = answer_timeout
        self._asked: deque[_Asked] = deque()
        self._correlation = 0
        self._ended: tuple[Failure, str, bytes] | None = None
        self._heard = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._free = 0.0  # when the peer turns to the next request, by the loop's clock
        self._muted_ms = 0  # for longer than is waited for
        self.apis: Versions | None = None
        self.closed: Callable[[KafkaConnection], None] | None = None  # is told when it is
        self.tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def over(
        cls,
        sock: socket.socket,
        timeout: float,
        *,
        answer_timeout: float | None = None,
        context: ssl.SSLContext | None = None,
        name: str | None = None,
        max_frame: int = MAX_FRAME,
    ) -> KafkaConnection:
        """A conversation over a connected socket; an `answer_timeout` of None is the timeout.

        With a `context` the TLS handshake comes first, within the timeout; raises its errors.
        """
        loop = asyncio.get_running_loop()
        reader = _Reader(None if context else sock, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        if context:
            transport = await asyncio.wait_for(secured(sock, protocol, context, name), timeout)
        else:
            opening = loop.create_connection(lambda: protocol, sock=sock)
            transport, _ = await asyncio.wait_for(opening, timeout)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return cls(reader, writer, timeout if answer_timeout is None else answer_timeout, max_frame)

    def send(self, question: Question, supposed: Versions | None = None) -> asyncio.Future[Reply]:
        """Asks a question in a version that the peer lists; while that is not known, as `supposed`
        lists it, or else in the version that nearly every broker has."""
        api = question.api
        version = api.version(self.apis if self.apis is not None else supposed or {})
        if version is None and self.apis is not None:
            words = f"{api.name}: {_differ(api, self.apis)}"
            reply: asyncio.Future[Reply] = self._loop.create_future()
            reply.set_result(Reply(0.0, {}, Failure.NO_COMMON_VERSION, words))
            return reply
        version = api.versions[0] if version is None else version
        return self.ask(api, version, question.in_version(version), raw=question.raw)

    def ask(
        self, api: Api, version: int, body: Mapping[str, Any], *, raw: bool = False
    ) -> asyncio.Future[Reply]:
        """Sends a request now; its answer, or the lack of it, is there within the timeout."""
        self._correlation += 1
        frame = encode_request(api, version, self._correlation, body)
        return self._send(frame, _Asked(api, version, self._correlation, raw, *self._now()))

    def tell(self, data: bytes) -> asyncio.Future[Reply]:
        """Sends a SASL message without a header, as SaslHandshake 0 has it; the answer's `frame` is
        what the broker says."""
        frame = struct.pack(">i", len(data)) + data
        return self._send(frame, _Asked(None, 0, 0, True, *self._now()))

    def _now(self) -> tuple[float, asyncio.Future[Reply]]:
        return self._loop.time(), self._loop.create_future()

    def _send(self, frame: bytes, asked: _Asked) -> asyncio.Future[Reply]:
        if self._ended:
            asked.settle(self._no_answer(asked, *self._ended))
        elif self._muted_ms:
            self._not_waited_for(asked)
        else:
            self._asked.append(asked)
            self._post(frame)
            if self._timer is None:
                self._wait(asked)
        return asked.reply

    def _post(self, frame: bytes) -> None:
        """What is sent at once shares its packets, but for what needs several: TCP's first window
        has ten, and where large packets vanish the small requests must get through."""
        if len(frame) > _ONE_PACKET:
            self._flush()
            self._writer.write(frame)
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += frame

    def _flush(self) -> None:
        if self._unsent and not self._ended:
            self._writer.write(self._unsent)
        self._unsent = b""

    def sent(self) -> Sent | None:
        """How far what was sent has come, as far as the operating system tells."""
        sock = self._writer.get_extra_info("socket")
        found = sent(sock) if sock else None
        held = self._writer.transport.get_write_buffer_size()
        return found._replace(unsent=found.unsent + held) if found else None

    async def hear_out(self, seconds: float) -> None:
        """Gives the peer that long to end the conversation before anything is asked."""
        await asyncio.wait({self._listening}, timeout=seconds)

    def close(self) -> None:
        """Ends it at once; what has no answer yet never gets one."""
        self._listening.cancel()
        self._end(Failure.CLOSED, "closed by kdiag")
        self._writer.transport.abort()
        if self.closed:
            self.closed(self)

    async def _listen(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(4)
                self._heard = True
                (size,) = struct.unpack(">i", head)
                if not self._asked or not self._least <= size <= self.max_frame:
                    return await self._stranger(head)
                self._answer(await self._reader.readexactly(size))
        except asyncio.CancelledError:  # by `close`: kept with its frames it would keep all of this
            return None
        except asyncio.IncompleteReadError as error:
            if self._reader.broken:
                return self._end(os_failure(self._reader.broken), os_words(self._reader.broken))
            if error.partial and not self._heard:
                return self._end(Failure.NOT_KAFKA, clean_bytes(error.partial), error.partial)
            self._end(Failure.CLOSED, "in the middle of an answer" if error.partial else "")
        except OSError as error:
            self._end(os_failure(error), os_words(error))

    @property
    def _least(self) -> int:
        """The fewest bytes of an answer: a SASL message may be empty."""
        return 4 if self._asked[0].api else 0

    def _answer(self, frame: bytes) -> None:
        asked = self._asked.popleft()
        elapsed = self._elapsed(asked)
        self._free = self._loop.time()
        try:
            reply = self._read(asked, frame, elapsed)
        except WireError as error:
            assert asked.api is not None
            words = f"{asked.api.name} answer: {error}; it begins {clean_bytes(frame, 40)}"
            reply = Reply(elapsed, {}, Failure.NOT_KAFKA, words, frame[:READ_LIMIT])
        if reply.throttle_ms > MAX_THROTTLE * 1000:
            self._muted_ms = reply.throttle_ms
        self._free += reply.throttle_ms / 1000
        asked.settle(reply)
        self._go_on()

    def _read(self, asked: _Asked, frame: bytes, elapsed: float) -> Reply:
        """An answer, decoded unless it is wanted raw. Raises WireError."""
        if asked.api is None:
            return Reply(elapsed, {}, frame=frame, size=len(frame))
        body: Body = {}
        if asked.raw:
            check_correlation(frame, asked.correlation)
            muted = throttled_ms(asked.api, asked.version, frame)
        else:
            body = decode_response(asked.api, asked.version, asked.correlation, frame)
            muted = body.get("throttle_time_ms", 0)
            if asked.api is API_VERSIONS and body["api_keys"]:
                self.apis = listed_versions(body)
        kept = frame if asked.raw else b""
        return Reply(elapsed, body, frame=kept, size=len(frame), throttle_ms=max(0, muted))

    def _go_on(self) -> None:
        """Waits for the answer to the next request, if there is one that somebody waits for."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        pending = [asked for asked in self._asked if not asked.reply.done()]
        if self._muted_ms:
            for asked in pending:
                self._not_waited_for(asked)
        elif pending:
            self._wait(pending[0])

    def _wait(self, asked: _Asked) -> None:
        begins = max(asked.sent, self._free)
        limit = self._timeout * (PATIENCE_AT_LOGIN if asked.api in _LOGIN else 1)
        self._timer = self._loop.call_at(begins + limit, self._silent, limit)

    def _elapsed(self, asked: _Asked) -> float:
        return max(0.0, self._loop.time() - max(asked.sent, self._free))

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

    def _silent(self, limit: float) -> None:
        """Nobody waits any longer for what was asked: the answers come in order, if ever."""
        self._timer = None
        words = f"no answer within {limit:g} s"
        for asked in self._asked:
            asked.settle(Reply(self._elapsed(asked), {}, Failure.SILENT, words))

    def _not_waited_for(self, asked: _Asked) -> None:
        words = f"not waited for: a quota mutes the connection for {self._muted_ms / 1000:g} s"
        asked.settle(Reply(0.0, {}, Failure.THROTTLED, words))

    def _no_answer(self, asked: _Asked, failure: Failure, detail: str, said: bytes) -> Reply:
        return Reply(self._elapsed(asked), {}, failure, detail, said)

    def _end(self, failure: Failure, detail: str, said: bytes = b"") -> None:
        if self._timer:
            self._timer.cancel()
        self._ended = self._ended or (failure, detail, said)
        while self._asked:
            asked = self._asked.popleft()
            asked.settle(self._no_answer(asked, *self._ended))


def _differ(api: Api, apis: Versions) -> str:
    """What a server and kdiag each have of a request."""
    least, most = min(api.versions), max(api.versions)
    if api.key not in apis:
        return "the server does not list this request"
    return "the server has versions {} to {}, kdiag {} to {}".format(*apis[api.key], least, most)
