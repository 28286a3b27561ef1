"""Renders the report of `kdiag lint`: text, JSON, SARIF, and annotations of GitHub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, TextIO
from urllib.parse import quote

from kdiag import __version__
from kdiag.config import links
from kdiag.lint.mistake import Problem
from kdiag.lint.report import LintReport
from kdiag.lint.style import Style, styled
from kdiag.report.render.encoding import fitted
from kdiag.report.render.workflow import command, no_command
from kdiag.rules.rule import Severity
from kdiag.text import clean

SCHEMA_VERSION = 1
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def terminal(report: LintReport, stream: TextIO) -> None:
    """`file:line:column: code message`, a line each; what a fix needs that no file tells is below,
    indented. Then a line with the counts. A terminal gets colours, and lines as wide as it is."""
    style = styled(stream)
    stream.write(fitted(no_command("".join(_lines(report, style))), stream))


def _lines(report: LintReport, style: Style) -> Iterator[str]:
    for problem in report.repaired:
        place = style.bold(f"{_place(problem)}:")
        message = f"{problem.finding.code} {style.good('fixed:')} {problem.finding.message}"
        yield style.wrapped(f"{place} {message}", 4)
    for problem in report.problems:
        finding = problem.finding
        error = finding.severity is Severity.ERROR
        code = style.error(finding.code) if error else style.warning(f"{finding.code} warning:")
        mark = f" {style.good('[fixable]')}" if problem.fixed else ""
        yield style.wrapped(
            f"{style.bold(f'{_place(problem)}:')} {code} {finding.message}{mark}", 4
        )
        for remedy in () if problem.fixed else finding.remedies:
            yield style.wrapped(f"    {remedy.summary}", 4)
            yield from (f"      {line}\n" for line in remedy.snippet.splitlines())
    yield from (f"note: {clean(note)}\n" for note in report.notes)
    yield f"{_summary(report)}\n"


def _summary(report: LintReport) -> str:
    files = _count(report.judged, "file")
    fixable = sum(each.fixed for each in report.problems)
    done = f"{len(report.repaired)} fixed" if report.repaired else ""
    if not report.problems:
        nothing = f"{files}: nothing wrong" if report.judged else "nothing to judge"
        return f"{files}: {done}, nothing wrong is left" if done else nothing
    counts = f"{_count(report.errors, 'error')} and {_count(report.warnings, 'warning')}"
    if done:
        return f"{files}: {done}, {counts} left"
    hint = f"; {fixable} fixable: --fix writes, --diff shows it" if fixable else ""
    return f"{files}: {counts}{hint}"


def as_json(report: LintReport, stream: TextIO) -> None:
    """One object: every finding as in a report of `kdiag check`, with file, line and column."""
    found = {
        "schema_version": SCHEMA_VERSION,
        "kdiag_version": __version__,
        "verdict": report.verdict,
        "exit_code": report.exit_code,
        "files": [clean(name) for name in report.files],
        "errors": report.errors,
        "warnings": report.warnings,
        "notes": [clean(note) for note in report.notes],
        "fixed": [_as_object(each) for each in report.repaired],
        "findings": [_as_object(each) for each in report.problems],
    }
    stream.write(json.dumps(found, indent=2) + "\n")


def sarif(report: LintReport, stream: TextIO) -> None:
    """SARIF 2.1.0, for code scanning."""
    findings = {problem.finding.code: problem.finding for problem in report.problems}
    rules = [
        {
            "id": finding.code,
            "name": finding.name,
            "shortDescription": {"text": finding.title},
            # A URI: the page's address is one where a site has it.
            **({"helpUri": finding.url} if links.SITE else {}),
        }
        for finding in findings.values()
    ]
    home = {"informationUri": links.SITE} if links.SITE else {}
    driver = {"name": "kdiag", "version": __version__, **home, "rules": rules}
    results = [
        {
            "ruleId": problem.finding.code,
            "ruleIndex": list(findings).index(problem.finding.code),
            "level": problem.finding.severity.value,
            "message": {"text": problem.finding.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(problem.file)},
                        "region": {
                            "startLine": problem.spot.line,
                            "startColumn": problem.spot.column,
                        },
                    }
                }
            ],
        }
        for problem in report.problems
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    log = {"$schema": _SARIF, "version": "2.1.0", "runs": [run]}
    stream.write(json.dumps(log, indent=2) + "\n")


def github(report: LintReport, stream: TextIO) -> None:
    """Workflow commands: GitHub Actions shows each at its line."""
    for problem in report.problems:
        properties = {
            "file": clean(problem.file),
            "line": str(problem.spot.line),
            "col": str(problem.spot.column),
            "title": f"{problem.finding.code} {problem.finding.name}",
        }
        annotation = command(problem.finding.severity.value, properties, problem.finding.message)
        stream.write(fitted(annotation, stream))


FORMS: Mapping[str, Callable[[LintReport, TextIO], None]] = {
    "terminal": terminal,
    "json": as_json,
    "sarif": sarif,
    "github": github,
}


def render(form: str, report: LintReport, stream: TextIO) -> None:
    """Writes a report in one of FORMS."""
    FORMS[form](report, stream)


def _place(problem: Problem) -> str:
    return f"{clean(problem.file)}:{problem.spot.line}:{problem.spot.column}"


def _uri(name: str) -> str:
    """A file's name as SARIF has it: relative to where kdiag runs, or with a scheme."""
    path = quote(name.encode("utf-8", "surrogateescape"))
    return f"file://{path}" if name.startswith("/") else path.replace(":", "%3A")


def _as_object(problem: Problem) -> dict[str, Any]:
    place = {"file": clean(problem.file), "line": problem.spot.line, "column": problem.spot.column}
    return {**asdict(problem.finding), **place, "fixable": problem.fixed}


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
