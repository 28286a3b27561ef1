"""What `kdiag lint` prints of files whose names mean harm, in every format."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from kdiag.lint.linter import lint
from kdiag.lint.render import FORMS, render
from tests.hostile.peers import NASTY
from tests.lint.corpus import cases
from tests.report.render.test_github import commands
from tests.running import kdiag

NAMES = (
    *(each for each in NASTY if "\0" not in each),
    *("::error::x", "##[error]x", "##vso[task.setvariable variable=PATH]x", "\udcff"),
    *("a\n::set-env name=PATH::x", "-rf", "a,b:c%0A"),
)
WRONG = next(case for case in cases() if case.name == "properties/private.properties").text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("form", FORMS)
def test_a_name_of_a_file(form: str, encoding: str) -> None:
    for number, name in enumerate(NAMES):
        report = lint({f"{name}.properties": WRONG, f"{number}/{name}.properties": WRONG})
        assert report.problems
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
        render(form, report, stream)
        stream.seek(0)
        said = stream.read()
        assert {c for c in said if not c.isprintable()} == {"\n"}, name
        if form == "github":
            told = commands(said)
            assert len(told) == len(report.problems)
            assert {set(given) == {"file", "line", "col", "title"} for _, given, _ in told} == {
                True
            }
        elif form == "terminal":
            assert not re.search(r"^\s*::[a-z-]+( .*)?::|##(vso)?\[", said, re.MULTILINE), name
        else:
            assert json.loads(said)


def test_a_value_of_a_file_is_no_command_either() -> None:
    text = "process.roles=broker\nlisteners=::error::x://:9092,##[error]x\n"
    stream = io.StringIO()
    render("terminal", lint({"a.properties": text}), stream)
    assert "x" in stream.getvalue()
    assert not re.search(r"^\s*::[a-z-]+( .*)?::|##\[", stream.getvalue(), re.MULTILINE)


def test_an_error_about_a_file_is_one_line(tmp_path: Path) -> None:
    name = "a\n##[error]\x1b[31m.yaml"
    done = kdiag("lint", name, cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr == "kdiag: cannot read a # #[error]\\x1b[31m.yaml: No such file or directory\n"
    )
