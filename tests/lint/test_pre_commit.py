"""The hook of .pre-commit-hooks.yaml, as pre-commit itself installs and runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import hatchling
import pytest

from tests.running import ROOT

CONFIGURATION = "repos:\n  - repo: {repo}\n    rev: {rev}\n    hooks:\n      - id: kdiag-lint\n"
PATIENCE = 280.0  # seconds: it builds kdiag
# What kdiag needs, to be built and to run, is here already: pip fetches nothing, for 10 s.
HERE = {
    "PIP_NO_COMPILE": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1",
    "PYTHONPATH": str(Path(hatchling.__file__).parents[1]),
}  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return done.stdout.strip()


def committed(folder: Path) -> str:
    """A repository of what is in a folder; its only commit."""
    git(folder, "init", "-q", ".")
    git(folder, "add", "--all")
    git(folder, "commit", "-qm", "all")
    return git(folder, "rev-parse", "HEAD")


@pytest.mark.timeout(300)
def test_a_commit_of_a_wrong_file_is_refused(tmp_path: Path) -> None:
    taken, home = tmp_path / "kdiag", tmp_path / "home"
    needed = ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml", "kdiag")
    for name in (*needed, "docs/deploy/sbom.cdx.json", "docs/deploy/metadata.py"):
        source, target = ROOT / name, taken / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    user = tmp_path / "user"
    user.mkdir()
    corpus = ROOT / "tests/lint/corpus"
    shutil.copy(corpus / "strimzi/tutorial.yaml", user / "wrong.yaml")
    shutil.copy(corpus / "properties/good.properties", user)
    (user / "other.yaml").write_text("a: b\n")
    (user / "notes.txt").write_text("kafka:\n")
    hooks = CONFIGURATION.format(repo=taken, rev=committed(taken))
    (user / ".pre-commit-config.yaml").write_text(hooks)
    committed(user)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", "run", "--all-files", "--color", "never"],
            cwd=user,
            capture_output=True,
            text=True,
            env={**os.environ, "PRE_COMMIT_HOME": str(home), **HERE},
            timeout=PATIENCE,
            check=False,
        )

    done = run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "- exit code: 60" in done.stdout
    assert "wrong.yaml:14:7: KD603" in done.stdout
    assert "2 files: " in done.stdout  # without the hooks' own file, and what has no Kafka
    (user / "wrong.yaml").unlink()
    git(user, "add", "--all")
    assert run().returncode == 0
