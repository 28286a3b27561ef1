"""Reads the text of a properties file: Java's syntax, which librdkafka's is a part of."""

from __future__ import annotations

import re
from collections.abc import Iterator


def parse_properties(text: str) -> dict[str, str]:
    """A client-properties file: Java's syntax, which librdkafka's is a part of.

    Source: java.util.Properties.load, with its comments, escapes and continued lines.
    """
    return {name: unescape(value).rstrip() for name, value in _written(text)}


def lost_backslashes(text: str) -> dict[str, str]:
    """The properties whose value begins like `C:\\folder`, as written: in a properties file, a
    single backslash begins an escape."""
    return {name: value for name, value in _written(text) if re.match(r"[A-Za-z]:\\[^\\]", value)}


def _written(text: str) -> Iterator[tuple[str, str]]:
    """The names and values in a properties file; the values still have their escapes."""
    for line in _logical_lines(text):
        match = re.match(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*(?:[=:][ \t\f]*)?(.*)", line, re.DOTALL)
        if match and match.group(1):
            yield unescape(match.group(1)), match.group(2)


def _logical_lines(text: str) -> list[str]:
    lines: list[list[str]] = []
    continued = False
    for raw in re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")):
        line = raw.lstrip(" \t\f")
        if not continued and (not line or line[0] in "#!"):
            continue
        more = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        part = line[:-1] if more else line
        if continued:
            lines[-1].append(part)
        else:
            lines.append([part])
        continued = more
    return list(map("".join, lines))


def unescape(text: str) -> str:
    """A name or a value of a properties file without its escapes."""

    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(code, code)

    found = re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", one, text, flags=re.DOTALL)
    # Java writes a character beyond U+FFFF as two halves; here they make one again.
    return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
