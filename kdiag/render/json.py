"""The report as JSON, by kdiag/schema.json."""

from __future__ import annotations

from typing import TextIO

import msgspec

from kdiag.report import Report


def write(report: Report, stream: TextIO) -> None:
    """One object, indented, in ASCII, so that the stream's encoding does not matter."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    stream.write("".join(c if c.isascii() else _escape(c) for c in text) + "\n")


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def schema() -> bytes:
    """The JSON Schema of every report, as shipped in kdiag/schema.json."""
    described = msgspec.json.schema(Report)
    described["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    described["title"] = "kdiag report"
    return msgspec.json.format(msgspec.json.encode(described, order="sorted"), indent=2) + b"\n"
