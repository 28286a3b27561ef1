"""Edits of a text that keep comments, order and style."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kdiag.lint.reader import resolved, split
from kdiag.lint.tree import Entry, Items, Map, Node, Scalar, Spot, entry, last_line
from kdiag.text import clean


@dataclass(frozen=True)
class Edit:
    """Replaces the text from `start` to before `end`."""

    start: Spot
    end: Spot
    text: str


Edits = tuple[Edit, ...]
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
Item = str | Sequence[tuple[str, str]]  # a value as it is written, or keys with theirs


def apply(text: str, fixes: Iterable[Edits]) -> str:
    """The text with each of these fixes, in order; one that touches another's place is left out.

    The edits of one fix belong together: all of them are made, or none. What two fixes have in
    common is made once.
    """
    lines = split(text)
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    made: dict[Edit, None] = {}
    by_line: dict[int, list[Edit]] = {}
    for edits in fixes:
        beside = [o for edit in edits for line in _lines(edit) for o in by_line.get(line, ())]
        if any(_touch(edit, other) for edit in edits for other in dict.fromkeys(beside)):
            continue
        for edit in edits:
            if edit not in made:
                made[edit] = None
                for line in _lines(edit):
                    by_line.setdefault(line, []).append(edit)
    ordered = sorted(made, key=lambda each: (each.start, each.end))
    for edit in reversed(ordered):  # from the end on; of what is put in at one place the last first
        begin, end = edit.start.line - 1, edit.end.line - 1
        head = lines[begin][: edit.start.column - 1] if begin < len(lines) else ""
        tail = lines[end][edit.end.column - 1 :] if end < len(lines) else ""
        if begin >= len(lines) and lines and not lines[-1].endswith(("\n", "\r")):
            head = "\n"  # behind a last line that does not end
        gone = edit.text == "" and edit.start.column == edit.end.column == 1
        kept = [x for line in lines[begin:end] for x in _remark(line)] if gone else []
        lines[begin : end + 1] = [*kept, *split(head + edit.text.replace("\n", ending) + tail)]
    return "".join(lines)


def comment(line: str) -> str:
    """The comment at the end of a line, "" where it has none."""
    bare = _QUOTED.sub(lambda quoted: "x" * len(quoted[0]), line)
    found = _COMMENT.search(bare)
    return line[found.start() :].rstrip() if found else ""


def _remark(line: str) -> list[str]:
    """The comment of a removed line, as a line of its own."""
    remark = comment(line)
    margin = line[: len(line) - len(line.lstrip(" "))]
    return [margin + remark + line[len(line.rstrip("\r\n")) :]] if remark else []


def diff(name: str, before: str, after: str, around: int = 3) -> str:
    """A unified diff, as patch and git apply take it, with so many lines around each change."""
    from difflib import unified_diff  # 1.4 ms

    path = clean(name.lstrip("/"))
    parts = unified_diff(split(before), split(after), f"a/{path}", f"b/{path}", n=around)
    ended = (
        part if part.endswith("\n") else f"{part}\n\\ No newline at end of file\n" for part in parts
    )
    return "".join(ended)


def replace(node: Scalar, text: str) -> Edit:
    """Replaces a value or a key."""
    return Edit(node.start, node.end, text)


def remove(parent: Map, gone: Entry) -> Edits:
    """Removes an entry; no edits for the only entry of a mapping."""
    own = [each for each in parent.entries if not each.merged]
    at = next((number for number, each in enumerate(own) if each is gone), -1)
    if at < 0 or len(own) == 1:
        return ()
    if parent.closed:
        if at:
            return (Edit(_end(own[at - 1].value), _end(gone.value), ""),)
        return (Edit(gone.key.start, own[1].key.start, ""),)
    if own[0] is gone and own[1].key.start.line > gone.key.start.line:  # it may stand behind a dash
        return (Edit(gone.key.start, own[1].key.start, ""),)
    line = last_line(gone.value) if gone.value.start >= gone.key.start else gone.key.start.line
    return (Edit(Spot(gone.key.start.line, 1), Spot(line + 1, 1), ""),)


def insert(parent: Map, key: str, value: str) -> Edits:
    """Adds an entry at the end of a mapping. A `value` of several lines begins with a line break,
    and its lines are written without the indentation of the mapping."""
    own = [each for each in parent.entries if not each.merged]
    if not own:
        return ()
    if parent.closed:
        if "\n" in value:
            return ()
        spot = _end(own[-1].value)
        return (Edit(spot, spot, f", {key}: {value}"),)
    indent = " " * (own[0].key.start.column - 1)
    value = value.replace("\n", f"\n{indent}")
    spot = Spot(last_line(parent) + 1, 1)
    gap = "" if value.startswith("\n") else " "
    return (Edit(spot, spot, f"{indent}{key}:{gap}{value}\n"),)


def put(parent: Map, key: str, value: str) -> Edits:
    """Sets a key: replaces its value, or adds an entry."""
    found = entry(parent, key)
    if found is None:
        return insert(parent, key, value)
    if not isinstance(found.value, Scalar) or found.value.block or found.merged:
        return ()
    gap = " " if found.value.start == found.value.end else ""  # a key without any value
    return (replace(found.value, gap + value),)


def append(items: Items, several: Sequence[Item]) -> Edits:
    """Adds items at the end of a list; no edits for an empty list."""
    if not items.items:
        return ()
    if items.closed:
        spot = _end(items.items[-1])
        values = [x if isinstance(x, str) else f"{{{', '.join(_fields(x))}}}" for x in several]
        return (Edit(spot, spot, "".join(f", {each}" for each in values)),)
    indent = " " * (items.start.column - 1)
    spot = Spot(last_line(items) + 1, 1)
    return (Edit(spot, spot, "".join(f"{indent}{line}\n" for line in item_lines(several))),)


def item_lines(several: Sequence[Item]) -> list[str]:
    """The items of a list, a line for each value or field."""
    return [
        f"{'  ' if number else '- '}{line}"
        for each in several
        for number, line in enumerate([each] if isinstance(each, str) else _fields(each))
    ]


def _fields(item: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{key}: {value}" for key, value in item]


def written(text: str) -> str:
    """A text as a YAML value, quoted if necessary."""
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", text) and resolved(text) == text
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def into_item(node: Map) -> Edits:
    """Makes a mapping the only item of a list: adds a dash, and indents the mapping."""
    lines = range(node.start.line, last_line(node) + 1)
    spots = [Spot(line, node.start.column) for line in lines]
    return tuple(Edit(spot, spot, "  " if number else "- ") for number, spot in enumerate(spots))


def _end(node: Node) -> Spot:
    """The place after a value on one line."""
    if isinstance(node, Scalar):
        return node.end
    if node.closed:
        return node.closed
    parts = node.items if isinstance(node, Items) else [each.value for each in node.entries]
    return _end(parts[-1]) if parts else node.start


def _lines(edit: Edit) -> range:
    """The numbers of the lines that an edit touches."""
    return range(edit.start.line, edit.end.line + 1)


def _touch(one: Edit, other: Edit) -> bool:
    if one == other:
        return False
    if one.start == one.end or other.start == other.end:  # insertions may share a place with none
        return one.start <= other.end and other.start <= one.end
    return one.start < other.end and other.start < one.end
