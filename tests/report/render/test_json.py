"""JSON: every report by the shipped schema, and schema and report by the public contract."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import kdiag
from kdiag.demo.scenarios import SCENARIOS
from kdiag.demo.world import PRIVATE, World
from kdiag.report.model import Report
from kdiag.report.render.json import schema
from tests import walks
from tests.report.render import cases
from tests.together import together

SHIPPED = Path(kdiag.__file__).parent / "schema.json"

# The public contract, written down a second time on purpose: what a script may rely on.
NOTHING = type(None)
HOPS = {
    *("bootstrap", "metadata", "listeners", "produce"),
    *("aws", "expect", "consume", "companions"),
}
CORE: dict[str, Any] = {
    "schema_version": int,
    "kdiag_version": str,
    "started_at": str,
    "elapsed_ms": int,
    "target": [str],
    "source_addresses": [str],
    "protocol": str,
    "verdict": {"pass", "warn", "fail"},
    "failing_hop": {*HOPS, None},
    "root_cause": (str, NOTHING),
    "exit_code": {0, 1, 10, 20, 30, 40, 50, 60, 70, 90, 100, 130},
    "hops": [
        {
            "hop": HOPS,
            "status": {"pass", "warn", "fail", "skipped"},
            "elapsed_ms": int,
            "skipped_because": (str, NOTHING),
        }
    ],
    "cluster": {
        "id": (str, NOTHING),
        "controller": (int, NOTHING),
        "brokers": [
            {
                "node": int,
                "advertised": str,
                "layers": dict.fromkeys(
                    ("dns", "tcp", "tls", "kafka", "sasl", "identity"), "outcome"
                ),
                "answered_as": (int, NOTHING),
                "produce": "outcome",
            }
        ],
    },
    "findings": [
        {
            "code": str,
            "name": str,
            "severity": {"error", "warning"},
            "hop": HOPS,
            "title": str,
            "message": str,
            "subjects": [str],
            "evidence": [str],
            "remedies": [{"summary": str, "snippet": str, "kind": str}],
            "consequence_of": (str, NOTHING),
            "url": str,
        }
    ],
}
OUTCOMES = {
    *(None, "ok", "not_found", "resolver_failed", "refused", "timeout", "unreachable", "reset"),
    *("closed", "silent", "tls_required", "tls_not_offered", "untrusted", "name_mismatch"),
    *("expired", "client_certificate", "handshake", "not_kafka", "controller", "sasl_required"),
    *("sasl_not_offered", "mechanism", "credentials", "wrong_node", "wrong_cluster", "denied"),
}


async def three(world: World) -> None:
    await world.three()


async def private(world: World) -> None:
    await world.three(*((address, 9094) for address in PRIVATE))


@cache
def interrupted() -> Report:
    return walks.walked(private, interrupt=True, timeout=30)


@cache
def deadline() -> Report:
    return walks.walked(private, timeout=30, deadline=0.3)


@cache
def unknown_topic() -> Report:
    return walks.walked(three, topic="orders")


WALKED = {"interrupted-walk": interrupted, "late-walk": deadline, "topic-walk": unknown_topic}
EVERY = [*SCENARIOS, *cases.BY_HAND, *WALKED]


def told(name: str) -> dict[str, Any]:
    made = WALKED.get(name) or cases.BY_HAND.get(name)
    report = made() if made else walks.scenarios()[name]
    read: dict[str, Any] = json.loads(walks.shown(report, "json"))
    return read


def test_the_shipped_schema_is_the_reports(request: pytest.FixtureRequest) -> None:
    """`--snapshot-update` rewrites it too."""
    if request.config.getoption("update_snapshots"):
        SHIPPED.write_bytes(schema())
    assert SHIPPED.read_bytes() == schema(), (
        "rewrite it: pytest tests/report/render --snapshot-update"
    )


def test_the_shipped_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SHIPPED.read_bytes()))


@together("name", EVERY)
def test_every_report_is_valid(name: str) -> None:
    checker = jsonschema.Draft202012Validator(
        json.loads(SHIPPED.read_bytes()), format_checker=jsonschema.FormatChecker()
    )
    checker.validate(told(name))


@together("name", EVERY)
def test_every_report_keeps_the_contract(name: str) -> None:
    report = told(name)
    assert broken(report, CORE) == []
    hops = ["bootstrap", "metadata", "listeners", "produce", *(["aws"] if report["aws"] else [])]
    hops[4:4] = ["consume"] if report["consume"] else []
    hops += ["companions"] if report["companions"] else []
    hops += ["expect"] if report["expectations"] else []
    assert [step["hop"] for step in report["hops"]] == hops
    codes = [finding["code"] for finding in report["findings"]]
    assert report["root_cause"] is None or codes[0] == report["root_cause"]
    assert {f["consequence_of"] for f in report["findings"]} <= {None, *codes}
    assert (report["verdict"] == "fail") == (report["exit_code"] != 0)


def broken(value: Any, core: Any, where: str = "report") -> list[str]:
    """Where a value is not as the contract says: keys in its order, types, closed vocabularies."""
    if where == "report.cluster" and value is None:
        return []
    if isinstance(core, dict):
        kept = [key for key in value if key in core]
        if kept != list(core):
            return [f"{where} has {kept}"]
        return [wrong for key in core for wrong in broken(value[key], core[key], f"{where}.{key}")]
    if isinstance(core, list):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [wrong for each in value for wrong in broken(each, core[0], f"{where}[]")]
    if core == "outcome":
        return [] if value in OUTCOMES else [f"{where} is {value!r}"]
    if isinstance(core, set):
        return [] if value in core and not isinstance(value, bool) else [f"{where} is {value!r}"]
    fits = isinstance(value, core) and not isinstance(value, bool)
    return [] if fits else [f"{where} is {value!r}"]


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lambda r: r.pop("cluster"), "report"),
        (lambda r: r.update(exit_code=3), "report.exit_code"),
        (lambda r: r["hops"][0].update(elapsed_ms="7"), "report.hops[].elapsed_ms"),
        (lambda r: r["cluster"]["brokers"][0]["layers"].update(tcp="dead"), "layers.tcp"),
        (lambda r: r["findings"][0].update(consequence_of=1), "findings[].consequence_of"),
    ],
)
def test_the_check_of_the_contract_can_fail(spoil: Any, where: str) -> None:
    report = told("private-address")
    spoil(report)
    assert any(where in wrong for wrong in broken(report, CORE))
    if where != "report":
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(report, json.loads(SHIPPED.read_bytes()))


def test_interrupted_and_out_of_time_are_told_apart() -> None:
    stopped, late = told("interrupted-walk"), told("late-walk")
    assert (stopped["exit_code"], stopped["interrupted"]) == (130, True)
    assert (late["exit_code"], late["root_cause"], late["failing_hop"]) == (
        30,
        "KD002",
        "listeners",
    )


def test_a_check_that_met_no_broker_has_no_cluster() -> None:
    assert told("refused")["cluster"] is None
    assert told("no-brokers")["cluster"] is None


def test_the_text_is_ascii_and_ends_in_a_line() -> None:
    text = walks.shown(cases.hostile_names(), "json", encoding="ascii")
    assert text.isascii()
    assert text.endswith("}\n")
    assert "漢字" in json.loads(text)["cluster"]["brokers"][3]["advertised"]
