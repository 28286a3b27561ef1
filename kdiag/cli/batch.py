"""Runs several checks at once, by label, and repeats checks until they pass or time is up."""

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
from kdiag.report.model import Report
from kdiag.walk.areas import EXIT_INTERNAL, EXIT_INTERRUPTED
from kdiag.walk.runner import MakeDialer, nobody, plain_dialer

AT_ONCE = 4  # walks; more would slow each other down
PAUSE, LONGEST_PAUSE = 1.0, 15.0  # seconds between two walks: the first pause, and the longest
TICK = 1.0  # seconds between two lines of progress

TargetObserver = Callable[[str, str, str | None], None]
Walks = Callable[[Mapping[str, Settings]], dict[str, Report]]
ShowProgress = Callable[[Mapping[str, Report], float], None]


def run_all(
    checks: Mapping[str, Settings],
    observe: TargetObserver | None = None,
    net: MakeDialer = plain_dialer,
) -> dict[str, Report]:
    """Walks all of them in one event loop, AT_ONCE at a time; the reports by label. `observe` is
    called with a label, a hop and the hop's summary. Interrupted walks are reported as far as they
    came. Raises UsageError for a login that kdiag cannot make."""
    aws = {label: prepare(settings) for label, settings in checks.items()}
    share = min(len(checks), AT_ONCE)

    def shared(settings: Settings) -> KafkaDialer:
        dialer = net(settings)
        dialer.capacity = max(8, dialer.capacity // share)
        return dialer

    async def walked(gate: asyncio.Semaphore, label: str) -> Report:
        def observe_hop(hop: str, summary: str | None) -> None:
            if observe:
                observe(label, hop, summary)

        async with gate:
            return await walk(checks[label], shared, observe_hop if observe else nobody, aws[label])

    async def walk_all() -> dict[str, Report]:
        gate = asyncio.Semaphore(share)
        tasks = {label: asyncio.create_task(walked(gate, label)) for label in checks}
        try:
            await asyncio.wait(tasks.values())
        except asyncio.CancelledError:
            for task in tasks.values():
                task.cancel()
            await asyncio.wait(tasks.values())
        return {
            label: interrupted_report(checks[label]) if task.cancelled() else task.result()
            for label, task in tasks.items()
        }

    return asyncio.run(walk_all())


def until_ready(
    checks: Mapping[str, Settings],
    seconds: float,
    walks: Walks,
    say: ShowProgress,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Report]:
    """Walks until each check passes, or `seconds` are over; returns the last full reports.

    After pauses that grow, only the checks that failed run again, and none of these: a failure of
    kdiag itself, and a login that was refused or may have been. `say` is called with the reports
    and the seconds that are left. A walk that has begun is not cut short.
    """
    until = clock() + seconds
    reports = walks(checks)
    pause = PAUSE
    while True:
        again = {label: checks[label] for label in checks if _may_change(reports[label])}
        if not again or clock() >= until or any(r.interrupted for r in reports.values()):
            return {label: _final(report) for label, report in reports.items()}
        wake = min(clock() + pause, until)
        pause = min(2 * pause, LONGEST_PAUSE)
        try:
            while clock() < wake:
                say(reports, until - clock())
                sleep(max(0.0, min(TICK, wake - clock())))
            repeated = walks(again)
        except KeyboardInterrupt:
            return {label: _interrupted(report) for label, report in reports.items()}
        for label, report in repeated.items():
            # The last full walk shows more than an interrupted one.
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
