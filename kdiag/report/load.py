"""A report that was saved as JSON, read again: its texts are taken for a peer's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from kdiag.config.usage import UsageError
from kdiag.network.attempt import LAYERS, clean
from kdiag.report.model import SCHEMA_VERSION, Report
from kdiag.report.several import Reports, together
from kdiag.walk.areas import EXIT_CODES

MOST = 32 << 20  # bytes: a check of a thousand brokers that all fail is a tenth of it

_TEXT_LIMIT = 1 << 16  # characters of one text; a report's own are cut when a peer says them
_LARGEST = 1 << 53  # what any reader of JSON takes for a whole number
_CODE = re.compile(r"KD[0-9]{3}")
_OF_LINES = {"snippet", "client_properties"}  # what may have several lines


def read(data: bytes, name: str) -> Report:
    """The report in a file of that name, by this or an earlier version of kdiag, or by a later one
    that has only added keys.

    Its texts are cleaned as a peer's are; a report as kdiag writes it comes back as it was. Raises
    UsageError, one sentence, for anything else.
    """
    found = _found(data, name)
    if "reports" in found:
        raise UsageError(f"{name} has the reports of several checks, and one is needed here")
    return _report(found, name)


def read_any(data: bytes, name: str) -> Report | Reports:
    """The same; or the several reports of a file that has them, judged anew as one answer."""
    found = _found(data, name)
    if "reports" not in found:
        return _report(found, name)
    several = found["reports"]
    if not isinstance(several, dict) or not several:
        raise UsageError(f"{name} is not a report of kdiag check: `reports` has none")
    version = clean(str(found.get("kdiag_version", "")), _TEXT_LIMIT)
    read_ = {}
    for label, one in several.items():
        whose = f"{name}: {clean(label, 80)}"
        read_[clean(label, _TEXT_LIMIT)] = _report(_versioned(one, whose), whose)
    return together(read_, version, compared=found.get("comparison") is not None)


def _found(data: bytes, name: str) -> dict[str, Any]:
    """The object in a file. Raises UsageError for what is none of kdiag's."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise UsageError(
            f"{name} is not JSON: a report is what kdiag check -o json writes"
        ) from None
    return _versioned(found, name)


def _versioned(found: Any, name: str) -> dict[str, Any]:
    version = found.get("schema_version") if isinstance(found, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UsageError(f"{name} is not a report that kdiag check -o json wrote")
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{name} has schema_version {min(version, _LARGEST)}, and this kdiag reads up to "
            f"{SCHEMA_VERSION}: it takes a newer kdiag"
        )
    assert isinstance(found, dict)
    return found


def _report(found: dict[str, Any], name: str) -> Report:
    try:
        report = msgspec.convert(_cleaned(found), Report)
        wrong = next(_wrong(report), None)
    except (msgspec.ValidationError, RecursionError) as error:
        wrong = str(error) if isinstance(error, msgspec.ValidationError) else "nested too deeply"
    if wrong:
        raise UsageError(f"{name} is not a report of kdiag check: {clean(wrong, 200)}")
    return report


def _cleaned(value: Any, key: str = "") -> Any:
    """The same, with every text fit for a terminal; where it may have lines, it keeps them."""
    if isinstance(value, str):
        if key in _OF_LINES:
            return "\n".join(clean(line, _TEXT_LIMIT) for line in value.split("\n"))
        return clean(value, _TEXT_LIMIT)
    if isinstance(value, list):
        return [_cleaned(each, key) for each in value]
    if isinstance(value, dict):
        inner = key if key in _OF_LINES else ""
        return {
            clean(name, _TEXT_LIMIT): _cleaned(each, inner or name) for name, each in value.items()
        }
    return value


def _wrong(report: Report) -> Iterator[str]:
    """What no check reports, and what renderers rely on all the same."""
    hops = {*EXIT_CODES, "config"}
    named = [step.hop for step in report.hops] + [found.hop for found in report.findings]
    if not report.hops:
        yield "`hops` is empty"
    yield from (f"there is no hop {hop!r}" for hop in named if hop not in hops)
    if report.failing_hop is not None and report.failing_hop not in hops:
        yield f"there is no hop {report.failing_hop!r}"
    for found in report.findings:
        if not _CODE.fullmatch(found.code):
            yield f"{found.code!r} is no code of a finding"
        if not found.url.startswith(("https://", "http://")):
            yield f"{found.url!r} is no page of a finding"
    numbers = [report.elapsed_ms, *(step.elapsed_ms for step in report.hops)]
    if report.cluster:
        numbers += [broker.node for broker in report.cluster.brokers]
    if not all(-_LARGEST < number < _LARGEST for number in numbers) or report.elapsed_ms < 0:
        yield "a number is out of range"
    if not 0 <= report.exit_code < 256:
        yield f"{clean(str(report.exit_code), 20)} is no exit code"
    yield from _odd(report)


def _odd(report: Report) -> Iterator[str]:
    """What is not as its key says: a time, layers, the properties that the listener speaks."""
    try:
        datetime.strptime(report.started_at, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        yield "`started_at` is not a time as in 2026-01-31T12:00:00Z"
    reached = [server.layers for server in report.bootstrap]
    reached += [broker.layers for broker in report.cluster.brokers] if report.cluster else []
    if any(not set(LAYERS) <= set(layers) for layers in reached):
        yield "`layers` lacks a layer"
    if report.protocol_found and "librdkafka" not in report.client_properties:
        yield "`client_properties` lacks librdkafka"
