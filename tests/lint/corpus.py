"""The corpus: files with the findings that they lead to in their first line.

`# expect: KD617 9:35 warning`: the severity is written where it is not that of the rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from kdiag.lint.linter import lint
from kdiag.lint.report import LintReport
from kdiag.lint.schema import model, resource
from kdiag.rules.catalog import every_rule

FOLDER = Path(__file__).parent / "corpus"

_EXPECT = re.compile(r"# expect: (.*)")
_FINDING = re.compile(r"(KD\d{3}) (\d+):(\d+)(?: (error|warning))?\Z")


@dataclass(frozen=True)
class Case:
    """A file of the corpus. `expected` are (code, line, column, severity) in the report's order."""

    path: Path
    text: str
    expected: tuple[tuple[str, int, int, str], ...]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(FOLDER))

    def report(self) -> LintReport:
        """What kdiag says of it, with the file that the fixes make of it."""
        return _report(self)


@cache
def cases() -> tuple[Case, ...]:
    """Every file of the corpus."""
    return tuple(_case(path) for path in sorted(FOLDER.rglob("*")) if path.is_file())


@cache
def _report(case: Case) -> LintReport:
    return lint({case.name: case.text}, fix=True)


def _case(path: Path) -> Case:
    text = path.read_text("utf-8")
    said = _EXPECT.match(text)
    assert said, f"{path} does not begin with # expect:"
    if said[1] == "nothing":
        return Case(path, text, ())
    found = [_FINDING.match(each) for each in said[1].split(", ")]
    assert all(found), f"{path}: {said[1]}"
    return Case(
        path,
        text,
        tuple((m[1], int(m[2]), int(m[3]), m[4] or _usual(m[1])) for m in found if m),
    )


def _usual(code: str) -> str:
    return every_rule()[code].severity.value


def refused_by_strimzi(text: str) -> list[str]:
    """Why Strimzi's own schemas, of v1 and v1beta2, refuse the resources of a text."""
    found = []
    for document in _resources(text):
        version = document.get("apiVersion", "kafka.strimzi.io/v1")
        if version.endswith(("/v1", "/v1beta2")):
            held_to = validator(*model(document.get("kind", "Kafka"), version))
            found += [error.message for error in held_to.iter_errors(_without_nulls(document))]
    return found


def _without_nulls(value: Any) -> Any:
    """As the API server prunes it: null is nothing where a field is not nullable."""
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(below) for key, below in value.items() if below is not None}


@cache
def validator(kind: str, version: str = "v1") -> Any:
    """Strimzi's schema of a kind, as jsonschema takes it."""
    return jsonschema.Draft202012Validator(dict(resource(kind, version)))


def _resources(text: str) -> list[Any]:
    """The Strimzi resources of a text, those of a List too."""
    found = []
    for document in yaml.safe_load_all(text):
        for each in document.get("items", [document]) if document else []:
            kind = each.get("kind", "" if "apiVersion" in each else "Kafka")
            if kind in ("Kafka", "KafkaNodePool"):
                found.append(each)
    return found
