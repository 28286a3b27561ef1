"""Which finding explains which: one root cause, and what only follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kdiag.rules.rule import NEVER_IGNORED, Finding, Severity
from kdiag.walk.areas import AREA_IDS

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
_COUNTS = "it was to be ignored, and counts all the same: the walk ended here"

_BESIDE_THE_WALK = ("aws", "config")

# What AWS says explains what the walk met: the deepest reason first, in the order in which AWS
# decides, and the codes that it may be the reason of. So does a configuration not rolled out.
_VANISHED = ("KD104", "KD306")
_ADDRESSED = tuple(f"KD30{digit}" for digit in "123456")  # what is advertised does not lead there
_BESIDE = {
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

# What AWS adds to what the walk found already.
_FOLLOWS = {"KD507": ("KD301", "KD304")}


def explained(findings: Sequence[Finding]) -> list[Finding]:
    """The findings in the order of hops and causes, each with the code that explains it, if any."""
    ordered = sorted(findings, key=_rank)
    beside = {finding.code: _beside(finding, ordered) for finding in reversed(ordered)}
    found = []
    for finding in ordered:
        code = _explanation(finding, ordered)
        deeper = beside[code] if code else _beside(finding, ordered)
        found.append(replace(finding, consequence_of=deeper or code))
    return found


def of_hop(findings: Sequence[Finding], hop: str | None) -> list[Finding]:
    """The findings of a hop, and those from beside the walk that explain them."""
    here = [finding for finding in findings if finding.hop == hop]
    named = {finding.consequence_of for finding in here}
    return here + [f for f in findings if f.code in named and f.code in _BESIDE and f.hop != hop]


def ignored(findings: Sequence[Finding], codes: Sequence[str], last: str | None) -> list[Finding]:
    """The findings, with those of the codes, and what only follows from them, marked as ignored.

    An error of the hop that ended the walk, `last`, counts all the same: nothing behind it was
    checked.
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
    """The findings; that of an expectation it is not known whether it holds (`unknown` has the
    subjects) follows from what made the walk fail."""
    if cause is None or cause.hop == "expect":
        return list(findings)
    return [
        replace(f, consequence_of=cause.code)
        if f.hop == "expect" and set(f.subjects) <= set(unknown)
        else f
        for f in findings
    ]


def root(findings: Sequence[Finding]) -> Finding | None:
    """The cause among the findings of the failing hop: not explained itself, an error before a
    warning, about the most subjects that no other reason covers, and the deepest reason."""
    causes = [finding for finding in findings if not finding.consequence_of]
    return min(
        causes,
        key=lambda f: (f.severity is not Severity.ERROR, -len(_own(f, causes)), _rank(f)),
        default=None,
    )


def foremost(findings: Sequence[Finding]) -> Finding | None:
    """The one that comes first: an error before a warning, then by hop and cause."""
    return min(findings, key=lambda f: (f.severity is not Severity.ERROR, _rank(f)), default=None)


def _own(finding: Finding, causes: Sequence[Finding]) -> set[str]:
    """Its subjects, without those whose connection fails for a reason that is among the causes."""
    reasons = [other for other in causes if _is_reason(other) and not _is_reason(finding)]
    return set(finding.subjects).difference(*(other.subjects for other in reasons))


def _rank(finding: Finding) -> tuple[int, int, str]:
    order = list(_BESIDE) if finding.hop in _BESIDE_THE_WALK else _ORDER
    place = order.index(finding.code) if finding.code in order else len(order)
    return AREA_IDS.index(finding.hop), place, finding.code


def _explanation(finding: Finding, ordered: Sequence[Finding]) -> str | None:
    """The code of the first error before it that is about all of its subjects; or, of several
    reasons in its hop that are about them together, of the one that is about most of them."""
    before = [
        other
        for other in ordered
        if other.severity is Severity.ERROR and _rank(other) < _rank(finding)
    ]
    if finding.hop in _BESIDE_THE_WALK:  # what is said there is no consequence of what was met
        before = [other for other in before if other.code in _FOLLOWS.get(finding.code, ())]
    for other in before:
        if set(finding.subjects) <= set(other.subjects):
            return other.code
    return _together(finding, [o for o in before if o.hop == finding.hop and _is_reason(o)])


def _beside(finding: Finding, ordered: Sequence[Finding]) -> str | None:
    """The code of what AWS says that explains it: about all of its subjects, or together."""
    errors = [other for other in ordered if other.severity is Severity.ERROR]
    reasons = [other for other in errors if finding.code in _BESIDE.get(other.code, ())]
    for other in reasons:
        if set(finding.subjects) <= set(other.subjects):
            return other.code
    return _together(finding, reasons)


def _together(finding: Finding, reasons: Sequence[Finding]) -> str | None:
    """Of reasons that are about all of its subjects together, the one that is about most."""
    subjects = set(finding.subjects)
    if reasons and subjects <= set().union(*(other.subjects for other in reasons)):
        return max(reasons, key=lambda other: len(subjects & set(other.subjects))).code
    return None


def _is_reason(finding: Finding) -> bool:
    return finding.code.startswith("KD3")
