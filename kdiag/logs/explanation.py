"""What a log comes to: the hop that failed, the one cause, how sure that is, and what proves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kdiag.rules.rule import Finding

SCHEMA_VERSION = 1

Confidence = Literal["sure", "likely"]


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """A line of the log that matters, and how many are like it. Clean, and without secrets."""

    line: int
    count: int
    client: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A finding as the log tells it: in which layer, how sure it is, and the lines it rests on."""

    finding: Finding
    layer: str
    confidence: Confidence
    lines: list[LogLine]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The answer about a log. `hop` and `root_cause` are null where nothing explains it; `hop_told`
    is False where the log does not tell which connection it was, and `hop` is then the likeliest.
    `outcomes` are lines that only say that something failed. `command` would prove it."""

    source: str
    lines: int
    size: int
    clients: list[str]
    hop: str | None
    hop_told: bool
    layer: str
    root_cause: str | None
    confidence: Confidence | None
    exit_code: int
    command: str
    findings: list[Reading]
    outcomes: list[LogLine]
    notes: list[str] = field(default_factory=list)

    @property
    def cause(self) -> Reading | None:
        """The finding that explains the others."""
        return next((r for r in self.findings if r.finding.code == self.root_cause), None)
