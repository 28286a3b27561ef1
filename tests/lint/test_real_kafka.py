"""Kafka itself as the judge: it refuses what kdiag says it refuses, and takes the fixed files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from kdiag.lint.linter import after_fixes
from kdiag.lint.mistake import Problem
from kdiag.rules.rule import Severity
from tests.lab.kafka import JAVA, jars
from tests.lab.needs import KAFKA, require
from tests.lint.corpus import Case, cases

PROPERTIES = [case for case in cases() if case.name.startswith("properties/")]

# Kafka does not start with these: as the pages of the findings say, it refuses the file.
FATAL = {"KD631", "KD632", "KD635", "KD637"}


def fatal_in(problems: Iterable[Problem]) -> bool:
    """Whether one of them is said to keep Kafka from starting."""
    errors = [each.finding for each in problems if each.finding.severity is Severity.ERROR]
    return any(each.code in FATAL or "0.0.0.0" in each.message for each in errors)


def refused(*files: Path) -> list[str]:
    """Why Kafka does not take each of these files, "" where it does; all in one JVM."""
    command = [*JAVA, "-cp", f"{jars()}/*", str(Path(__file__).with_name("Accepts.java"))]
    done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return [line.removeprefix("ok") for line in done.stdout.splitlines()]


@pytest.mark.kafka
def test_kafka_refuses_what_is_said_to_be_fatal_and_takes_the_fixed_files(tmp_path: Path) -> None:
    require(*KAFKA)
    expected: dict[Path, tuple[str, bool]] = {}

    def given(case: Case, text: str, fatal: bool) -> None:
        file = tmp_path / f"{len(expected)}.properties"
        file.write_text(f"{text}\nlog.dirs={file.with_suffix('.logs')}\n")
        expected[file] = (case.name, fatal)

    for case in PROPERTIES:
        report = case.report()
        given(case, case.text, fatal_in(report.problems))
        if not fatal_in(after_fixes(report).problems):
            for fixed in report.fixed:
                given(case, fixed.after, False)
    said = refused(*expected)
    assert any(said)
    for (name, fatal), why in zip(expected.values(), said, strict=True):
        assert bool(why) == fatal, (name, why)
