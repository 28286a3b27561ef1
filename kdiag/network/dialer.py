"""Resolves host names and opens TCP connections. A failure is a value in the result."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from kdiag.address import parse
from kdiag.config.record import NamedTuple
from kdiag.network.attempt import Failure, LayerResult, clean
from kdiag.network.dns_diagnosis import DnsDiagnosis
from kdiag.network.errors import NO_SUCH_FAMILY, lookup_failure, os_failure, os_message
from kdiag.network.fingerprint import READ_LIMIT
from kdiag.network.sockets import Sockets, capacity

if TYPE_CHECKING:
    from kdiag.network.head_start import StartedConnection

T = TypeVar("T")
Lookup = Callable[..., list[Any]]
ReverseLookup = Callable[..., tuple[str, str]]

MAX_ADDRESSES = 16  # of one name
MAX_LOOKUPS = 512  # at once, each in a thread
MAX_DIAGNOSES = 3  # of names that cannot be used; the others likely fail for the same reason

# Windows repeats a refused request to connect for about two seconds before it says so: who waits
# for less takes a closed port for packets that are dropped.
_REFUSED_ON_WINDOWS = 3.0
_PROBE_SECONDS = 1.0  # for a peer that is not a broker, and for the diagnosis of a name
_PAUSE = 0.2  # seconds without data, after which the peer's answer is taken as complete

_FAMILIES = {"any": socket.AF_UNSPEC, "v4": socket.AF_INET, "v6": socket.AF_INET6}


class TcpConnection(NamedTuple):
    """The result of one TCP connect to `address` and `port`; `sock` is None where it failed.

    `source` is the local address, "" where no route gives one. `sent` are bytes that were sent
    already, and `waited` is for how many seconds the peer's answer to them was waited.
    """

    address: str
    port: int
    tcp: LayerResult
    sock: socket.socket | None = None
    source: str = ""
    sent: bytes = b""
    waited: float = 0.0


class TcpDialer:
    """Resolves names and opens TCP connections for one walk.

    `timeout` (seconds) bounds each connect, which on Windows may take three seconds in any case;
    `patience` (None: the same) bounds each lookup: clients wait for a resolver whose first server
    is down. `lookup` resolves names as getaddrinfo does, `device` is the one interface that
    packets may leave by: the demo sets both, so that no packet leaves loopback. `started` are
    connections that were started before; `connect` to such an address continues with the started
    one, and the walk `began` (by time.perf_counter()) with the first. `capacity` bounds the file
    descriptors in use. `outside` is False where addresses have a meaning in this process only, so
    that no other client may be given them.
    """

    outside = True

    def __init__(
        self,
        timeout: float,
        *,
        patience: float | None = None,
        family: str = "any",
        lookup: Lookup = socket.getaddrinfo,
        device: str | None = None,
        started: Iterable[StartedConnection] = (),
    ) -> None:
        self.timeout = timeout
        self.patience = max(timeout, patience or 0.0)
        windows = sys.platform == "win32"
        self._connect_timeout = max(timeout, _REFUSED_ON_WINDOWS) if windows else timeout
        self.capacity = capacity()
        self._family = _FAMILIES[family]
        self._lookup = lookup
        self.reverse: ReverseLookup = socket.getnameinfo
        self._device = device
        self._started = {(each.address, each.port): each for each in started}
        begun = (each.began for each in self._started.values())
        self.began = min(begun, default=time.perf_counter())
        self._lookups: dict[str, asyncio.Future[tuple[LayerResult, tuple[str, ...]]]] = {}
        self._diagnoses = MAX_DIAGNOSES

    @cached_property
    def _threads(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._most_lookups)

    @cached_property
    def _sockets(self) -> Sockets:
        return Sockets(self.capacity - self._most_lookups)

    @property
    def _most_lookups(self) -> int:
        """How many lookups may run at once: each holds a descriptor in its thread."""
        return max(1, min(MAX_LOOKUPS, self.capacity // 4))

    @property
    def keepable(self) -> int:
        """How many connections may stay open while others are opened."""
        return self._sockets.keepable

    async def resolve(self, host: str) -> tuple[LayerResult, tuple[str, ...]]:
        """The addresses of a host, in the order in which a client tries them; at most
        MAX_ADDRESSES. Callers that resolve one name at the same time share one lookup."""
        if parse(host):
            return LayerResult("dns", 0.0), (host,)
        if host not in self._lookups:
            self._lookups[host] = asyncio.ensure_future(self._resolve_name(host))
            self._lookups[host].add_done_callback(lambda _: self._lookups.pop(host))
        return await asyncio.shield(self._lookups[host])

    async def _resolve_name(self, host: str) -> tuple[LayerResult, tuple[str, ...]]:
        """One lookup. The timeout includes the wait for a thread: a resolver that hangs costs one
        timeout for any number of names."""
        started = time.perf_counter()

        def result(failure: Failure | None = None, detail: str = "") -> LayerResult:
            return LayerResult("dns", time.perf_counter() - started, failure, detail)

        try:
            found = await asyncio.wait_for(self._look_up(host), self.patience)
        except asyncio.TimeoutError:
            message = f"no answer from the resolver within {self.patience:g} s"
            return result(Failure.RESOLVER_FAILED, message), ()
        except (OSError, UnicodeError) as error:
            text = error.strerror if isinstance(error, OSError) else None
            return result(lookup_failure(error), clean(text or "not a valid host name")), ()
        addresses = dict.fromkeys(str(info[4][0]) for info in found)
        return result(), tuple(addresses)[:MAX_ADDRESSES]

    async def _look_up(self, host: str) -> list[Any]:
        await self._threads.acquire()
        try:
            lookup = in_thread(_usable_addresses, self._lookup, host, self._family)
        except BaseException:
            self._threads.release()
            raise

        # A thread that nobody waits for any more goes on, and holds its descriptors until it ends.
        def ended(_: object) -> None:
            self._threads.release()
            lookup.exception()  # else asyncio logs it as never retrieved

        lookup.add_done_callback(ended)
        return await asyncio.shield(lookup)

    async def diagnose(self, host: str) -> DnsDiagnosis | None:
        """What DNS servers answer about a name that cannot be used. None after MAX_DIAGNOSES
        names, and where the operating system does not resolve the names."""
        if self._lookup is not socket.getaddrinfo or self._diagnoses == 0:
            return None
        self._diagnoses -= 1
        # dnspython takes long to load, and is missing where only Python is.
        try:
            from kdiag.network.dns import explain_name  # 5.2 ms
        except ImportError:
            return None
        return await in_thread(explain_name, host, min(self.timeout, _PROBE_SECONDS))

    async def connect(self, address: str, port: int, *, again: bool = False) -> TcpConnection:
        """Connects to an IP literal, as soon as a descriptor is free. `again` is for a caller that
        already has a connection to this peer."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        started = self._started.pop((address, port), None)
        sent, sock = (started.take(), started.sock) if started else (b"", None)
        sock = await self._sockets.open(family, further=again, started=sock)
        if started and sent:
            sock.setblocking(False)
            tcp, source = LayerResult("tcp", started.took(sock) or 0.0), str(sock.getsockname()[0])
            return TcpConnection(address, port, tcp, sock, source, sent, started.waited(sock))
        connection = await self._connect(sock, address, port)
        if started and connection.sock:  # nobody watched it: the kernel knows how long it took
            elapsed = started.took(connection.sock) or connection.tcp.elapsed
            connection = connection._replace(tcp=connection.tcp._replace(elapsed=elapsed))
        return connection

    async def _connect(self, sock: socket.socket, address: str, port: int) -> TcpConnection:
        """Connects a socket, or closes it."""
        started = time.perf_counter()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._device:
                device = self._device.encode() + b"\0"
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            connecting = asyncio.get_running_loop().sock_connect(sock, (address, port))
            await asyncio.wait_for(connecting, self._connect_timeout)
            elapsed = time.perf_counter() - started
            return TcpConnection(
                address, port, LayerResult("tcp", elapsed), sock, str(sock.getsockname()[0])
            )
        except (asyncio.TimeoutError, OSError) as error:
            # On a set device, the local address says nothing: the addresses are made up.
            source = "" if self._device else _local_address(sock)
            sock.close()
            elapsed = time.perf_counter() - started
            attempt = LayerResult("tcp", elapsed, *connect_failure(error, self._connect_timeout))
            return TcpConnection(address, port, attempt, source=source)
        except BaseException:
            sock.close()
            raise

    async def probe(self, connection: TcpConnection, request: bytes) -> bytes:
        """What a peer answers to these bytes, at most READ_LIMIT bytes, b"" for no answer; then the
        connection is closed."""
        if connection.sock is None:
            return b""
        sock, answer = connection.sock, bytearray()

        async def exchange() -> None:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, request)
            wait = limit
            while len(answer) < READ_LIMIT:
                more = await asyncio.wait_for(loop.sock_recv(sock, READ_LIMIT), wait)
                if not more:
                    return
                answer.extend(more)
                wait = _PAUSE

        limit = min(self.timeout, _PROBE_SECONDS)
        with sock, suppress(asyncio.TimeoutError, OSError):
            await asyncio.wait_for(exchange(), limit)
        return bytes(answer[:READ_LIMIT])

    async def close(self) -> None:
        """Closes the started connections that nobody continued."""
        for each in self._started.values():
            each.sock.close()
        await asyncio.sleep(0)


def connect_failure(error: OSError | asyncio.TimeoutError, waited: float) -> tuple[Failure, str]:
    """Why a connect failed that took `waited` seconds at most, and a message about it."""
    message = f"no answer within {waited:g} s"
    if not isinstance(error, OSError):
        return Failure.TIMEOUT, message
    return os_failure(error), os_message(error) or message


def _usable_addresses(lookup: Lookup, host: str, family: int) -> list[Any]:
    """The addresses that a client on this machine gets for a name: IPv6 addresses only where the
    machine has one besides loopback, and IPv4 likewise (AI_ADDRCONFIG, which librdkafka sets). All
    addresses where that leaves none: a name that exists must not be called unknown."""
    try:
        return lookup(host, None, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
    except socket.gaierror as error:
        if error.errno not in NO_SUCH_FAMILY:
            raise
        return lookup(host, None, family, socket.SOCK_STREAM)


def in_thread(function: Callable[..., T], *args: object) -> asyncio.Future[T]:
    """Runs a blocking call in a daemon thread.

    An executor's thread would delay the end of the process: a resolver can block a lookup for half
    a minute.
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
            return  # the loop is closed: nobody waits for this result

    threading.Thread(target=run, name="kdiag", daemon=True).start()
    return future


def _local_address(sock: socket.socket) -> str:
    """The local address of a socket that is connecting, "" before it has one."""
    try:
        host = str(sock.getsockname()[0])
    except OSError:  # Windows and macOS, after a failed connect
        return ""
    return "" if host in ("0.0.0.0", "::") else host
