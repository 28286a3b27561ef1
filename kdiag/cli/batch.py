"""Several checks at once, each under its label; and again, until they pass or time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from kdiag.api import prepare, walk
from kdiag.config.settings import Settings
from kdiag.kafka.dialer import KafkaDialer
from kdiag.report.judge import interrupted_report
from kdiag.report.logins import not_again
from kdiag.report.model import EXIT_INTERNAL, EXIT_INTERRUPTED, Report
from kdiag.walk.runner import MakeDialer, nobody, plain_dialer

AT_ONCE = 4  # walks, so that many targets do not take each other's time
PAUSE, LONGEST_PAUSE = 1.0, 15.0  # seconds between two tries: the first, and what it doubles up to
TICK = 1.0  # seconds between two words on how long it still waits

TargetObserver = Callable[[str, str, str | None], None]
Walks = Callable[[Mapping[str, Settings]], dict[str, Report]]
ShowProgress = Callable[[Mapping[str, Report], float], None]


def run_all(
    asked: Mapping[str, Settings],
    observe: TargetObserver | None = None,
    net: MakeDialer = plain_dialer,
) -> dict[str, Report]:
    """Walks all of them in one event loop, AT_ONCE at a time. `observe` hears a label and what one
    walk tells. Interrupted, it gives what is known of each. Raises UsageError for a login that
    kdiag cannot make."""
    aws = {label: prepare(one) for label, one in asked.items()}
    share = min(len(asked), AT_ONCE)

    def shared(one: Settings) -> KafkaDialer:
        mine = net(one)
        mine.capacity = max(8, mine.capacity // share)
        return mine

    async def walked(gate: asyncio.Semaphore, label: str) -> Report:
        def told(hop: str, summary: str | None) -> None:
            if observe:
                observe(label, hop, summary)

        async with gate:
            return await walk(asked[label], shared, told if observe else nobody, aws[label])

    async def all_of_them() -> dict[str, Report]:
        gate = asyncio.Semaphore(share)
        tasks = {label: asyncio.create_task(walked(gate, label)) for label in asked}
        try:
            await asyncio.wait(tasks.values())
        except asyncio.CancelledError:
            for task in tasks.values():
                task.cancel()
            await asyncio.wait(tasks.values())
        return {
            label: interrupted_report(asked[label]) if task.cancelled() else task.result()
            for label, task in tasks.items()
        }

    return asyncio.run(all_of_them())


def until_ready(
    asked: Mapping[str, Settings],
    seconds: float,
    walks: Walks,
    say: ShowProgress,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Report]:
    """Walks until each of them passes, or `seconds` are over; gives the last full reports.

    Only what did not pass is walked again, after pauses that grow. What would not get better by
    itself is not: kdiag's own failure, and a login that was refused or may have been. `say` hears
    the reports, and the seconds that are left. A try that has begun is not cut short.
    """
    until = clock() + seconds
    reports = walks(asked)
    pause = PAUSE
    while True:
        again = {label: one for label, one in asked.items() if _may_change(reports[label])}
        if not again or clock() >= until or any(r.interrupted for r in reports.values()):
            return {label: _final(report) for label, report in reports.items()}
        wake = min(clock() + pause, until)
        pause = min(2 * pause, LONGEST_PAUSE)
        try:
            while clock() < wake:
                say(reports, until - clock())
                sleep(max(0.0, min(TICK, wake - clock())))
            tried = walks(again)
        except KeyboardInterrupt:
            return {label: _interrupted(report) for label, report in reports.items()}
        for label, report in tried.items():
            # What the last full try showed is more than an interrupted one does.
            reports[label] = _interrupted(reports[label]) if report.interrupted else report


def _may_change(report: Report) -> bool:
    return not report.ok and not not_again(report) and report.exit_code != EXIT_INTERNAL


def _final(report: Report) -> Report:
    why = "" if report.ok else not_again(report)
    return replace(report, notes=[*report.notes, why]) if why else report


def _interrupted(report: Report) -> Report:
    if report.ok:
        return report
    return replace(report, interrupted=True, verdict="fail", exit_code=EXIT_INTERRUPTED)
