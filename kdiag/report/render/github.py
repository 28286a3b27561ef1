"""The report for GitHub Actions: annotations, as workflow commands, and the job's summary."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from kdiag.report.model import Report
from kdiag.report.render import encoding, presentation
from kdiag.report.render.markdown import document, documents
from kdiag.report.render.workflow import command
from kdiag.report.several import Reports
from kdiag.rules.rule import Finding


def write(report: Report, stream: TextIO) -> None:
    """Writes an annotation for each cause, then the verdict.

    Appends the whole report as Markdown to the file that GITHUB_STEP_SUMMARY names, where it is
    set. Raises OSError where the file cannot be written.
    """
    _annotate(report, stream)
    _summarise(document(report))


def write_all(reports: Reports, stream: TextIO) -> None:
    """As `write`, for several reports: each label stands in the titles of its annotations."""
    for label, report in reports.reports.items():
        _annotate(report, stream, f"{label}: ")
    stream.write(encoding.fitted(f"kdiag: {presentation.verdict_of_all(reports)}\n", stream))
    _summarise(documents(reports))


def _annotate(report: Report, stream: TextIO, whose: str = "") -> None:
    for finding, follows in presentation.causes(report):
        title = f"{whose}{finding.code} {finding.name}"
        text = "\n".join(_lines(finding, follows, root=finding is report.cause))
        annotation = command(finding.severity.value, {"title": title}, text)
        stream.write(encoding.fitted(annotation, stream))
    target = whose + ", ".join(report.target)
    line = f"kdiag: {report.verdict} · {target} · {presentation.verdict(report)}"
    line = " ".join(line.split()).replace("##[", "## [")  # an older syntax of workflow commands
    stream.write(encoding.fitted(f"{line}\n", stream))


def _summarise(lines: Iterable[str]) -> None:
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n\n")


def _lines(finding: Finding, follows: Sequence[Finding], *, root: bool) -> Iterator[str]:
    """The lines of an annotation."""
    cause = "root cause, " if root else ""
    yield f"{finding.message} ({cause}{presentation.place(finding.hop, ', ')})"
    yield from presentation.plain_lines(finding.evidence, "- ")
    if finding.remedies:
        yield f"fix: {finding.remedies[0].summary.rstrip(':')}"
    if follows:
        yield f"explains: {presentation.explains(follows)}"
    yield f"see {presentation.see(finding)}"
