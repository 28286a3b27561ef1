"""Walks to a target for whoever asks: one walk of a target at a time, few at once, and no refused
login again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial

from kdiag.api import prepare, walk
from kdiag.config.options import LEAST
from kdiag.config.record import NamedTuple
from kdiag.config.settings import Settings
from kdiag.config.usage import UsageError
from kdiag.kafka.dialer import KafkaDialer
from kdiag.named_targets import RequestedTargets
from kdiag.report.logins import NOT_AGAIN, logged_in, not_again
from kdiag.report.model import Report
from kdiag.serve.history import Change, History
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.facts.run import WalkResult
from kdiag.walk.runner import nobody, plain_dialer

OFFSET = 0.5  # seconds of a scrape's time that the walk leaves for the answer, as blackbox does
AGAIN = 900.0  # seconds until a login that got no answer, and has never been accepted, is repeated
MARGIN = 0.3  # seconds that an answer may take after the walk's deadline
RESERVED = 512  # descriptors for clients of the server and for all else

# Parts of a short deadline that a step gets: so the walk names the step that hangs, and not the
# deadline. A walk with a broker that hangs waits once for a connection and once for an answer.
REACHING, ANSWERING = 0.3, 0.45

LayerTimes = Mapping[tuple[str, str], float]


class Probe(NamedTuple):
    """A report for whoever asked. `seconds` is how long the walk took, `times` the seconds of each
    layer by subject and layer; `withheld` says why nothing was walked, with an older report."""

    report: Report
    seconds: float
    times: LayerTimes
    withheld: str = ""


class BusyError(Exception):
    """There was no time for a walk within the limit of whoever asked."""


class _Login(NamedTuple):
    """A login that was not accepted, with the settings of its walk, and until when (by
    time.monotonic()) it is not repeated."""

    settings: Settings
    probe: Probe
    why: str
    until: float


class Prober:
    """The walks of a server. `requested` are the targets; `changed` is called with a named target
    and each change of its verdict or cause; `at_once` bounds the walks."""

    def __init__(
        self,
        requested: RequestedTargets,
        at_once: int,
        changed: Callable[[str, Change], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requested = requested
        self.histories: dict[str, History] = {name: History() for name in requested.named}
        self._at_once = at_once
        self._gate = asyncio.Semaphore(at_once)
        self._changed = changed
        self._clock = clock
        self._walks: dict[str, asyncio.Task[Probe]] = {}
        self._refused: dict[str, _Login] = {}
        self._accepted: dict[str, Settings] = {}
        self.in_progress = 0

    def replace(self, named: Mapping[str, Settings]) -> None:
        """Takes new targets; what is known of those that stay is kept. A refused login is repeated
        where the settings of its target differ."""
        self.requested = RequestedTargets(named, allow_any=self.requested.allow_any)
        self.histories = {name: self.histories.get(name, History()) for name in named}
        for known in (self._refused, self._accepted):
            for name in known.keys() - named.keys():
                del known[name]

    async def probe(self, target: str, limit: float | None = None) -> Probe:
        """A report on a target, of a walk that began before where one is under way. `limit` are the
        seconds that the walk may take. Raises UsageError, and BusyError."""
        settings = self.requested.settings(target)
        name = target.removeprefix("@")
        named = name in self.requested.named
        # A name may look like an address: walks of the two have different settings.
        key = f"@{name}" if named else target
        running = self._walks.get(key)
        if running is None:
            refused = self._refused.get(name) if named else None
            if refused and refused.settings == settings and self._clock() < refused.until:
                return refused.probe._replace(withheld=refused.why)
            running = asyncio.create_task(self._walk(name if named else None, settings, limit))
            self._walks[key] = running
            running.add_done_callback(partial(self._ended, key))
        patience = None if limit is None else max(limit, LEAST) + MARGIN
        try:
            return await asyncio.wait_for(asyncio.shield(running), patience)
        except TimeoutError:
            raise BusyError(
                "the walk of another request goes on for longer than this one may wait"
            ) from None

    def _ended(self, key: str, walked: asyncio.Task[Probe]) -> None:
        del self._walks[key]
        if not walked.cancelled():
            walked.exception()  # whoever asked may be gone

    async def _walk(self, name: str | None, settings: Settings, limit: float | None) -> Probe:
        """One walk, as soon as there is room for it. `name` is the target's, None for another
        address."""
        most = settings.options.deadline if limit is None else limit
        began = self._clock()
        try:
            await asyncio.wait_for(self._gate.acquire(), max(most, LEAST))
        except TimeoutError:
            raise BusyError(
                f"{self._at_once} walks are under way, and none ended in time"
            ) from None
        self.in_progress += 1
        try:
            probe = await self._walked(settings, most - (self._clock() - began))
        finally:
            self.in_progress -= 1
            self._gate.release()
        if name is not None and not probe.report.interrupted:
            self._remember(name, settings, probe)
        return probe

    async def _walked(self, settings: Settings, left: float) -> Probe:
        within = limited(settings, left)
        started = time.perf_counter()
        aws = await asyncio.to_thread(prepare, within)
        times: dict[tuple[str, str], float] = {}
        collected = partial(_layer_times, times)
        report = await walk(within, self._dialer, nobody, aws, collected)
        if report.interrupted:
            raise asyncio.CancelledError
        return Probe(report, time.perf_counter() - started, times)

    def _dialer(self, settings: Settings) -> KafkaDialer:
        dialer = plain_dialer(settings)
        walks = self._at_once if self.requested.allow_any else len(self.requested.named)
        share = max(1, min(self._at_once, walks))
        dialer.capacity = max(8, (dialer.capacity - RESERVED) // share)
        return dialer

    def _remember(self, name: str, settings: Settings, probe: Probe) -> None:
        if self.requested.named.get(name) != settings:
            return  # the configuration has changed meanwhile
        self._remember_login(name, settings, probe)
        change = self.histories[name].add(probe.report)
        if change:
            self._changed(name, change)

    def _remember_login(self, name: str, settings: Settings, probe: Probe) -> None:
        why = not_again(probe.report) if settings.security.sasl else ""
        self._refused.pop(name, None)
        if logged_in(probe.report):
            self._accepted[name] = settings
        if why == NOT_AGAIN:
            self._refused[name] = _Login(settings, probe, why, float("inf"))
        elif why and self._accepted.get(name) != settings:
            self._refused[name] = _Login(settings, probe, why, self._clock() + AGAIN)

    async def end(self) -> None:
        """Ends all walks, and waits until their connections are closed."""
        tasks = list(self._walks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def limited(settings: Settings, seconds: float) -> Settings:
    """The settings, with no limit longer than `seconds` and steps that fit into it."""
    options = settings.options
    if seconds >= options.deadline:
        return settings
    deadline = max(LEAST, seconds)
    return settings._replace(
        options=options._replace(
            deadline=deadline,
            timeout=max(LEAST, min(options.timeout, REACHING * deadline)),
            answer_timeout=max(LEAST, min(options.answer_timeout, ANSWERING * deadline)),
        )
    )


def ready(named: Mapping[str, Settings]) -> None:
    """Raises UsageError for a target whose login or files kdiag cannot use."""
    for name, settings in named.items():
        try:
            prepare(settings._replace(options=settings.options._replace(aws=False)))
        except UsageError as error:
            raise UsageError(f"@{name}: {error}") from None


def _layer_times(times: dict[tuple[str, str], float], result: WalkResult) -> None:
    """Fills in the seconds of each layer of the best connection to each server and broker."""
    facts = result.walk.facts
    bootstrap, listeners = facts.get(Bootstrap), facts.get(Listeners)
    ends = (
        {f"bootstrap {contact.endpoint}": contact for contact in bootstrap.contacts}
        if bootstrap
        else {}
    )
    ends |= (
        {f"broker {each.broker.node}": each.contact for each in listeners.listeners}
        if listeners
        else {}
    )
    for subject, contact in ends.items():
        for attempt in contact.attempts:
            times[subject, attempt.layer] = attempt.elapsed
