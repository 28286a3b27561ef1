"""Names and sockets: the door to DNS and TCP. What fails comes back as a value."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kdiag.address import parse
from kdiag.attempt import Attempt, Failure, clean
from kdiag.clients.conversation import Conversation

T = TypeVar("T")
Lookup = Callable[..., list[Any]]

MAX_ADDRESSES = 16  # of one name
MAX_LOOKUPS = 64  # at once, each in a thread
MAX_OPEN = 1024
_SPARE_DESCRIPTORS = 64

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


class Net:
    """Dials for one walk. `timeout` (seconds) bounds each lookup, connect and answer.

    `lookup` is what resolves names, `device` the one interface that packets may leave by: the demo
    sets both, so that nothing of it leaves loopback. `outside` is False when addresses mean what
    they mean only in here, so that no other client may be sent to them.
    """

    outside = True

    def __init__(
        self,
        timeout: float,
        *,
        family: str = "any",
        lookup: Lookup = socket.getaddrinfo,
        device: str | None = None,
    ) -> None:
        self.timeout = timeout
        self.capacity = _capacity()
        self._family = _FAMILIES[family]
        self._lookup = lookup
        self._device = device
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)
        self._open: set[Conversation] = set()

    async def resolve(self, host: str) -> tuple[Attempt, tuple[str, ...]]:
        """The addresses of a host, in the order a client tries them; at most MAX_ADDRESSES."""
        started = time.perf_counter()
        if parse(host):
            return Attempt("dns", 0.0), (host,)

        def ended(failure: Failure | None = None, detail: str = "") -> Attempt:
            return Attempt("dns", time.perf_counter() - started, failure, detail)

        async with self._lookups:
            looking = in_thread(self._lookup, host, None, self._family, socket.SOCK_STREAM)
            try:
                found = await asyncio.wait_for(looking, self.timeout)
            except TimeoutError:
                waited = f"no answer from the resolver within {self.timeout:g} s"
                return ended(Failure.RESOLVER_FAILED, waited), ()
            except (OSError, UnicodeError) as error:
                said = error.strerror if isinstance(error, OSError) else None
                return ended(lookup_failure(error), clean(said or "not a valid host name")), ()
        addresses = dict.fromkeys(str(info[4][0]) for info in found)
        return ended(), tuple(addresses)[:MAX_ADDRESSES]

    async def connect(self, address: str, port: int) -> tuple[Attempt, Conversation | None]:
        """A TCP connection to an IP literal; `close` closes the conversation at the latest."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        started = time.perf_counter()
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._device:
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device.encode() + b"\0"
                )
            connecting = asyncio.get_running_loop().sock_connect(sock, (address, port))
            await asyncio.wait_for(connecting, self.timeout)
            elapsed = time.perf_counter() - started
            conversation = await Conversation.over(sock, self.timeout, os_failure)
        except (TimeoutError, OSError) as error:
            sock.close()
            elapsed = time.perf_counter() - started
            failure = os_failure(error) if isinstance(error, OSError) else Failure.TIMEOUT
            return Attempt("tcp", elapsed, failure, _os_words(error, self.timeout)), None
        except BaseException:
            sock.close()
            raise
        self._open.add(conversation)
        return Attempt("tcp", elapsed), conversation

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


def _os_words(error: BaseException, timeout: float) -> str:
    if isinstance(error, socket.gaierror):  # an IPv6 zone that this machine does not have
        return clean(error.strerror or "")
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else f"no answer within {timeout:g} s"


def _capacity() -> int:
    """How many connections may be open at once, by this process's limit on descriptors."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MAX_OPEN
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_OPEN
    return max(8, min(MAX_OPEN, soft - _SPARE_DESCRIPTORS))
