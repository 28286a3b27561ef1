"""Every text of kdiag in one file, to be read from top to bottom; and words that no text has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kdiag.demo.scenarios import SCENARIOS
from kdiag.network.attempt import Failure
from tests.derived import ROOT, RULES
from tests.texts import GOLDEN, of_module, texts
from tests.together import together

# Pictures, and sentences that need a second reading: each with what to write.
AVOIDED = {
    r"leads? nowhere": "is not reachable from here",
    r"by nobody\b": "has an untrusted issuer",
    r"c[ao]mes? (in )?by\b": "connects via",
    r"\bbesides?\b(?=[.,;])": "also",
    r"(?<!-)\bdoors?\b": "listener",
    r"\bon the way\b": "on the path",
    r"\bin the way\b": "blocks",
    r"\bway (in|back|out)\b": "listener, route, path",
    r"\b(over there|out here)\b": "at the vantage point, outside",
    r"\b(whoever|everybody|whom)\b": "anyone, the client",
    r"\bputs? (it |that )?right\b": "correct",
    r"\btaken? (it|that|its dash) (out|away)\b": "remove",
    r"\bwant(s|ed)?\b": "require",
    r"\bspoken\b|\bspoilt\b|\bvouch|\berrand": "support, damage, confirm, request",
    r"\bown words\b|\bwithout a word\b|\bits words\b": "message, silently",
    r"\b(is|are) told\b|\btells of\b|\bwhat (be)?came of\b": "gets, lists, how it ended",
    r"\bin its time\b|\bout of its time\b": "valid",
    r"\bstands? in for\b|\bterms with\b|\bto terms\b": "replace, agree",
}
RAW = [failure.value for failure in Failure if "_" in failure.value]
NAMES = {"{wanted}", "wrong-door"}  # a placeholder of a template; a name that JSON has


def faults(text: str) -> list[str]:
    """What a text has of AVOIDED, with what to write, and raw statuses."""
    plain = text
    for name in NAMES:
        plain = plain.replace(name, "")
    found = [
        f"{match[0]!r}: write {instead}"
        for pattern, instead in AVOIDED.items()
        if (match := re.search(pattern, plain, re.IGNORECASE))
    ]
    return found + [f"{raw!r} is a status" for raw in RAW if re.search(rf"\b{raw}\b", plain)]


def test_the_golden_has_every_text() -> None:
    assert GOLDEN.read_text("utf-8") == texts(), "run python3 tests --rewrite, and read the diff"


def test_no_text_has_words_that_need_a_second_reading() -> None:
    lines = [line for line in texts().splitlines() if not line.startswith("## ")]
    assert {line: said for line in lines if (said := faults(line))} == {}


@together("code", sorted(RULES))
def test_no_page_of_a_finding_has_them(code: str) -> None:
    assert faults(RULES[code].doc) + faults(RULES[code].title) == []


@pytest.mark.parametrize("page", ["docs/kdiag.1"])
def test_no_help_has_them(page: str) -> None:
    lines = (ROOT / page).read_text("utf-8").splitlines()
    assert {line: said for line in lines if (said := faults(line))} == {}


def test_no_scenario_has_them() -> None:
    told = [build.__doc__ or "" for build in SCENARIOS.values()]
    assert {line: said for line in told if (said := faults(line))} == {}


def test_a_text_is_found_where_the_code_has_it(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""A docstring of a module."""\n'
        'WORDS = re.compile("a pattern of words")\n'
        "def rule(who: 'a type of mine') -> None:\n"
        '    """A docstring of a function."""\n'
        '    say(f"{who} leads nowhere" " from here", "name", "a.b.c")\n'
    )
    assert list(of_module(module)) == ["{…} leads nowhere from here"]
    assert faults("{…} leads nowhere from here") == [
        "'leads nowhere': write is not reachable from here"
    ]
    assert faults("the layer is sasl_required") == ["'sasl_required' is a status"]
