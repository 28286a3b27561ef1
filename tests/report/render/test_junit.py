"""JUnit: read by a parser that is not ours, and valid by the schema that Jenkins judges by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import junitparser
import pytest
import xmlschema

from tests import walks
from tests.facts import (
    brokers,
    listener,
    listeners,
    metadata,
    partition,
    reported,
    topic,
    working_bootstrap,
)
from tests.report.render import cases
from tests.report.render.cases import report, shown


@cache
def jenkins() -> xmlschema.XMLSchema:
    """The schema of Jenkins' xunit plugin; pytest holds its own reports to it too."""
    return xmlschema.XMLSchema(Path(__file__).parent / "data" / "jenkins-junit-10.xsd")


def read(text: str) -> junitparser.JUnitXml:
    found = junitparser.JUnitXml.fromstring(text.encode())
    assert isinstance(found, junitparser.JUnitXml)
    return found


def every_case(text: str) -> Iterator[tuple[str, junitparser.TestCase]]:
    for suite in read(text):
        for case in suite:
            yield suite.name, case


def failed(text: str) -> list[tuple[str, str, str]]:
    """Suite, case and type of all that failed."""
    return [
        (suite, case.name, case.result[0].type)
        for suite, case in every_case(text)
        if case.is_failure or case.is_error
    ]


def it_is_valid_where_jenkins_reads_it(name: str) -> None:
    jenkins().validate(shown(name, "junit"))


def test_the_schema_can_say_no() -> None:
    text = walks.shown(report("healthy"), "junit")
    for wrong in (text.replace("<testcase", "<case"), text.replace('tests="', 'test="')):
        assert not jenkins().is_valid(wrong)


def it_counts_what_it_has(name: str) -> None:
    told = read(shown(name, "junit"))
    counted = [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in told]
    total = told.tests, told.failures, told.errors
    for suite in told:
        suite.update_statistics()  # type: ignore[no-untyped-call]
    assert counted == [(s.tests, s.failures, s.errors, s.skipped) for s in told]
    assert total == tuple(sum(column) for column in list(zip(*counted, strict=True))[:3])


def something_failed_exactly_when_the_exit_code_says_so(name: str) -> None:
    made = report(name)
    text = shown(name, "junit")
    assert bool(failed(text)) == (made.exit_code != 0)
    suites = {step.hop for step in made.hops if step.status == "fail"}
    if not made.interrupted:
        assert {suite for suite, *_ in failed(text)} == {f"kdiag.{hop}" for hop in suites}


def no_two_cases_have_one_name(name: str) -> None:
    names = [(suite, case.name) for suite, case in every_case(shown(name, "junit"))]
    assert len(names) == len(set(names))


def test_a_suite_for_each_hop() -> None:
    told = read(walks.shown(report("security-group-blocks"), "junit"))
    hops = ("bootstrap", "metadata", "listeners", "produce", "aws")
    assert [suite.name for suite in told] == [f"kdiag.{hop}" for hop in hops]


def test_the_layer_that_broke_fails_with_the_root_cause() -> None:
    text = walks.shown(report("private-address"), "junit")
    cause = "KD301 private-address"
    assert failed(text) == [("kdiag.listeners", f"broker {node}: tcp", cause) for node in (1, 2, 3)]
    first, second, _ = (case for _, case in every_case(text) if case.is_failure)
    assert (
        "advertised.listeners=<your other entries>,EXTERNAL://3.10.139.221:9094"
        in first.result[0].text
    )
    assert "follows from KD301" in first.result[0].text
    assert "- broker 2: TCP connect to 10.0.1.12:9094" in second.result[0].text
    assert "more at: broker 1: tcp" in second.result[0].text
    assert "advertised.listeners" not in second.result[0].text


def test_what_no_layer_shows_is_a_case_of_its_own() -> None:
    name = "KD206 no-leader"
    expected = [("kdiag.metadata", f"partition orders-1: {name}", name)]
    assert failed(walks.shown(report("no-leader"), "junit")) == expected


def test_each_expectation_and_each_address_in_aws_is_a_case() -> None:
    told = walks.shown(report("unmet"), "junit")
    expected = {c.name: c for suite, c in every_case(told) if suite == "kdiag.expect"}
    assert {f"expectation {e.expectation}" for e in report("unmet").expectations} == set(expected)
    text = walks.shown(report("security-group-blocks"), "junit")
    met = {c.name: c.is_failure for suite, c in every_case(text) if suite == "kdiag.aws"}
    assert met == {
        "bootstrap 3.10.139.221:9094: 3.10.139.221:9094": False,
        **{f"broker {n}: 3.10.139.22{n}:3200{n}": True for n in (1, 2, 3)},
    }


def test_the_topic_is_a_case() -> None:
    well = reported(working_bootstrap(), metadata(*brokers(1), topic=topic(partition(0))))
    assert ("kdiag.metadata", "topic orders") in [
        (suite, case.name) for suite, case in every_case(walks.shown(well, "junit"))
    ]
    assert failed(walks.shown(report("unknown-topic"), "junit")) == [
        ("kdiag.metadata", "topic ordres", "KD204 unknown-topic")
    ]


def test_a_warning_is_told_and_fails_nothing() -> None:
    text = walks.shown(report("throttled"), "junit")
    said = ElementTree.fromstring(text).findtext("testsuite[@name='kdiag.produce']/system-out")
    assert "warning: KD408 throttled" in (said or "")
    made = cases.mixed_causes()
    refused = {
        case.name: case.result
        for suite, case in every_case(walks.shown(made, "junit"))
        if suite == "kdiag.bootstrap"
    }["bootstrap 3.10.139.230:9094: tcp"]
    assert [result.message for result in refused] == ["a warning only: refused"]


def test_with_fail_on_warning_it_fails() -> None:
    behind = metadata(*brokers(1), topic=topic(partition(0, isr=(1,))))
    text = walks.shown(reported(working_bootstrap(), behind, fail_on="warning"), "junit")
    assert [(suite, kind) for suite, _, kind in failed(text)] == [
        ("kdiag.metadata", "KD208 under-replicated")
    ]


def test_a_bug_of_kdiag_is_an_error_and_no_failure() -> None:
    told = read(walks.shown(report("internal-error"), "junit"))
    assert (told.failures, told.errors) == (0, 1)


def test_nothing_is_green_that_was_interrupted() -> None:
    text = walks.shown(report("interrupted"), "junit")
    found = {(suite, kind) for suite, _, kind in failed(text)}
    assert found == {
        (f"kdiag.{hop}", "interrupted") for hop in ("metadata", "listeners", "produce")
    }


@pytest.mark.parametrize("char", ["\x00", "\x0b", "\x1b", "\ufffe", "\uffff", "\ud800"])
def test_a_character_that_xml_cannot_have_is_shown_as_an_escape(char: str) -> None:
    made = report("unknown-topic")
    first = replace(made.findings[0], message=f"a{char}b", evidence=[f"<c>{char}]]>"])
    text = walks.shown(replace(made, findings=[first]), "junit")
    (case,) = (case for _, case in every_case(text) if case.is_failure)
    escape = f"\\u{ord(char):04x}"
    assert case.result[0].message == f"a{escape}b"
    assert f"- <c>{escape}]]>" in case.result[0].text


def test_every_letter_survives_a_stream_of_ascii() -> None:
    met = listener(1, "bücher.example.com:9094", "refused", detail="漢字 😀")
    made = reported(working_bootstrap(), metadata(met.broker), listeners(met))
    text = walks.shown(made, "junit", encoding="ascii")
    (case,) = (case for _, case in every_case(text) if case.is_failure)
    assert "bücher.example.com:9094" in case.result[0].message
    assert "漢字 😀" in case.result[0].text
