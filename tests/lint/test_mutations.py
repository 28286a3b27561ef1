"""Random slips in the files of the corpus: a fix does no harm, and what is marked is fixed."""

from __future__ import annotations

import random

import pytest
import yaml

from kdiag.lint.linter import after_fixes, lint
from tests.lint.corpus import FOLDER
from tests.lint.mutations import examples, spoilt, wrong

GOOD = (FOLDER / "strimzi" / "good-nodeport.yaml").read_text("utf-8")


@pytest.mark.parametrize("seed", range(8))
def test_what_holds_of_every_fix(seed: int) -> None:
    """`python -m tests.lint.mutations` tries more."""
    failures = {
        f"{case.name}: {sentence}\n{text}"
        for case, text in examples(60, seed, start=60 * seed)
        for sentence in wrong(case.name, text)
    }
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("seed", range(60))
def test_a_fixed_file_without_errors_is_the_good_one(seed: int) -> None:
    """What has another value or a line more or less is another file, and not held to it."""
    text = spoilt(random.Random(seed), GOOD, shape_only=True)
    report = lint({"a.yaml": text}, skip_unknown=True, fix=True)
    left = after_fixes(report)
    for fixed in report.fixed:
        if not left.errors:
            assert list(yaml.safe_load_all(fixed.after)) == list(yaml.safe_load_all(GOOD))


def test_an_item_with_a_blank_in_it_is_two_that_yaml_has_joined() -> None:
    """Nothing is appended to such a list, and both names count as named."""
    text = (FOLDER / "strimzi" / "alternative-names-folded.yaml").read_text("utf-8")
    report = lint({"a.yaml": text}, fix=True)
    assert [(x.finding.code, x.fixed) for x in report.problems] == [("KD605", False)]
    assert report.fixed == ()
