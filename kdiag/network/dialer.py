"""Names and sockets: the door to DNS and TCP. What fails comes back as a value."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from kdiag.address import parse
from kdiag.config.security import Tls
from kdiag.kafka.connection import KafkaConnection
from kdiag.kafka.messages import MAX_FRAME
from kdiag.network.attempt import Failure, LayerResult, clean
from kdiag.network.dns_diagnosis import DnsDiagnosis
from kdiag.network.errors import lookup_failure, os_failure, os_words
from kdiag.network.fingerprint import READ_LIMIT
from kdiag.network.line import ConnectionResult, TcpConnection
from kdiag.network.sockets import Sockets, capacity

if TYPE_CHECKING:
    from kdiag.network.head_start import Begun
    from kdiag.network.tls_connection import TlsDialer

T = TypeVar("T")
Resolve = Callable[..., list[Any]]

MAX_ADDRESSES = 16  # of one name
MAX_LOOKUPS = 512  # at once, each in a thread
MAX_EXPLANATIONS = 3  # of names that do not resolve; the others are likely like them

_PATIENCE = 1.0  # with a peer that is no broker, in seconds
_PAUSE = 0.2  # after which it has said what it had to say

# The name exists, and has no address of the families that were asked for.
_NOT_OF_OURS = {
    getattr(socket, name) for name in ("EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
}

_FAMILIES = {"any": socket.AF_UNSPEC, "v4": socket.AF_INET, "v6": socket.AF_INET6}


class Dialer:
    """Dials for one walk. `timeout` (seconds) bounds each lookup, each connect and each TLS
    handshake, `answer_timeout` each answer of a peer that accepted (None: the same).

    `lookup` is what resolves names, `device` the one interface that packets may leave by: the demo
    sets both, so that nothing of it leaves loopback. `begun` are connections that are under way:
    whoever is first to connect to such an address goes on with that one. `capacity` bounds the
    descriptors in use, and `max_frame` an answer (bytes) on connections to come. `outside` is
    False when addresses mean what they mean only in here, so that no other client may be sent to
    them.
    """

    outside = True

    def __init__(
        self,
        timeout: float,
        *,
        answer_timeout: float | None = None,
        family: str = "any",
        lookup: Resolve = socket.getaddrinfo,
        device: str | None = None,
        tls: Tls | None = None,
        begun: Iterable[Begun] = (),
    ) -> None:
        self.timeout = timeout
        self.answer_timeout = timeout if answer_timeout is None else answer_timeout
        self._tls = tls or Tls()
        self.capacity = capacity()
        self.max_frame = MAX_FRAME
        self._family = _FAMILIES[family]
        self._lookup = lookup
        self._device = device
        self._begun = {(each.address, each.port): each for each in begun}
        self._lookups: dict[str, asyncio.Future[tuple[LayerResult, tuple[str, ...]]]] = {}
        self._open: set[KafkaConnection] = set()
        self._explanations = MAX_EXPLANATIONS

    @cached_property
    def _threads(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._most_lookups)

    @cached_property
    def _sockets(self) -> Sockets:
        return Sockets(self.capacity - self._most_lookups)

    @cached_property
    def _secured(self) -> TlsDialer:
        from kdiag.network.tls_connection import TlsDialer  # which plaintext has no use for

        again = partial(self.connect, again=True)
        return TlsDialer(self._tls, self.timeout, self.answer_timeout, again, self.keep)

    @property
    def _most_lookups(self) -> int:
        """At once: each holds a descriptor in its thread."""
        return max(1, min(MAX_LOOKUPS, self.capacity // 4))

    @property
    def keepable(self) -> int:
        """How many connections may be kept open while others are made."""
        return self._sockets.keepable

    async def resolve(self, host: str) -> tuple[LayerResult, tuple[str, ...]]:
        """The addresses of a host, in the order a client tries them; at most MAX_ADDRESSES. A name
        is looked up once for all who ask at the same time."""
        if parse(host):
            return LayerResult("dns", 0.0), (host,)
        if host not in self._lookups:
            self._lookups[host] = asyncio.ensure_future(self._looked_up(host))
            self._lookups[host].add_done_callback(lambda _: self._lookups.pop(host))
        return await asyncio.shield(self._lookups[host])

    async def _looked_up(self, host: str) -> tuple[LayerResult, tuple[str, ...]]:
        """One lookup. The wait for a thread counts as well: a resolver that hangs costs one timeout
        for any number of names."""
        started = time.perf_counter()

        def ended(failure: Failure | None = None, detail: str = "") -> LayerResult:
            return LayerResult("dns", time.perf_counter() - started, failure, detail)

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
            looking = in_thread(_for_clients, self._lookup, host, self._family)
        except BaseException:
            self._threads.release()
            raise
        # A thread goes on when nobody waits for it any more, and holds its descriptors until then.
        looking.add_done_callback(lambda _: self._threads.release())
        return await asyncio.shield(looking)

    async def explained(self, host: str) -> DnsDiagnosis | None:
        """What DNS servers say of a name that does not resolve. They are asked of a few names only,
        and where the operating system is what resolves here."""
        if self._lookup is not socket.getaddrinfo or self._explanations == 0:
            return None
        self._explanations -= 1
        # dnspython takes long to load, and is not there where only Python is.
        try:
            from kdiag.network.dns import explain_name
        except ImportError:
            return None
        return await in_thread(explain_name, host, min(self.timeout, _PATIENCE))

    async def connect(self, address: str, port: int, *, again: bool = False) -> TcpConnection:
        """A TCP connection to an IP literal, once there is room for one more; `again` for whoever
        has one to that peer already."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        begun = self._begun.pop((address, port), None)
        sock = await self._sockets.open(family, further=again, begun=begun and begun.sock)
        line = await self._through(sock, address, port)
        if begun and line.sock:  # nobody has watched it: the kernel says how long it took
            elapsed = begun.took(line.sock) or line.tcp.elapsed
            line = line._replace(tcp=line.tcp._replace(elapsed=elapsed))
        return line

    async def _through(self, sock: socket.socket, address: str, port: int) -> TcpConnection:
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
            return TcpConnection(
                address, port, LayerResult("tcp", elapsed), sock, str(sock.getsockname()[0])
            )
        except (asyncio.TimeoutError, OSError) as error:
            # Where one device is all there is, addresses are made up.
            source = "" if self._device else _source(sock)
            sock.close()
            elapsed = time.perf_counter() - started
            attempt = LayerResult("tcp", elapsed, *self._failed(error))
            return TcpConnection(address, port, attempt, source=source)
        except BaseException:
            sock.close()
            raise

    async def converse(self, line: TcpConnection, name: str | None = None) -> ConnectionResult:
        """A conversation over a line, over TLS with the server of that `name` where one is given;
        `close` closes it at the latest."""
        if line.sock is None:
            return ConnectionResult((line.tcp,))
        if name is not None:
            return await self._secured.over(line, name, self.max_frame)
        try:
            conversation = await KafkaConnection.over(
                line.sock,
                self.timeout,
                answer_timeout=self.answer_timeout,
                max_frame=self.max_frame,
            )
        except (asyncio.TimeoutError, OSError) as error:
            line.sock.close()
            failure, words = self._failed(error)
            return ConnectionResult((line.tcp._replace(failure=failure, detail=words),))
        except BaseException:
            line.sock.close()
            raise
        self.keep(conversation)
        return ConnectionResult((line.tcp,), conversation)

    async def overhear(self, line: TcpConnection, said: bytes) -> bytes:
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

    def keep(self, conversation: KafkaConnection) -> None:
        """It is open, until `close` at the latest."""
        self._open.add(conversation)
        conversation.closed = self._open.discard

    def _failed(self, error: OSError | asyncio.TimeoutError) -> tuple[Failure, str]:
        """Why a connection did not come up, and that in words."""
        waited = f"no answer within {self.timeout:g} s"
        if not isinstance(error, OSError):
            return Failure.TIMEOUT, waited
        return os_failure(error), os_words(error) or waited

    async def close(self) -> None:
        """Closes every conversation that is still open."""
        for conversation in tuple(self._open):
            conversation.close()
        for each in self._begun.values():
            each.sock.close()
        await asyncio.sleep(0)


def _for_clients(lookup: Resolve, host: str, family: int) -> list[Any]:
    """What a client on this machine is told of a name: no IPv6 address where the machine has none
    of its own beside loopback, nor IPv4 likewise (AI_ADDRCONFIG, as librdkafka asks). Where nothing
    is left, all that there is: a name that exists is not to be called unknown."""
    try:
        return lookup(host, None, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
    except socket.gaierror as error:
        if error.errno not in _NOT_OF_OURS:
            raise
        return lookup(host, None, family, socket.SOCK_STREAM)


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
    try:
        host = str(sock.getsockname()[0])
    except OSError:  # Windows and macOS, after a failed connect
        return ""
    return "" if host in ("0.0.0.0", "::") else host
