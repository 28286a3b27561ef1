"""Sockets, within this process's limit on descriptors: beyond it, one more waits for another."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import _socket

MAX_OPEN = 4096
_SPARE = 64  # descriptors for all that is no socket of ours


class Sockets:
    """At most `capacity` sockets, open at once.

    A quarter of them is set aside for a second look at a peer whose first connection is still open:
    whoever has one of these waits for no other, so that no two wait for each other. `keepable` of
    the first ones may be kept open while others are made.
    """

    def __init__(self, capacity: int) -> None:
        further = max(1, capacity // 4)
        first = max(1, capacity - further)
        self.keepable = first * 3 // 4
        self._first = asyncio.Semaphore(first)
        self._further = asyncio.Semaphore(further)

    async def open(
        self, family: int, *, further: bool, begun: _socket.socket | None = None
    ) -> socket.socket:
        """A TCP socket, once there is room for it: a new one, or the one that was `begun`."""
        places = self._further if further else self._first
        await places.acquire()
        try:
            return Counted(family, places, begun.detach() if begun else None)
        except BaseException:
            places.release()
            raise


class Counted(socket.socket):
    """A socket that makes room when it is closed, whoever closes it."""

    def __init__(self, family: int, places: asyncio.Semaphore, handle: int | None) -> None:
        super().__init__(family, socket.SOCK_STREAM, fileno=handle)
        self._places: asyncio.Semaphore | None = places

    def close(self) -> None:
        super().close()
        places, self._places = self._places, None
        if places:
            places.release()


def capacity() -> int:
    """How many sockets may be open at once, by this process's limit on descriptors."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MAX_OPEN
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_OPEN
    return max(8, min(MAX_OPEN, soft - _SPARE))


def raise_limit() -> None:
    """Makes room for MAX_OPEN sockets, or as many as the hard limit allows: the soft one is 256 on
    macOS, for the sake of programs that use select."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN + _SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
