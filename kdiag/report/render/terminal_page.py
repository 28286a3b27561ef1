"""The parts of a report on a terminal, one method each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len, chop_cells
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.text import Text
from rich.theme import Theme

from kdiag.report.aws import AwsAddress
from kdiag.report.model import BrokerReport, HopResult, Report, RightReport
from kdiag.report.render import encoding, presentation
from kdiag.report.render.palette import COLOURS, FEW_COLOURS
from kdiag.report.render.presentation import MANY_BROKERS
from kdiag.report.render.workflow import no_command
from kdiag.rules.rule import Finding, Remedy
from kdiag.text import plural

if TYPE_CHECKING:
    from rich.table import Table

    from kdiag.report.compare import Comparison
    from kdiag.report.several import Reports

WIDEST, NARROWEST = 120, 40
NARROW_NAME, MANY_NAME_LINES = 8, 4  # an advertised address in the table: cells, lines

Part = tuple[str, str] | str  # a text and its style, or a text

_MARKS = {"pass": "√", "warn": "‼", "fail": "×", "skipped": "–"}
_ASCII_MARKS = {"pass": "+", "warn": "!", "fail": "x", "skipped": "-"}
_HOP_WIDTH = 9  # cells of a hop's name
ROOMY = 100  # columns: room for the names of hops in a table
_TRAILING = re.compile(r" +((?:\x1b\[0m)?)$", re.MULTILINE)
_LABEL = re.compile(r"[^.:]+[.:]*|[.:]+")
cell_len("".join(_MARKS.values()))  # loads rich's table of widths with this module, not later: 1 ms
_VERDICTS = {"blocked": "fail", "unknown": "warn", "allowed": "pass"}


@contextmanager
def written(stream: TextIO) -> Iterator[Page]:
    """A page to print on; it is written to the stream at the end of the context."""
    page = Page(stream)
    with page.console.capture() as captured:
        yield page
    text = _TRAILING.sub(r"\1", captured.get())
    stream.write(no_command(text))


def fits(stream: TextIO) -> bool:
    return encoding.fits("".join(_MARKS.values()), stream)


class _Printed:
    """A text with the escape sequences that rich made of it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_console__(self, *_: object) -> Iterator[Segment]:
        yield Segment(self.text)


class Page:
    """Prints the parts of a report. Text of a peer goes through `Text` only, never through rich's
    markup."""

    def __init__(self, stream: TextIO) -> None:
        self.console, self.fits, self._stream = console_of(stream), fits(stream), stream
        self.marks = _MARKS if self.fits else _ASCII_MARKS

    @cached_property
    def _aside(self) -> Console:
        """The console of what is not printed yet."""
        return console_of(self._stream)

    def plain(self, text: str) -> str:
        """The text in characters that the stream can show."""
        if self.fits:
            return text
        return text.translate(encoding.PLAIN).encode("ascii", "backslashreplace").decode()

    def text(self, *parts: Part) -> Text:
        """The parts as one text, each in its style, without endless words."""
        styled = [part if isinstance(part, tuple) else (part, "") for part in parts]
        return Text.assemble(
            *((self.plain(presentation.no_endless_word(text)), style) for text, style in styled)
        )

    def line(self, *parts: Part, lead: Part = "", indent: int = 0) -> None:
        """One paragraph; where it wraps, it hangs behind its indent and its lead."""
        paragraph: RenderableType = self.text(*parts)
        if lead:
            first = self.text(lead)
            grid = tables().grid()
            grid.add_column(width=first.cell_len, no_wrap=True)
            grid.add_column(overflow="fold")
            grid.add_row(first, paragraph)
            paragraph = grid
        self.console.print(Padding(paragraph, (0, 0, 0, indent)))

    def label(self, label: str) -> None:
        """Prints the label of the report that follows."""
        self.line((f"{self.plain('──')} {label}", "bold"))
        self.gap()

    def summary(self, reports: Reports) -> None:
        """A line on each report."""
        table = tables().grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(max_width=self.console.width // 3, overflow="fold")
        table.add_column(overflow="fold")
        for label, report in reports.reports.items():
            mark = Text(self.marks[report.verdict], style=report.verdict)
            table.add_row(mark, self.text((label, "bold")), self.text(presentation.verdict(report)))
        self.console.print(Padding(table, (0, 0, 0, 1)))
        self.gap()

    def comparison(self, compared: Comparison) -> None:
        """Prints a comparison: a row for each outcome, a column for each hop, and the sentence."""
        shown = presentation.outcomes(compared)
        hops = list(dict.fromkeys(hop for o in shown for hop in o.hops))
        table = tables().grid(padding=(0, 2))
        roomy = self.console.width >= ROOMY
        heads = [hop if roomy else presentation.abbreviated(hop) for hop in hops]
        table.add_column(max_width=self.console.width // 3, overflow="fold")
        for head in heads:
            table.add_column(width=len(head))
        caused = any(outcome.root_cause for outcome in shown)
        heads += ["cause"] * caused
        if caused:
            table.add_column(width=len("KD301"))
        table.add_column(overflow="fold")
        table.add_row("", *(Text(head, style="bold") for head in [*heads, "brokers"]))
        for outcome in shown:
            marks = (outcome.hops.get(hop, "skipped") for hop in hops)
            table.add_row(
                self.text((outcome.whose, "bold")),
                *(Text(self.marks[mark], style=_style(mark)) for mark in marks),
                *([self.text(outcome.root_cause or "–")] * caused),
                self.text(presentation.brokers(outcome)),
            )
        self.console.print(Padding(table, (0, 0, 0, 1)))
        self.gap()
        self.line(presentation.sentence(compared))
        for remark in presentation.remarks(compared):
            self.line(remark, lead="· ", indent=4)
        self.gap()

    def gap(self) -> None:
        """Prints an empty line."""
        self.console.print()

    def head(self, report: Report) -> None:
        """Prints the first line: version, target and protocol."""
        target = ", ".join(report.target)
        version = (f"kdiag {report.kdiag_version}", "bold")
        self.line(version, f" · {target}{presentation.spoken(report)}")
        self.gap()

    def step(self, step: HopResult) -> None:
        """A hop's line: mark, name, what was learnt, and how long it took at the right edge."""
        style = _style(step.status)
        mark = Text(self.marks[step.status], style=style)
        name = Text(step.hop, style="bold" if step.status != "skipped" else style)
        text = self.text(presentation.learnt(step))
        at_the_edge = Text(f" {presentation.took(step)}", "dim")
        name_gap = " " * max(1, _HOP_WIDTH + 1 - len(name))
        line = Text.assemble(" ", mark, " ", name, name_gap, text)
        room = self.console.width - line.cell_len - at_the_edge.cell_len
        if room > 0 and "\n" not in text.plain:  # on one line: a table takes 1 ms
            self.console.print(line.append(" " * room).append(at_the_edge))
            return
        table = tables().grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(width=max(_HOP_WIDTH, len(step.hop)))
        table.add_column(ratio=1, overflow="fold")
        table.add_column(justify="right", no_wrap=True)
        table.add_row(mark, name, text, at_the_edge)
        self.console.print(Padding(table, (0, 0, 0, 1)))

    def properties(self, text: str) -> None:
        """The client properties that match the listener, where kdiag found them itself."""
        self.gap()
        self.line(("the listener speaks: ", "bold"), ", ".join(text.splitlines()), indent=1)

    def brokers(self, brokers: Sequence[BrokerReport]) -> None:
        """The table of brokers and layers: the broken ones first, and not more than can be read."""
        layers = presentation.tried(brokers)
        ordered = sorted(brokers, key=presentation.healthy)
        rows = [
            (broker, [broker.layers.get(layer) for layer in layers] + [broker.produce])
            for broker in ordered[:MANY_BROKERS]
        ]
        widths = [
            max(len(head), *(len(cells[place] or "") for _, cells in rows))
            for place, head in enumerate((*layers, "produce"))
        ]
        left = self.console.width - 1 - len("broker  ") - sum(width + 2 for width in widths)
        table = tables()(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("broker", justify="right", no_wrap=True, overflow="crop")
        table.add_column("advertised", overflow="fold")
        for layer, width in zip((*layers, "produce"), widths, strict=True):
            table.add_column(layer, no_wrap=True, overflow="crop", min_width=width)
        for broker, cells in rows:
            table.add_row(
                str(broker.node),
                Text(self.address(broker.advertised, max(left - 2, NARROW_NAME))),
                *(self.outcome(cell) for cell in cells),
            )
        self.gap()
        self.console.print(Padding(table, (0, 0, 0, 1)))
        if more := presentation.more_brokers(ordered):
            self.line(more, indent=1)

    def aws(self, rows: Sequence[AwsAddress]) -> None:
        """The table of addresses with AWS's verdict on each."""
        table = tables()(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("in AWS", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        table.add_column("decided by", overflow="fold")
        table.add_column("instance, groups", overflow="fold")
        for row in rows[:MANY_BROKERS]:
            inner = f"\n= {row.address}" if row.address != row.judged else ""
            table.add_row(
                self.text(f"{presentation.aws_address(row)}{inner}"),
                Text(row.verdict, style=_VERDICTS[row.verdict]),
                self.text(row.decided_by or ""),
                self.text("\n".join(presentation.aws_owner(row))),
            )
        self.gap()
        self.console.print(Padding(table, (0, 0, 0, 1)))
        if more := presentation.more_addresses(rows):
            self.line(more, indent=1)

    def rights(self, rights: Sequence[RightReport]) -> None:
        """The table of the rights that the role needs; nothing without any."""
        if not rights:
            return
        table = tables()(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for head in ("right", "on", "", "answer"):
            table.add_column(head, overflow="fold")
        for right in rights:
            word, style = presentation.GRANTED[right.granted]
            on, answer = self.text(presentation.resource(right)), self.text(right.answer)
            table.add_row(self.text(right.operation), on, Text(word, style=style), answer)
        self.gap()
        self.console.print(Padding(table, (0, 0, 0, 1)))

    def address(self, address: str, width: int) -> str:
        """An address on lines of at most `width` cells, broken between the labels of its name."""
        lines = [""]
        for label in _LABEL.findall(self.plain(address)):
            if lines[-1] and cell_len(lines[-1] + label) > width:
                lines.append("")
            lines[-1:] = chop_cells(lines[-1] + label, width)
        if len(lines) > MANY_NAME_LINES:
            lines[1:-2] = [self.plain("…")]
        return "\n".join(lines)

    def outcome(self, outcome: str | None) -> Text:
        """The cell of one layer in the table of brokers."""
        if outcome is None:
            return Text(self.marks["skipped"], style="dim")
        return Text(outcome, style="pass" if outcome == "ok" else "fail")

    def finding(self, finding: Finding, follows: Sequence[Finding], *, root: bool) -> None:
        """A finding with its evidence and fixes; what only follows from it is one line."""
        status = status_of(finding)
        style = f"bold.{status}"
        self.gap()
        self.line(
            ("root cause: " if root else "", style),
            (f"{finding.code} {finding.name}", style),
            f" · {presentation.place(finding.hop, ', ')}",
            lead=(f"{self.marks[status]} ", style),
        )
        self.line((finding.message, "bold"), indent=2)
        self.evidence(finding.evidence)
        for remedy in finding.remedies:
            self.remedy(remedy)
        if follows:
            codes = (presentation.explains(follows), "dim")
            self.line(codes, lead=("explains: ", "dim"), indent=2)
        self.line((presentation.see(finding), "dim"), lead=("see ", "dim"), indent=2)

    def short(self, finding: Finding, others: Sequence[Finding], left: int) -> None:
        """A finding with its first fix, and a line on each other one, in `left` lines; what does
        not fit is counted."""
        head = self.printed(self.gap) + self.printed(partial(self.headline, finding))
        most = presentation.ROOMS[0]
        evidence = [
            self.printed(partial(self.line, line, lead="· ", indent=4))
            for line in finding.evidence[: most.evidence]
        ]
        more = [self.printed(partial(self.headline, finding)) for finding in others[: most.others]]
        fix: str = ""
        snippet: list[str] = []
        for remedy in finding.remedies[:1]:
            summary = partial(self.line, remedy.summary, lead=("fix: ", "bold"), indent=2)
            fix, snippet = self.printed(summary), remedy.snippet.splitlines()
        left -= (head + fix).count("\n") + 1
        room = presentation.room(left, evidence, len(snippet), more)
        self.put("".join((head, *evidence[: room.evidence], fix)))
        shown = presentation.whole(snippet, room.snippet)
        self.snippet(shown)
        cut = len(finding.evidence[room.evidence :]) + len(snippet[len(shown) :])
        self.hint(finding, cut, len(finding.remedies[1:]))
        self.put("".join(more[: room.others]))
        if count := len(others[room.others :]):
            which = "more" if room.others else "other"
            self.line((f"{plural(count, f'{which} finding')} with -v", "dim"), indent=2)

    def hint(self, finding: Finding, cut: int, fixes: int) -> None:
        """Where to read on about a finding, and how much `-v` adds to it."""
        more = [plural(cut, "more line")] if cut else []
        more += [f"{fixes} other fix{'es' if fixes > 1 else ''}"] if fixes else []
        text = f"kdiag explain {finding.code}" + (f"; with -v: {', '.join(more)}" if more else "")
        self.line((text, "dim"), lead=("more: ", "dim"), indent=2)

    def printed(self, prints: Callable[[], None]) -> str:
        """What a function prints, not printed yet."""
        console, self.console = self.console, self._aside
        with self.console.capture() as captured:
            prints()
        self.console = console
        return captured.get()

    def put(self, text: str) -> None:
        """Prints what `printed` gave."""
        self.console.print(_Printed(text), end="", crop=False)

    def headline(self, finding: Finding) -> None:
        """The code, the name and the message of a finding."""
        status = status_of(finding)
        self.line(
            (f"{finding.code} {finding.name}", f"bold.{status}"),
            f": {finding.message}",
            lead=(f"{self.marks[status]} ", f"bold.{status}"),
        )

    def ignored(self, findings: Sequence[Finding]) -> None:
        """A line for each finding that the user ignores."""
        if findings:
            self.gap()
        for finding in findings:
            what = f"ignored: {finding.code} {finding.name}"
            mark = f"{self.marks['skipped']} "
            self.line((what, "bold.dim"), (f" · {finding.message}", "dim"), lead=(mark, "dim"))

    def evidence(self, lines: Sequence[str]) -> None:
        """The evidence of a finding, shortened."""
        first, cut, last = presentation.shortened(lines)
        for line in first:
            self.line(line, lead="· ", indent=4)
        self.cut(cut, indent=4)
        for line in last:
            self.line(line, lead="· ", indent=4)

    def remedy(self, remedy: Remedy) -> None:
        """A fix: what to do, and the lines to copy, which are never wrapped."""
        self.line(remedy.summary, lead=("fix: ", "bold"), indent=2)
        lines, cut = presentation.snippet(remedy.snippet.splitlines())
        self.snippet(lines)
        self.cut(cut, indent=7)

    def snippet(self, lines: Sequence[str]) -> None:
        """Lines to copy, which are never wrapped and have no colour."""
        for line in lines:
            text = Text(" " * 7 + self.plain(line))
            self.console.print(text, no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)

    def cut(self, more: int, indent: int) -> None:
        """Says that lines were left out, where some were."""
        if more > 0:
            self.line(f"… {plural(more, 'more line')} with -o json", indent=indent)

    def verdict(self, report: Report, *, wrapped: bool = True) -> None:
        """The last line: verdict, hop, cause and exit code."""
        verdict = (report.verdict.upper(), f"bold.{report.verdict}")
        text = self.text(verdict, f" · {presentation.verdict(report)}")
        self.console.print(text, soft_wrap=not wrapped)


def status_of(finding: Finding) -> str:
    """The mark and the colour of a finding, by their names."""
    return "fail" if finding.severity == "error" else "warn"


def _style(status: str) -> str:
    return "dim" if status == "skipped" else status


def tables() -> type[Table]:
    """The class of tables, of which a report without failures needs none: 5 ms to load."""
    from rich.table import Table  # 5 ms

    return Table


def console_of(stream: TextIO) -> Console:
    console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
    styles = dict(FEW_COLOURS)
    if console.color_system != "standard":
        styles = {name: f"color({number})" for name, number in COLOURS.items()}
    console.push_theme(Theme(styles | {f"bold.{name}": f"bold {styles[name]}" for name in styles}))
    console.width = max(NARROWEST, min(console.width, WIDEST))
    return console
