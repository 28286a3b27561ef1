"""Hundreds of brokers: what each format costs, counted in calls, which no busy machine changes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from kdiag.report.model import Report
from kdiag.report.render import RENDERERS, render
from tests.report.render.cases import private
from tests.report.render.test_html import crowd

MANY = 400
MOST_CALLS = 1000 * MANY  # of 1000 brokers, Python makes as many in well under a second


def calls(form: str, made: Report) -> int:
    """How many functions are called to render it, Python's own among them."""
    render(form, made, io.StringIO())  # loads what it needs
    count = 0

    def counting(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        render(form, made, io.StringIO())
    finally:
        sys.setprofile(before)
    return count


def half_broken(count: int) -> Report:
    return crowd(count, broken=count // 2)


@pytest.mark.parametrize("form", RENDERERS)
@pytest.mark.parametrize("build", [private, half_broken])
def test_what_it_costs_grows_with_the_brokers_and_no_faster(
    form: str, build: Callable[[int], Report]
) -> None:
    few, many = calls(form, build(MANY // 4)), calls(form, build(MANY))
    assert many <= MOST_CALLS
    assert many <= 4.4 * few
