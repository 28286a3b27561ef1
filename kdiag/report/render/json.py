"""The report as JSON, by kdiag/schema.json."""

from __future__ import annotations

import inspect
from typing import Any, TextIO

import msgspec

from kdiag.network.attempt import LAYERS, PROXY, Failure
from kdiag.report.model import Report
from kdiag.report.several import Reports
from kdiag.walk.areas import EXIT_CODES, EXIT_INTERNAL, EXIT_INTERRUPTED


def write(report: Report, stream: TextIO) -> None:
    """Writes one JSON object, indented, in ASCII: the stream's encoding does not matter."""
    _write(report, stream)


def write_all(reports: Reports, stream: TextIO) -> None:
    """Writes one JSON object; its `reports` maps each label to a report as `write` writes it."""
    _write(reports, stream)


def _write(report: Report | Reports, stream: TextIO) -> None:
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    if not text.isascii():
        text = "".join(c if c.isascii() else _escape(c) for c in text)
    stream.write(text + "\n")


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def schema() -> bytes:
    """The JSON Schema of every report, and of several together, as shipped in kdiag/schema.json.

    It adds what the types do not express: every key is required, and the closed vocabularies.
    """
    either, defined = msgspec.json.schema_components(
        (Report, Reports), ref_template="#/$defs/{name}"
    )
    described: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kdiag report",
        "anyOf": list(either),
        "$defs": dict(defined),
    }
    for structure in described["$defs"].values():
        structure["description"] = inspect.cleandoc(structure.get("description", ""))
        if "properties" in structure:
            structure["required"] = list(structure["properties"])
    for name, properties in _vocabularies().items():
        described["$defs"][name]["properties"].update(properties)
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


def _vocabularies() -> dict[str, dict[str, object]]:
    """The closed vocabularies: structure → key → the JSON Schema of its value."""
    hop = {"enum": list(EXIT_CODES)}
    exit_code = {"enum": [0, EXIT_INTERNAL, *EXIT_CODES.values(), EXIT_INTERRUPTED]}
    outcome = {"enum": ["ok", *(failure.value for failure in Failure), None]}
    code = {"type": "string", "pattern": "^KD[0-9]{3,4}$"}
    layers = {
        "type": "object",
        "properties": dict.fromkeys((*LAYERS, PROXY), outcome),
        "required": list(LAYERS),
    }
    return {
        "Report": {
            "started_at": {"type": "string", "format": "date-time"},
            "failing_hop": {"enum": [*EXIT_CODES, None]},
            "root_cause": {"anyOf": [code, {"type": "null"}]},
            "exit_code": exit_code,
        },
        "Reports": {"exit_code": exit_code},
        "HopResult": {"hop": hop},
        "BrokerReport": {"layers": layers, "produce": outcome},
        "Finding": {
            "code": code,
            "hop": hop,
            "consequence_of": {"anyOf": [code, {"type": "null"}]},
        },
    }
