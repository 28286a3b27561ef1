"""Saved reports: read as they were written, and nothing else is taken for one."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdiag.config.settings import UsageError
from kdiag.demo.scenarios import SCENARIOS
from kdiag.report.load import read
from kdiag.report.model import SCHEMA_VERSION, Report
from kdiag.report.render import RENDERERS, render
from tests.running import ROOT, kdiag
from tests.together import together
from tests.walks import scenarios

SAVED = sorted((ROOT / "tests/goldens/json").glob("*.json"))
ONE = json.loads((ROOT / "tests/goldens/json/private-address.json").read_text("utf-8"))
AWS = json.loads((ROOT / "tests/goldens/json/security-group-blocks.json").read_text("utf-8"))


def written(form: str, report: Report) -> str:
    stream = io.StringIO()
    render(form, report, stream)
    return stream.getvalue()


def parsed(found: Any) -> Report:
    return read(json.dumps(found).encode(), "report.json")


@together("path", SAVED)
def test_json_comes_back_as_it_was(path: Path) -> None:
    """The goldens: a report of every rule, hostile names and several lines among them."""
    assert written("json", read(path.read_bytes(), path.name)) == path.read_text("utf-8")


@together("name", SCENARIOS)
def test_every_scenario_looks_the_same_from_a_file(name: str) -> None:
    report = scenarios()[name]
    again = read(written("json", report).encode(), "report.json")
    assert again == report
    assert written("json", again) == written("json", report)
    assert written("terminal", again) == written("terminal", report)


def test_what_a_later_version_has_added_does_not_matter() -> None:
    newer = copy.deepcopy(ONE)
    newer["weather"] = {"wind": [1]}
    newer["findings"][0]["confidence"] = 3
    newer["cluster"]["brokers"][0]["layers"]["quic"] = "ok"
    assert written("terminal", parsed(newer)) == written("terminal", parsed(ONE))


def test_what_an_earlier_version_did_not_have_yet_is_not_missed() -> None:
    older = {name: ONE[name] for name in Report.__dataclass_fields__ if name in ONE}
    for late in ("notes", "interrupted", "protocol_found", "client_properties", "bootstrap", "aws"):
        del older[late]
    assert parsed(older).root_cause == "KD301"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not JSON"),
        (b"FAIL \xb7 hop 3", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"schema_version": 1' + b', "a": {"b": [' * 50_000, "is not JSON"),
        (b"[]", "is not a report that kdiag check -o json wrote"),
        (b'{"schema_version": true}', "is not a report that kdiag check -o json wrote"),
        (b'{"schema_version": 0}', "is not a report that kdiag check -o json wrote"),
        (b'{"schema_version": 1}', "required field `kdiag_version`"),
        (b'{"schema_version": 2}', "schema_version 2, and this kdiag reads up to 1"),
        (b'{"schema_version": 1' + b"0" * 4000 + b"}", "use a newer kdiag"),
    ],
)
def test_what_is_no_report_is_refused_in_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        read(data, "report.json")
    assert str(refused.value).startswith("report.json ")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("hops",), [], "`hops` is empty"),
        (("hops", 0, "hop"), "hop\x1b[2J", "Invalid enum value"),
        (("findings", 0, "hop"), "quic", "Invalid enum value"),
        (("failing_hop",), "quic", "Invalid enum value"),
        (("findings", 0, "code"), "KD1", "is no code of a finding"),
        (("findings", 0, "url"), "javascript:alert(1)", "is no page of a finding"),
        (("findings", 0, "severity"), "fatal", "Invalid enum value"),
        (("elapsed_ms",), 10**300, "out of range"),
        (("elapsed_ms",), 1.5, "Expected `int`, got `float`"),
        (("cluster", "brokers", 0, "node"), -(10**30), "out of range"),
        (("cluster", "brokers", 0, "layers"), {}, "lacks a layer"),
        (("exit_code",), 300, "300 is no exit code"),
        (("started_at",), "yesterday", "is not a time"),
        (("client_properties",), {}, "lacks librdkafka"),
    ],
)
def test_what_no_check_reports_is_refused(path: tuple[Any, ...], value: Any, said: str) -> None:
    spoilt = copy.deepcopy(ONE)
    inner = spoilt
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(UsageError, match=said) as refused:
        parsed(spoilt)
    assert str(refused.value).isprintable()


def test_texts_are_cleaned_like_a_peers() -> None:
    hostile = copy.deepcopy(ONE)
    hostile["target"] = ["\x1b]0;owned\x07\nKDIAG PASS"]
    hostile["findings"][0]["message"] = "\x1b[2J" + "a" * 1_000_000
    hostile["findings"][0]["remedies"][0]["snippet"] = "rm -rf /\r\x1b[1A\nsecond line"
    report = parsed(hostile)
    assert report.target == ["\\x1b]0;owned\\x07\\nKDIAG PASS"]
    assert len(report.findings[0].message) < 70_000
    assert report.findings[0].remedies[0].snippet == "rm -rf /\\r\\x1b[1A\nsecond line"
    assert "\x1b[2J" not in written("terminal", report)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_put_into_a_report_is_refused_or_printed(data: st.DataObject) -> None:
    spoilt = copy.deepcopy(data.draw(st.sampled_from([ONE, AWS])))
    for _ in range(data.draw(st.integers(1, 3))):
        inner: Any = spoilt
        while True:
            keys = sorted(inner) if isinstance(inner, dict) else range(len(inner))
            key = data.draw(st.sampled_from(keys)) if keys else None
            if key is None or not isinstance(inner[key], dict | list) or data.draw(st.booleans()):
                break
            inner = inner[key]
        if key is not None and isinstance(inner, dict) and data.draw(st.booleans()):
            del inner[key]
        elif key is not None:
            inner[key] = data.draw(VALUES)
    try:
        report = read(json.dumps(spoilt).encode("utf-8", "surrogatepass"), "report.json")
    except UsageError as error:
        assert str(error).isprintable()
        return
    for form in RENDERERS:
        assert written(form, report)


def test_show_says_in_its_exit_code_whether_it_could(tmp_path: Path) -> None:
    saved = ROOT / "tests/goldens/json/private-address.json"
    shown = kdiag("show", str(saved))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "KD301 private-address" in shown.stdout
    copied = tmp_path / "again.json"
    shown = kdiag("show", "-", "-o", f"json={copied}", stdin=saved.read_text("utf-8"))
    assert shown.returncode == 0
    assert copied.read_text("utf-8") == saved.read_text("utf-8")
    for name, said in ((tmp_path, "Is a directory"), (tmp_path / "gone", "No such file")):
        shown = kdiag("show", str(name))
        assert (shown.returncode, shown.stdout) == (2, "")
        assert said in shown.stderr
    shown = kdiag("show", "-", stdin=f'{{"schema_version": {SCHEMA_VERSION + 1}}}')
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.count("\n") == 1
    assert "use a newer kdiag" in shown.stderr


def test_a_file_without_end_is_refused() -> None:
    shown = kdiag("show", "/dev/zero")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "larger than a report" in shown.stderr
