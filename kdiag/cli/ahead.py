"""Loads the rules and the renderers while a hop waits for answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from kdiag.report.render import RENDERERS

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from kdiag.config.settings import Settings
    from kdiag.network.head_start import StartedConnection
    from kdiag.walk.runner import Observer

# What a check needs once the walk is over: 30 ms to load, of which rich takes 17.
JUDGES = ("kdiag.report.judge", "kdiag.rules")

SENT = 0.012  # seconds: hop 3 is on the wire, and a walk that does not leave the machine is over
LAST_WAIT = "listeners"  # the hop
SILENT = 0.2  # seconds: hop 1 waits for more than two round trips of most networks


def begin(checks: Mapping[str, Settings], outputs: Sequence[str]) -> tuple[StartedConnection, ...]:
    """Begins to connect to the bootstrap servers of a single check that nothing can refuse any
    more: it opens no file, prepares no login, and calls neither AWS nor kubectl."""
    if len(checks) > 1 or len(outputs) > 1 or not set(outputs) <= RENDERERS.keys():
        return ()
    (settings,) = checks.values()
    options = settings.options
    alone = options.config or options.strimzi or options.proxy or options.hold or settings.rest
    if settings.security.sasl or options.aws or alone:
        return ()
    from kdiag.network import head_start  # 0.8 ms

    return head_start.begin(settings.bootstrap)


class Ahead:
    """An observer of one walk. It loads the rules and the renderers of `forms` while hop 3 waits
    for answers, or hop 1 for long: earlier they would delay what the walk does with the answer of
    hop 1, which comes 100 ms after the first packet where a round trip takes 50. With a `stream`,
    it then shows the live view there."""

    def __init__(self, forms: Sequence[str], stream: TextIO | None = None) -> None:
        self._renderers = [RENDERERS[form] for form in forms if form in RENDERERS]
        self._stream = stream
        self._events: list[tuple[str, str | None]] = []
        self._shown = ExitStack()
        self._begun = False
        self._show: Observer = _nowhere

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shown.close()

    def __call__(self, hop: str, summary: str | None) -> None:
        if not self._events or (hop, summary) == (LAST_WAIT, None):
            from asyncio import get_running_loop  # 40 ms

            get_running_loop().call_later(SENT if self._events else SILENT, self._begin)
        self._events.append((hop, summary))
        self._show(hop, summary)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        # A thread, and not a step of the loop: Ctrl-C never comes in the middle of an import there.
        from kdiag.network.dialer import in_thread  # 68 ms

        with suppress(RuntimeError):  # no thread: they load after the walk
            in_thread(self._load).add_done_callback(self._loaded)

    def _load(self) -> None:
        for name in (*JUDGES, *self._renderers):
            import_module(name)
        sys.modules["kdiag.rules"].walk_rules()

    def _loaded(self, loading: asyncio.Future[None]) -> None:
        """Starts the live view; a failed import fails again, with its message, after the walk."""
        if loading.exception() or self._stream is None:
            return
        from kdiag.report.render.live import live  # 121 ms

        self._show = self._shown.enter_context(live(self._stream))
        for hop, summary in self._events:
            self._show(hop, summary)


def _nowhere(hop: str, summary: str | None) -> None:
    """Shows nothing: the live view is not loaded yet."""
