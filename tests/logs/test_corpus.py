"""Explanations of logs that real clients wrote about real failures (see produce.py)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from kdiag.logs.explain import explain
from kdiag.rules.catalog import every_rule
from kdiag.walk.areas import EXIT_CODES
from tests.together import together

RULES = every_rule()


HERE = Path(__file__).parent

# Log → [code of the real failure, explained root cause, hop, confidence]. A hop in brackets is a
# guess, because the log does not name the hop.
EXPECTED: dict[str, list[str | None]] = json.loads((HERE / "expected.json").read_text("utf-8"))


@together("name", EXPECTED)
def test_the_explanation_of_a_log_is_as_expected(name: str) -> None:
    _, code, hop, confidence = EXPECTED[name]
    with (HERE / f"{name}.log").open("rb") as log:
        result = explain(log, name)
    assert result.root_cause == code
    assert (result.hop if result.hop_told or not result.hop else f"({result.hop})") == hop
    assert result.confidence == confidence
    assert result.exit_code == EXIT_CODES.get(hop or "", 0)


def test_every_log_has_its_expectation() -> None:
    logs = {
        f"{path.parent.name}/{path.stem}"
        for path in HERE.glob("*/*.log")
        if path.parent.name != "field"
    }
    assert logs == set(EXPECTED)
    assert len(logs) >= 100
    assert {code for row in EXPECTED.values() for code in row[:2] if code} <= set(RULES)


def test_every_sure_explanation_is_the_real_failure() -> None:
    wrong = {name: row for name, row in EXPECTED.items() if row[3] == "sure" and row[0] != row[1]}
    assert wrong == {}


def test_most_explanations_are_right_and_a_healthy_log_has_no_finding() -> None:
    right = Counter(row[0] == row[1] for row in EXPECTED.values())
    assert right[True] / right.total() > 0.8
    healthy = [row for name, row in EXPECTED.items() if name.endswith("/healthy")]
    assert len(healthy) > 5
    assert [row for row in healthy if row[1] is not None] == []


def test_no_log_names_a_secret_or_this_machine() -> None:
    for path in HERE.glob("*/*.log"):
        text = path.read_text("utf-8")
        assert "Tr0ub4dor" not in text
        assert "-secret" not in text
        assert str(HERE.parents[1]) not in text  # the checkout that they were made in
        assert len(text) < 8000
