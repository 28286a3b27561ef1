"""One connection to a broker: sends requests at once, and reads the responses in order."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from kdiag.config.record import NamedTuple
from kdiag.kafka.codec import Body, WireError
from kdiag.kafka.messages import (
    API_VERSIONS,
    CLIENT_ID,
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
from kdiag.network.attempt import Failure, Received, Sent, clean_bytes
from kdiag.network.errors import os_failure, os_message
from kdiag.network.fingerprint import READ_LIMIT
from kdiag.network.tcp_info import received, sent
from kdiag.network.tls_transport import secured

_TLS_ALERT, _TLS_HANDSHAKE = 0x15, 0x16
_BANNER_WAIT = 0.2
_ONE_PACKET = 1000  # bytes: what fits one whatever the path

# During a login a broker may first wait for a silent resolver, ten seconds by default, or for a
# login service. Clients wait for 30 seconds and longer.
PATIENCE_AT_LOGIN = 2
_LOGIN = (None, SASL_HANDSHAKE, SASL_AUTHENTICATE)

_BY_BYTES = (0, 1)  # Produce and Fetch: a quota of bytes is not used up in a client's name

MAX_THROTTLE = 15.0  # seconds; kdiag does not wait for a connection that a quota mutes for longer


class Reply(NamedTuple):
    """How one request ended: the response, or why there is none.

    `elapsed` (seconds) starts when the peer could begin with the request: after it was sent, after
    the response before it on this connection, and while no quota muted the connection. `frame` has
    the bytes of a response to a raw request, whose `body` is empty, and the first bytes of a peer
    that does not speak Kafka. `size` is the response's, in bytes; `version` is the request's.
    `throttle_ms` is for how long the peer says that it mutes the connection after this response.
    """

    elapsed: float
    body: Body
    failure: Failure | None = None
    detail: str = ""
    frame: bytes = b""
    size: int = 0
    version: int = 0
    throttle_ms: int = 0


class _Pending:
    """A request without a response so far. Without an `api` it is a SASL message, which has no
    header."""

    def __init__(
        self, api: Api | None, version: int, correlation: int, raw: bool,
        sent: float, reply: asyncio.Future[Reply],
    ) -> None:  # fmt: skip
        self.api, self.version, self.correlation, self.raw = api, version, correlation, raw
        self.sent, self.reply = sent, reply

    def settle(self, reply: Reply) -> None:
        if not self.reply.done():
            self.reply.set_result(reply._replace(version=self.version))


class _Reader(asyncio.StreamReader):
    """A reader that returns the bytes that arrived before a reset; asyncio's own reader drops them.
    A service that is not Kafka may send its banner and reset the connection at once."""

    broken: OSError | None = None

    def __init__(self, sock: socket.socket | None, loop: asyncio.AbstractEventLoop) -> None:
        """`sock` is the socket to read the rest from; None under TLS."""
        super().__init__(loop=loop)
        self._sock = sock

    def set_exception(self, exc: Any) -> None:
        """Handles a broken connection as the end of the data, and keeps the error in `broken`."""
        if isinstance(exc, OSError):
            self.broken = exc
            self._read_rest()
            self.feed_eof()
        else:
            super().set_exception(exc)

    def _read_rest(self) -> None:
        """Reads what the kernel holds, where asyncio noticed the reset in a write."""
        if self._sock is None:
            return
        with suppress(OSError):
            rest = self._sock.recv(READ_LIMIT)
            if rest:
                self.feed_data(rest)


class KafkaConnection:
    """A connection. Every request ends in a Reply within its time, whatever the peer does.

    `answer_timeout` (seconds) bounds the wait for each response, from the response before it:
    brokers serve the requests of a connection one after the other. A response during a login may
    take PATIENCE_AT_LOGIN times as long. `apis` is the table of ApiVersions, None before its
    response. `on_close` is called when the connection is closed. `client_id` is sent with each
    request that no quota counts by its bytes.
    """

    def __init__(
        self,
        reader: _Reader,
        writer: asyncio.StreamWriter,
        answer_timeout: float,
        max_frame: int = MAX_FRAME,
        sent: bytes = b"",
        waited: float = 0.0,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._unsent, self._sent_before, self._waited = b"", sent, waited
        self.max_frame = max_frame
        self._timeout, self.client_id = answer_timeout, CLIENT_ID
        self._pending: deque[_Pending] = deque()
        self._correlation = 0
        self._ended: tuple[Failure, str, bytes] | None = None
        self._received = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._free = 0.0  # when the peer can start the next request, by the loop's clock
        self._muted_ms = 0  # by a quota, for longer than MAX_THROTTLE
        self.session_ms = 0  # for how long its login is valid, 0 for ever
        self.apis: Versions | None = None
        self.on_close: Callable[[KafkaConnection], None] | None = None
        self.tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        self._reading = asyncio.create_task(self._read_responses())

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
        sent: bytes = b"",
        waited: float = 0.0,
    ) -> KafkaConnection:
        """A Kafka connection over a connected socket; an `answer_timeout` of None is the timeout.
        The first requests of the connection begin with the bytes that were `sent` before, and whose
        answer was `waited` for so many seconds.

        With a `context` the TLS handshake with the server of that `name` comes first, within the
        timeout. Raises its errors.
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
        answer_timeout = timeout if answer_timeout is None else answer_timeout
        return cls(reader, writer, answer_timeout, max_frame, sent, waited)

    def send(self, question: Question, supposed: Versions | None = None) -> asyncio.Future[Reply]:
        """Sends a question in a version that the peer lists; before the peer lists versions, in one
        that `supposed` lists, or else in the API's preferred version."""
        api = question.api
        version = api.version(self.apis if self.apis is not None else supposed or {})
        if version is None and self.apis is not None:
            message = f"{api.name}: {_no_common_version(api, self.apis)}"
            reply: asyncio.Future[Reply] = self._loop.create_future()
            reply.set_result(Reply(0.0, {}, Failure.NO_COMMON_VERSION, message))
            return reply
        version = api.versions[0] if version is None else version
        return self.request(api, version, question.in_version(version), raw=question.raw)

    def request(
        self, api: Api, version: int, body: Mapping[str, Any], *, raw: bool = False
    ) -> asyncio.Future[Reply]:
        """Sends a request in this version; its Reply is there within the timeout."""
        self._correlation += 1
        client_id = CLIENT_ID if api.key in _BY_BYTES else self.client_id
        frame = encode_request(api, version, self._correlation, body, client_id)
        return self._send(frame, _Pending(api, version, self._correlation, raw, *self._now()))

    def send_bare(self, data: bytes) -> asyncio.Future[Reply]:
        """Sends a SASL message without a header, as after SaslHandshake 0; `frame` of the Reply is
        the broker's message."""
        frame = struct.pack(">i", len(data)) + data
        return self._send(frame, _Pending(None, 0, 0, True, *self._now()))

    def _now(self) -> tuple[float, asyncio.Future[Reply]]:
        return self._loop.time() - self._waited, self._loop.create_future()

    def _send(self, frame: bytes, pending: _Pending) -> asyncio.Future[Reply]:
        if self._ended:
            pending.settle(self._no_response(pending, *self._ended))
        elif self._muted_ms:
            self._settle_muted(pending)
        else:
            self._pending.append(pending)
            self._write(frame)
            if self._timer is None:
                self._wait(pending)
        return pending.reply

    def _write(self, frame: bytes) -> None:
        """Requests that are sent at the same time share packets, except those that need several:
        TCP's first window has ten packets, and small requests must arrive where the path drops
        large packets."""
        if len(frame) > _ONE_PACKET:
            self._flush()
            self._writer.write(frame)
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += frame

    def _flush(self) -> None:
        assert self._unsent.startswith(self._sent_before)
        unsent = self._unsent[len(self._sent_before) :]
        if unsent and not self._ended:
            self._writer.write(unsent)
        self._unsent, self._sent_before, self._waited = b"", b"", 0.0

    def sent(self) -> Sent | None:
        """How much of the bytes sent was acknowledged; None where the system does not say."""
        sock = self._writer.get_extra_info("socket")
        found = sent(sock) if sock else None
        held = self._writer.transport.get_write_buffer_size()
        return found._replace(unsent=found.unsent + held) if found else None

    def received(self) -> Received | None:
        """How much arrived before bytes that precede it; None where the system does not say."""
        sock = self._writer.get_extra_info("socket")
        return received(sock) if sock else None

    async def wait_for_end(self, seconds: float) -> None:
        """Waits until the peer ends the connection, at most for this time."""
        await asyncio.wait({self._reading}, timeout=seconds)

    def close(self) -> None:
        """Closes it at once; pending requests end as CLOSED."""
        self._reading.cancel()
        self._end(Failure.CLOSED, "closed by kdiag")
        self._writer.transport.abort()
        if self.on_close:
            self.on_close(self)

    async def _read_responses(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(4)
                self._received = True
                (size,) = struct.unpack(">i", head)
                if not self._pending or not self._min_size <= size <= self.max_frame:
                    return await self._read_banner(head)
                self._handle_response(await self._reader.readexactly(size))
        except asyncio.CancelledError:  # by `close`; a kept exception would keep this object
            return None
        except asyncio.IncompleteReadError as error:
            if self._reader.broken:
                return self._end(os_failure(self._reader.broken), os_message(self._reader.broken))
            if error.partial and not self._received:
                return self._end(Failure.NOT_KAFKA, clean_bytes(error.partial), error.partial)
            self._end(Failure.CLOSED, "in the middle of an answer" if error.partial else "")
        except OSError as error:
            self._end(os_failure(error), os_message(error))

    @property
    def _min_size(self) -> int:
        """The fewest bytes of a response: a SASL message may be empty."""
        return 4 if self._pending[0].api else 0

    def _handle_response(self, frame: bytes) -> None:
        pending = self._pending.popleft()
        elapsed = self._elapsed(pending)
        self._free = self._loop.time()
        try:
            reply = self._decode(pending, frame, elapsed)
        except WireError as error:
            assert pending.api is not None
            message = f"{pending.api.name} answer: {error}; it begins {clean_bytes(frame, 40)}"
            reply = Reply(elapsed, {}, Failure.NOT_KAFKA, message, frame[:READ_LIMIT])
        if reply.throttle_ms > MAX_THROTTLE * 1000:
            self._muted_ms = reply.throttle_ms
        self._free += reply.throttle_ms / 1000
        pending.settle(reply)
        self._wait_for_next()

    def _decode(self, pending: _Pending, frame: bytes, elapsed: float) -> Reply:
        """A response, decoded unless the request is raw. Raises WireError."""
        if pending.api is None:
            return Reply(elapsed, {}, frame=frame, size=len(frame))
        body: Body = {}
        if pending.raw:
            check_correlation(frame, pending.correlation)
            muted = throttled_ms(pending.api, pending.version, frame)
        else:
            body = decode_response(pending.api, pending.version, pending.correlation, frame)
            muted = body.get("throttle_time_ms", 0)
            if pending.api is API_VERSIONS and body["api_keys"]:
                self.apis = listed_versions(body)
        kept = frame if pending.raw else b""
        return Reply(elapsed, body, frame=kept, size=len(frame), throttle_ms=max(0, muted))

    def _wait_for_next(self) -> None:
        """Starts the timer of the next request that has no Reply."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        unsettled = [pending for pending in self._pending if not pending.reply.done()]
        if self._muted_ms:
            for pending in unsettled:
                self._settle_muted(pending)
        elif unsettled:
            self._wait(unsettled[0])

    def _wait(self, pending: _Pending) -> None:
        begins = max(pending.sent, self._free)
        limit = self._timeout * (PATIENCE_AT_LOGIN if pending.api in _LOGIN else 1)
        self._timer = self._loop.call_at(begins + limit, self._settle_silent, limit)

    def _elapsed(self, pending: _Pending) -> float:
        return max(0.0, self._loop.time() - max(pending.sent, self._free))

    async def _read_banner(self, head: bytes) -> None:
        """Ends the connection on bytes that start no Kafka response, with what the peer sends. A
        TLS listener answers plaintext with a TLS record."""
        if head[0] in (_TLS_ALERT, _TLS_HANDSHAKE) and head[1] == 3:
            return self._end(Failure.TLS_REQUIRED, clean_bytes(head))
        banner = bytearray(head)

        async def read() -> None:
            while len(banner) < READ_LIMIT and (more := await self._reader.read(READ_LIMIT)):
                banner.extend(more)

        with suppress(asyncio.TimeoutError, OSError):
            await asyncio.wait_for(read(), _BANNER_WAIT)
        self._end(Failure.NOT_KAFKA, clean_bytes(bytes(banner)), bytes(banner[:READ_LIMIT]))
        return None

    def _settle_silent(self, limit: float) -> None:
        """Settles all pending requests as SILENT: responses come in order, if they come."""
        self._timer = None
        message = f"no answer within {limit:g} s"
        for pending in self._pending:
            pending.settle(Reply(self._elapsed(pending), {}, Failure.SILENT, message))

    def _settle_muted(self, pending: _Pending) -> None:
        message = f"not waited for: a quota mutes the connection for {self._muted_ms / 1000:g} s"
        pending.settle(Reply(0.0, {}, Failure.THROTTLED, message))

    def _no_response(
        self, pending: _Pending, failure: Failure, detail: str, banner: bytes
    ) -> Reply:
        return Reply(self._elapsed(pending), {}, failure, detail, banner)

    def _end(self, failure: Failure, detail: str, banner: bytes = b"") -> None:
        if self._timer:
            self._timer.cancel()
        self._ended = self._ended or (failure, detail, banner)
        while self._pending:
            pending = self._pending.popleft()
            pending.settle(self._no_response(pending, *self._ended))


def _no_common_version(api: Api, apis: Versions) -> str:
    """The versions of a request that the server and kdiag have."""
    least, most = min(api.versions), max(api.versions)
    if api.key not in apis:
        return "the server does not list this request"
    return "the server has versions {} to {}, kdiag {} to {}".format(*apis[api.key], least, most)
