"""Kafka itself as the judge: it refuses what kdiag says it refuses, and takes the fixed files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kdiag.lint.linter import after_fixes
from tests.lab.kafka import CLUSTER_ID, JAVA, jars
from tests.lab.needs import KAFKA, require
from tests.lint.corpus import Case, cases

PROPERTIES = [case for case in cases() if case.name.startswith("properties/")]

# Kafka does not start with these: as the pages of the findings say, it refuses the file.
FATAL = {"KD631", "KD632", "KD637"}


def refused(text: str, folder: Path) -> str:
    """Why Kafka does not take a server.properties, "" where it does. Its storage tool reads the
    file as a broker does."""
    folder.mkdir()
    file = folder / "server.properties"
    file.write_text(f"{text}\nlog.dirs={folder}/logs\n")
    tool = ("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(file), "-N")
    done = subprocess.run(
        [*JAVA, "-cp", f"{jars()}/*", *tool],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    return done.stderr if done.returncode else ""


@pytest.mark.kafka
@pytest.mark.parametrize("case", PROPERTIES, ids=lambda case: case.name)
def test_kafka_refuses_what_is_said_to_be_fatal_and_takes_the_fixed_file(
    case: Case, tmp_path: Path
) -> None:
    require(*KAFKA)
    report = case.report()
    wrong = [
        p for p in report.problems if p.finding.code in FATAL or "0.0.0.0" in p.finding.message
    ]
    assert bool(refused(case.text, tmp_path / "given")) == bool(wrong)
    left = {p.finding.code for p in after_fixes(report).problems}
    for fixed in report.fixed:
        if not left & FATAL:
            assert refused(fixed.after, tmp_path / "fixed") == ""
