"""What is missing skips the lab, and fails where it must run: a skip is never taken for a pass."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab import needs

SKIPPED, FAILED = pytest.skip.Exception, pytest.fail.Exception


@pytest.fixture(autouse=True)
def _no_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("KDIAG_REQUIRE_LAB", raising=False)


def test_a_missing_command_skips_and_names_its_package() -> None:
    with pytest.raises(SKIPPED, match=r"no java, nft .*apt-get install \S+ nftables"):
        needs.require("java", "nft")


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("KDIAG_REQUIRE_LAB", "1")])
def test_it_fails_where_the_lab_must_run(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(FAILED, match="no mvn"):
        needs.require("mvn")


def test_namespaces_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SKIPPED, match="root"):
        needs.require(root=True)


def test_with_everything_there_it_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "java").touch(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    needs.require("java", root=True)
