"""Names and sockets: the door to DNS and TCP. What fails comes back as a value."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from kdiag.address import parse
from kdiag.attempt import Attempt, Failure, Handshake, clean
from kdiag.clients.conversation import Conversation
from kdiag.clients.sockets import Sockets, capacity
from kdiag.clients.tls import Handshakes, Heard, tls_failure, tls_words
from kdiag.clients.wire import MAX_FRAME
from kdiag.lookup import Lookup
from kdiag.security import Tls
from kdiag.stranger import READ_LIMIT

T = TypeVar("T")
Resolve = Callable[..., list[Any]]

MAX_ADDRESSES = 16  # of one name
MAX_LOOKUPS = 512  # at once, each in a thread
MAX_EXPLANATIONS = 3  # of names that do not resolve; the others are likely like them

# A server that misses a client certificate under TLS 1.3 says so after the handshake; whoever
# writes before it has spoken gets a reset instead of its words.
_LAST_WORDS = 0.15

_PATIENCE = 1.0  # with a peer that is no broker, in seconds
_PAUSE = 0.2  # after which it has said what it had to say

_NO_REASON = (Failure.HANDSHAKE, Failure.CLOSED, Failure.RESET)
_SEE_FOR_YOURSELF = (Failure.UNTRUSTED, Failure.NAME_MISMATCH, Failure.EXPIRED, *_NO_REASON)

_FAMILIES = {"any": socket.AF_UNSPEC, "v4": socket.AF_INET, "v6": socket.AF_INET6}

_BY_ERRNO = {
    errno.ECONNREFUSED: Failure.REFUSED,
    errno.ETIMEDOUT: Failure.TIMEOUT,
    errno.ECONNRESET: Failure.RESET,
    errno.ECONNABORTED: Failure.RESET,
    errno.EPIPE: Failure.CLOSED,
}
_OUR_OWN = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


def os_failure(error: OSError) -> Failure:
    """The failure behind an operating system's error; whatever has no name of its own is a path
    that does not exist (no route, no such family, forbidden by a local firewall).

    Raises the error itself when it is not the network's: this process is out of descriptors.
    """
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(error, ssl.SSLError):
        return tls_failure(error)
    if error.errno in _OUR_OWN:
        raise error
    return _BY_ERRNO.get(error.errno or 0, Failure.UNREACHABLE)


def lookup_failure(error: OSError | UnicodeError) -> Failure:
    """Whether a name does not exist, or the resolver could not tell.

    A label that is empty or too long raises UnicodeError: no such name can exist.
    """
    if isinstance(error, socket.gaierror):
        absent = {socket.EAI_NONAME, socket.EAI_NODATA, getattr(socket, "EAI_ADDRFAMILY", None)}
        return Failure.NOT_FOUND if error.errno in absent else Failure.RESOLVER_FAILED
    return Failure.NOT_FOUND if isinstance(error, UnicodeError) else Failure.RESOLVER_FAILED


@dataclass(frozen=True)
class Line:
    """A TCP connection that came up, or (`sock` None) did not; `source` is our own address on it,
    "" where there is no way at all.
    `address` and `port` are what it leads to, for another line to the same place."""

    address: str
    port: int
    tcp: Attempt
    sock: socket.socket | None = None
    source: str = ""


@dataclass(frozen=True)
class Connection:
    """How a connection came up: its layers (tcp, and tls where asked for), and who is at the other
    end. There is no conversation when one of the layers failed; `unverified` is one with a peer
    that is not to be trusted, good for questions and never for credentials."""

    attempts: tuple[Attempt, ...]
    conversation: Conversation | None = None
    handshake: Handshake | None = None
    unverified: Conversation | None = None


class Net:
    """Dials for one walk. `timeout` (seconds) bounds each lookup, connect and answer.

    `lookup` is what resolves names, `device` the one interface that packets may leave by: the demo
    sets both, so that nothing of it leaves loopback. `capacity` bounds the descriptors in use, and
    `max_frame` an answer (bytes) on connections to come. `outside` is
    False when addresses mean what they mean only in here, so that no other client may be sent to
    them.
    """

    outside = True

    def __init__(
        self,
        timeout: float,
        *,
        family: str = "any",
        lookup: Resolve = socket.getaddrinfo,
        device: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        self.timeout = timeout
        self._handshakes = Handshakes(tls or Tls())
        self.capacity = capacity()
        self.max_frame = MAX_FRAME
        self._family = _FAMILIES[family]
        self._lookup = lookup
        self._device = device
        self._lookups: dict[str, asyncio.Future[tuple[Attempt, tuple[str, ...]]]] = {}
        self._open: set[Conversation] = set()
        self._explanations = MAX_EXPLANATIONS

    @cached_property
    def _threads(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._most_lookups)

    @cached_property
    def _sockets(self) -> Sockets:
        return Sockets(self.capacity - self._most_lookups)

    @property
    def _most_lookups(self) -> int:
        """At once: each holds a descriptor in its thread."""
        return max(1, min(MAX_LOOKUPS, self.capacity // 4))

    @property
    def keepable(self) -> int:
        """How many connections may be kept open while others are made."""
        return self._sockets.keepable

    async def resolve(self, host: str) -> tuple[Attempt, tuple[str, ...]]:
        """The addresses of a host, in the order a client tries them; at most MAX_ADDRESSES. A name
        is looked up once for all who ask at the same time."""
        if parse(host):
            return Attempt("dns", 0.0), (host,)
        if host not in self._lookups:
            self._lookups[host] = asyncio.ensure_future(self._looked_up(host))
            self._lookups[host].add_done_callback(lambda _: self._lookups.pop(host))
        return await asyncio.shield(self._lookups[host])

    async def _looked_up(self, host: str) -> tuple[Attempt, tuple[str, ...]]:
        """One lookup. The wait for a thread counts as well: a resolver that hangs costs one timeout
        for any number of names."""
        started = time.perf_counter()

        def ended(failure: Failure | None = None, detail: str = "") -> Attempt:
            return Attempt("dns", time.perf_counter() - started, failure, detail)

        try:
            found = await asyncio.wait_for(self._found(host), self.timeout)
        except asyncio.TimeoutError:
            waited = f"no answer from the resolver within {self.timeout:g} s"
            return ended(Failure.RESOLVER_FAILED, waited), ()
        except (OSError, UnicodeError) as error:
            said = error.strerror if isinstance(error, OSError) else None
            return ended(lookup_failure(error), clean(said or "not a valid host name")), ()
        addresses = dict.fromkeys(str(info[4][0]) for info in found)
        return ended(), tuple(addresses)[:MAX_ADDRESSES]

    async def _found(self, host: str) -> list[Any]:
        await self._threads.acquire()
        try:
            looking = in_thread(self._lookup, host, None, self._family, socket.SOCK_STREAM)
        except BaseException:
            self._threads.release()
            raise
        # A thread goes on when nobody waits for it any more, and holds its descriptors until then.
        looking.add_done_callback(lambda _: self._threads.release())
        return await asyncio.shield(looking)

    async def explained(self, host: str) -> Lookup | None:
        """What DNS servers say of a name that does not resolve. They are asked of a few names only,
        and where the operating system is what resolves here."""
        if self._lookup is not socket.getaddrinfo or self._explanations == 0:
            return None
        self._explanations -= 1
        # dnspython takes long to load, and is not there where only Python is.
        try:
            from kdiag.clients.resolver import explain_name
        except ImportError:
            return None
        return await in_thread(explain_name, host, min(self.timeout, _PATIENCE))

    async def connect(self, address: str, port: int, *, again: bool = False) -> Line:
        """A TCP connection to an IP literal, once there is room for one more; `again` for whoever
        has one to that peer already."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return await self._through(await self._sockets.open(family, further=again), address, port)

    async def _through(self, sock: socket.socket, address: str, port: int) -> Line:
        """Connects a socket, or closes it."""
        started = time.perf_counter()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._device:
                device = self._device.encode() + b"\0"
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            connecting = asyncio.get_running_loop().sock_connect(sock, (address, port))
            await asyncio.wait_for(connecting, self.timeout)
            elapsed = time.perf_counter() - started
            return Line(address, port, Attempt("tcp", elapsed), sock, str(sock.getsockname()[0]))
        except (asyncio.TimeoutError, OSError) as error:
            # Where one device is all there is, addresses are made up.
            source = "" if self._device else _source(sock)
            sock.close()
            elapsed = time.perf_counter() - started
            failure = os_failure(error) if isinstance(error, OSError) else Failure.TIMEOUT
            words = _os_words(error, self.timeout)
            return Line(address, port, Attempt("tcp", elapsed, failure, words), source=source)
        except BaseException:
            sock.close()
            raise

    async def converse(self, line: Line, name: str | None = None) -> Connection:
        """A conversation over a line, over TLS with the server of that `name` where one is given;
        `close` closes it at the latest."""
        if line.sock is None:
            return Connection((line.tcp,))
        if name is not None:
            return await self._looked_at(await self._secured(line, name), line, name)
        try:
            conversation = await Conversation.over(
                line.sock, self.timeout, os_failure, max_frame=self.max_frame
            )
        except (asyncio.TimeoutError, OSError) as error:
            line.sock.close()
            failure = os_failure(error) if isinstance(error, OSError) else Failure.TIMEOUT
            words = _os_words(error, self.timeout)
            return Connection((replace(line.tcp, failure=failure, detail=words),))
        except BaseException:
            line.sock.close()
            raise
        self._open.add(conversation)
        return Connection((line.tcp,), conversation)

    async def overhear(self, line: Line, said: bytes) -> bytes:
        """What a peer answers to these bytes, READ_LIMIT of it at most; nothing if it does not."""
        if line.sock is None:
            return b""
        sock, heard = line.sock, bytearray()

        async def listen() -> None:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, said)
            wait = patience
            while len(heard) < READ_LIMIT:
                more = await asyncio.wait_for(loop.sock_recv(sock, READ_LIMIT), wait)
                if not more:
                    return
                heard.extend(more)
                wait = _PAUSE

        patience = min(self.timeout, _PATIENCE)
        with sock, suppress(asyncio.TimeoutError, OSError):
            await asyncio.wait_for(listen(), patience)
        return bytes(heard[:READ_LIMIT])

    async def _secured(self, line: Line, name: str, *, look: bool = False) -> Connection:
        """The handshake on a line: the client's own, or one to look with."""
        assert line.sock is not None
        heard = self._handshakes.hear()
        started = time.perf_counter()
        context = self._handshakes.looking if look else self._handshakes.judging

        def ended(failure: Failure | None = None, detail: str = "") -> tuple[Attempt, Attempt]:
            return line.tcp, Attempt("tls", time.perf_counter() - started, failure, detail)

        code: int | None = None
        try:
            conversation = await Conversation.over(
                line.sock,
                self.timeout,
                os_failure,
                context=context,
                name=name,
                max_frame=self.max_frame,
            )
        except ssl.SSLError as error:
            failure, words = tls_failure(error), tls_words(error)
            code = getattr(error, "verify_code", None)
        except asyncio.TimeoutError:
            failure = Failure.SILENT
            words = f"no answer to the TLS handshake within {self.timeout:g} s"
        except OSError as error:
            # asyncio's word for a peer that closes in the handshake is a reset without a number
            failure = os_failure(error) if error.errno else Failure.CLOSED
            words = "ended by the peer during the handshake"
        except ValueError:  # UnicodeError among them
            line.sock.close()
            failure = Failure.HANDSHAKE
            words = "this name cannot be asked for in a TLS handshake"
        else:
            return await self._shaken(conversation, ended(), heard, name, context)
        if heard.wants_certificate and failure in _NO_REASON:
            failure = Failure.CLIENT_CERTIFICATE
        shown = self._handshakes.overheard(heard, name, code)
        return Connection(ended(failure, words), handshake=shown)

    async def _shaken(
        self,
        conversation: Conversation,
        made: tuple[Attempt, Attempt],
        heard: Heard,
        name: str,
        context: ssl.SSLContext,
    ) -> Connection:
        """A connection whose handshake is complete."""
        self._open.add(conversation)
        assert conversation.tls is not None
        code = 0 if context.verify_mode is ssl.CERT_REQUIRED else None
        if heard.wants_certificate:
            await conversation.hear_out(_LAST_WORDS)
        return Connection(
            made, conversation, self._handshakes.seen(conversation.tls, heard, name, code)
        )

    async def _looked_at(self, made: Connection, line: Line, name: str) -> Connection:
        """A connection whose handshake failed for what the peer is: a second one, that takes
        anybody, shows whom we met."""
        if made.attempts[-1].failure not in _SEE_FOR_YOURSELF:
            return made
        again = await self.connect(line.address, line.port, again=True)
        if again.sock is None:
            return made
        met = await self._secured(again, name, look=True)
        if not met.conversation or not met.handshake:
            return made
        code = made.handshake.verify_code if made.handshake else None
        shown = replace(met.handshake, verify_code=code)
        *before, tls = made.attempts
        if tls.failure in _NO_REASON:  # it does speak TLS, only not as the client would
            words = f"{tls.detail}; it would take {shown.version} with {shown.cipher}"
            tls = replace(tls, failure=Failure.HANDSHAKE, detail=words)
        return replace(made, attempts=(*before, tls), handshake=shown, unverified=met.conversation)

    async def close(self) -> None:
        """Closes every conversation that is still open."""
        for conversation in self._open:
            conversation.close()
        self._open.clear()
        await asyncio.sleep(0)


def in_thread(function: Callable[..., T], *args: object) -> asyncio.Future[T]:
    """Runs a blocking call in a daemon thread.

    Unlike an executor's thread it holds nobody up when it outlives its welcome: a resolver may
    sit on a lookup for half a minute, and the process must end before.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: object) -> None:
        if not future.done():
            set_it(value)

    def run() -> None:
        try:
            outcome, value = future.set_result, function(*args)
        except BaseException as error:
            outcome, value = future.set_exception, error  # type: ignore[assignment]
        try:
            loop.call_soon_threadsafe(settle, outcome, value)
        except RuntimeError:
            return  # the walk is over and its loop closed: nobody waits for this answer

    threading.Thread(target=run, name="kdiag", daemon=True).start()
    return future


def _source(sock: socket.socket) -> str:
    """Our own address on a connection that is being made, "" before it has one."""
    host = str(sock.getsockname()[0])
    return "" if host in ("0.0.0.0", "::") else host


def _os_words(error: BaseException, timeout: float) -> str:
    if isinstance(error, socket.gaierror):  # an IPv6 zone that this machine does not have
        return clean(error.strerror or "")
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else f"no answer within {timeout:g} s"
