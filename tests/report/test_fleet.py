"""`kdiag diff` of a folder: what many places have left, and what else lies there."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kdiag.cli.diff import _names, diff
from kdiag.cli.group import cli
from kdiag.report.model import Report
from kdiag.report.render import RENDERERS, render
from kdiag.report.render.presentation import MANY_OUTCOMES
from kdiag.report.several import together
from tests.walks import scenarios

PLACES = {"healthy": 300, "private-address": 120, "refused": 50, "sasl-required": 30}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A folder with the reports of 500 nodes."""
    names = [name for name, count in PLACES.items() for _ in range(count)]
    for number, name in enumerate(names):
        put(tmp_path / f"node-{number:03}.json", scenarios()[name])
    return tmp_path


def put(file: Path, report: Report) -> None:
    stream = io.StringIO()
    render("json", report, stream)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(stream.getvalue(), "utf-8")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["diff", *map(str, arguments)], standalone_mode=False)


def said(text: str) -> str:
    return " ".join(text.split())


def test_a_sentence_says_which_places_see_which_cause(fleet: Path) -> None:
    done = run(fleet)
    assert (done.return_value, done.stderr) == (10, "")
    assert (
        "It works from node-000, node-001, node-002 and 297 more; fails from node-300, node-301, "
        "node-302 and 117 more at hop 3, brokers 1, 2 and 3: KD301 private-address; fails from "
        "node-420, node-421, node-422 and 47 more at hop 1: KD103 refused; fails from node-470, "
        "node-471, node-472 and 27 more at hop 1: KD117 sasl-required." in said(done.stdout)
    )
    table = [line.split() for line in done.stdout.splitlines()]
    assert ["hop", "1", "hop", "2", "hop", "3", "hop", "4", "cause", "brokers"] in table
    assert ["node-300,", "node-301,", *"√√×–", "KD301", "all", "3", "tcp", "timeout"] in table
    assert done.stdout.splitlines()[-1] == "FAIL · 200 of 500 fail · exit 10"


def test_json_has_every_report_and_what_was_skipped(fleet: Path) -> None:
    (fleet / "broken.json").write_text('{"schema_version": 1, "hops": [')
    done = run(fleet, "-o", "json")
    found = json.loads(done.stdout)
    assert len(found["reports"]) == 500
    assert [len(view["labels"]) for view in found["comparison"]["outcomes"]] == [300, 120, 50, 30]
    (reason,) = found["skipped"].values()
    assert reason.endswith("broken.json is not JSON: a report is what kdiag check -o json writes")
    assert run(fleet, "-o", "json", "-q").stdout == done.stdout
    (saved := fleet.parent / "fleet.json").write_text(done.stdout)
    again = run(saved)
    assert again.stdout == run(fleet).stdout
    assert again.stdout.endswith(" · 1 file skipped · exit 10\n")


def test_what_is_no_report_is_named_and_skipped(fleet: Path) -> None:
    """Hostile, foreign and broken files, links out of the folder, and a pipe that nobody writes."""
    for name, content in {
        "deep.json": b'{"schema_version": 1' + b', "a": {"b": [' * 50_000,
        "foreign.json": b'{"apiVersion": "v1", "kind": "List", "items": []}',
        "list.json": b"[1, 2]",
        "newer.json": b'{"schema_version": 99}',
        "half.json": (fleet / "node-000.json").read_bytes()[:-9],
        "empty.json": b"",
        "zeros.json": b"\0" * 4096,
        "esc\x1b[31m\n.json": b"{}",
        "notes.txt": b"no report, and none by its name",
        ".hidden.json": b"{}",
    }.items():
        (fleet / name).write_bytes(content)
    (fleet / "big.json").touch()
    os.truncate(fleet / "big.json", 33 << 20)
    (secret := fleet.parent / "outside.json").write_text('{"password": "hunter2"}')
    (fleet / "link.json").symlink_to(secret)
    (fleet / "gone.json").symlink_to(fleet / "nowhere")
    (fleet / "loop").symlink_to(fleet)
    os.mkfifo(fleet / "pipe.json")
    done = run(fleet, "-o", "json")
    assert done.return_value == 10
    found = json.loads(done.stdout)
    assert len(found["reports"]) == 500
    reasons = "\n".join(found["skipped"].values())
    assert len(found["skipped"]) == 12
    for reason in (
        "deep.json is not JSON", "foreign.json is not a report", "list.json is not a report",
        "newer.json has schema_version 99", "half.json is not JSON", "empty.json is not JSON",
        "zeros.json is not JSON", r"esc\x1b[31m\n.json is not a report", "big.json is larger than",
        "link.json is a link to a file outside of the folder", "gone.json is not readable: No such",
        "pipe.json is not a regular file",
    ):  # fmt: skip
        assert reason in reasons
    assert "hunter2" not in done.output
    lines = done.stderr.splitlines()
    assert len(lines) == 11
    assert all(line.startswith("kdiag: skipped: ") and line.isprintable() for line in lines)
    assert lines[-1] == "kdiag: skipped: 2 more files; -o json has them all"


def test_a_folder_without_two_reports_is_wrong_usage(tmp_path: Path) -> None:
    from click import UsageError

    (tmp_path / "a.json").write_text("{}")
    done = run(tmp_path)
    assert isinstance(done.exception, UsageError)
    assert "at least two vantage points" in done.exception.format_message()
    assert "a.json is not a report that kdiag check -o json wrote" in done.stderr


def test_a_named_file_is_not_skipped(fleet: Path) -> None:
    (broken := fleet.parent / "broken.json").write_text("{")
    assert "broken.json is not JSON" in str(run(fleet, broken).exception)


def test_a_folder_is_bounded(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[str(diff.callback and diff.callback.__module__)]
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    found = json.loads(run(fleet, "-o", "json").stdout)
    assert 0 < len(found["reports"]) < 500
    assert len(found["reports"]) + len(found["skipped"]) == 500
    monkeypatch.setattr(module, "MOST_FILES", 499)
    assert "has more than 499 files: name a folder in it" in str(run(fleet).exception)


def test_places_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    """As `kubectl cp` and CI's artifacts leave them; a ConfigMap's volume links to hidden ones."""
    for place in ("linux/3.12", "linux/3.13", "mac/3.13"):
        put(tmp_path / place / "report.json", scenarios()["healthy"])
    assert list(json.loads(run(tmp_path, "--json").stdout)["reports"]) == [
        "linux/3.12/report", "linux/3.13/report", "mac/3.13/report",
    ]  # fmt: skip
    volume = tmp_path / "volume"
    for node in ("a", "b"):
        put(volume / "..2026_11_30" / f"{node}.json", scenarios()["refused"])
        (volume / f"{node}.json").symlink_to(f"..2026_11_30/{node}.json")
    found = json.loads(run(volume, "--json").stdout)
    assert (list(found["reports"]), found["skipped"]) == (["a", "b"], {})
    assert _names(["x/a.json", "y/a.json", "x/a.json"]) == ["x/a (1)", "y/a", "x/a (3)"]


def test_many_causes_stay_readable() -> None:
    """The working places and those of most others are shown, and the sentence counts the rest."""
    reports = {
        f"{name}-{number}": report
        for number in range(5)
        for name, report in scenarios().items()
        if report.exit_code not in (1, 130) and number <= len(name) % 5
    }
    several = together(reports, "X.Y.Z", compared=True)
    assert several.comparison
    assert len(several.comparison.outcomes) > 60
    sentence = several.comparison.sentence
    assert sentence.count("fails from") == 4
    assert " more fail otherwise" in sentence
    for form in RENDERERS:
        stream = io.StringIO()
        render(form, several, stream)
        if form in ("terminal", "markdown", "html"):
            assert "places with one cause are shown as one" in said(stream.getvalue())
        if form == "terminal":
            assert stream.getvalue().count("FAIL · ") == MANY_OUTCOMES
        assert len(stream.getvalue()) < 4_000_000


def test_more_reports_cost_as_much_each(tmp_path: Path) -> None:
    """Counted: the calls of Python for four times the reports are less than six times as many."""
    reports = [scenarios()[name] for name in ("healthy", "private-address", "refused", "timeout")]
    counts = []
    for many in (40, 160):
        folder = tmp_path / str(many)
        for number in range(many):
            sources = [f"10.0.{number}.5"]
            put(folder / f"{number}.json", replace(reports[number % 4], source_addresses=sources))
        counts.append(calls(lambda folder=folder: run(folder, "--json")))  # type: ignore[misc]
    assert counts[1] < 6 * counts[0]


def calls(work: Callable[[], Any]) -> int:
    counted = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted
