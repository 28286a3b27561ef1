"""Runs the walks of a command: with the live view, with --wait, and with Ctrl-C to end them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

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
    """Loads the walk, and sets the signal handlers. Before, Ctrl-C ends the process at once,
    because an interrupted import may fail in any way; afterwards Ctrl-C, SIGTERM, SIGHUP and
    SIGQUIT end the walk, and kdiag prints what is known."""
    import signal  # 1 ms, after hop 1 has begun

    import kdiag.api  # noqa: F401
    from kdiag.network.sockets import raise_limit  # 36 ms

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
    """A signal handler that does what Ctrl-C does at that moment. Signals within AT_ONCE are one:
    `timeout` sends a signal to the process and to its group, a terminal that closes sends two."""

    def __init__(self) -> None:
        self._last = -AT_ONCE

    def __call__(self, number: int, frame: FrameType | None) -> None:
        before, self._last = self._last, time.monotonic()
        if self._last - before < AT_ONCE:
            return
        import signal  # 1.3 ms

        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            handler(signal.SIGINT, frame)
        elif handler is signal.SIG_DFL:  # the second signal: ends the process
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def walked(
    checks: Mapping[str, Settings],
    forms: Sequence[str],
    wait: float | None = None,
    begun: Sequence[StartedConnection] = (),
) -> dict[str, Report]:
    """The reports of checks, by label, with the live view on a terminal; with `wait` (seconds), the
    checks repeat until they pass or time is up. `forms` are the formats of the report, `begun`
    connections that kdiag has begun."""
    for note in dict.fromkeys(note for settings in checks.values() for note in settings.notes):
        _note(f"note: {note}")
    reports = _walked(checks, forms, wait, begun)
    if any(settings.options.mapped for settings in checks.values()):
        ends = dict.fromkeys(note for report in reports.values() for note in report.notes)
        for note in ends:
            if note.startswith("--map "):  # what the user gave is not used: only a walk tells
                _note(f"note: {note}")
    return reports


def _walked(
    checks: Mapping[str, Settings],
    forms: Sequence[str],
    wait: float | None,
    begun: Sequence[StartedConnection],
) -> dict[str, Report]:
    if wait is not None:
        return _waited(checks, wait)
    if len(checks) == 1:
        from kdiag.api import run  # 71 ms
        from kdiag.walk.runner import plain_dialer

        ((label, settings),) = checks.items()
        with Ahead(forms, sys.stderr if _is_watched() else None) as ahead:
            observe = _telling(ahead) if settings.options.hold and not _is_watched() else ahead
            return {label: run(settings, partial(plain_dialer, started=begun), observe)}
    from kdiag.cli.batch import run_all  # 100 ms

    if not _is_watched():
        return run_all(checks)
    from kdiag.report.render.live import live_all  # 72 ms

    with live_all(sys.stderr) as observe_all:
        return run_all(checks, observe_all)


def _telling(observe: Observer) -> Observer:
    """An observer that also prints how far --hold is: minutes may pass."""
    from kdiag.walk.areas import Holding  # 0.1 ms

    def observe_hold(hop: str, summary: str | None) -> None:
        observe(hop, summary)
        if isinstance(summary, Holding):
            _note(f"holding: {summary}")

    return observe_hold


def walked_from(checks: Mapping[str, Settings], vantages: Sequence[Vantage]) -> dict[str, Report]:
    """The reports of one check from several vantage points, by vantage point."""
    from kdiag.api import run_from  # 67 ms
    from kdiag.remote.check import WALKED_FROM
    from kdiag.report.compare import named

    (settings,) = checks.values()
    for note in settings.notes:
        _note(f"note: {note}")
    if _is_watched():
        from kdiag.report.render.live import live_all  # 72 ms

        with live_all(sys.stderr) as observe_all:
            reports = run_from(settings, vantages, observe_all)
    else:
        reports = run_from(settings, vantages)
    noted: dict[str, list[str]] = {}
    for label, report in reports.items():
        for note in report.notes[len(settings.notes) :]:
            if not note.startswith(WALKED_FROM):
                noted.setdefault(note, []).append(label)
    for note, labels in noted.items():
        _note(f"note: {named(labels)}: {note}")
    return reports


def _waited(checks: Mapping[str, Settings], seconds: float) -> dict[str, Report]:
    from kdiag.cli.batch import run_all, until_ready  # 102 ms
    from kdiag.report.logins import NO_ANSWER, NOT_AGAIN

    with _progress() as show:

        def progress(reports: Mapping[str, Report], left: float) -> None:
            show(_state(reports), f"waiting, {left:.0f} s left")

        reports = until_ready(checks, seconds, run_all, progress)
    for label, report in reports.items():
        whose = f"{label}: " if len(reports) > 1 else ""
        for why in (NOT_AGAIN, NO_ANSWER):
            if why in report.notes:
                _note(f"note: {whose}{why}")
    return reports


def _state(reports: Mapping[str, Report]) -> str:
    """The failing hop and the cause of the first check that fails, in one line."""
    failing = {label: report for label, report in reports.items() if not report.ok}
    label, report = next(iter(failing.items()))
    cause = f": {report.cause.code} {report.cause.name}" if report.cause else ""
    state = f"{report.failing_hop or 'interrupted'}{cause}"
    if len(reports) == 1:
        return state
    return f"{len(reports) - len(failing)} of {len(reports)} ready; {label}: {state}"


@contextmanager
def _progress() -> Iterator[Callable[[str, str], None]]:
    """What prints a state and the time left: on a terminal one line that changes, elsewhere a line
    for each new state."""
    if _is_watched():
        from kdiag.report.render.live import waiting  # 131 ms

        with waiting(sys.stderr) as line:
            yield lambda state, how_long: line(f"{how_long} · {state}")
        return
    last = ""

    def note(state: str, _: str) -> None:
        nonlocal last
        if state != last:
            _note(f"waiting: {state}")
            last = state

    yield note


@contextmanager
def watched() -> Iterator[Observer | None]:
    """A live view on a terminal's stderr; none in CI or a pipe."""
    if not _is_watched():
        yield None
        return
    from kdiag.report.render.live import live  # 87 ms

    with live(sys.stderr) as observe:
        yield observe


def _note(text: str) -> None:
    from click import echo  # 18 ms: most checks have nothing to note

    echo(f"kdiag: {text}", err=True)


def _is_watched() -> bool:
    quiet = os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    return sys.stderr.isatty() and not quiet
