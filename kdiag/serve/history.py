"""What the server remembers of one named target: its last reports, and since when it is so."""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from kdiag.config.record import NamedTuple
from kdiag.report.load import read
from kdiag.report.model import Report
from kdiag.rules.rule import Finding
from kdiag.text import clean

MOST = 100  # reports of one target
_LONGEST = 300  # characters of a message in the log


class State(NamedTuple):
    """The verdict of a target and its cause: each change of these is logged."""

    verdict: str
    hop: str | None
    code: str | None

    @classmethod
    def of(cls, report: Report) -> State:
        return cls(report.verdict, report.failing_hop, report.root_cause)

    def __str__(self) -> str:
        return " ".join(
            part
            for part in (self.verdict, f"at {self.hop}:" if self.hop else "", self.code or "")
            if part
        )


class Past(NamedTuple):
    """A report of a target, its JSON compressed: a hundred reports of each target are kept."""

    number: int
    started_at: str
    elapsed_ms: int
    state: State
    name: str
    packed: bytes

    def report(self) -> Report:
        """The whole report again."""
        return read(zlib.decompress(self.packed), f"report {self.number}")


@dataclass
class History:
    """The reports of one target, the newest last; `since` is the start of the first one since which
    verdict and cause are the same, `last` the newest one."""

    past: deque[Past] = field(default_factory=lambda: deque(maxlen=MOST))
    since: str = ""
    last: Report | None = None
    _count: int = 0

    def add(self, report: Report) -> Change | None:
        """Adds a report; returns the change of verdict or cause, None where there is none."""
        state = State.of(report)
        before = self.past[-1].state if self.past else None
        change = None
        if state != before:
            change = Change(report, before, self.since)
            self.since = report.started_at
        self._count += 1
        name = report.cause.name if report.cause else ""
        packed = zlib.compress(report.to_json().encode())
        past = Past(self._count, report.started_at, report.elapsed_ms, state, name, packed)
        self.past.append(past)
        self.last = report
        return change

    def find(self, number: int) -> Past | None:
        """The report of that number, None where it is no longer kept."""
        return next((past for past in self.past if past.number == number), None)


class Change(NamedTuple):
    """A target's new verdict or cause; `before` is its state until now, since `since`, None for the
    first report."""

    report: Report
    before: State | None
    since: str

    @property
    def finding(self) -> Finding | None:
        """The cause; of a report that only warns, its first finding that counts."""
        counted = (finding for finding in self.report.findings if not finding.ignored)
        return self.report.cause or next(counted, None)

    def text(self, target: str) -> str:
        """The change as one line of the log."""
        finding, state = self.finding, State.of(self.report)
        code = f" {finding.code}" if finding and not state.code else ""
        why = f"{code} {finding.name}: {clean(finding.message, _LONGEST)}" if finding else ""
        before = f" (was {self.before} since {self.since})" if self.before else ""
        return f"kdiag: {self.report.started_at} {clean(target)}: {state}{why}{before}"

    def json(self, target: str) -> str:
        """The change as one JSON object."""
        finding, state = self.finding, State.of(self.report)
        found: Mapping[str, object] = {
            "time": self.report.started_at,
            "target": target,
            "verdict": state.verdict,
            "failing_hop": state.hop,
            "root_cause": state.code,
            "name": finding.name if finding else None,
            "message": clean(finding.message, _LONGEST) if finding else None,
            "previous": self.before._asdict() if self.before else None,
            "previous_since": self.since or None,
        }
        return json.dumps(found)
