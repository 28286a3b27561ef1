"""The lab's cases through every output, without the lab: it has left a report of each.

What a person reads is a golden of its own. Of the other outputs there is a fingerprint; to see what
one stands for, `kdiag show tests/lab/goldens/aws/….json -o html=page.html`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kdiag.report.render import RENDERERS
from tests import walks
from tests.lab.goldens import GOLDENS
from tests.report.render.cases import LAB, report
from tests.report.render.pages import outline

PRINTS = GOLDENS / "outputs.json"
CASES = sorted(path for path in GOLDENS.rglob("*.json") if path != PRINTS)
FORMS = [form for form in RENDERERS if form not in ("terminal", "json")]


def named(path: Path) -> str:
    return f"{LAB}{path.relative_to(GOLDENS).with_suffix('')}"


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def test_each_report_of_the_lab_was_kept() -> None:
    assert {path.with_suffix(".txt") for path in CASES} == set(GOLDENS.rglob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=named)
def test_what_a_person_reads(path: Path, request: pytest.FixtureRequest) -> None:
    text = walks.shown(report(named(path)))
    golden = path.with_suffix(".txt")
    whole = walks.shown(report(named(path)), "json")
    if request.config.getoption("update_snapshots"):
        golden.write_text(text, "utf-8")
        path.write_text(whole, "ascii")
    assert text == golden.read_text("utf-8")
    assert whole == path.read_text("ascii")


def fingerprint(path: Path, form: str) -> str:
    text = walks.shown(report(named(path)), form)
    said = outline(text) if form == "html" else text
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def test_no_output_has_changed(request: pytest.FixtureRequest) -> None:
    found = {named(path): {form: fingerprint(path, form) for form in FORMS} for path in CASES}
    if request.config.getoption("update_snapshots"):
        lines = (f"{json.dumps(name)}: {json.dumps(prints)}" for name, prints in found.items())
        PRINTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "ascii")
    known = json.loads(PRINTS.read_text("ascii"))
    changed = {name for name in found.keys() | known.keys() if found.get(name) != known.get(name)}
    assert changed == set(), (
        "if it should: pytest tests/report/render/test_lab.py --snapshot-update"
    )
