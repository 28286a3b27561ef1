"""A good file with random slips: a fix restores it, or leaves it alone, and loses nothing of it."""

from __future__ import annotations

import random
import re

import pytest
import yaml

from kdiag.lint.linter import after_fixes, lint
from tests.lint.corpus import FOLDER

GOOD = (FOLDER / "strimzi" / "good-nodeport.yaml").read_text("utf-8")
PRECIOUS = re.compile(r"\d+\.\d+\.\d+\.\d+|name: \S+|#.*")


def indented(chance: random.Random, line: str) -> str:
    width = len(line) - len(line.lstrip(" "))
    return " " * max(0, width + chance.choice((-4, -2, -1, 1, 2, 4))) + line.lstrip(" ")


def mistyped(chance: random.Random, line: str) -> str:
    key = line.strip(" -").partition(":")[0]
    if not key.isalpha() or len(key) < 3:
        return line
    at = chance.randrange(1, len(key))
    slip = chance.choice((key[:at] + key[at + 1 :], key[:at] + key[at] + key[at:], key.lower()))
    return line.replace(key, slip, 1)


def tabbed(_: random.Random, line: str) -> str:
    width = len(line) - len(line.lstrip(" "))
    return "\t" * (width // 2) + line.lstrip(" ")


def dashed(_: random.Random, line: str) -> str:
    return line.replace("- ", "  ", 1) if "- " in line else line.replace("  ", "- ", 1)


SLIPS = (indented, mistyped, tabbed, dashed)


@pytest.mark.parametrize("seed", range(60))
def test_a_fix_restores_the_file_or_does_no_harm(seed: int) -> None:
    chance = random.Random(seed)
    lines = GOOD.splitlines()
    for _ in range(chance.randint(1, 3)):
        # A host alone on its line is folded into the one above it: that is YAML, too.
        at = chance.choice([n for n in range(6, len(lines)) if ":" in lines[n]])
        lines[at] = chance.choice(SLIPS)(chance, lines[at])
    text = "\n".join(lines) + "\n"
    report = lint({"a.yaml": text}, skip_unknown=True, fix=True)
    left = after_fixes(report)
    for fixed in report.fixed:
        assert left.errors <= report.errors
        assert len(left.problems) < len(report.problems)
        codes = {each.finding.code for each in report.problems}
        assert {each.finding.code for each in left.problems} <= codes
        assert all(each in fixed.after for each in PRECIOUS.findall(text))
        if not left.errors:
            assert list(yaml.safe_load_all(fixed.after)) == list(yaml.safe_load_all(GOOD))
