"""No golden of the lab is left over: each is of a test that is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab import goldens
from tests.lab.processes import ROOT


def test_no_golden_is_left_over(request: pytest.FixtureRequest) -> None:
    """Where one has a test and is not printed by it, that test fails."""
    collect = ["pytest", "--collect-only", "--quiet", "tests/lab"]
    done = subprocess.run(
        [sys.executable, "-m", *collect], capture_output=True, text=True, cwd=ROOT, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tests = {goldens.case(line) for line in done.stdout.splitlines() if "::" in line}
    assert tests
    kept = {goldens.Case(m, name) for m in goldens.modules() for name in goldens.kept(m)}
    over = kept - tests
    if request.config.getoption("update_snapshots"):
        while over:
            goldens.keep(over.pop(), None)
    assert over == set()
