"""What a terminal shows while walks are under way; it is erased before the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from rich.text import Text

from kdiag.report.render import presentation
from kdiag.report.render.terminal_page import console_of, fits
from kdiag.walk.areas import HOP_IDS

if TYPE_CHECKING:
    pass

MANY_WALKS = 8  # lines of the live view


@contextmanager
def live_all(stream: TextIO) -> Iterator[Callable[[str, str, str | None], None]]:
    """The live view of several walks: a line for each of the MANY_WALKS last updated ones."""
    console = console_of(stream)
    lines: dict[str, str] = {}
    with console.status(Text("starting"), spinner=_spinner(stream)) as status:

        def observe(label: str, hop: str, summary: str | None) -> None:
            lines.pop(label, None)
            lines[label] = f"{label}: {_under_way(hop) if summary is None else summary}"
            status.update(Text("\n".join([*lines.values()][-MANY_WALKS:])))

        yield observe


@contextmanager
def waiting(stream: TextIO) -> Iterator[Callable[[str], None]]:
    """One line on a terminal that changes; it is erased at the end."""
    console = console_of(stream)
    with console.status(Text("waiting"), spinner=_spinner(stream)) as status:
        yield lambda line: status.update(Text(line, no_wrap=True, overflow="ellipsis"))


def _under_way(hop: str) -> str:
    return presentation.place(hop, f" of {len(HOP_IDS)}, ")


@contextmanager
def live(stream: TextIO) -> Iterator[Callable[[str, str | None], None]]:
    """The live view of one walk on a terminal; it is erased before the report."""
    console = console_of(stream)
    mark = "·" if fits(stream) else "-"  # neutral: rules decide later whether a hop passes
    done: list[str] = []
    started = monotonic()
    with console.status(Text("starting"), spinner=_spinner(stream)) as status:

        def observe(hop: str, summary: str | None) -> None:
            if summary is not None:
                done.append(f"{mark} {hop}: {summary}")
            under_way = [_under_way(hop)] if summary is None else []
            status.update(_Elapsed(started, "\n".join(under_way + done)))

        yield observe


def _spinner(stream: TextIO) -> str:
    return "dots" if fits(stream) else "line"


class _Elapsed:
    """A text behind the seconds since `started`, of the moment in which it is drawn."""

    def __init__(self, started: float, text: str) -> None:
        self.started, self.text = started, text

    def __rich__(self) -> Text:
        return Text(f"{monotonic() - self.started:.0f} s · {self.text}")
