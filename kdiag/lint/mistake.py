"""A mistake in a file: a match with its place, and the edits that fix it."""

from __future__ import annotations

from dataclasses import dataclass

from kdiag.lint.edit import Edits
from kdiag.lint.tree import Spot
from kdiag.rules.rule import Finding, Match, Remedy, Severity

HOP = "config"


@dataclass(frozen=True, kw_only=True)
class Mistake(Match):
    """A match at a place of a document. `edits` fix it; they are empty if the right value is
    unknown. `depends` names something outside of the files that may change it, which makes an error
    a warning."""

    spot: Spot
    edits: Edits = ()
    depends: str = ""


def mistake(
    message: str,
    subject: str,
    spot: Spot,
    fix: Remedy,
    severity: Severity | None = None,
    edits: Edits = (),
) -> Mistake:
    """A mistake in one subject, such as "`listeners`", with one remedy and no further evidence."""
    return Mistake(HOP, message, (subject,), (), (fix,), severity, spot=spot, edits=edits)


@dataclass(frozen=True)
class Problem:
    """A finding and its place. `fixed` is True if `kdiag lint --fix` fixes it."""

    finding: Finding
    file: str
    spot: Spot
    fixed: bool = False
