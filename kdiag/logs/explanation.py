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
    and has no secrets. `kind` is "" for a line of a finding and for one that does not say why
    something failed; else "own" (the client's own settings), "idle" (a connection that worked and
    that nobody used), "lost" (records), "fenced" (by another producer), "stopped" (a broker),
    "large" (a request or a response), "rebalance" (of a group) or "unknown" (words that kdiag does
    not know)."""

    line: int
    count: int
    client: str
    text: str
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class LogFinding:
    """A finding that a log supports, with its layer, its confidence and its lines. `hop_known` is
    False if the log does not prove the hop; `brokers` is True if the connection is one of brokers
    to each other, which is no hop of a client."""

    finding: Finding
    layer: str
    confidence: Confidence
    lines: list[LogLine]
    hop_known: bool = True
    brokers: bool = False


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The explanation of a log. `hop` and `root_cause` are None if no line explains the failure;
    `hop` is None too for a connection of brokers to each other. `hop_told` is False if the log does
    not say which connection failed; `hop` is then the most likely hop. `recovered` is True if the
    client got further after the failure. `outcomes` are lines that report a failure without a
    reason. `command` is the `kdiag check` command that proves the explanation."""

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
    recovered: bool = False

    @property
    def cause(self) -> LogFinding | None:
        """The finding with the code `root_cause`."""
        return next((f for f in self.findings if f.finding.code == self.root_cause), None)
