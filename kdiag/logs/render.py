"""Output of `kdiag explain FILE`: text for a terminal, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

from kdiag import __version__
from kdiag.logs.clients import MORE
from kdiag.logs.explanation import SCHEMA_VERSION, Explanation, LogFinding, LogLine
from kdiag.logs.text import OUTCOMES
from kdiag.report.render import presentation
from kdiag.report.render.terminal_page import Page, status_of, written

MAX_LINES, MAX_FINDINGS = 4, 8


def render(form: str, explanations: Sequence[Explanation], stream: TextIO) -> None:
    """Writes the explanation of each log to `stream`; `form` is "terminal" or "json"."""
    if form == "json":
        documents = [_document(explanation) for explanation in explanations]
        several = {
            "schema_version": SCHEMA_VERSION,
            "kind": "logs",
            "kdiag_version": __version__,
            "exit_code": exit_code(explanations),
            "logs": documents,
        }
        stream.write(json.dumps(documents[0] if len(documents) == 1 else several, indent=2) + "\n")
        return
    with written(stream) as page:
        for number, explanation in enumerate(explanations):
            if number:
                page.gap()
            _print(page, explanation)


def exit_code(explanations: Sequence[Explanation]) -> int:
    """The exit code of the earliest hop that fails in any log."""
    return min((e.exit_code for e in explanations if e.exit_code), default=0)


def _document(explanation: Explanation) -> dict[str, object]:
    """A finding has the keys of a finding in a `kdiag check` report, and also layer, confidence and
    lines, and whether the log tells the hop."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "log",
        "kdiag_version": __version__,
        **asdict(explanation),
        "findings": [
            {
                **asdict(found.finding),
                "layer": found.layer or None,
                "confidence": found.confidence,
                "hop_known": found.hop_known,
                "brokers": found.brokers,
                "lines": [asdict(line) for line in found.lines],
            }
            for found in explanation.findings
        ],
        "layer": explanation.layer or None,
    }


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
    _print_outcomes(page, explanation)
    for note in explanation.notes:
        page.line(f"note: {note}", indent=2)
    _print_verdict(page, explanation)


def _print_finding(
    page: Page, explanation: Explanation, found: LogFinding, consequences: Sequence[LogFinding]
) -> None:
    finding = found.finding
    root = found is explanation.cause
    status = status_of(finding)
    style, mark = f"bold.{status}", page.marks[status]
    layer = f" · {found.layer}" if found.layer else ""
    page.gap()
    page.line(
        ("root cause: " if root else "", style),
        (f"{finding.code} {finding.name}", style),
        f" · {_hop(found, ', ')}{layer} · {found.confidence}",
        lead=(f"{mark} ", style),
    )
    likely = "Likely, not proven: " if found.confidence == "likely" else ""
    page.line((likely + finding.message, "bold"), indent=2)
    for line in finding.evidence:
        page.line(line, lead="· ", indent=4)
    _print_lines(page, found.lines[:MAX_LINES])
    for remedy in finding.remedies:
        page.line(remedy.summary, lead=("fix: ", "bold"), indent=2)
    if root and explanation.recovered:
        page.line("The client received metadata after that, so it failed for a moment.", indent=2)
    if root:
        page.line(explanation.command, lead=("prove it: ", "bold"), indent=2)
    if consequences:
        codes = ", ".join(dict.fromkeys(f"{f.finding.code} {f.finding.name}" for f in consequences))
        page.line((codes, "dim"), lead=("explains: ", "dim"), indent=2)
    page.line((presentation.see(finding), "dim"), lead=("see ", "dim"), indent=2)


def _hop(found: LogFinding, separator: str) -> str:
    """The hop of a finding as text. Without proof it is hop 1 or hop 3, which fail alike."""
    hop = found.finding.hop
    if found.brokers:
        return "between brokers, no hop of a client"
    if found.hop_known:
        return presentation.place(hop, separator)
    return f"hop 1 or 3{', rather 3' if hop == 'listeners' else ''}"


def _print_outcomes(page: Page, explanation: Explanation) -> None:
    """Prints the lines that fit no finding, by kind, and how the client logs more."""
    for kind, (heading, _, _) in OUTCOMES.items():
        lines = [line for line in explanation.outcomes if line.kind == kind]
        if lines:
            page.gap()
            page.line(heading, indent=2)
            _print_lines(page, lines[:MAX_LINES])
    clients = [line.client for line in explanation.outcomes if line.client in MORE]
    if clients and explanation.cause is None and {"", "lost", "unknown"} & _kinds(explanation):
        page.line(MORE[clients[0]], lead=("what would tell: ", "bold"), indent=2)


def _kinds(explanation: Explanation) -> set[str]:
    return {line.kind for line in explanation.outcomes}


def _print_lines(page: Page, lines: Sequence[LogLine]) -> None:
    for line in lines:
        times = f", {line.count:,} times" if line.count > 1 else ""
        page.line(line.text, lead=(f"line {line.line}{times}: ", "dim"), indent=4)


def _print_verdict(page: Page, explanation: Explanation) -> None:
    """Prints the last line: the confidence, the hop, the root cause and the exit code."""
    cause = explanation.cause
    page.gap()
    if cause is None:
        verdict, reason = "NOTHING FOUND", "it has no line that kdiag knows as a failure"
        for kind, (_, verdict_of_kind, reason_of_kind) in reversed(OUTCOMES.items()):
            if kind in _kinds(explanation):
                verdict, reason = verdict_of_kind, reason_of_kind
        page.line((verdict, "bold.warn"), f" · {reason} · ask the cluster: {explanation.command}")
        return
    finding = cause.finding
    page.line(
        (cause.confidence.upper(), "bold.fail"),
        f" · {_hop(cause, ' ')}: {finding.code} {finding.name} · exit {explanation.exit_code}",
    )
