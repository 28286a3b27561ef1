"""The explanation of a log: the failing hop, the root cause, the confidence and the lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kdiag.rules.rule import Finding

SCHEMA_VERSION = 1

Confidence = Literal["sure", "likely"]


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """A line of a log that supports a finding, and the count of equal lines. The text is printable
    and has no secrets."""

    line: int
    count: int
    client: str
    text: str


@dataclass(frozen=True, kw_only=True)
class LogFinding:
    """A finding that a log supports, with its layer, its confidence and its lines."""

    finding: Finding
    layer: str
    confidence: Confidence
    lines: list[LogLine]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The explanation of a log. `hop` and `root_cause` are None if no line explains the failure.
    `hop_told` is False if the log does not say which connection failed; `hop` is then the most
    likely hop. `outcomes` are lines that report a failure without a reason. `command` is the
    `kdiag check` command that proves the explanation."""

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
    findings: list[LogFinding]
    outcomes: list[LogLine]
    notes: list[str] = field(default_factory=list)

    @property
    def cause(self) -> LogFinding | None:
        """The finding with the code `root_cause`."""
        return next((f for f in self.findings if f.finding.code == self.root_cause), None)
