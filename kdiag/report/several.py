"""Several reports as one answer: on several targets, or on one cluster from several vantage
points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kdiag.report.compare import Comparison, compare
from kdiag.report.model import SCHEMA_VERSION, Report
from kdiag.walk.areas import EXIT_INTERNAL, EXIT_INTERRUPTED


@dataclass(frozen=True, kw_only=True)
class Reports:
    """Several checks. `reports` maps a label to its report; `worst` is the label of the report
    whose exit code is the common one, null where every exit code is 0. `comparison` is null unless
    the reports are on one cluster from several vantage points. `skipped` maps each file of a folder
    that is no report to the reason."""

    schema_version: int
    kdiag_version: str
    verdict: Literal["pass", "warn", "fail"]
    worst: str | None
    exit_code: int
    reports: dict[str, Report]
    comparison: Comparison | None = None
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many of the reports fail."""
        return sum(not report.ok for report in self.reports.values())


def together(
    reports: Mapping[str, Report],
    version: str,
    *,
    compared: bool = False,
    skipped: Mapping[str, str] | None = None,
) -> Reports:
    """Combines reports, by label, with the worst verdict and the worst exit code. `compared`: they
    are on one cluster from several vantage points, so they are compared as well. `skipped`: files
    that are no reports, with reasons."""
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
        skipped=dict(skipped or {}),
    )


def _rank(code: int) -> tuple[int, int]:
    """A sort key, the worst exit code first: interrupted, kdiag's own failure, then the hops in
    their order, because an earlier failure leaves more unknown. 0 comes last."""
    order = (EXIT_INTERRUPTED, EXIT_INTERNAL)
    if code in order:
        return 0, order.index(code)
    return (1, code) if code else (2, 0)
