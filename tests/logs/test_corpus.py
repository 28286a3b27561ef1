"""What real clients logged about real failures, and what kdiag makes of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from kdiag.catalog import every_rule
from kdiag.logs.explain import explain
from kdiag.walk.areas import EXIT_CODES

RULES = every_rule()


HERE = Path(__file__).parent

# Log → the finding of its case; the finding, hop (in brackets: the log does not tell it) and
# confidence that it comes to.
EXPECTED: dict[str, list[str | None]] = json.loads((HERE / "expected.json").read_text("utf-8"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_log_comes_to_what_it_tells(name: str) -> None:
    _, code, hop, confidence = EXPECTED[name]
    with (HERE / f"{name}.log").open("rb") as log:
        said = explain(log, name)
    assert said.root_cause == code
    assert (said.hop if said.hop_told or not said.hop else f"({said.hop})") == hop
    assert said.confidence == confidence
    assert said.exit_code == EXIT_CODES.get(hop or "", 0)


def test_every_log_has_its_expectation() -> None:
    logs = {f"{path.parent.name}/{path.stem}" for path in HERE.glob("*/*.log")}
    assert logs == set(EXPECTED)
    assert len(logs) >= 100
    assert {code for row in EXPECTED.values() for code in row[:2] if code} <= set(RULES)


def test_what_is_sure_is_right() -> None:
    wrong = {name: row for name, row in EXPECTED.items() if row[3] == "sure" and row[0] != row[1]}
    assert wrong == {}


def test_most_logs_tell_the_truth_and_nobody_is_alarmed_without_need() -> None:
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
        assert "/work/" not in text
        assert len(text) < 8000
