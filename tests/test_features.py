"""A feature is one folder: without it its own command is gone, and everything else works."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.forked import Forks
from tests.running import ENOUGH, ended, environment

ROOT = Path(__file__).resolve().parent.parent
FEATURES = ("aws", "companions", "hold", "lint", "logs", "remote", "demo", "serve", "mcp")

LOG = "%3|1|FAIL|rdkafka#producer-1| localhost:9092/bootstrap: Connection refused"
LINTED = "listeners=PLAINTEXT://:9092\n"

# A command of each feature, and what else there is: the exit code where nothing is missing.
COMMANDS = {
    "aws": (["check", "127.0.0.1:1", "--aws", "--aws-echo", "off"], 10),
    "hold": (["check", "127.0.0.1:1", "--hold", "1"], 10),
    "companions": (["check", "127.0.0.1:1", "--http", "http://127.0.0.1:1"], 10),
    "lint": (["lint", "server.properties"], 0),
    "logs": (["explain", LOG], 0),
    "remote": (["check", "127.0.0.1:1", "--from", "local"], 10),
    "demo": (["demo", "healthy"], 0),
    "mcp": (["mcp"], 0),
    "serve": (["serve", "--listen", "127.0.0.1:1"], 2),  # no kdiag.toml
}
EVERYWHERE = {
    "help": (["--help"], 0),
    "check": (["check", "127.0.0.1:1"], 10),
    "findings": (["findings"], 0),
    "page": (["explain", "KD301"], 0),
}


def each(folder: Path) -> dict[str, tuple[list[str], int, subprocess.CompletedProcess[str]]]:
    """Every command of the copy in `folder`: its arguments, the exit code where nothing is missing,
    and how it ended. They are forked from one process, which has loaded whatever is there."""
    forks, told = Forks(folder=folder), {**environment(), "PYTHONPATH": str(folder)}
    try:
        return {
            name: (arguments, code, ended(arguments, told, folder, ENOUGH, forks=forks))
            for name, (arguments, code) in {**COMMANDS, **EVERYWHERE}.items()
        }
    finally:
        forks.end()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, to take features out of."""
    # With what is compiled, but for what another worker writes just now.
    ignored = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(ROOT / "kdiag", tmp_path / "kdiag", ignore=ignored)
    (tmp_path / "server.properties").write_text(LINTED)
    return tmp_path


def test_with_all_features_each_command_works(copy: Path) -> None:
    for arguments, code, done in each(copy).values():
        assert done.returncode == code, (arguments, done.stderr)


@pytest.mark.parametrize("feature", FEATURES)
def test_without_a_feature_the_rest_works(copy: Path, feature: str) -> None:
    shutil.rmtree(copy / "kdiag" / feature)
    for name, (arguments, code, done) in each(copy).items():
        if name == feature:
            assert done.returncode == 1, "its own command cannot work"
            assert "ModuleNotFoundError" in done.stderr
        else:
            assert done.returncode == code, (arguments, done.stderr)


def test_nothing_loads_a_feature_unless_it_is_asked_for() -> None:
    """Outside its folder a feature is imported inside functions alone."""
    for path in (ROOT / "kdiag").rglob("*.py"):
        if path.relative_to(ROOT / "kdiag").parts[0] in FEATURES:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                room = node.module.removeprefix("kdiag.").partition(".")[0]
                assert not (node.module.startswith("kdiag.") and room in FEATURES), path
