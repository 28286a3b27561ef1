"""Output of `kdiag explain FILE`: text for a terminal, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

from kdiag import __version__
from kdiag.logs.explanation import SCHEMA_VERSION, Explanation, LogFinding, LogLine
from kdiag.report.render import presentation
from kdiag.report.render.terminal import Page, written

MAX_LINES, MAX_FINDINGS = 4, 8


def render(form: str, explanation: Explanation, stream: TextIO) -> None:
    """Writes an explanation to `stream`; `form` is "terminal" or "json"."""
    if form == "json":
        _write_json(explanation, stream)
        return
    with written(stream) as page:
        _print(page, explanation)


def _write_json(explanation: Explanation, stream: TextIO) -> None:
    """A finding has the keys of a finding in a `kdiag check` report, and also layer, confidence and
    lines."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "log",
        "kdiag_version": __version__,
        **asdict(explanation),
        "findings": [
            {
                **asdict(found.finding),
                "layer": found.layer or None,
                "confidence": found.confidence,
                "lines": [asdict(line) for line in found.lines],
            }
            for found in explanation.findings
        ],
        "layer": explanation.layer or None,
    }
    stream.write(json.dumps(document, indent=2) + "\n")


def _print(page: Page, explanation: Explanation) -> None:
    clients = ", ".join(explanation.clients)
    lines = f"{explanation.lines:,} line{'' if explanation.lines == 1 else 's'}"
    page.line(
        (f"kdiag {__version__}", "bold"),
        f" · {explanation.source} · {lines}{f' of {clients}' if clients else ''}",
    )
    causes = [f for f in explanation.findings if not f.finding.consequence_of][:MAX_FINDINGS]
    for found in causes:
        consequences = [
            other
            for other in explanation.findings
            if other.finding.consequence_of == found.finding.code
        ]
        _print_finding(page, explanation, found, consequences)
    if explanation.outcomes:
        page.gap()
        page.line("These lines only say that something failed, and not why:", indent=2)
        _print_lines(page, explanation.outcomes[:MAX_LINES])
    for note in explanation.notes:
        page.line(f"note: {note}", indent=2)
    _print_verdict(page, explanation)


def _print_finding(
    page: Page,
    explanation: Explanation,
    found: LogFinding,
    consequences: Sequence[LogFinding],
) -> None:
    finding = found.finding
    root = found is explanation.cause
    style = "bold red" if finding.severity == "error" else "bold yellow"
    mark = page.marks["fail" if finding.severity == "error" else "warn"]
    layer = f" · {found.layer}" if found.layer else ""
    hop = f"hop {presentation.number(finding.hop)}, {finding.hop}"
    page.gap()
    page.line(
        ("root cause: " if root else "", style),
        (f"{finding.code} {finding.name}", style),
        f" · {hop}{layer} · {found.confidence}",
        lead=(f"{mark} ", style),
    )
    page.line((finding.message, "bold"), indent=2)
    for line in finding.evidence:
        page.line(line, lead="· ", indent=4)
    _print_lines(page, found.lines[:MAX_LINES])
    for remedy in finding.remedies:
        page.line(remedy.summary, lead=("fix: ", "bold cyan"), indent=2)
    if root:
        page.line((explanation.command, "cyan"), lead=("prove it: ", "bold cyan"), indent=2)
    if consequences:
        codes = ", ".join(dict.fromkeys(f"{f.finding.code} {f.finding.name}" for f in consequences))
        page.line((codes, "bright_black"), lead=("explains: ", "bright_black"), indent=2)
    page.line((finding.url, "bright_black"), lead=("see ", "bright_black"), indent=2)


def _print_lines(page: Page, lines: Sequence[LogLine]) -> None:
    for line in lines:
        times = f", {line.count:,} times" if line.count > 1 else ""
        page.line(line.text, lead=(f"line {line.line}{times}: ", "bright_black"), indent=4)


def _print_verdict(page: Page, explanation: Explanation) -> None:
    """Prints the last line: the confidence, the hop, the root cause and the exit code."""
    cause = explanation.cause
    page.gap()
    if cause is None:
        verdict, reason = "NOTHING FOUND", "no line in it tells of a failure"
        if explanation.outcomes:
            verdict, reason = "UNEXPLAINED", "something failed, and the log does not say why"
        page.line((verdict, "bold yellow"), f" · {reason} · ask the cluster: {explanation.command}")
        return
    finding = cause.finding
    hop = f"hop {presentation.number(finding.hop)} {finding.hop}"
    guess = "" if explanation.hop_told else " (most likely; the log does not tell)"
    page.line(
        (cause.confidence.upper(), "bold red"),
        f" · {hop}{guess}: {finding.code} {finding.name} · exit {explanation.exit_code}",
    )
