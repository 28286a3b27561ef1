"""kdiag on CPython for Windows, under Wine, gives the answers that it gives here."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.windows import wine
from tests.windows.every_scenario import verdicts

pytestmark = [pytest.mark.windows, pytest.mark.xdist_group("windows"), pytest.mark.timeout(600)]


def text(output: bytes) -> str:
    """What a console would show: Windows ends lines with CR LF."""
    return output.decode("ascii").replace("\r\n", "\n")


def test_every_scenario_of_the_demo_comes_to_the_same() -> None:
    done = wine.python("-m", "tests.windows.every_scenario", cwd=wine.ROOT)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == verdicts()


def test_a_refused_connection_is_called_refused() -> None:
    done = wine.kdiag("check", "127.0.0.1:1")
    assert done.returncode == 10, done.stderr.decode()
    assert "KD103 refused" in text(done.stdout)
    assert "connection refused" in text(done.stdout)


def test_a_name_that_does_not_exist() -> None:
    done = wine.kdiag("check", "no-such-name.invalid:9092", "-o", "json")
    assert done.returncode == 10, done.stderr.decode()
    report = json.loads(done.stdout)
    assert report["root_cause"] in {"KD101", "KD102"}
    (fix,) = report["findings"][0]["remedies"]
    assert (fix["kind"], fix["snippet"]) == ("powershell", "Resolve-DnsName no-such-name.invalid")


def test_reports_are_written_to_files_the_same_bytes_as_here(tmp_path: Path) -> None:
    forms = {"json": "r.json", "html": "r.html", "junit": "r.xml", "markdown": "r.md"}
    outputs = [f"-o{form}={name}" for form, name in forms.items()]
    done = wine.kdiag("demo", "private-address", "--timeout", "1", *outputs, cwd=tmp_path)
    assert done.returncode == 30, done.stderr.decode()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(forms.values())
    assert all(b"\r" not in path.read_bytes() for path in tmp_path.iterdir())
    assert json.loads((tmp_path / "r.json").read_text())["root_cause"] == "KD301"
    ET.parse(tmp_path / "r.xml")
    again = wine.kdiag("show", "r.json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr.decode()
    assert text(again.stdout) == text(done.stdout)


def test_marks_are_ascii_where_the_code_page_has_no_others() -> None:
    done = wine.kdiag("demo", "healthy")
    assert done.returncode == 0
    assert " + bootstrap" in text(done.stdout)
    assert b"\x1b" not in done.stdout


def test_a_place_that_hangs_is_given_up_on(tmp_path: Path) -> None:
    """An ssh.exe that starts another process and says nothing, as one behind a proxy."""
    wine.program(tmp_path / "ssh.exe")
    done = wine.kdiag(
        *("check", "127.0.0.1:1", "--from", "ssh://far", "--deadline", "1", "-o", "json"),
        env={"WINEPATH": wine.path(tmp_path)},
    )
    assert done.returncode == 80, done.stderr.decode()
    assert "no answer within" in text(done.stdout)
    assert (tmp_path / "child").exists()
    assert not wine.running(tmp_path / "ssh.exe")
