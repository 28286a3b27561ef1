"""Cases in one test: each runs, and each that fails is named."""

from __future__ import annotations

import inspect

import pytest

from tests.together import together


def test_all_that_fail_are_named_and_none_is_left_out() -> None:
    ran = []

    @together("number", [1, 2])
    @together("letter, sign", [("a", "+"), ("b", "-")])
    def holds(number: int, letter: str, sign: str, fixture: str) -> None:
        ran.append((number, letter, sign, fixture))
        assert letter != "b"

    assert list(inspect.signature(holds).parameters) == ["fixture"]
    with pytest.raises(ExceptionGroup, match="2 of 2 cases") as caught:
        holds(fixture="f")
    assert ran == [(1, "a", "+", "f"), (1, "b", "-", "f"), (2, "a", "+", "f"), (2, "b", "-", "f")]
    assert [error.__notes__ for error in caught.value.exceptions] == [
        ["the case: (1,)"], ["the case: (2,)"],
    ]  # fmt: skip
    inner = caught.value.exceptions[0]
    assert isinstance(inner, ExceptionGroup)
    assert inner.exceptions[0].__notes__ == ["the case: ('b', '-')"]


def test_a_test_without_cases_is_refused() -> None:
    with pytest.raises(AssertionError, match="proves nothing"):
        together("number", [])
