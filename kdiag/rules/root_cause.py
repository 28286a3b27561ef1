"""Decides which finding is the root cause, and which findings are its consequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kdiag.rules.rule import NEVER_IGNORED, Finding, Severity
from kdiag.walk.areas import AREA_IDS

# Within a hop, an earlier code explains a later one about the same brokers: first why an address
# cannot work, then who answers at the address, then what happened to the connection.
_ORDER = (
    "KD001",
    "KD002",
    "KD127",
    "KD303",
    "KD302",
    "KD301",
    "KD309",
    "KD304",
    "KD308",
    "KD310",
    "KD307",
    "KD312",
    "KD313",
    "KD311",
    "KD306",
    "KD305",
    "KD128",  # before what its certificate leads to
)
_COUNTS = "it is among the ignored ones, and counts nevertheless: the walk ended here"

_OUTSIDE_THE_WALK = ("aws", "config")

# Findings of AWS and of configuration files that explain findings of the walk: code → the codes
# that it may explain. The deepest reason comes first, in the order in which AWS decides.
_VANISHED = ("KD104", "KD306")
_ADDRESSED = tuple(f"KD30{digit}" for digit in "123456")  # the advertised address does not work
_EXPLAINS = {
    "KD506": _VANISHED,
    "KD511": ("KD101", "KD103", "KD301", "KD304", "KD305", *_VANISHED),
    "KD510": ("KD103", "KD107", "KD108", "KD121", "KD305", *_VANISHED),
    "KD504": ("KD301", "KD304"),
    "KD503": _VANISHED,
    "KD502": _VANISHED,
    "KD501": _VANISHED,
    "KD627": _ADDRESSED,
    "KD628": _ADDRESSED,
}

# AWS findings that add to a finding of the walk, and do not explain it.
_FOLLOWS = {"KD507": ("KD301", "KD304")}


def explained(findings: Sequence[Finding]) -> list[Finding]:
    """The findings in the order of hops and causes, each with the code of the finding that explains
    it in `consequence_of` (None for a cause)."""
    ordered = sorted(findings, key=_rank)
    outside = {finding.code: _outside_reason(finding, ordered) for finding in reversed(ordered)}
    result = []
    for finding in ordered:
        code = _explanation(finding, ordered)
        deeper = outside[code] if code else _outside_reason(finding, ordered)
        result.append(replace(finding, consequence_of=deeper or code))
    return result


def of_hop(findings: Sequence[Finding], hop: str | None) -> list[Finding]:
    """The findings of a hop, and the findings of AWS or of configuration files that explain
    them."""
    own = [finding for finding in findings if finding.hop == hop]
    named = {finding.consequence_of for finding in own}
    return own + [f for f in findings if f.code in named and f.code in _EXPLAINS and f.hop != hop]


def ignored(findings: Sequence[Finding], codes: Sequence[str], last: str | None) -> list[Finding]:
    """The findings, with those of `codes` and their consequences marked as ignored.

    An error of `last`, the hop that ended the walk, is not ignored: the hops after it were not
    checked. Its evidence says so.
    """

    def counts(finding: Finding) -> bool:
        ends = finding.hop == last and finding.severity is Severity.ERROR
        return ends or finding.code in NEVER_IGNORED

    own = {f.code for f in findings if f.code in codes and not counts(f)}
    marked = [
        replace(f, evidence=[*f.evidence, _COUNTS])
        if f.code in codes and counts(f)
        else replace(f, ignored=not counts(f) and bool(own & {f.code, f.consequence_of}))
        for f in findings
    ]
    left = {f.code for f in marked if not f.ignored}
    return [
        f if f.ignored or f.consequence_of in left else replace(f, consequence_of=None)
        for f in marked
    ]


def following(
    findings: Sequence[Finding], cause: Finding | None, unknown: Sequence[str]
) -> list[Finding]:
    """The findings, with those on unknown expectations marked as consequences of `cause`, the
    finding that made the walk fail. `unknown` has the subjects of these expectations."""
    if cause is None or cause.hop == "expect":
        return list(findings)
    return [
        replace(f, consequence_of=cause.code)
        if f.hop == "expect" and set(f.subjects) <= set(unknown)
        else f
        for f in findings
    ]


def root(findings: Sequence[Finding]) -> Finding | None:
    """The root cause among the findings of the failing hop: a finding that no other explains. An
    error comes before a warning, then the finding with the most subjects that no KD3xx finding
    covers, then the earliest by hop and cause."""
    causes = [finding for finding in findings if not finding.consequence_of]
    return min(
        causes,
        key=lambda f: (f.severity is not Severity.ERROR, -len(_own(f, causes)), _rank(f)),
        default=None,
    )


def highest_ranked(findings: Sequence[Finding]) -> Finding | None:
    """The first finding: an error before a warning, then by hop and cause; None without any."""
    return min(findings, key=lambda f: (f.severity is not Severity.ERROR, _rank(f)), default=None)


def _own(finding: Finding, causes: Sequence[Finding]) -> set[str]:
    """The subjects of a finding, without those that a KD3xx cause covers."""
    reasons = [other for other in causes if _is_reason(other) and not _is_reason(finding)]
    return set(finding.subjects).difference(*(other.subjects for other in reasons))


def _rank(finding: Finding) -> tuple[int, int, str]:
    order = list(_EXPLAINS) if finding.hop in _OUTSIDE_THE_WALK else _ORDER
    place = order.index(finding.code) if finding.code in order else len(order)
    return AREA_IDS.index(finding.hop), place, finding.code


def _explanation(finding: Finding, ordered: Sequence[Finding]) -> str | None:
    """The code of the first error before the finding that is about all of its subjects. Else, where
    several KD3xx errors of its hop together are about all of them, the code of the one that is
    about most."""
    before = [
        other
        for other in ordered
        if other.severity is Severity.ERROR and _rank(other) < _rank(finding)
    ]
    if finding.hop in _OUTSIDE_THE_WALK:  # no consequence of what the walk observed
        before = [other for other in before if other.code in _FOLLOWS.get(finding.code, ())]
    for other in before:
        if set(finding.subjects) <= set(other.subjects):
            return other.code
    return _together(finding, [o for o in before if o.hop == finding.hop and _is_reason(o)])


def _outside_reason(finding: Finding, ordered: Sequence[Finding]) -> str | None:
    """The code of the AWS or configuration finding that explains this one: it is about all of its
    subjects, alone or together with others."""
    errors = [other for other in ordered if other.severity is Severity.ERROR]
    reasons = [other for other in errors if finding.code in _EXPLAINS.get(other.code, ())]
    for other in reasons:
        if set(finding.subjects) <= set(other.subjects):
            return other.code
    return _together(finding, reasons)


def _together(finding: Finding, reasons: Sequence[Finding]) -> str | None:
    """The code of the reason that is about the most subjects of the finding, where the reasons
    together are about all of them; else None."""
    subjects = set(finding.subjects)
    if reasons and subjects <= set().union(*(other.subjects for other in reasons)):
        return max(reasons, key=lambda other: len(subjects & set(other.subjects))).code
    return None


def _is_reason(finding: Finding) -> bool:
    return finding.code.startswith("KD3")
