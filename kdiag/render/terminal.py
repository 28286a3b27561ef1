"""The report on a terminal, in a pipe or in a log, and the live view of a walk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kdiag.attempt import LAYERS
from kdiag.report import BrokerReport, Report, Step
from kdiag.rule import Finding, Remedy

WIDEST = 120
MANY_BROKERS, MANY_LINES = 12, 8

_MARKS = {"pass": "√", "warn": "‼", "fail": "×", "skipped": "–"}
_ASCII_MARKS = {"pass": "+", "warn": "!", "fail": "x", "skipped": "-"}
_STYLES = {"pass": "green", "warn": "yellow", "fail": "red", "skipped": "bright_black"}
_PLAIN = str.maketrans(
    {"√": "+", "‼": "!", "×": "x", "–": "-", "·": "-", "…": "...", "—": "-", "│": "|"}
)
_TRAILING = re.compile(r" +((?:\x1b\[0m)?)$", re.MULTILINE)
_HOP_NUMBER = {"bootstrap": 1, "metadata": 2, "listeners": 3, "produce": 4}


def write(report: Report, stream: TextIO) -> None:
    """Prints the report: terse when all is well, full when not."""
    console = _console(stream)
    page = _Page(console, _fits(stream))
    with console.capture() as captured:
        _print(page, report)
    stream.write(_TRAILING.sub(r"\1", captured.get()))


def _print(page: _Page, report: Report) -> None:
    page.head(report)
    for step in report.hops:
        page.step(step)
    if report.cluster and _differs(report.cluster.brokers):
        page.brokers(report.cluster.brokers)
    for finding in report.findings:
        if not finding.consequence_of:
            page.finding(finding, [f for f in report.findings if f.consequence_of == finding.code])
    page.verdict(report)


@contextmanager
def live(stream: TextIO) -> Iterator[Callable[[str, str | None], None]]:
    """The walk as it goes, on a terminal; it is wiped when the report is due."""
    console = _console(stream)
    mark = _MARKS["pass"] if _fits(stream) else _ASCII_MARKS["pass"]
    done: list[str] = []
    with console.status(Text("starting"), spinner="dots" if _fits(stream) else "line") as status:

        def observe(hop: str, summary: str | None) -> None:
            if summary is not None:
                done.append(f"{mark} {hop}: {summary}")
            under_way = [f"hop {_HOP_NUMBER[hop]} of 4, {hop}"] if summary is None else []
            status.update(Text("\n".join(under_way + done)))

        yield observe


class _Page:
    """What is printed where. Text of a peer only ever goes through `Text`, never through markup."""

    def __init__(self, console: Console, fits: bool) -> None:
        self.console, self.fits = console, fits
        self.marks = _MARKS if fits else _ASCII_MARKS

    def plain(self, text: str) -> str:
        """The text, in what the stream can show."""
        if self.fits:
            return text
        return text.translate(_PLAIN).encode("ascii", "backslashreplace").decode()

    def line(self, *parts: tuple[str, str] | str, indent: int = 0) -> None:
        """One paragraph, wrapped behind its indent."""
        made = [
            (self.plain(part[0]), part[1]) if isinstance(part, tuple) else self.plain(part)
            for part in parts
        ]
        self.console.print(Padding(Text.assemble(*made), (0, 0, 0, indent)))

    def gap(self) -> None:
        self.console.print()

    def head(self, report: Report) -> None:
        target = ", ".join(report.target)
        self.line((f"kdiag {report.kdiag_version}", "bold"), f" · {target} · {report.protocol}")
        self.gap()

    def step(self, step: Step) -> None:
        """A hop's line: mark, name, what was learnt, and how long it took at the right edge."""
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(width=9)
        table.add_column(ratio=1)
        table.add_column(justify="right", no_wrap=True)
        learnt = step.summary
        if step.skipped_because:
            learnt = "; ".join(
                part for part in (learnt, f"skipped: {step.skipped_because}") if part
            )
        style = _STYLES[step.status]
        took = _milliseconds(step.elapsed_ms) if step.summary else ""
        table.add_row(
            Text(self.marks[step.status], style=style),
            Text(step.hop, style="bold" if step.status != "skipped" else style),
            Text(self.plain(learnt or "failed")),
            Text(took, style="bright_black"),
        )
        self.console.print(Padding(table, (0, 0, 0, 1)))

    def brokers(self, brokers: list[BrokerReport]) -> None:
        """The table of brokers and layers: the broken ones first, and not more than can be read."""
        layers = [x for x in LAYERS if any(broker.layers.get(x) for broker in brokers)]
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
        table.add_column("broker", justify="right")
        table.add_column("advertised", overflow="fold")
        for layer in (*layers, "produce"):
            table.add_column(layer, no_wrap=True)
        ordered = sorted(brokers, key=_healthy)
        for broker in ordered[:MANY_BROKERS]:
            cells = [broker.layers.get(layer) for layer in layers] + [broker.produce]
            table.add_row(
                str(broker.node),
                Text(self.plain(broker.advertised)),
                *(self._outcome(cell) for cell in cells),
            )
        self.gap()
        self.console.print(Padding(table, (0, 0, 0, 1)))
        if len(ordered) > MANY_BROKERS:
            more = ordered[MANY_BROKERS:]
            well = sum(_healthy(broker) for broker in more)
            self.line(f"… and {len(more)} more brokers, {well} of them well", indent=1)

    def _outcome(self, outcome: str | None) -> Text:
        if outcome is None:
            return Text(self.marks["skipped"], style="bright_black")
        return Text(outcome, style="green" if outcome == "ok" else "red")

    def finding(self, finding: Finding, follows: list[Finding]) -> None:
        """A finding with its evidence and fixes; what only follows from it is one line."""
        status = "fail" if finding.severity == "error" else "warn"
        number = _HOP_NUMBER[finding.hop]
        self.gap()
        self.line(
            (f"{self.marks[status]} {finding.code} {finding.name}", f"bold {_STYLES[status]}"),
            f" · hop {number}, {finding.hop}",
        )
        self.line((finding.message, "bold"), indent=2)
        for evidence in finding.evidence[:MANY_LINES]:
            self.line(f"· {evidence}", indent=4)
        if len(finding.evidence) > MANY_LINES:
            self.line(f"… {len(finding.evidence) - MANY_LINES} more lines with -o json", indent=4)
        for remedy in finding.remedies:
            self.remedy(remedy)
        if follows:
            codes = ", ".join(f"{f.code} {f.name}" for f in follows)
            self.line((f"explains: {codes}", "bright_black"), indent=2)
        self.line(("see ", "bright_black"), (finding.url, "bright_black"), indent=2)

    def remedy(self, remedy: Remedy) -> None:
        """A fix: what to do, and the lines to copy, which are never wrapped."""
        self.line(("fix: ", "bold cyan"), remedy.summary, indent=2)
        for snippet in remedy.snippet.splitlines()[: 4 * MANY_LINES]:
            text = Text(" " * 7 + self.plain(snippet), style="cyan")
            self.console.print(text, no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)

    def verdict(self, report: Report) -> None:
        """The last line: verdict, hop and cause, exit code, time."""
        self.gap()
        cause = report.cause
        if report.interrupted:
            said = "interrupted; the hops above are what is known"
        elif cause:
            said = f"hop {_HOP_NUMBER[cause.hop]} {cause.hop}: {cause.code} {cause.name}"
        else:
            said = "a client can connect from here"
        style = {"pass": "green", "warn": "yellow", "fail": "red"}[report.verdict]
        self.line(
            (report.verdict.upper(), f"bold {style}"),
            f" · {said} · exit {report.exit_code} · {report.elapsed_ms / 1000:.2f} s",
        )


def _console(stream: TextIO) -> Console:
    console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
    console.width = min(console.width, WIDEST)
    return console


def _fits(stream: TextIO) -> bool:
    """Whether the stream's encoding has the marks."""
    try:
        "".join(_MARKS.values()).encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _healthy(broker: BrokerReport) -> bool:
    layers = [outcome for outcome in broker.layers.values() if outcome]
    return bool(layers) and {*layers, broker.produce} == {"ok"}


def _differs(brokers: list[BrokerReport]) -> bool:
    """Whether the table says more than the hops' lines: something is not as it should be."""
    tried = any(outcome for broker in brokers for outcome in broker.layers.values())
    return tried and not all(_healthy(broker) for broker in brokers)


def _milliseconds(elapsed: int) -> str:
    return f"{elapsed} ms" if elapsed < 1000 else f"{elapsed / 1000:.2f} s"
