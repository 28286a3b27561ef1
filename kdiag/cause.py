"""Which finding explains which: one root cause, and what only follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kdiag.rule import Finding, Severity

# Within a hop, what comes first explains what comes after, as far as it is about the same brokers:
# why an address cannot work, then what was met there, then what happened to the connection.
_ORDER = (
    "KD001",
    "KD002",
    "KD303",
    "KD302",
    "KD301",
    "KD309",
    "KD304",
    "KD308",
    "KD310",
    "KD307",
    "KD312",
    "KD311",
    "KD306",
    "KD305",
)
_HOPS = ("bootstrap", "metadata", "listeners", "produce")


def explained(findings: Sequence[Finding]) -> list[Finding]:
    """The findings in the order of hops and causes, each with the code that explains it, if any."""
    ordered = sorted(findings, key=_rank)
    return [replace(finding, consequence_of=_explanation(finding, ordered)) for finding in ordered]


def root(findings: Sequence[Finding]) -> Finding | None:
    """The cause among the findings of the failing hop: not explained itself, an error before a
    warning, about the most subjects that no other reason covers, and the deepest reason."""
    causes = [finding for finding in findings if not finding.consequence_of]
    return min(
        causes,
        key=lambda f: (f.severity is not Severity.ERROR, -len(_own(f, causes)), _rank(f)),
        default=None,
    )


def _own(finding: Finding, causes: Sequence[Finding]) -> set[str]:
    """Its subjects, without those whose connection fails for a reason that is among the causes."""
    reasons = [other for other in causes if _is_reason(other) and not _is_reason(finding)]
    return set(finding.subjects).difference(*(other.subjects for other in reasons))


def _rank(finding: Finding) -> tuple[int, int, str]:
    place = _ORDER.index(finding.code) if finding.code in _ORDER else len(_ORDER)
    return _HOPS.index(finding.hop), place, finding.code


def _explanation(finding: Finding, ordered: Sequence[Finding]) -> str | None:
    """The code of the first error before it that is about all of its subjects; or, of several
    reasons in its hop that are about them together, of the one that is about most of them."""
    subjects = set(finding.subjects)
    before = [
        other
        for other in ordered
        if other.severity is Severity.ERROR and _rank(other) < _rank(finding)
    ]
    for other in before:
        if subjects <= set(other.subjects):
            return other.code
    here = [other for other in before if other.hop == finding.hop and _is_reason(other)]
    together = set().union(*(other.subjects for other in here))
    if here and subjects <= together:
        return max(here, key=lambda other: len(subjects & set(other.subjects))).code
    return None


def _is_reason(finding: Finding) -> bool:
    return finding.code.startswith("KD3")
