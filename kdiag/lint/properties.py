"""Java .properties text → a positioned tree: a mapping of names to values."""

from __future__ import annotations

import re

from kdiag.lint.reader import split
from kdiag.lint.tree import Entry, Map, Scalar, Spot

_NAMES = re.compile(
    r"^[ \t]*(listeners|advertised[.\w]*|process\.roles|node\.id|broker\.id|log\.dirs?|"
    r"controller\.\w[\w.]*|listener\.\w[\w.]*|inter\.broker\.[\w.]+)[ \t]*[=:]",
    re.MULTILINE,
)
_SPLIT = re.compile(r"[ \t\f]*((?:\\.|[^\\=:\s])*)[ \t\f]*(?:[=:][ \t\f]*)?")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def is_properties(name: str, content: str) -> bool:
    """Whether a file is one of Kafka's properties, and not YAML."""
    if name.endswith((".properties", ".conf", ".cfg")):
        return True
    if name.endswith((".yaml", ".yml", ".json")):
        return False
    found = _NAMES.search(content)
    return found is not None and "=" in content and not re.search(r"^\w[\w.-]*:\s*$", content, re.M)


def tree(content: str) -> Map:
    """The names and values of a file; text of several lines is one value, as Java reads it."""
    lines = split(content)
    found: list[Entry] = []
    at = 0
    while at < len(lines):
        begin, line = at, lines[at]
        at += 1
        if not line.strip() or line.lstrip()[0] in "#!":
            continue
        match = _SPLIT.match(line)
        key = match[1] if match else ""
        if match is None or not key:
            continue
        start = match.end()
        value = line[start:].rstrip("\r\n\x85\u2028\u2029")
        end = Spot(at, start + len(value) + 1)
        parts = [value]
        while _goes_on(parts[-1]) and at < len(lines):
            more = lines[at].rstrip("\r\n\x85\u2028\u2029")
            parts[-1] = parts[-1][:-1]
            parts.append(more.lstrip())
            at += 1
            end = Spot(at, len(more) + 1)
        value = "".join(parts)
        told = _plain(value).rstrip() if end.line > begin + 1 else _plain(value)
        name = Scalar(
            _plain(key), _plain(key), Spot(begin + 1, match.start(1) + 1), _behind(match, begin)
        )
        found.append(Entry(name, Scalar(told, told, Spot(begin + 1, start + 1), end)))
    return Map(Spot(1, 1), tuple(found))


def _behind(match: re.Match[str], begin: int) -> Spot:
    return Spot(begin + 1, match.end(1) + 1)


def _goes_on(value: str) -> bool:
    return (len(value) - len(value.rstrip("\\"))) % 2 == 1


def _plain(text: str) -> str:
    """Text without its escapes."""

    def meant(match: re.Match[str]) -> str:
        said = match[1]
        if said[0] == "u" and len(said) == 5:
            return chr(int(said[1:], 16))
        return _ESCAPED.get(said, said)

    return _ESCAPE.sub(meant, text)
