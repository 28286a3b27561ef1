"""The answer about files: what was found where, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdiag.lint.merged_line import MergedLine
from kdiag.lint.mistake import Problem
from kdiag.rules.entry_listener import EntryListener
from kdiag.rules.rule import Severity

EXIT_CODE = 60


@dataclass(frozen=True)
class FixedFile:
    """A file with every fix in it that kdiag can make."""

    name: str
    before: str
    after: str
    remaining: tuple[Problem, ...] = ()  # what is wrong with it still


@dataclass(frozen=True)
class LintReport:
    """Problems by file and place. `fixed` are the files that fixes change, `repaired` the problems
    that are fixed already; `entry_listener` is the listener at which a walk bootstrapped, if known.
    `notes` are about files that configure no broker, `judged` counts the files that do; `lines` are
    the advertised.listeners lines of the brokers of a walk, by node id."""

    files: tuple[str, ...]
    problems: tuple[Problem, ...]
    fail_on: str = "error"
    fixed: tuple[FixedFile, ...] = field(default=())
    repaired: tuple[Problem, ...] = ()
    entry_listener: EntryListener | None = None
    notes: tuple[str, ...] = ()
    judged: int = 0
    lines: Mapping[int, MergedLine] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        return sum(each.finding.severity is Severity.ERROR for each in self.problems)

    @property
    def warnings(self) -> int:
        return len(self.problems) - self.errors

    @property
    def verdict(self) -> str:
        """pass, warn or fail."""
        failed = self.problems if self.fail_on == "warning" else self.errors
        if failed:
            return "fail"
        return "warn" if self.problems else "pass"

    @property
    def exit_code(self) -> int:
        return EXIT_CODE if self.verdict == "fail" else 0
