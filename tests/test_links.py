"""Addresses of our own: one place has them, and nothing leads to a page that nobody serves."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner

from kdiag.api import play
from kdiag.cli.group import cli
from kdiag.config import links
from kdiag.report.render import render
from kdiag.rules.rule import rule_url
from tests.derived import ROOT, pages

OURS = re.compile(r"([\w.-]+/kdiag)/\.github|https?://[\w.-]*\bkdiag\b[\w./-]*")
PAGES = [ROOT / "pyproject.toml", *(ROOT / "kdiag").rglob("*.py"), *(ROOT / ".github").rglob("*.*")]
SITE = "https://docs.example.org/kdiag/"
SHOWN = ("terminal", "html", "markdown", "github", "junit")


def test_every_address_of_ours_is_the_one_of_the_one_place() -> None:
    found = [
        (path, match[0])
        for path in {*PAGES, *pages()} - {ROOT / "kdiag/config/links.py"}
        for match in OURS.finditer(path.read_text("utf-8"))
        if match[1] != links.REPOSITORY
    ]
    assert found == []


def test_an_address_of_ours_is_found() -> None:
    assert OURS.search("see https://kdiag.readthedocs.io/en/latest/")
    match = OURS.search("uses: somebody/kdiag/.github/actions/check@COMMIT")
    assert match and match[1] == "somebody/kdiag"


def test_the_address_of_a_page_is_a_file_until_a_site_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert rule_url("KD301") == "docs/findings.md#kd301"
    assert Path(ROOT, links.page("aws")).is_file()
    monkeypatch.setattr(links, "SITE", SITE)
    assert rule_url("KD301") == f"{SITE}findings/#kd301"
    assert links.page("aws") == f"{SITE}aws/"


@pytest.mark.parametrize("site", ["", SITE])
async def test_outputs_link_to_the_site_where_there_is_one(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "SITE", site)
    report = await play("private-address")
    url = rule_url("KD301")
    assert {f.url for f in report.findings if f.code == "KD301"} == {url}
    for name in SHOWN:
        stream = StringIO()
        render(name, report, stream, "full")
        assert (f"{SITE}findings/#kd301" in stream.getvalue()) is bool(site), name
        assert site or "docs/findings.md" not in stream.getvalue(), name
        assert name in ("html", "markdown") or "see kdiag explain KD301" in stream.getvalue()
    explained = CliRunner().invoke(cli, ["explain", "KD301"])
    assert (f"see {url}" in explained.output) is bool(site)


@pytest.mark.parametrize("site", ["", SITE])
def test_sarif_has_an_absolute_uri_or_none(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "SITE", site)
    file = tmp_path / "server.properties"
    file.write_text("advertised.listeners=PLAINTEXT://0.0.0.0:9092\n")
    told = CliRunner().invoke(cli, ["lint", "-o", "sarif", str(file)])
    driver = json.loads(told.output)["runs"][0]["tool"]["driver"]
    assert driver["rules"]
    uris = [rule.get("helpUri") for rule in driver["rules"]]
    assert all(uri.startswith(SITE) if site else uri is None for uri in uris), uris
    assert driver.get("informationUri") == (site or None)
