"""Every report through every output: those of the demo, those by hand, and those of the lab."""

from __future__ import annotations

import re

import pytest

from kdiag.demo.scenarios import SCENARIOS
from tests.report.render import (
    cases,
    test_github,
    test_html,
    test_junit,
    test_markdown,
    test_openmetrics,
)
from tests.report.render.test_lab import CASES, named


@pytest.mark.parametrize("name", [*SCENARIOS, *cases.BY_HAND, *map(named, CASES)])
def test_every_output_is_valid_where_it_is_read(name: str) -> None:
    test_junit.it_is_valid_where_jenkins_reads_it(name)
    test_junit.it_counts_what_it_has(name)
    test_junit.something_failed_exactly_when_the_exit_code_says_so(name)
    test_junit.no_two_cases_have_one_name(name)
    test_markdown.it_is_what_we_wrote_and_nothing_else(name)
    test_markdown.a_row_for_each_hop_and_broker(name)
    test_github.an_annotation_for_each_cause(name)
    test_openmetrics.both_formats_read_the_same(name)
    test_openmetrics.every_series_says_of_which_target_it_is(name)
    test_openmetrics.it_says_what_the_report_says(name)
    for form in ("terminal", "markdown", "github", "html", "junit"):
        beside = re.compile(r"hop [5-9]\b|\b[5-9] (aws|config|expect|vantage|consume)\b")
        assert not beside.search(cases.shown(name, form)), form
    test_html.it_needs_nothing_and_runs_nothing_but_its_own(name)
    test_html.it_tells_all_that_the_report_has(name)
    test_html.its_structure_can_be_heard(name)
    test_html.every_hop_of_the_walk_is_in_the_picture(name)
