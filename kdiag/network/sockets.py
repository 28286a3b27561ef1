"""Opens sockets within this process's limit on descriptors: at the limit, an open waits."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import _socket

MAX_OPEN = 4096
_SPARE = 64  # descriptors for everything else in this process


class Sockets:
    """At most `capacity` sockets, open at once.

    A quarter of them is reserved for second connections, to peers whose first connection is still
    open: two callers with one connection each must not wait for each other. `keepable` of the
    first connections may stay open while others are opened.
    """

    def __init__(self, capacity: int) -> None:
        further = max(1, capacity // 4)
        first = max(1, capacity - further)
        self.keepable = first * 3 // 4
        self._first = asyncio.Semaphore(first)
        self._further = asyncio.Semaphore(further)

    async def open(
        self, family: int, *, further: bool, started: _socket.socket | None = None
    ) -> socket.socket:
        """A TCP socket, as soon as a descriptor is free: a new one, or the `started` one."""
        slots = self._further if further else self._first
        await slots.acquire()
        try:
            return Counted(family, slots, started.detach() if started else None)
        except BaseException:
            slots.release()
            raise


class Counted(socket.socket):
    """A socket that frees its slot when it is closed."""

    def __init__(self, family: int, slots: asyncio.Semaphore, handle: int | None) -> None:
        super().__init__(family, socket.SOCK_STREAM, fileno=handle)
        self._slots: asyncio.Semaphore | None = slots

    def close(self) -> None:
        super().close()
        slots, self._slots = self._slots, None
        if slots:
            slots.release()


def capacity() -> int:
    """How many sockets may be open at once."""
    try:
        import resource  # 0.4 ms
    except ImportError:  # Windows has no such limit
        return MAX_OPEN
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_OPEN
    return max(8, min(MAX_OPEN, soft - _SPARE))


def raise_limit() -> None:
    """Raises the soft limit on descriptors, for MAX_OPEN sockets or as many as the hard limit
    allows: the soft limit is 256 on macOS."""
    try:
        import resource  # 0.4 ms
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN + _SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
