"""The report for GitHub Actions: annotations, as workflow commands, and the job's summary."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from kdiag.report.model import Report
from kdiag.report.render import encoding
from kdiag.report.render import presentation as order
from kdiag.report.render.markdown import document, documents
from kdiag.report.render.workflow import command
from kdiag.report.several import Reports
from kdiag.rules.rule import Finding


def write(report: Report, stream: TextIO) -> None:
    """An annotation for each finding that counts and that nothing explains, then the verdict.

    The whole report is added to the file that GITHUB_STEP_SUMMARY names, where it names one; raises
    OSError where it cannot be.
    """
    _annotate(report, stream)
    _summarise(document(report))


def write_all(reports: Reports, stream: TextIO) -> None:
    """The same for each, its label in the titles of its annotations; one summary of all."""
    for label, report in reports.reports.items():
        _annotate(report, stream, f"{label}: ")
    stream.write(encoding.fitted(f"kdiag: {order.verdict_of_all(reports)}\n", stream))
    _summarise(documents(reports))


def _annotate(report: Report, stream: TextIO, whose: str = "") -> None:
    for finding, follows in order.causes(report):
        title = f"{whose}{finding.code} {finding.name}"
        said = "\n".join(_told(finding, follows, root=finding is report.cause))
        annotation = command(finding.severity.value, {"title": title}, said)
        stream.write(encoding.fitted(annotation, stream))
    target = whose + ", ".join(report.target)
    said = f"kdiag: {report.verdict} · {target} · {order.verdict(report)}"
    said = " ".join(said.split()).replace("##[", "## [")  # an older way to give a command
    stream.write(encoding.fitted(f"{said}\n", stream))


def _summarise(lines: Iterable[str]) -> None:
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n\n")


def _told(finding: Finding, follows: Sequence[Finding], *, root: bool) -> Iterator[str]:
    """What an annotation says, a line after the other."""
    cause = "root cause, " if root else ""
    yield f"{finding.message} ({cause}hop {order.number(finding.hop)}, {finding.hop})"
    first, cut, last = order.shortened(finding.evidence)
    yield from (f"- {line}" for line in first)
    if cut:
        yield f"... {cut} more lines with -o json"
    yield from (f"- {line}" for line in last)
    if finding.remedies:
        yield f"fix: {finding.remedies[0].summary.rstrip(':')}"
    if follows:
        yield f"explains: {', '.join(dict.fromkeys(f'{f.code} {f.name}' for f in follows))}"
    yield f"see {finding.url}"
