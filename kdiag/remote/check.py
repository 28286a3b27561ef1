"""One check from several vantage points at once: each has its own report, under its own label."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from kdiag.config.settings import Settings
from kdiag.kafka.login_notes import LOST
from kdiag.network.attempt import AddressResult, EndpointResult, Failure, LayerResult
from kdiag.network.dialer import in_thread
from kdiag.remote import engine
from kdiag.remote.extension import UnreachedExtension
from kdiag.remote.payload import NO_PYTHON, OLDEST
from kdiag.remote.probe import NO_REGION
from kdiag.remote.process import CommandEnded
from kdiag.remote.reply import remote_walk
from kdiag.remote.serialization import SerializationError
from kdiag.remote.unreached import NotReached, Unreached
from kdiag.remote.vantage import LOCAL, Vantage
from kdiag.report.judge import interrupted_report, judge
from kdiag.report.logins import REFUSED, logged_in, not_again
from kdiag.report.model import Report
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.run import WalkFacts, WalkResult, error_location, not_walked

AT_ONCE = 64  # vantage points; each is a process
WALKED_FROM = "walked from"
UNWRITTEN = (
    "no record was written from there: that needs confluent-kafka, which kdiag does not send "
    "there; every "
    "broker got the produce request that writes nothing"
)
UNASKED = "the servers of schema.registry.url were not asked from there"

VantageObserver = Callable[[str, str, str | None], None]
WalkHere = Callable[[Settings, Callable[[str, str | None], None]], Awaitable[Report]]
T = TypeVar("T")


def run_from(
    settings: Settings,
    vantages: Sequence[Vantage],
    walk_here: WalkHere,
    observe: VantageObserver | None = None,
) -> dict[str, Report]:
    """Walks from each vantage point, AT_ONCE of them at a time, in an event loop of its own; the
    reports by label. `walk_here` walks from this machine. `observe` is called with a label, a hop
    and the hop's summary. An interrupted check returns what is known of each."""
    return asyncio.run(_RemoteCheck(settings, walk_here, observe).run(vantages))


@dataclass(frozen=True)
class _RemoteResult:
    """The result of one remote walk: facts and notes, or why there are none."""

    facts: WalkFacts | None = None
    notes: tuple[str, ...] = ()
    unreached: Unreached | None = None


class _RemoteCheck:
    """One check from all of its vantage points."""

    def __init__(
        self, settings: Settings, walk_here: WalkHere, observe: VantageObserver | None
    ) -> None:
        self._settings = settings
        self._walk_here = walk_here
        self._observe = observe
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._interrupted = False
        self._engines: dict[str, engine.Engine] = {}

    async def run(self, vantages: Sequence[Vantage]) -> dict[str, Report]:
        """The reports, in the order of the vantage points."""
        try:
            return await self._reports(vantages)
        finally:
            await asyncio.gather(*(each.end() for each in self._engines.values()))

    async def _reports(self, vantages: Sequence[Vantage]) -> dict[str, Report]:
        found = await self._all({vantage.text: self._points(vantage) for vantage in vantages})
        points = [each for part in found.values() if isinstance(part, list) for each in part]
        walked = await self._walk_all({point.text: point for point in points})
        reports: dict[str, Report] = {}
        for label, part in found.items():
            if isinstance(part, Unreached):
                reports[label] = self._judge(_RemoteResult(unreached=part), time.perf_counter())
                continue
            for text in [point.text for point in part or ()] or [label]:
                reports[text] = walked.get(text) or interrupted_report(self._settings)
        return reports

    async def _walk_all(self, points: Mapping[str, Vantage]) -> dict[str, Report | None]:
        """The report from each point. With a login, one point goes first, then two, four and so on,
        until a login is answered: a wrong password is not sent from all of them."""
        found: dict[str, Report | None] = {}
        left = list(points.items())
        size = 1 if self._settings.security.sasl else len(left)
        while left:
            batch, left = left[:size], left[size:]
            results = await self._all({text: self._walk(point) for text, point in batch})
            found |= results
            reports = {text: report for text, report in results.items() if report}
            for text, report in reports.items():
                if not_again(report):
                    others = (label for label, _ in left)
                    return found | {each: self._held_back(each, text, report) for each in others}
            size = len(left) if any(map(logged_in, reports.values())) else 2 * size
        return found

    def _held_back(self, label: str, other: str, report: Report) -> Report:
        """The report of a point where no login was tried, after the `report` from another one."""
        refused = any(finding.code == REFUSED for finding in report.findings)
        failure = Failure.CREDENTIALS if refused else Failure.SILENT
        reason = f"not tried from here, after {other}: {not_again(report)}"
        tried = LayerResult("sasl", 0.0, failure, reason)
        bootstrap = Bootstrap(
            tuple(
                EndpointResult(
                    server, LayerResult("dns", 0.0), (AddressResult(server.host, (tried,)),)
                )
                for server in self._settings.bootstrap
            )
        )
        first, *others = not_walked("bootstrap failed").runs
        runs = (first._replace(skipped_because=None, summary=bootstrap.summary), *others)
        facts = not_walked("")._replace(runs=runs, facts=Facts((bootstrap,)))
        note = f"no login was tried from {label}: after that from {other} none is known to be good"
        return self._judge(_RemoteResult(facts, (note,)), time.perf_counter())

    async def _all(self, coroutines: Mapping[str, Coroutine[Any, Any, T]]) -> dict[str, T | None]:
        """The results of coroutines that run at once; None for one that was interrupted."""
        tasks = {label: asyncio.ensure_future(each) for label, each in coroutines.items()}
        if not tasks:
            return {}
        if self._interrupted:
            for task in tasks.values():
                task.cancel()
        try:
            await asyncio.wait(tasks.values())
        except asyncio.CancelledError:
            self._interrupted = True
            for task in tasks.values():
                task.cancel()
            await asyncio.wait(tasks.values())
        return {label: None if task.cancelled() else task.result() for label, task in tasks.items()}

    def _engine(self, scheme: str) -> engine.Engine:
        if scheme not in self._engines:
            longest = self._settings.options.deadline + engine.SETTING_UP
            self._engines[scheme] = engine.load(scheme, longest)
        return self._engines[scheme]

    async def _points(self, vantage: Vantage) -> list[Vantage] | Unreached:
        if vantage.scheme == LOCAL:
            return [vantage]
        try:
            walk = remote_walk(self._settings)
            return await self._engine(vantage.scheme).points(vantage, walk)
        except NotReached as error:
            return _unreached(vantage, error)

    async def _walk(self, point: Vantage) -> Report:
        async with self._gate:
            if point.scheme == LOCAL:
                return await self._walk_here(self._settings, self._observer(point.text))
            started = time.perf_counter()
            result = await self._walk_remotely(point)
            notes = (f"{WALKED_FROM} {point.text}", *result.notes)
            return self._judge(replace(result, notes=notes), started)

    def _observer(self, label: str) -> Callable[[str, str | None], None]:
        def observe(hop: str, summary: str | None) -> None:
            if self._observe:
                self._observe(label, hop, summary)

        return observe

    async def _walk_remotely(self, point: Vantage) -> _RemoteResult:
        walk = remote_walk(self._settings)
        through = self._engine(point.scheme)
        try:
            reply, notes = await through.answer(point, walk)
            # In a thread: a reply may be large, and a signal ends the check meanwhile.
            facts = await in_thread(walk.gathered, reply)
            unwritten = (UNWRITTEN,) if self._settings.options.topic else ()
            unasked = (UNASKED,) if self._settings.rest else ()
            return _RemoteResult(facts, (*notes, *unwritten, *unasked))
        except CommandEnded as error:
            lost = (LOST,) if error.begun else ()
            return _RemoteResult(None, lost, _unreached(point, _not_reached(through, error)))
        except NotReached as error:
            return _RemoteResult(None, (LOST,) if error.begun else (), _unreached(point, error))
        except SerializationError as error:
            wrong = NotReached(f"the reply is not an answer of kdiag: {error}")
            lost = (LOST,) if self._settings.security.sasl else ()
            return _RemoteResult(None, lost, _unreached(point, wrong))
        except Exception as error:  # a fault of kdiag; the other vantage points go on
            place = error_location(error, self._settings.security.secrets)
            wrong = NotReached("kdiag failed", (place,))
            return _RemoteResult(unreached=_unreached(point, wrong))

    def _judge(self, result: _RemoteResult, started: float) -> Report:
        facts = result.facts or not_walked("the vantage point was not reached")
        facts = facts._replace(notes=(*facts.notes, *result.notes))
        secrets = self._settings.security.secrets
        extensions = [UnreachedExtension(result.unreached)] if result.unreached else []
        return judge(self._settings, WalkResult(facts, secrets=secrets), started, extensions)


def _unreached(vantage: Vantage, error: NotReached) -> Unreached:
    return Unreached(vantage.text, error.message, error.evidence, error.remedy)


def _not_reached(through: engine.Engine, error: CommandEnded) -> NotReached:
    """Why a command of an engine ended without a reply."""
    if error.code == NO_PYTHON:
        oldest = ".".join(map(str, OLDEST))
        return NotReached(
            f"there is no Python {oldest} or newer at the vantage point",
            error.lines,
            f"Name a place that has Python {oldest}, as python3; nothing else is needed there.",
        )
    if error.code == NO_REGION:
        return NotReached(
            "the vantage point has no AWS region to sign the login for, and nothing was dialled",
            error.lines,
            "Set AWS_REGION at the vantage point, also for commands without a login shell, or "
            "write "
            "awsStsRegion into sasl.jaas.config here.",
        )
    message = f"{through.program} ended with {error.code} and without an answer"
    return NotReached(message, error.lines, through.remedies.get(error.code, ""))
