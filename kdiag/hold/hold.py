"""Keeps connections to the brokers silent, and asks each again after another gap.

Each gap has a connection of its own, and all are silent at the same time: so DURATION is the whole
time that it takes, and one that ends shows nothing about the next. One more connection to each
broker is never silent for long: only where it lives, silence is the reason that others end.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress

from kdiag.config.options import MOST_WAIT
from kdiag.config.settings import IDLE
from kdiag.hold.facts import MOST_LATE, PART_LATE, HeldBroker, Hold, Outcome, Silent, seconds
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.messages import API_VERSIONS
from kdiag.network.attempt import GONE, Failure
from kdiag.text import whole_number
from kdiag.walk.areas import Holding
from kdiag.walk.dial import connect, target_of
from kdiag.walk.facts.listeners import Listener
from kdiag.walk.hop import Walk
from kdiag.walk.questions import broker_configs, configs, metadata_question

MOST_CONNECTIONS = 256  # of all brokers
MOST_INTERVAL, TICKS = 5.0, 8  # seconds between two questions; at least so many in the first gap

# Just below and above what load balancers and NAT gateways have by default: Azure's 240 s, AWS's
# 350 s.
GAPS = (60.0, 230.0, 250.0, 340.0, 360.0, 900.0, 1800.0, 3600.0)
MOST_GAPS = len(GAPS) + 4

_SESSION = 0.9  # the part of a login's session in which brokers are asked


def gaps(duration: float, limit: float | None) -> tuple[float, ...]:
    """The gaps that fit the duration, in seconds, growing; the last is the duration. They include
    one just below and one just above the broker's own `limit`."""
    found = {gap for gap in GAPS if gap < duration} | {duration}
    if len(found) < 3:
        found |= {duration / 4, duration / 2}
    if limit:
        late = PART_LATE * limit
        near = (limit - max(1.0, late), limit + max(MOST_LATE, late))
        found |= {gap for gap in near if 0 < gap < duration}
    return tuple(sorted(found))


async def hold(walk: Walk, reached: Sequence[Listener], duration: float) -> Hold:
    """Holds connections to all brokers at once. Cancelled, it returns what is known."""
    by_address = {_address(listener): listener for listener in reversed(reached)}
    most = max(1, min(MOST_CONNECTIONS, walk.net.keepable) // (MOST_GAPS + 1))
    held = [_Holding(walk, each, duration) for each in reversed(by_address.values())]
    held, left_out = held[:most], len(held[most:])
    held[0].reports = True
    tasks = [asyncio.ensure_future(each.run()) for each in held]
    interrupted = False
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        interrupted = True
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
    return Hold(duration, tuple(each.found for each in held), left_out, interrupted=interrupted)


def _address(listener: Listener) -> tuple[str, int]:
    address, endpoint, _ = target_of(listener.contact)
    return address, endpoint.port


class _Kept:
    """A connection that is silent for `gap` seconds."""

    def __init__(self, gap: float, connection: KafkaConnection | None) -> None:
        self.gap, self._connection = gap, connection
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._ended: float | None = None
        outcome = Outcome.NOT_ASKED if connection else Outcome.NOT_OPENED
        self._result = Silent(gap, outcome)
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        if self._connection:
            await self._connection.wait_for_end(MOST_WAIT)
            self._ended = self._loop.time()

    @property
    def over(self) -> bool:
        """Whether the connection has ended, or was asked."""
        return self._connection is None or self._ended is not None or bool(self._result.silent)

    async def ask(self, session_ends: bool) -> None:
        """Asks the broker, unless the connection has ended or the login has by then."""
        if self._connection is None or self._ended is not None:
            return
        if session_ends:
            self._result = Silent(self.gap, Outcome.SESSION_ENDS)
            return
        silent = self._loop.time() - self._since
        self._watching.cancel()
        reply = await _ask(self._connection)
        arrived = None
        if reply.failure is Failure.SILENT and (sent := self._connection.sent()):
            arrived = True if sent.arrived else False if sent.lost else None
        self._result = Silent(self.gap, _when_asked(reply), silent, arrived)

    async def settle(self) -> Silent:
        """The result; closes the connection."""
        self._watching.cancel()
        if self._connection and self._ended is not None:
            reset = (await _ask(self._connection)).failure is Failure.RESET
            outcome = Outcome.RESET if reset else Outcome.CLOSED
            self._result = Silent(self.gap, outcome, self._ended - self._since)
        if self._connection:
            self._connection.close()
        return self._result


def _when_asked(reply: Reply) -> Outcome:
    if reply.failure is Failure.RESET:
        return Outcome.RESET_WHEN_ASKED
    if reply.failure in (Failure.SILENT, Failure.TIMEOUT, Failure.UNREACHABLE):
        return Outcome.UNANSWERED
    return Outcome.CLOSED_WHEN_ASKED if reply.failure in GONE else Outcome.ANSWERED


async def _ask(connection: KafkaConnection) -> Reply:
    return await connection.request(API_VERSIONS, 0, {})


class _Holding:
    """The connections to one broker. `reports`: the observer learns from it how far --hold is."""

    def __init__(self, walk: Walk, listener: Listener, duration: float) -> None:
        self._walk, self._duration = walk, duration
        self._target = target_of(listener.contact)
        self._loop = asyncio.get_running_loop()
        self._kept: list[_Kept] = []
        self.reports = False
        node, advertised = listener.broker.node, str(listener.broker.advertised)
        self.found = HeldBroker(node, advertised, None, 0.0, 0.0, 0, "not opened", ())

    async def run(self) -> None:
        """Opens the connections, waits, and asks. What is known is in `found`, also when it is
        cancelled."""
        node = self.found.node
        questions = (metadata_question(raw=True), broker_configs(node, (IDLE,)))
        opened = await connect(self._walk, self._target._replace(questions=questions))
        if opened.connection is None:
            return
        busy, began = opened.connection, self._loop.time()
        limit = _limit(await opened.replies[1]) if opened.replies[1:] else None
        times = gaps(self._duration, limit)
        interval = min(MOST_INTERVAL, times[0] / TICKS)
        session = busy.session_ms / 1000
        self.found = self.found._replace(
            limit=limit, session=session, interval=interval, unwatched=""
        )
        try:
            for gap in times:
                self._kept.append(_Kept(gap, await self._another()))
                if not await self._answered(busy):
                    return
            left = _SESSION * session - (self._loop.time() - began) if session else math.inf
            await self._watch(busy, interval, left)
        finally:
            busy.close()
            results = [await each.settle() for each in self._kept]
            self.found = self.found._replace(connections=tuple(results))

    async def _another(self) -> KafkaConnection | None:
        result = await connect(self._walk, self._target)
        return None if result.dial.failed else result.connection

    async def _watch(self, busy: KafkaConnection, interval: float, session: float) -> None:
        """Asks the busy connection at each interval and, once it has answered, each silent
        connection whose gap is over. `session` is how many seconds the login still lasts."""
        start, asking = self._loop.time(), []
        left = list(self._kept)
        self._report(left)
        try:
            for tick in range(1, math.ceil(left[-1].gap / interval) + 1):
                if all(each.over for each in self._kept) or (session < tick * interval):
                    break
                await asyncio.sleep(start + tick * interval - self._loop.time())
                if not await self._answered(busy):
                    break
                while left and left[0].gap <= tick * interval * (1 + 1e-9):
                    asking.append(asyncio.ensure_future(left.pop(0).ask(session_ends=False)))
                    self._report(left)
            for each in left:
                if session < each.gap:
                    await each.ask(session_ends=True)
            if asking:
                await asyncio.wait(asking)
        finally:
            for task in asking:
                task.cancel()
            for task in asking:
                with suppress(asyncio.CancelledError):
                    await task

    async def _answered(self, busy: KafkaConnection) -> bool:
        reply = await _ask(busy)
        found = self.found
        self.found = (
            found._replace(unwatched=reply.failure.words)
            if reply.failure
            else found._replace(answers=found.answers + 1)
        )
        return not reply.failure

    def _report(self, left: Sequence[_Kept]) -> None:
        if self.reports and left:
            first, last = seconds(left[0].gap), seconds(left[-1].gap)
            text = f"silent connections are asked after {first}"
            text += f", the last after {last}" if len(left) > 1 else ""
            self._walk.wire.progress(Holding(f"{text}; Ctrl-C reports what is known"))


def _limit(reply: Reply) -> float | None:
    """The broker's connections.max.idle.ms, in seconds."""
    values = (value for name, value in configs(reply.body.get("results", ())) if name == IDLE)
    return next((ms / 1000 for value in values if (ms := whole_number(value))), None)
