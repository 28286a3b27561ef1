"""What a rule on files yields: a match that knows its place, and what would put it right."""

from __future__ import annotations

from dataclasses import dataclass

from kdiag.lint.edit import Edits
from kdiag.lint.tree import Spot
from kdiag.rules.rule import Finding, Match, Remedy, Severity

HOP = "config"


@dataclass(frozen=True, kw_only=True)
class Mistake(Match):
    """A match at a place of a document. `edits` put it right; none where that takes a value that
    the files do not tell. `depends` names what may change it and is not in the files: an error is
    no more than a warning then."""

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
    """A finding, and where it is. `fixed` where `kdiag lint --fix` puts it right."""

    finding: Finding
    file: str
    spot: Spot
    fixed: bool = False
