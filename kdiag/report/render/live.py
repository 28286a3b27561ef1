"""What a terminal shows while walks are under way; it is erased before the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

from rich.text import Text

from kdiag.report.render import presentation
from kdiag.report.render.terminal_page import console_of, fits
from kdiag.walk.areas import HOP_IDS, Progress

MANY_WALKS = 8  # lines of the live view


@contextmanager
def live_all(stream: TextIO) -> Iterator[Callable[[str, str, str | None], None]]:
    """The live view of several walks: a line for each of the MANY_WALKS last updated ones."""
    lines: dict[str, str] = {}
    with _shown(stream) as show:

        def observe(label: str, hop: str, summary: str | None) -> None:
            lines.pop(label, None)
            under_way = _under_way(hop, summary)
            lines[label] = f"{label}: {summary if under_way is None else under_way}"
            show([*lines.values()][-MANY_WALKS:])

        yield observe


@contextmanager
def waiting(stream: TextIO) -> Iterator[Callable[[str], None]]:
    """One line on a terminal that changes; it is erased at the end."""
    with _shown(stream) as show:
        yield lambda line: show([line])


@contextmanager
def live(stream: TextIO) -> Iterator[Callable[[str, str | None], None]]:
    """The live view of one walk on a terminal; it is erased before the report."""
    mark = "·" if fits(stream) else "-"  # neutral: rules decide later whether a hop passes
    done: list[str] = []
    with _shown(stream) as show:

        def observe(hop: str, summary: str | None) -> None:
            under_way = _under_way(hop, summary)
            if under_way is None:
                done.append(f"{mark} {hop}: {summary}")
            show([*([under_way] if under_way else []), *done])

        yield observe


@contextmanager
def _shown(stream: TextIO) -> Iterator[Callable[[Sequence[str]], None]]:
    """What shows lines behind a spinner and the seconds that have passed."""
    started = monotonic()
    spinner = "dots" if fits(stream) else "line"
    with console_of(stream).status(Text("starting"), spinner=spinner) as status:
        yield lambda lines: status.update(_Elapsed(started, "\n".join(lines)))


def _under_way(hop: str, summary: str | None) -> str | None:
    """A hop that runs, and how far it is; None where it has ended, with its summary."""
    if summary is not None and not isinstance(summary, Progress):
        return None
    place = presentation.place(hop, f" of {len(HOP_IDS)}, ")
    return f"{place}: {summary}" if summary else place


class _Elapsed:
    """A text behind the seconds since `started`, of the moment in which it is drawn. A line that is
    longer than the terminal is cut."""

    def __init__(self, started: float, text: str) -> None:
        self.started, self.text = started, text

    def __rich__(self) -> Text:
        shown = f"{monotonic() - self.started:.0f} s · {self.text}"
        return Text(shown, no_wrap=True, overflow="ellipsis")
