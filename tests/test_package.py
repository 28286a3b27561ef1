"""The wheel: what is in it, and that it works where no checkout is."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from kdiag.config import links

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree by the build backend that is locked."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return folder / built.stdout.split()[-1]


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"kdiag/py.typed", "kdiag/schema.json", "kdiag/demo/world.py"} <= names
    assert {"kdiag/report/render/page.css", "kdiag/report/render/page.js"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"kdiag"}
    data = {name.partition(".data/")[2] for name in names if ".data/" in name}
    assert data == {"data/share/man/man1/kdiag.1"}


@pytest.mark.skipif(sys.platform != "linux", reason="the demo keeps to loopback by Linux's means")
def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "COLUMNS": "80"}
    said = subprocess.run(
        [sys.executable, "-c", "import kdiag; print(kdiag.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.startswith(str(tmp_path))
    demo = subprocess.run(
        [sys.executable, "-m", "kdiag", "demo", "private-address"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert demo.returncode == 30, demo.stderr
    assert "KD301" in demo.stdout


USES = """
from typing import Literal, assert_type

import kdiag


def once() -> str:
    report = kdiag.check(
        "b:9092",
        topic="orders",
        timeout=2.0,
        fail_on="warning",
        expect=["brokers=3"],
        properties={"security.protocol": "SSL"},
    )
    assert_type(report, kdiag.Report)
    assert_type(report.cause, kdiag.Finding | None)
    for finding in report.findings:
        assert_type(finding.severity, kdiag.Severity)
        remedies: list[kdiag.Remedy] = finding.remedies
    for step in report.hops:
        assert_type(step, kdiag.HopResult)
        hop: Literal[
            "bootstrap", "metadata", "listeners", "produce", "aws", "config", "expect", "vantage",
            "consume",
            "companions",
        ] = step.hop
    for broker in report.cluster.brokers if report.cluster else ():
        assert_type(broker, kdiag.BrokerReport)
    return report.to_json() + report.render("html")


async def again() -> kdiag.Report:
    try:
        return await kdiag.check_async("b:9092", deadline=5.0)
    except kdiag.UsageError as error:
        raise SystemExit(str(error)) from None
"""
WRONG = {
    'kdiag.check("b:9092", fail_on="never")': "arg-type",
    'kdiag.check("b:9092", timeot=1.0)': "call-arg",
    'kdiag.check("b:9092", timeout="3s")': "arg-type",
    'kdiag.check("b:9092").hops[0].hop == "boostrap"': "comparison-overlap",
    'kdiag.check("b:9092").render(1)': "arg-type",
    "kdiag.checked": "attr-defined",
}


def test_a_type_checker_knows_the_public_names_of_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """A user's mypy, strict, in a folder that has the wheel alone: what is right passes, and each
    of WRONG is an error of its kind."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    (tmp_path / "uses.py").write_text(USES)
    wrong = [f"assert {line}" for line in WRONG]
    (tmp_path / "wrong.py").write_text("\n".join(["import kdiag", *wrong]))
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            "--follow-imports=silent",
            "uses.py",
            "wrong.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in checked.stdout.splitlines() if ": error: " in line]
    assert [line for line in errors if not line.startswith("wrong.py")] == [], checked.stdout
    for number, (line, kind) in enumerate(WRONG.items(), start=2):
        found = [error for error in errors if error.startswith(f"wrong.py:{number}: ")]
        assert found, line
        assert found[0].endswith(f"[{kind}]"), found


def test_the_page_on_pypi_leads_somewhere(wheel: Path) -> None:
    """What is uploaded has valid metadata; its links are absolute, and none is there before the
    project has an address."""
    (name,) = [each for each in zipfile.ZipFile(wheel).namelist() if each.endswith("/METADATA")]
    told = Metadata.from_email(zipfile.ZipFile(wheel).read(name))
    assert (told.name, told.description_content_type) == ("kdiag", "text/markdown")
    published = links.REPOSITORY != "OWNER/kdiag"
    assert bool(told.project_urls) is published
    hook = runpy.run_path(str(ROOT / "docs/deploy/metadata.py"))
    readme = (ROOT / "README.md").read_text("utf-8")
    before = LINK.findall(hook["page"](readme, "OWNER/kdiag"))
    after = LINK.findall(hook["page"](readme, "somebody/kdiag"))
    assert told.description and LINK.findall(told.description) == (after if published else before)
    assert all(link.startswith("https://") for link in (*before, *after))
    assert len(after) == len(LINK.findall(readme)) > 15
    for link in after:
        kind, _, path = link.partition("/kdiag/")[2].partition("/main/")
        assert kind in ("blob", "raw") and (ROOT / path.partition("#")[0]).is_file(), link
        assert (kind == "raw") is path.endswith(".svg")
    urls = hook["urls"]("somebody/kdiag", "https://docs.example.org/")
    assert set(urls) == {"Documentation", "Source", "Issues", "Changelog"}
    assert urls["Documentation"] == "https://docs.example.org/"
    assert hook["urls"]("OWNER/kdiag", "") == {}
