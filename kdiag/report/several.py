"""Several answers, each with its label: of several targets, or seen from several places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kdiag.report.compare import Comparison, compare
from kdiag.report.model import EXIT_INTERNAL, EXIT_INTERRUPTED, SCHEMA_VERSION, Report


@dataclass(frozen=True, kw_only=True)
class Reports:
    """Several checks. `reports` maps a label to its report; `worst` is the label of the one whose
    exit code is that of all of them, null where each of them is 0. `comparison` is there where one
    cluster was looked at from several places."""

    schema_version: int
    kdiag_version: str
    verdict: Literal["pass", "warn", "fail"]
    worst: str | None
    exit_code: int
    reports: dict[str, Report]
    comparison: Comparison | None = None

    @property
    def failed(self) -> int:
        """How many of them fail."""
        return sum(not report.ok for report in self.reports.values())


def together(reports: Mapping[str, Report], version: str, *, compared: bool = False) -> Reports:
    """Several reports as one answer: the worst verdict, and the worst exit code; `compared` where
    they are on one cluster, from several places."""
    worst = min(reports, key=lambda label: _rank(reports[label].exit_code))
    verdicts = {report.verdict for report in reports.values()}
    return Reports(
        schema_version=SCHEMA_VERSION,
        kdiag_version=version,
        verdict="fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "pass",
        worst=None if reports[worst].ok else worst,
        exit_code=reports[worst].exit_code,
        reports=dict(reports),
        comparison=compare(reports) if compared else None,
    )


def _rank(code: int) -> tuple[int, int]:
    """Interrupted before kdiag's own failure, then the hops in their order: what fails earlier
    leaves more unknown. A walk that passes comes last."""
    order = (EXIT_INTERRUPTED, EXIT_INTERNAL)
    if code in order:
        return 0, order.index(code)
    return (1, code) if code else (2, 0)
