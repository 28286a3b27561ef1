"""What a log comes to, as `kdiag explain FILE` says it: on a terminal, or as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

from kdiag import __version__
from kdiag.logs.explanation import SCHEMA_VERSION, Explanation, LogLine, Reading
from kdiag.report.render import presentation as order
from kdiag.report.render.terminal import Page, written

MANY_LINES, MANY_FINDINGS = 4, 8


def render(form: str, explanation: Explanation, stream: TextIO) -> None:
    """Writes it as text or as json."""
    if form == "json":
        _as_json(explanation, stream)
        return
    with written(stream) as page:
        _print(page, explanation)


def _as_json(explanation: Explanation, stream: TextIO) -> None:
    """Findings are as in a report of `kdiag check`, with layer, confidence and lines."""
    found = {
        "schema_version": SCHEMA_VERSION,
        "kind": "log",
        "kdiag_version": __version__,
        **asdict(explanation),
        "findings": [
            {
                **asdict(reading.finding),
                "layer": reading.layer or None,
                "confidence": reading.confidence,
                "lines": [asdict(line) for line in reading.lines],
            }
            for reading in explanation.findings
        ],
        "layer": explanation.layer or None,
    }
    stream.write(json.dumps(found, indent=2) + "\n")


def _print(page: Page, explanation: Explanation) -> None:
    wrote = ", ".join(explanation.clients)
    lines = f"{explanation.lines:,} line{'' if explanation.lines == 1 else 's'}"
    page.line(
        (f"kdiag {__version__}", "bold"),
        f" · {explanation.source} · {lines}{f' of {wrote}' if wrote else ''}",
    )
    shown = [r for r in explanation.findings if not r.finding.consequence_of][:MANY_FINDINGS]
    for reading in shown:
        follows = [
            other
            for other in explanation.findings
            if other.finding.consequence_of == reading.finding.code
        ]
        _reading(page, explanation, reading, follows)
    if explanation.outcomes:
        page.gap()
        page.line("These lines only say that something failed, and not why:", indent=2)
        _lines(page, explanation.outcomes[:MANY_LINES])
    for note in explanation.notes:
        page.line(f"note: {note}", indent=2)
    _verdict(page, explanation)


def _reading(
    page: Page, explanation: Explanation, reading: Reading, follows: Sequence[Reading]
) -> None:
    finding = reading.finding
    root = reading is explanation.cause
    style = "bold red" if finding.severity == "error" else "bold yellow"
    mark = page.marks["fail" if finding.severity == "error" else "warn"]
    layer = f" · {reading.layer}" if reading.layer else ""
    place = f" · hop {order.number(finding.hop)}, {finding.hop}{layer} · {reading.confidence}"
    page.gap()
    page.line(
        ("root cause: " if root else "", style),
        (f"{finding.code} {finding.name}", style),
        place,
        lead=(f"{mark} ", style),
    )
    page.line((finding.message, "bold"), indent=2)
    for line in finding.evidence:
        page.line(line, lead="· ", indent=4)
    _lines(page, reading.lines[:MANY_LINES])
    for remedy in finding.remedies:
        page.line(remedy.summary, lead=("fix: ", "bold cyan"), indent=2)
    if root:
        page.line((explanation.command, "cyan"), lead=("prove it: ", "bold cyan"), indent=2)
    if follows:
        codes = ", ".join(dict.fromkeys(f"{r.finding.code} {r.finding.name}" for r in follows))
        page.line((codes, "bright_black"), lead=("explains: ", "bright_black"), indent=2)
    page.line((finding.url, "bright_black"), lead=("see ", "bright_black"), indent=2)


def _lines(page: Page, lines: Sequence[LogLine]) -> None:
    for line in lines:
        times = f", {line.count:,} times" if line.count > 1 else ""
        page.line(line.text, lead=(f"line {line.line}{times}: ", "bright_black"), indent=4)


def _verdict(page: Page, explanation: Explanation) -> None:
    """The last line: the hop, the cause, how sure, the exit code."""
    cause = explanation.cause
    page.gap()
    if cause is None:
        found, what = "NOTHING FOUND", "no line in it tells of a failure"
        if explanation.outcomes:
            found, what = "UNEXPLAINED", "something failed, and the log does not say why"
        page.line((found, "bold yellow"), f" · {what} · ask the cluster: {explanation.command}")
        return
    finding = cause.finding
    hop = f"hop {order.number(finding.hop)} {finding.hop}"
    told = "" if explanation.hop_told else " (most likely; the log does not tell)"
    page.line(
        (cause.confidence.upper(), "bold red"),
        f" · {hop}{told}: {finding.code} {finding.name} · exit {explanation.exit_code}",
    )
