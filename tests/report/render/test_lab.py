"""The lab's cases through every output, without the lab: it has left a report of each.

What a person reads is a golden of its own. Of the other outputs there is a fingerprint; to see what
one stands for, `jq .mtu_black_hole tests/lab/goldens/aws.json | kdiag show - -o html=page.html`.
"""

from __future__ import annotations

import hashlib
import json

import pytest

from kdiag.report.render import RENDERERS
from tests import walks
from tests.lab.goldens import GOLDENS, Case, Kept, keep, kept, modules
from tests.report.render.cases import LAB, report
from tests.report.render.pages import outline
from tests.report.render.test_goldens import is_short
from tests.together import together

PRINTS = GOLDENS / "outputs.json"
CASES = [Case(module, name) for module in modules() for name in kept(module)]
FORMS = [form for form in RENDERERS if form not in ("terminal", "json")]


def named(case: Case) -> str:
    return f"{LAB}{case}"


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@together("case", CASES)
def test_what_a_person_reads(case: Case, request: pytest.FixtureRequest) -> None:
    text = walks.shown(report(named(case)))
    whole = walks.shown(report(named(case)), "json")
    if request.config.getoption("update_snapshots"):
        keep(case, Kept(text, json.loads(whole)))
    golden = kept(case.module)[case.name]
    assert text == golden.text
    assert whole == json.dumps(golden.report, indent=2) + "\n"


@together("case", CASES)
def test_what_a_person_reads_first_is_short(case: Case) -> None:
    is_short(walks.shown(report(named(case)), detail="short"))


def fingerprint(case: Case, form: str) -> str:
    text = walks.shown(report(named(case)), form)
    said = outline(text) if form == "html" else text
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def test_no_output_has_changed(request: pytest.FixtureRequest) -> None:
    found = {named(case): {form: fingerprint(case, form) for form in FORMS} for case in CASES}
    if request.config.getoption("update_snapshots"):
        lines = (f"{json.dumps(name)}: {json.dumps(prints)}" for name, prints in found.items())
        PRINTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "ascii")
    known = json.loads(PRINTS.read_text("ascii"))
    changed = {name for name in found.keys() | known.keys() if found.get(name) != known.get(name)}
    assert changed == set(), (
        "if it should: pytest tests/report/render/test_lab.py --snapshot-update"
    )
