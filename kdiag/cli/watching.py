"""The walk of a command, watched: the live view, waiting, and what Ctrl-C means while it runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from kdiag.cli.ahead import Ahead

if TYPE_CHECKING:
    from types import FrameType

    from kdiag.config.settings import Settings
    from kdiag.network.head_start import StartedConnection
    from kdiag.remote.vantage import Vantage
    from kdiag.report.model import Report
    from kdiag.walk.runner import Observer

AT_ONCE = 0.5  # seconds


def ready() -> None:
    """Loads the walk. Until then Ctrl-C ends the process at once, for an import that is interrupted
    may fail in any way; from then on it ends the walk, and what is known is printed. So does
    SIGTERM, which a job gets when its time is up, and SIGHUP and SIGQUIT of a terminal."""
    import signal  # after hop 1 has begun: it makes enums, 1 ms

    import kdiag.api  # noqa: F401
    from kdiag.network.sockets import raise_limit

    raise_limit()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    elif signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Whoever ignores Ctrl-C, a shell for what it starts with &, may still end the process.
        if hasattr(signal, "pthread_sigmask"):  # not on Windows
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        signal.signal(signal.SIGINT, signal.default_int_handler)
    handle = Terminated()
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT"):  # Windows has the first alone
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handle)


class Terminated:
    """A signal that ends a process is what Ctrl-C is, whatever that is at the moment. `timeout`
    sends it twice, to the process and to its group, and a terminal that goes away two of them: what
    comes within AT_ONCE is the same one."""

    def __init__(self) -> None:
        self._came = -AT_ONCE

    def __call__(self, number: int, frame: FrameType | None) -> None:
        before, self._came = self._came, time.monotonic()
        if self._came - before < AT_ONCE:
            return
        import signal

        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            handler(signal.SIGINT, frame)
        elif handler is signal.SIG_DFL:  # the second one: do not wait any longer
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def walked(
    asked: Mapping[str, Settings],
    forms: Sequence[str],
    wait: float | None = None,
    begun: Sequence[StartedConnection] = (),
) -> dict[str, Report]:
    """The checks by their labels, with the live view where somebody watches; with `wait`, again and
    again until they pass or so many seconds are over. `forms` are those of the report, `begun` the
    connections that are under way."""
    for note in dict.fromkeys(note for one in asked.values() for note in one.notes):
        click.echo(f"kdiag: note: {note}", err=True)
    if wait is not None:
        return _waited(asked, wait)
    if len(asked) == 1:
        from kdiag.api import run
        from kdiag.walk.runner import plain_dialer

        (label,) = asked
        with Ahead(forms, sys.stderr if _is_watched() else None) as observe:
            return {label: run(asked[label], partial(plain_dialer, started=begun), observe)}
    from kdiag.cli.batch import run_all

    if not _is_watched():
        return run_all(asked)
    from kdiag.report.render.live import live_all

    with live_all(sys.stderr) as observe_all:
        return run_all(asked, observe_all)


def walked_from(asked: Mapping[str, Settings], wheres: Sequence[Vantage]) -> dict[str, Report]:
    """The one check from every place, by the places' labels."""
    from kdiag.api import run_from
    from kdiag.remote.check import WALKED_FROM
    from kdiag.report.compare import named

    (one,) = asked.values()
    for note in one.notes:
        click.echo(f"kdiag: note: {note}", err=True)
    if _is_watched():
        from kdiag.report.render.live import live_all

        with live_all(sys.stderr) as observe_all:
            reports = run_from(one, wheres, observe_all)
    else:
        reports = run_from(one, wheres)
    noted: dict[str, list[str]] = {}
    for label, report in reports.items():
        for note in report.notes[len(one.notes) :]:
            if not note.startswith(WALKED_FROM):
                noted.setdefault(note, []).append(label)
    for note, labels in noted.items():
        click.echo(f"kdiag: note: {named(labels)}: {note}", err=True)
    return reports


def _waited(asked: Mapping[str, Settings], seconds: float) -> dict[str, Report]:
    from kdiag.cli.batch import run_all, until_ready
    from kdiag.report.logins import NO_ANSWER, NOT_AGAIN

    with _told() as tell:

        def say(reports: Mapping[str, Report], left: float) -> None:
            tell(_state(reports), f"waiting, {left:.0f} s left")

        reports = until_ready(asked, seconds, run_all, say)
    for label, report in reports.items():
        whose = f"{label}: " if len(reports) > 1 else ""
        for why in (NOT_AGAIN, NO_ANSWER):
            if why in report.notes:
                click.echo(f"kdiag: note: {whose}{why}", err=True)
    return reports


def _state(reports: Mapping[str, Report]) -> str:
    """What is waited for, in a line."""
    failing = {label: report for label, report in reports.items() if not report.ok}
    label, report = next(iter(failing.items()))
    cause = f": {report.cause.code} {report.cause.name}" if report.cause else ""
    said = f"{report.failing_hop or 'interrupted'}{cause}"
    if len(reports) == 1:
        return said
    return f"{len(reports) - len(failing)} of {len(reports)} ready; {label}: {said}"


@contextmanager
def _told() -> Iterator[Callable[[str, str], None]]:
    """How a state, and how long is waited still, are told: one line that changes on a terminal, or
    a line for each new state."""
    if _is_watched():
        from kdiag.report.render.live import waiting

        with waiting(sys.stderr) as line:
            yield lambda state, how_long: line(f"{how_long} · {state}")
        return
    last = ""

    def note(state: str, _: str) -> None:
        nonlocal last
        if state != last:
            click.echo(f"kdiag: waiting: {state}", err=True)
            last = state

    yield note


@contextmanager
def watched() -> Iterator[Observer | None]:
    """A live view on a terminal's stderr; none in CI or a pipe."""
    if not _is_watched():
        yield None
        return
    from kdiag.report.render.live import live

    with live(sys.stderr) as observe:
        yield observe


def _is_watched() -> bool:
    quiet = os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    return sys.stderr.isatty() and not quiet
