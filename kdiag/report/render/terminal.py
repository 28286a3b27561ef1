"""The report on a terminal, in a pipe or in a log."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TextIO

from kdiag.report.model import Report
from kdiag.report.render import presentation
from kdiag.report.render.terminal_page import Page, written

if TYPE_CHECKING:
    from kdiag.report.render import Detail
    from kdiag.report.several import Reports


def write(report: Report, stream: TextIO, detail: Detail = "short") -> None:
    """Prints the report: the verdict alone, what fits on a screen, or everything."""
    with written(stream) as page:
        _print(page, report, detail)


def _print(page: Page, report: Report, detail: Detail) -> None:
    if detail == "quiet":
        page.verdict(report, wrapped=False)
    elif detail == "full":
        _print_all(page, report)
    else:
        _print_short(page, report)


def _print_short(page: Page, report: Report) -> None:
    """Prints what fits on a screen: the hops, the first cause with the evidence and the fix that
    there is room for, a line on each other one, and the verdict."""
    hops, end = partial(_print_hops, page, report), partial(_print_end, page, report)
    found = [finding for finding, _ in presentation.causes(report)]
    if not found:
        hops()
        end()
        return
    start, last = page.printed(hops), page.printed(end)
    page.put(start)
    page.short(found[0], found[1:], presentation.SHORT - (start + last).count("\n"))
    page.put(last)


def _print_all(page: Page, report: Report) -> None:
    _print_hops(page, report)
    if report.cluster and presentation.differs(report.cluster.brokers):
        page.brokers(report.cluster.brokers)
    found = presentation.in_aws(report)
    if any(row.verdict != "allowed" for row in found):
        page.aws(found)
    page.rights(presentation.needed(report))
    for finding, follows in presentation.causes(report):
        page.finding(finding, follows, root=finding is report.cause)
    _print_end(page, report)


def _print_hops(page: Page, report: Report) -> None:
    page.head(report)
    for step in report.hops:
        page.step(step)
    if presentation.found_out(report):
        page.properties(report.client_properties["librdkafka"])


def _print_end(page: Page, report: Report) -> None:
    page.ignored(presentation.ignored(report))
    page.gap()
    page.verdict(report)


def write_all(reports: Reports, stream: TextIO, detail: Detail = "short") -> None:
    """Prints each report under its label, and a line on each at the end."""
    with written(stream) as page:
        for label, report in presentation.distinct(reports):
            if detail != "quiet":
                page.label(label)
                _print(page, report, detail)
                page.gap()
        if reports.comparison:
            page.comparison(reports.comparison)
        else:
            page.summary(reports)
        style = f"bold.{reports.verdict}"
        page.line((reports.verdict.upper(), style), f" · {presentation.verdict_of_all(reports)}")
