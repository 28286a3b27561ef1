"""Every file of the corpus: what is found in it, and that the fixes leave nothing but that."""

from __future__ import annotations

import pytest

from kdiag.lint.linter import after_fixes, lint
from kdiag.rules.catalog import every_rule
from tests.lint.corpus import FOLDER, Case, cases, refused_by_strimzi
from tests.together import together

RULES = every_rule()


EVERY = together("case", cases())
STRIMZI = together("case", [c for c in cases() if c.name.startswith("strimzi/")])


@EVERY
def test_it_leads_to_what_it_says(case: Case) -> None:
    found = [
        (p.finding.code, p.spot.line, p.spot.column, p.finding.severity.value)
        for p in case.report().problems
    ]
    assert found == list(case.expected)


@EVERY
def test_the_fixes_leave_what_only_a_person_can_put_right(case: Case) -> None:
    """What is marked is put right, nothing else is new, and fixing it again changes nothing."""
    report = case.report()
    left = after_fixes(report)
    assert [p for p in left.problems if p.fixed] == []
    marked = [p for p in report.problems if p.fixed]
    assert bool(marked) == bool(report.fixed)
    assert len(left.problems) == len(report.problems) - len(marked)
    assert {p.finding.code for p in left.problems} <= {p.finding.code for p in report.problems}
    if len(marked) == len(report.problems):
        assert left.errors == 0
    for fixed in report.fixed:
        again = lint({fixed.name: fixed.after}, fix=True)
        assert again.fixed == ()


@EVERY
def test_the_fixed_file_is_the_golden_one(case: Case, request: pytest.FixtureRequest) -> None:
    """tests/lint/fixed has it: `pytest tests/lint --snapshot-update` writes it anew."""
    golden = FIXED / case.name
    made = case.report().fixed[0].after if case.report().fixed else None
    if request.config.option.update_snapshots:
        golden.unlink(missing_ok=True)
        if made is not None:
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_bytes(made.encode())
    assert (golden.read_bytes().decode() if golden.exists() else None) == made


FIXED = FOLDER.parent / "fixed"


@STRIMZI
def test_a_fixed_resource_without_errors_is_valid_by_strimzis_schema(case: Case) -> None:
    left = after_fixes(case.report())
    fixed = case.report().fixed
    text = fixed[0].after if fixed else case.text
    if any(p.finding.code in SHAPE for p in left.problems if p.finding.severity == "error"):
        return
    assert refused_by_strimzi(text) == []


SHAPE = {"KD601", "KD603", "KD604", "KD605", "KD606", "KD607"}


def test_every_rule_on_files_has_a_file() -> None:
    shown = {code for case in cases() for code, *_ in case.expected}
    assert {code for code in RULES if code.startswith("KD6")} - shown == BESIDE_A_WALK


BESIDE_A_WALK = {
    "KD627",
    "KD628",
    "KD629",
}  # tests/lint/test_merge.py and test_strimzi.py have them
