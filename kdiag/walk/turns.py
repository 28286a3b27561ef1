"""Limits how many TLS handshakes a walk begins at once.

A thousand handshakes at once keep a processor busy for longer than a client waits for one: peers
would look silent that are not, and each handshake takes memory. A turn lasts until the peer has
answered, the login included. Where no turn ends for a moment, all of those peers are slow, and the
next ones begin beside them.
"""

from __future__ import annotations

import asyncio

MOST_AT_ONCE = 64
_MOMENT = 0.5  # seconds


class Turns:
    """The turns of one walk that have not ended."""

    def __init__(self) -> None:
        self._begun: set[asyncio.Future[None]] = set()
        self._lock: asyncio.Lock | None = None

    async def take(self) -> asyncio.Future[None]:
        """Waits for a turn. The turn ends when its result is set or it is cancelled."""
        self._lock = self._lock or asyncio.Lock()  # Python 3.9 binds it to the loop that runs
        async with self._lock:
            while len(self._begun) >= MOST_AT_ONCE:
                ended, _ = await asyncio.wait(
                    self._begun, timeout=_MOMENT, return_when=asyncio.FIRST_COMPLETED
                )
                self._begun = self._begun - ended if ended else set()
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._begun.add(turn)
            return turn
