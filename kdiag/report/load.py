"""Reads a report that was saved as JSON. Its texts are cleaned like those of an untrusted peer."""

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
from kdiag.text import decoded
from kdiag.walk.facts.run import MOMENT

MOST = 32 << 20  # bytes of a file; a report on a thousand failing brokers has a tenth of it

_TEXT_LIMIT = 1 << 16  # characters of one text; kdiag's own reports have shorter ones
_LARGEST = 1 << 53  # the largest integer that every JSON reader keeps exact
_CODE = re.compile(r"KD[0-9]{3,4}")
_MULTILINE = {"snippet", "client_properties"}  # keys whose texts may have several lines


def read(data: bytes, name: str) -> Report:
    """The report in the bytes of a JSON file; `name` names the file in an error. It may be of an
    earlier version of kdiag, or of a later one that has only added keys.

    Texts are cleaned like those of a peer; a report that kdiag wrote is returned unchanged. Raises
    UsageError, one sentence, for anything else, also for a file with several reports.
    """
    content = _decoded(data, name)
    if "reports" in content:
        raise UsageError(f"{name} has the reports of several checks, and one is needed here")
    return _report(content, name)


def read_any(data: bytes, name: str) -> Report | Reports:
    """As `read`; a file with several reports returns Reports, with verdict and comparison computed
    again."""
    content = _decoded(data, name)
    if "reports" not in content:
        return _report(content, name)
    several = content["reports"]
    if not isinstance(several, dict) or not several:
        raise UsageError(f"{name} is not a report of kdiag check: `reports` has none")
    version = clean(str(content.get("kdiag_version", "")), _TEXT_LIMIT)
    by_label = {}
    for label, item in several.items():
        place = f"{name}: {clean(label, 80)}"
        by_label[clean(label, _TEXT_LIMIT)] = _report(_versioned(item, place), place)
    skipped = content.get("skipped")
    return together(
        by_label,
        version,
        compared=content.get("comparison") is not None,
        skipped={
            clean(file, _TEXT_LIMIT): clean(str(reason), _TEXT_LIMIT)
            for file, reason in (skipped.items() if isinstance(skipped, dict) else ())
        },
    )


def _decoded(data: bytes, name: str) -> dict[str, Any]:
    """The JSON object in a file. Raises UsageError where kdiag did not write it."""
    try:
        # PowerShell's `>` writes UTF-16, and its Set-Content a byte order mark.
        whole = data if data[:1] == b"{" else decoded(data).strip()
        content = msgspec.json.decode(whole)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise UsageError(
            f"{name} is not JSON: a report is what kdiag check -o json writes"
        ) from None
    return _versioned(content, name)


def _versioned(content: Any, name: str) -> dict[str, Any]:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UsageError(f"{name} is not a report that kdiag check -o json wrote")
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{name} has schema_version {min(version, _LARGEST)}, and this kdiag reads up to "
            f"{SCHEMA_VERSION}: use a newer kdiag"
        )
    assert isinstance(content, dict)
    return content


def _report(content: dict[str, Any], name: str) -> Report:
    try:
        report = msgspec.convert(_cleaned(content), Report)
        wrong = next(_errors(report), None)
    except (msgspec.ValidationError, RecursionError) as error:
        wrong = str(error) if isinstance(error, msgspec.ValidationError) else "nested too deeply"
    if wrong:
        raise UsageError(f"{name} is not a report of kdiag check: {clean(wrong, 200)}")
    return report


def _cleaned(value: Any, key: str = "") -> Any:
    """The value with every text cleaned for a terminal; texts under _MULTILINE keep their lines."""
    if isinstance(value, str):
        if key in _MULTILINE:
            return "\n".join(clean(line, _TEXT_LIMIT) for line in value.split("\n"))
        return clean(value, _TEXT_LIMIT)
    if isinstance(value, list):
        return [_cleaned(item, key) for item in value]
    if isinstance(value, dict):
        inner = key if key in _MULTILINE else ""
        return {
            clean(name, _TEXT_LIMIT): _cleaned(item, inner or name) for name, item in value.items()
        }
    return value


def _errors(report: Report) -> Iterator[str]:
    """Errors in values that the types do not rule out and renderers rely on, each as a text."""
    if not report.hops:
        yield "`hops` is empty"
    for content in report.findings:
        if not _CODE.fullmatch(content.code):
            yield f"{content.code!r} is no code of a finding"
        if not content.url.startswith(("https://", "http://", "docs/")):
            yield f"{content.url!r} is no page of a finding"
    numbers = [report.elapsed_ms, *(step.elapsed_ms for step in report.hops)]
    if report.cluster:
        numbers += [broker.node for broker in report.cluster.brokers]
    if not all(-_LARGEST < number < _LARGEST for number in numbers) or report.elapsed_ms < 0:
        yield "a number is out of range"
    if not 0 <= report.exit_code < 256:
        yield f"{clean(str(report.exit_code), 20)} is no exit code"
    yield from _format_errors(report)


def _format_errors(report: Report) -> Iterator[str]:
    """Errors in the start time, the layers and the client properties, each as a text."""
    try:
        datetime.strptime(report.started_at, MOMENT)
    except ValueError:
        yield "`started_at` is not a time as in 2026-01-31T12:00:00Z"
    reached = [server.layers for server in report.bootstrap]
    reached += [broker.layers for broker in report.cluster.brokers] if report.cluster else []
    if any(not set(LAYERS) <= set(layers) for layers in reached):
        yield "`layers` lacks a layer"
    if report.protocol_found and "librdkafka" not in report.client_properties:
        yield "`client_properties` lacks librdkafka"
