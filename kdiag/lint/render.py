"""What `kdiag lint` found, as linters say it: a line each, JSON, SARIF, GitHub's annotations."""

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
    for each in report.repaired:
        place = style.bold(f"{_place(each)}:")
        message = f"{each.finding.code} {style.good('fixed:')} {each.finding.message}"
        yield style.wrapped(f"{place} {message}", 4)
    for each in report.problems:
        finding = each.finding
        error = finding.severity is Severity.ERROR
        code = style.error(finding.code) if error else style.warning(f"{finding.code} warning:")
        mark = f" {style.good('[fixable]')}" if each.fixed else ""
        yield style.wrapped(f"{style.bold(f'{_place(each)}:')} {code} {finding.message}{mark}", 4)
        for remedy in () if each.fixed else finding.remedies:
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
    findings = {each.finding.code: each.finding for each in report.problems}
    rules = [
        {
            "id": each.code,
            "name": each.name,
            "shortDescription": {"text": each.title},
            # A URI: the page's address is one where a site has it.
            **({"helpUri": each.url} if links.SITE else {}),
        }
        for each in findings.values()
    ]
    home = {"informationUri": links.SITE} if links.SITE else {}
    driver = {"name": "kdiag", "version": __version__, **home, "rules": rules}
    results = [
        {
            "ruleId": each.finding.code,
            "ruleIndex": list(findings).index(each.finding.code),
            "level": each.finding.severity.value,
            "message": {"text": each.finding.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(each.file)},
                        "region": {"startLine": each.spot.line, "startColumn": each.spot.column},
                    }
                }
            ],
        }
        for each in report.problems
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    log = {"$schema": _SARIF, "version": "2.1.0", "runs": [run]}
    stream.write(json.dumps(log, indent=2) + "\n")


def github(report: LintReport, stream: TextIO) -> None:
    """Workflow commands: GitHub Actions shows each at its line."""
    for each in report.problems:
        properties = {
            "file": clean(each.file),
            "line": str(each.spot.line),
            "col": str(each.spot.column),
            "title": f"{each.finding.code} {each.finding.name}",
        }
        annotation = command(each.finding.severity.value, properties, each.finding.message)
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


def _place(each: Problem) -> str:
    return f"{clean(each.file)}:{each.spot.line}:{each.spot.column}"


def _uri(name: str) -> str:
    """A file's name as SARIF has it: relative to where kdiag runs, or with a scheme."""
    path = quote(name.encode("utf-8", "surrogateescape"))
    return f"file://{path}" if name.startswith("/") else path.replace(":", "%3A")


def _as_object(each: Problem) -> dict[str, Any]:
    place = {"file": clean(each.file), "line": each.spot.line, "column": each.spot.column}
    return {**asdict(each.finding), **place, "fixable": each.fixed}


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
