"""One check from several vantage points at once: each has its own report, under its own label."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from kdiag.config.settings import Settings
from kdiag.kafka.login_notes import LOST
from kdiag.network.attempt import AddressResult, EndpointResult, Failure, LayerResult
from kdiag.network.dialer import in_thread
from kdiag.remote import docker, k8s, ssh
from kdiag.remote.extension import UnreachedExtension
from kdiag.remote.payload import NO_PYTHON, OLDEST
from kdiag.remote.probe import NO_REGION
from kdiag.remote.process import CommandEnded, ask
from kdiag.remote.reply import RemoteWalk, remote_walk
from kdiag.remote.serialization import SerializationError
from kdiag.remote.unreached import NotReached, Unreached
from kdiag.remote.vantage import LOCAL, Vantage
from kdiag.report.judge import interrupted_report, judge
from kdiag.report.logins import REFUSED, logged_in, not_again
from kdiag.report.model import Report
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.run import WalkFacts, WalkResult, error_location, not_walked

if TYPE_CHECKING:
    from kdiag.remote.ssm import Fleet

AT_ONCE = 64  # vantage points: each is a process that waits
SETTING_UP = 15.0  # seconds, beside the walk's own, for a connection and for a Python to start

PROGRAMS = {
    "ssh": ssh.PROGRAM,
    "docker": docker.PROGRAM,
    "k8s": k8s.PROGRAM,
    "ssm": "the command",
}
WALKED_FROM = "walked from"
UNWRITTEN = (
    "no record was written from there: that takes confluent-kafka, which does not travel; every "
    "broker got the produce request that writes nothing"
)

VantageObserver = Callable[[str, str, str | None], None]
WalkHere = Callable[[Settings, Callable[[str, str | None], None]], Awaitable[Report]]
T = TypeVar("T")


def run_from(
    asked: Settings,
    wheres: Sequence[Vantage],
    walk_here: WalkHere,
    observe: VantageObserver | None = None,
) -> dict[str, Report]:
    """Walks from every place, AT_ONCE of them at a time, in an event loop of its own; `travels` has
    let it pass. `walk_here` walks from this machine. `observe` hears a label and what that walk
    tells. Interrupted, it gives what is known of each."""
    return asyncio.run(_Journey(asked, walk_here, observe).all_of_them(wheres))


@dataclass(frozen=True)
class _Came:
    """What came of one journey: facts and notes, or why there are none."""

    gathered: WalkFacts | None = None
    notes: tuple[str, ...] = ()
    unreached: Unreached | None = None


class _Journey:
    """All of the vantage points of one check."""

    def __init__(
        self, asked: Settings, walk_here: WalkHere, observe: VantageObserver | None
    ) -> None:
        self._asked = asked
        self._walk_here = walk_here
        self._observe = observe
        self._longest = asked.options.deadline + SETTING_UP
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._interrupted = False
        self._fleets: dict[str, Fleet] = {}

    async def all_of_them(self, wheres: Sequence[Vantage]) -> dict[str, Report]:
        """Every report, in the order of the places."""
        try:
            return await self._all_of_them(wheres)
        finally:
            await asyncio.gather(*(fleet.end() for fleet in set(self._fleets.values())))

    async def _all_of_them(self, wheres: Sequence[Vantage]) -> dict[str, Report]:
        found = await self._each({where.text: self._points(where) for where in wheres})
        places = {label: [] if came is None else came for label, came in found.items()}
        named = [points for points in places.values() if isinstance(points, list)]
        each = {point.text: point for points in named for point in points}  # one may stand in two
        walked = await self._all_walked(each)
        reports: dict[str, Report] = {}
        for label, points in places.items():
            if isinstance(points, Unreached):
                reports[label] = self._judged(_Came(unreached=points), time.perf_counter())
                continue
            for text in [point.text for point in points] or [label]:
                reports[text] = walked.get(text) or interrupted_report(self._asked)
        return reports

    async def _all_walked(self, places: Mapping[str, Vantage]) -> dict[str, Report | None]:
        """Every place's report. Where there is a login one place goes first, then two, four and so
        on, until a login is answered: a wrong password is not tried from everywhere."""
        found: dict[str, Report | None] = {}
        left = list(places.items())
        size = 1 if self._asked.security.sasl else len(left)
        while left:
            here, left = left[:size], left[size:]
            met = await self._each({text: self._walked(place) for text, place in here})
            found |= met
            reports = {text: report for text, report in met.items() if report}
            for text, report in reports.items():
                if not_again(report):
                    return found | {
                        other: self._held_back(other, text, report) for other, _ in left
                    }
            size = len(left) if any(map(logged_in, reports.values())) else 2 * size
        return found

    def _held_back(self, place: str, where: str, report: Report) -> Report:
        """The report of a place from where no login was tried after that of another one."""
        refused = any(finding.code == REFUSED for finding in report.findings)
        failure = Failure.CREDENTIALS if refused else Failure.SILENT
        words = f"not tried from here, after {where}: {not_again(report)}"
        tried = LayerResult("sasl", 0.0, failure, words)
        met = Bootstrap(
            tuple(
                EndpointResult(
                    server, LayerResult("dns", 0.0), (AddressResult(server.host, (tried,)),)
                )
                for server in self._asked.bootstrap
            )
        )
        first, *others = not_walked("bootstrap failed").runs
        runs = (first._replace(skipped_because=None, summary=met.summary), *others)
        gathered = not_walked("")._replace(runs=runs, facts=Facts((met,)))
        note = f"no login was tried from {place}: after that from {where} none is known to be good"
        return self._judged(_Came(gathered, (note,)), time.perf_counter())

    async def _each(self, doing: Mapping[str, Coroutine[Any, Any, T]]) -> dict[str, T | None]:
        """What becomes of each, all at once; None for what was interrupted."""
        tasks = {label: asyncio.ensure_future(one) for label, one in doing.items()}
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

    async def _points(self, where: Vantage) -> list[Vantage] | Unreached:
        """The places that one WHERE stands for."""
        try:
            if where.scheme == "k8s":
                return await k8s.pods(where)
            return await self._fleet(where) if where.scheme == "ssm" else [where]
        except NotReached as error:
            return _unreached(where, error)

    async def _fleet(self, where: Vantage) -> list[Vantage]:
        """The instances that one command was sent to; loads boto3."""
        from kdiag.remote.ssm import Fleet

        fleet = self._fleets[where.text] = Fleet(where, remote_walk(self._asked), self._longest)
        points = await fleet.points()
        self._fleets |= {point.text: fleet for point in points}
        return points

    async def _walked(self, where: Vantage) -> Report:
        async with self._gate:
            if where.scheme == LOCAL:
                return await self._here(where)
            started = time.perf_counter()
            came = await self._there(where)
            came = replace(came, notes=(f"{WALKED_FROM} {where.text}", *came.notes))
            return self._judged(came, started)

    async def _here(self, where: Vantage) -> Report:
        def told(hop: str, summary: str | None) -> None:
            if self._observe:
                self._observe(where.text, hop, summary)

        return await self._walk_here(self._asked, told)

    async def _there(self, where: Vantage) -> _Came:
        asking = remote_walk(self._asked)
        try:
            answer, notes = await self._answer(where, asking)
            # Beside the loop: an answer may be large, and a signal ends the check meanwhile.
            gathered = await in_thread(asking.gathered, answer)
            return _Came(gathered, (*notes, *self._unwritten))
        except NotReached as error:
            return _Came(None, (LOST,) if error.begun else (), _unreached(where, error))
        except SerializationError as error:
            wrong = NotReached(f"what came back is no answer: {error}")
            lost = (LOST,) if self._asked.security.sasl else ()
            return _Came(None, lost, _unreached(where, wrong))
        except Exception as error:  # of ours; the other places are none the worse for it
            wrong = NotReached(
                "kdiag failed", (error_location(error, self._asked.security.secrets),)
            )
            return _Came(unreached=_unreached(where, wrong))

    async def _answer(self, where: Vantage, asking: RemoteWalk) -> tuple[bytes, tuple[str, ...]]:
        """What comes back from one place, by its engine, and what is to be noted about that."""
        try:
            if where.scheme == "k8s":
                return await k8s.walked(where, asking, self._longest)
            if where.scheme == "ssm":
                return await self._fleets[where.text].answer(where["instance"]), ()
            if where.scheme == "docker":
                return await ask(docker.command(where), asking, self._longest), ()
            return await ask(ssh.command(where, SETTING_UP / 2), asking, self._longest), ()
        except CommandEnded as error:
            lost = _not_reached(where, error)
            lost.begun = error.begun
            raise lost from None

    @property
    def _unwritten(self) -> tuple[str, ...]:
        return (UNWRITTEN,) if self._asked.options.topic else ()

    def _judged(self, came: _Came, started: float) -> Report:
        gathered = came.gathered or not_walked("the vantage point was not reached")
        gathered = gathered._replace(notes=(*gathered.notes, *came.notes))
        told = self._asked.security.secrets
        extensions = [UnreachedExtension(came.unreached)] if came.unreached else []
        return judge(self._asked, WalkResult(gathered, secrets=told), started, extensions)


def _unreached(where: Vantage, error: NotReached) -> Unreached:
    return Unreached(where.text, error.words, error.evidence, error.remedy)


def _not_reached(where: Vantage, error: CommandEnded) -> NotReached:
    """Why a command that leads there ended without an answer."""
    program = PROGRAMS[where.scheme]
    if error.code == NO_PYTHON:
        oldest = ".".join(map(str, OLDEST))
        return NotReached(
            f"there is no Python {oldest} or newer over there",
            error.words,
            f"Name a place that has Python {oldest}, as python3; nothing else is needed there.",
        )
    if error.code == NO_REGION:
        return NotReached(
            "nothing over there says which AWS region the login is to be signed for, and nothing "
            "was dialled",
            error.words,
            "Set AWS_REGION over there, for commands that run without a login shell too, or write "
            "awsStsRegion into sasl.jaas.config here.",
        )
    words = f"{program} ended with {error.code} and without an answer"
    remedies = {"ssh": ssh.REMEDY} if error.code == ssh.CANNOT else {}
    return NotReached(words, error.words, remedies.get(where.scheme, ""))
