"""The reports of the lab as a person reads them: a golden for each check that a test makes.

Everything that differs from run to run is made the same in the JSON report, which is rendered then;
so lines break where they always do. `pytest tests/lab --snapshot-update` rewrites them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kdiag.report import Report
from tests.walks import shown

GOLDENS = Path(__file__).parent / "goldens"
REWRITE = "KDIAG_LAB_REWRITES_GOLDENS"

# Tests whose reports differ each time.
VARY = ("killed", "hung", "three_addresses", "by_name")  # the order of a name's addresses turns

_SAME = (
    (re.compile(r"\b127\.\d{1,3}\.\d{1,3}\.(\d{1,3})\b"), r"127.0.0.\1"),
    (re.compile(r"#[A-Za-z0-9_-]{16}"), "#serial"),
    (re.compile(r"valid \S+ to \S+"), "valid 2026-01-01 to 2027-01-01"),
    (re.compile(r"expire[sd] (at|in) [^,;)]*"), r"expires \1 its time"),
    (re.compile(r"\b\d+ ms\b"), "7 ms"),
    (re.compile(r"\bcontroller \d\b"), "controller 3"),
    (re.compile(r"/tmp/[^\s,]+/"), "/lab/"),
    (re.compile(r"(127\.0\.0\.\d{1,3}):[3-6]\d{4}\b"), r"\1:PORT"),
)
_NUMBERS = {"elapsed_ms": 7, "controller": 3}
_TEXTS = {
    "started_at": "2026-11-23T11:20:00Z",
    "kdiag_version": "X.Y.Z",
    "not_before": "2026-01-01T00:00:00Z",
    "not_after": "2027-01-01T00:00:00Z",
    "sha256": "0" * 64,
}

_checks: Counter[str] = Counter()


def hold(told: dict[str, Any]) -> None:
    """Compares a JSON report with the golden of this test, or rewrites that."""
    name = _name()
    if name is None:
        return
    with pytest.MonkeyPatch.context() as env:
        for variable in ("FORCE_COLOR", "NO_COLOR"):
            env.delenv(variable, raising=False)
        env.setenv("COLUMNS", "80")
        text = shown(msgspec.convert(_same(told), Report))
    path = GOLDENS / f"{name}.txt"
    if os.environ.get(REWRITE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.is_file(), f"no golden {path.name}: pytest tests/lab --snapshot-update"
    assert text == path.read_text("utf-8"), f"{path.name}: pytest tests/lab --snapshot-update"


def _name() -> str | None:
    """The golden of this check: the test's name, and a number for its second check and more."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").removesuffix(" (call)")
    module, _, function = test.partition("::")
    if Path(module).stem not in ("test_security", "test_aws") or any(w in function for w in VARY):
        return None
    _checks[test] += 1
    count = f"-{_checks[test]}" if _checks[test] > 1 else ""
    return re.sub(r"[^\w-]+", "-", function.removeprefix("test_")).strip("-") + count


def _same(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {_text(k): _same(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_same(one) for one in value]
    if isinstance(value, str):
        return _TEXTS.get(key) or _text(value)
    return _NUMBERS.get(key, value) if value is not None else None


def _text(text: str) -> str:
    for pattern, same in _SAME:
        text = pattern.sub(same, text)
    return text
