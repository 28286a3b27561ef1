"""Kafka itself as the judge: it refuses what kdiag says it refuses, and takes the fixed files."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from kdiag.lint.beside import related_files
from kdiag.lint.broker import interpolated
from kdiag.lint.compose import of_compose
from kdiag.lint.documents import read
from kdiag.lint.linter import after_fixes, lint
from kdiag.lint.mistake import Problem
from kdiag.lint.workload import of_workload
from kdiag.rules.rule import Severity
from tests.lab.kafka import JAVA, jars
from tests.lab.needs import KAFKA, require
from tests.lint.corpus import Case, cases
from tests.lint.mutations import spoilt

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


def containers(case: Case) -> Iterator[tuple[dict[str, str], bool]]:
    """The settings of Kafka in the containers of a fixed file, and whether they are all it needs:
    where they are not, the rest is put in."""
    text = after(case)
    documents = read(case.name, text).documents
    others = related_files(documents)
    for each in documents:
        found = of_compose(each.root, case.name, others) if each.kind == "compose" else ()
        found = of_workload(each.root, others) if each.kind == "workload" else found
        for broker in found:
            known = broker.kafka and broker.complete and not broker.get("zookeeper.connect")
            settings = {name: interpolated(x.text) for name, x in broker.settings.items()}
            if known and not any(each.opaque for each in broker.settings.values()):
                settings.pop("log.dirs", "")
                yield {**NEEDED, **settings}, NEEDED.keys() <= settings.keys()


def after(case: Case) -> str:
    """A file of the corpus with all fixes in it."""
    fixed = case.report().fixed
    return fixed[0].after if fixed else case.text


NEEDED = {
    "node.id": "1",
    "process.roles": "broker",
    "controller.listener.names": "CONTROLLER",
    "controller.quorum.voters": "2@controller:9093",
}
# What a slip took away, and no fix can know.
ABSENT = ("Missing required configuration", "must contain the set of bootstrap controllers")


@pytest.mark.kafka
def test_kafka_refuses_what_is_said_to_be_fatal_and_takes_the_fixed_files(tmp_path: Path) -> None:
    """Files of properties, those with random slips, and the settings of containers."""
    require(*KAFKA)
    expected: dict[Path, tuple[str, bool, bool]] = {}

    def given(name: str, text: str, fatal: bool, slips: bool = False) -> None:
        file = tmp_path / f"{len(expected)}.properties"
        file.write_text(f"{text}\nlog.dirs={file.with_suffix('.logs')}\n")
        expected[file] = (name, fatal, slips)

    for case in PROPERTIES:
        report = case.report()
        given(case.name, case.text, fatal_in(report.problems))
        if not fatal_in(after_fixes(report).problems):
            for fixed in report.fixed:
                given(case.name, fixed.after, False)
    chance = random.Random(1)
    for case in (case for case in PROPERTIES for _ in range(8)):
        report = lint({case.name: spoilt(chance, case.text)}, skip_unknown=True, fix=True)
        for fixed in report.fixed if not after_fixes(report).errors else ():
            given(case.name, fixed.after, False, slips=True)
    for case in (each for each in cases() if each.name.startswith(("compose/", "workload/"))):
        fatal = fatal_in(after_fixes(case.report()).problems)
        for settings, whole in containers(case):
            if fatal or whole:
                text = "\n".join(f"{name}={value}" for name, value in settings.items())
                given(case.name, text, fatal)
    said = refused(*expected)
    assert any(said)
    assert sum(slips for *_, slips in expected.values()) > 20
    assert len({name for name, *_ in expected.values() if name.startswith("compose/")}) > 8
    for (name, fatal, slips), why in zip(expected.values(), said, strict=True):
        absent = slips and any(words in why for words in ABSENT)
        assert absent or bool(why) == fatal, (name, why)
