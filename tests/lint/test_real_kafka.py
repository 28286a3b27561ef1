"""Kafka itself as the judge: it refuses what kdiag says it refuses, and takes the fixed files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kdiag.lint.linter import after_fixes
from tests.lab.kafka import JAVA, jars
from tests.lab.needs import KAFKA, require
from tests.lint.corpus import Case, cases

PROPERTIES = [case for case in cases() if case.name.startswith("properties/")]

# Kafka does not start with these: as the pages of the findings say, it refuses the file.
FATAL = {"KD631", "KD632", "KD637"}


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
        wrong = {p.finding.code for p in report.problems} & FATAL
        unusable = any("0.0.0.0" in p.finding.message for p in report.problems)
        given(case, case.text, bool(wrong) or unusable)
        if not {p.finding.code for p in after_fixes(report).problems} & FATAL:
            for fixed in report.fixed:
                given(case, fixed.after, False)
    said = refused(*expected)
    assert any(said)
    for (name, fatal), why in zip(expected.values(), said, strict=True):
        assert bool(why) == fatal, (name, why)
