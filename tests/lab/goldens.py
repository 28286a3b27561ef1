"""The report of each test of the lab that checks: goldens/MODULE.txt has what a person reads, by
the name of the test, and goldens/MODULE.json the JSON reports, which
tests/report/render/test_lab.py puts through every output.

Everything that differs from run to run is made the same in the JSON report, which is rendered then;
so lines break where they always do. `pytest tests/lab --snapshot-update` rewrites them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from kdiag.report.model import Report
from tests.walks import shown

try:
    import fcntl
except ImportError:  # on Windows, where no golden of the lab is rewritten
    fcntl = None  # type: ignore[assignment]

GOLDENS = Path(__file__).parent / "goldens"
_HEADING = re.compile(r"^== (\S+)\n", re.MULTILINE)

_SAME = (
    (re.compile(r"\b127\.\d{1,3}\.\d{1,3}\.(\d{1,3})\b"), r"127.0.0.\1"),
    (re.compile(r"(127\.0\.0\.\d{1,3}):[3-6]\d{4}\b"), r"\1:PORT"),
    (re.compile(r"\b(cluster) [\w-]{22}(?![\w-])"), r"\1 kdiagLabCluster0000001"),
    (re.compile(r"\bcontroller \d\b"), "controller 3"),
    (re.compile(r"\b(answers at 3\.10\.139\.22)\d"), r"\g<1>1"),
    (re.compile(r"#[\w-]{16}"), "#serial"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC"), "2026-11-23 11:20 UTC"),
    (re.compile(r"\bit is \S+ by"), "it is 2026-11-23 by"),
    (re.compile(r"\b\d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d"), "2026-01-01 to 2027-01-01"),
    (re.compile(r"(\\r\\nDate: ).*"), r"\1…"),
    (re.compile(r"\b\d+ ms\b"), "7 ms"),
    (re.compile(r"/tmp/[^\s,]+/"), "/lab/"),
    (re.compile(r"\b(trustme v|nginx/|OpenSSH_)[\d.p]+( Debian-\S+)?"), r"\1X.Y"),
)
_MEASURED = ("acks-ms", "certificate-days")  # expectations
_NUMBERS = {"elapsed_ms": 7, "silent_s": 7.0, "controller": 3}
_TEXTS = {
    "started_at": "2026-11-23T11:20:00Z",
    "kdiag_version": "X.Y.Z",
    "not_before": "2026-01-01T00:00:00Z",
    "not_after": "2027-01-01T00:00:00Z",
    "sha256": "0" * 64,
}


class Case(NamedTuple):
    """A test's place among the goldens."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}/{self.name}"


class Kept(NamedTuple):
    """What is kept of a report: as a person reads it on 80 columns, and as JSON."""

    text: str
    report: dict[str, Any]


def modules() -> list[str]:
    """Those that have goldens."""
    return sorted(file.stem for file in GOLDENS.glob("*.txt"))


@contextmanager
def _alone() -> Iterator[None]:
    """No other worker reads or writes goldens meanwhile."""
    with (GOLDENS / "outputs.json").open("rb") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(module: str) -> dict[str, Kept]:
    parts = _HEADING.split((GOLDENS / f"{module}.txt").read_text("utf-8"))
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    reports = json.loads((GOLDENS / f"{module}.json").read_text("ascii"))
    assert texts.keys() == reports.keys(), f"{module}.txt and {module}.json differ"
    return {name: Kept(text, reports[name]) for name, text in texts.items()}


@cache
def kept(module: str) -> dict[str, Kept]:
    """The goldens of a module, by the test's name; none where it has no files."""
    with _alone():
        return _read(module) if module in modules() else {}


def keep(case: Case, new: Kept | None) -> None:
    """Writes the golden of a test, or takes it out."""
    with _alone():
        before = _read(case.module) if case.module in modules() else {}
        after = {**before, case.name: new}
        left = {name: one for name, one in sorted(after.items()) if one}
        reports = json.dumps({name: one.report for name, one in left.items()}, indent=1)
        texts = "".join(f"== {name}\n{one.text}" for name, one in left.items())
        for ending, content in (("json", f"{reports}\n"), ("txt", texts)):
            (GOLDENS / f"{case.module}.{ending}").write_text(content, "utf-8")
    kept.cache_clear()


class Golden:
    """The golden of one test. All checks that the test makes have to print the same."""

    def __init__(self, nodeid: str, rewrite: bool) -> None:
        self.case = case(nodeid)
        self.rewrite = rewrite
        self.held = False

    @property
    def kept(self) -> Kept | None:
        """What is kept of the test, if it is."""
        return kept(self.case.module).get(self.case.name)

    def hold(self, told: dict[str, Any]) -> None:
        """Compares a JSON report with the golden, or rewrites that."""
        with pytest.MonkeyPatch.context() as env:
            for variable in ("FORCE_COLOR", "NO_COLOR"):
                env.delenv(variable, raising=False)
            env.setenv("COLUMNS", "80")
            report = msgspec.convert(_same(told), Report)
            text = shown(report)
        if self.rewrite and not self.held:
            keep(self.case, Kept(text, json.loads(shown(report, "json"))))
        self.held = True
        assert self.kept, f"no golden of {self.case}: pytest tests/lab --snapshot-update"
        before = self.kept.text
        differs = "\n".join(difflib.unified_diff(before.splitlines(), text.splitlines(), n=1))
        assert text == before, f"{self.case} is another report:\n{differs}"


_current: list[Golden] = []


@contextmanager
def held(nodeid: str, rewrite: bool) -> Iterator[None]:
    """While this test runs, what it checks is held against its golden, which it has to use."""
    golden = Golden(nodeid, rewrite)
    _current.append(golden)
    try:
        yield
    finally:
        _current.remove(golden)
    assert golden.held or not golden.kept, f"nothing printed {golden.case}: delete it"


@contextmanager
def aside() -> Iterator[None]:
    """What is checked in here is after a change, and has no golden."""
    waiting = [*_current]
    _current.clear()
    try:
        yield
    finally:
        _current.extend(waiting)


def hold(told: dict[str, Any]) -> None:
    """Holds a JSON report against the golden of the test that runs."""
    for golden in _current:
        golden.hold(told)


def named(value: object) -> str | None:
    """How parametrized tests are told apart: a verdict by its code, a list or dict not at all."""
    if isinstance(value, tuple):
        return str(value[1] or "healthy")
    return "" if isinstance(value, list | dict) else None


def case(nodeid: str) -> Case:
    """Where the golden of a test is, by pytest's name for it."""
    module, _, function = re.sub(r"@\w+$", "", nodeid).partition("::")  # xdist adds the group
    name = re.sub(r"[^\w.-]+", "-", function.removeprefix("test_")).strip("-")
    return Case(Path(module).stem.removeprefix("test_"), name)


def _same(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        if str(value.get("expectation", "")).startswith(_MEASURED):
            measured = {
                k: 7 if isinstance(v, int | float) else v for k, v in value["found"].items()
            }
            value = {**value, "found": measured}
        return {_text(k): _same(v, k) for k, v in value.items()}
    if isinstance(value, list | dict):
        return [_same(one) for one in value]
    if isinstance(value, str):
        return _TEXTS.get(key) or _text(value)
    return value if value is None else _NUMBERS.get(key, value)


def _text(text: str) -> str:
    for pattern, same in _SAME:
        text = pattern.sub(same, text)
    return text
