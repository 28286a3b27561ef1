"""YAML text → positioned trees, whatever the text. The only import of PyYAML.

Trees are built from the parser's events, so that nothing a file holds costs more than its size:
aliases are references, nesting and what aliases unfold to are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kdiag.config.usage import UsageError
from kdiag.lint.tree import Entry, Items, Map, Node, PlainValue, Scalar, Spot

MAX_DEPTH = 100
MAX_NODES = 100_000  # with every alias unfolded; a megabyte as people write it has fewer

# What YAML takes for the end of a line. Not str.splitlines, which knows others.
BREAK = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")

_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z")
_OTHER_INT = re.compile(r"[-+]?0(x[0-9a-fA-F_]+|b[01_]+|o?[0-7_]+)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?\Z")
_TRUE, _FALSE = {"true", "yes", "on"}, {"false", "no", "off"}
_MARK = re.compile(r"(---|\.\.\.)(\s|\Z)")


@dataclass(frozen=True)
class DuplicateKey:
    """A duplicate key of a mapping, and the place of the first one."""

    key: Scalar
    first: Spot


class Unreadable(Exception):
    """The text is not YAML, or exceeds a limit."""

    def __init__(self, message: str, spot: Spot) -> None:
        super().__init__(message)
        self.message, self.spot = message, spot


def document(text: str, first_line: int = 1) -> tuple[Node | None, list[DuplicateKey]]:
    """The tree of a text with one document, None where it is empty, and the keys it has twice.

    Spots count from `first_line`. Raises Unreadable.
    """
    yaml = _yaml()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder(yaml, first_line)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        endless = "end of stream" in (error.problem or "")  # where it began is what helps
        mark = (endless and error.context_mark) or error.problem_mark or error.context_mark
        spot = Spot(mark.line + first_line, mark.column + 1) if mark else Spot(first_line, 1)
        context = f", {error.context}" if error.context else ""
        raise Unreadable(f"{error.problem or 'no YAML'}{context}", spot) from None
    except yaml.YAMLError as error:
        raise _odd_character(error, text, first_line) from None
    return builder.root, builder.duplicates


def resolved(text: str) -> PlainValue:
    """The value of a plain scalar in YAML 1.1, which Kubernetes and Compose use."""
    lowered = text.lower()
    if text in ("", "~") or lowered == "null":
        return None
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    try:
        if _INT.match(text):
            return int(text.replace("_", ""))
        if _OTHER_INT.match(text):
            octal = re.sub(r"\A([-+]?)0(?=[0-7])", r"\g<1>0o", text.replace("_", "").lower())
            return int(octal, 0)
        if _FLOAT.match(text):
            return float(text.replace("_", ""))
    except (ValueError, OverflowError):  # digits without end
        return text
    return text


def segments(text: str) -> Iterator[tuple[int, str]]:
    """The documents of a stream with content: the number of the first line, and the text."""
    lines = split(text)
    marks = [number for number, line in enumerate(lines) if _MARK.match(line)]
    for begin, end in zip([0, *marks], [*marks, len(lines)], strict=True):
        body = lines[begin:end]
        if body and body[0].startswith("..."):
            body, begin = body[1:], begin + 1
        content = [line.strip() for line in body if not line.lstrip().startswith(("#", "%"))]
        if any(line and line != "---" for line in content):
            yield begin + 1, "".join(body)


def split(text: str) -> list[str]:
    """The lines of a text, each with its break."""
    ends = [match.end() for match in BREAK.finditer(text)]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if a < b]


@dataclass
class _Open:
    """A mapping or list whose end event has not arrived."""

    start: Spot
    is_map: bool
    flow: bool
    anchor: str | None
    before: int
    values: list[Any] = field(default_factory=list)
    keys: dict[str, Spot] = field(default_factory=dict)
    key: Scalar | None = None


class _Builder:
    """Builds the tree from the events of the parser."""

    def __init__(self, yaml: Any, first_line: int) -> None:
        self.root: Node | None = None
        self.duplicates: list[DuplicateKey] = []
        self._first = first_line
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}  # and how many values it holds
        self._size = 0
        self._takes = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._begin,
            yaml.SequenceStartEvent: self._begin,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
        }
        self._map_start = yaml.MappingStartEvent

    def take(self, event: Any) -> None:
        taken = self._takes.get(type(event))
        if taken:
            taken(event)

    def _spot(self, mark: Any) -> Spot:
        return Spot(mark.line + self._first, mark.column + 1)

    def _scalar(self, event: Any) -> None:
        plain = event.implicit[0] and event.style not in ("'", '"', "|", ">")
        value = resolved(event.value) if plain else event.value
        start, end = self._spot(event.start_mark), self._spot(event.end_mark)
        node = Scalar(event.value, value, start, end, plain, event.style in ("|", ">"))
        self._done(node, 1, event.anchor, start)

    def _begin(self, event: Any) -> None:
        start = self._spot(event.start_mark)
        if len(self._open) >= MAX_DEPTH:
            raise Unreadable(f"nested more than {MAX_DEPTH} levels deep", start)
        is_map = isinstance(event, self._map_start)
        self._open.append(_Open(start, is_map, bool(event.flow_style), event.anchor, self._size))

    def _end(self, event: Any) -> None:
        frame = self._open.pop()
        closed = self._spot(event.end_mark) if frame.flow else None
        node: Node
        if frame.is_map:
            node = Map(frame.start, _merged(frame.values), closed)
        else:
            node = Items(frame.start, tuple(frame.values), closed)
        self._done(node, self._size - frame.before + 1, frame.anchor, frame.start, count=1)

    def _alias(self, event: Any) -> None:
        spot, name = self._spot(event.start_mark), event.anchor
        if any(frame.anchor == name for frame in self._open):
            raise Unreadable(f"*{name} stands inside of &{name}: there is no end to it", spot)
        if name not in self._anchors:
            raise Unreadable(f"*{name} has no &{name} before it", spot)
        node, size = self._anchors[name]
        self._done(node, size, None, spot)

    def _done(
        self, node: Node, size: int, anchor: str | None, spot: Spot, count: int | None = None
    ) -> None:
        self._size += size if count is None else count
        if self._size > MAX_NODES:
            raise Unreadable(f"more than {MAX_NODES:,} values, with all aliases unfolded", spot)
        if anchor:
            self._anchors[anchor] = (node, size)
        if not self._open:
            self.root = node
            return
        frame = self._open[-1]
        if not frame.is_map:
            frame.values.append(node)
        elif frame.key:
            frame.values.append(Entry(frame.key, node))
            frame.key = None
        elif isinstance(node, Scalar):
            if node.text in frame.keys and node.text != "<<":
                self.duplicates.append(DuplicateKey(node, frame.keys[node.text]))
            frame.keys.setdefault(node.text, node.start)
            frame.key = node
        else:
            raise Unreadable("a key that is no single word", spot)


def _merged(own: list[Entry]) -> tuple[Entry, ...]:
    """The entries of a mapping, with those that `<<` merges into it."""
    kept = [each for each in own if each.key.text != "<<"]
    known = {each.key.text for each in kept}
    for entry in own:
        if entry.key.text != "<<":
            continue
        sources = entry.value.items if isinstance(entry.value, Items) else (entry.value,)
        for source in sources:
            brought = source.entries if isinstance(source, Map) else ()
            kept += [Entry(e.key, e.value, True) for e in brought if e.key.text not in known]
            known.update(e.key.text for e in brought)
    return tuple(kept)


def _odd_character(error: Any, text: str, first_line: int) -> Unreadable:
    before = BREAK.split(text[: getattr(error, "position", 0)])
    code = getattr(error, "character", 0)
    shown = f"U+{ord(code) if isinstance(code, str) else code:04X}"
    spot = Spot(first_line + len(before) - 1, len(before[-1]) + 1)
    return Unreadable(f"the character {shown} has no place in YAML", spot)


def _yaml() -> Any:
    """PyYAML. Raises UsageError where it is not installed."""
    try:
        import yaml  # 20 ms
    except ImportError:
        raise UsageError(
            "kdiag reads YAML with PyYAML, which is not installed: pip install PyYAML"
        ) from None
    return yaml
