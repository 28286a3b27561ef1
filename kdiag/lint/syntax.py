"""Repairs text that is not YAML because of tabs, brackets, quotes or missing blanks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kdiag.lint.reader import Unreadable, document, split
from kdiag.lint.tree import Items, Map, Node, Scalar, Spot

_MOST = 5  # lines that are put right one after the other
_NEAR = 3  # lines above the one where the parser gave up
_TAB_WIDTHS = (2, 4, 8)
_FIELD = r"([ ]*(?:- +)*[\w./$-]+):"
_HOST = r"[\w*][\w.:*-]*"
# (what the line is like, what it becomes, what is wrong)
_LINES = (
    (rf"{_FIELD}[ ]+-[ ]+([\"']?{_HOST}[\"']?)[ ]*(#.*)?\Z", r"\1: [\2] \3",
     "a list on the line of its field is written in brackets"),
    (rf"{_FIELD}[ ]*\[((?:[^\[\]{{}}#\"']|\"[^\"]*\"|'[^']*')*?),?[ ]*(#.*)?\Z", r"\1: [\2] \3",
     "the bracket is not closed"),
    (rf"{_FIELD}[ ]+\"([^\"#]*[^\"# ])[ ]*\Z", r'\1: "\2"', "the quote is not closed"),
    (rf"{_FIELD}[ ]+'([^'#]*[^'# ])[ ]*\Z", r"\1: '\2'", "the quote is not closed"),
    (rf"{_FIELD}(?!//)([^\s:].*)\Z", r"\1: \2", "there is no blank behind the colon"),
    (rf"([ ]*)-({_HOST})[ ]*(#.*)?\Z", r"\1- \2 \3", "there is no blank behind the dash"),
    (rf"([ ]*)({_HOST}\.\w+)[ ]*(#.*)?\Z", r"\1- \2 \3", "the dash of this item is missing"),
)  # fmt: skip
_PATTERNS = tuple((re.compile(shape), new, message) for shape, new, message in _LINES)
_BLOCK = re.compile(r"[^#]*[|>][+-]?[0-9]?[ \t]*(#.*)?$")


@dataclass(frozen=True)
class Rewritten:
    """The place of a repaired line, and what was wrong with it."""

    spot: Spot
    message: str


@dataclass(frozen=True)
class ReadableText:
    """A repaired text, its repaired lines, and by how many columns each line moved to the right."""

    text: str
    lines: tuple[Rewritten, ...]
    shifts: Mapping[int, int]


def readable(text: str, first_line: int, error: Unreadable) -> ReadableText | None:
    """The repaired text, None if repairing a few lines is not enough."""
    made: list[Rewritten] = []
    shifts: dict[int, int] = {}
    lines = split(text)
    for _ in range(_MOST):
        at = error.spot.line - first_line
        found = _without_tabs(lines, first_line, shifts) if _tabs(lines) else _line(lines, at)
        if found is None:
            return None
        lines, changed = found
        made += [Rewritten(Spot(n + first_line, column), message) for n, column, message in changed]
        try:
            document("".join(lines), first_line)
        except Unreadable as next_error:
            error = next_error
            continue
        return ReadableText("".join(lines), tuple(made), shifts)
    return None


_Changed = tuple[list[str], list[tuple[int, int, str]]]  # lines; number, column and words of each


def _line(lines: list[str], at: int) -> _Changed | None:
    """Repairs one line, the nearest at or above a place that can be repaired."""
    for number in range(min(at, len(lines) - 1), max(at - _NEAR, 0) - 1, -1):
        body = lines[number].rstrip("\r\n")
        if body.lstrip().startswith("#"):
            continue
        for shape, new, message in _PATTERNS:
            match = shape.match(body)
            changed = match.expand(new).rstrip() if match else body
            if match and changed != body:
                ending = lines[number][len(body) :]
                whole = [*lines[:number], changed + ending, *lines[number + 1 :]]
                if _further(whole, lines):
                    column = len(body) - len(body.lstrip()) + 1
                    return whole, [(number, column, message)]
    return None


def _further(lines: list[str], before: list[str]) -> bool:
    """Whether the parser gets further than before."""
    return _end(lines) > _end(before)


def _end(lines: list[str]) -> Spot:
    try:
        document("".join(lines))
    except Unreadable as error:
        return error.spot
    return Spot(len(lines) + 1, 1)


def _tabs(lines: list[str]) -> list[int]:
    """The numbers of lines with tabs in the indentation, without those of block scalars."""
    return [number for number, line in _outside_blocks(lines) if "\t" in _margin(line)]


def _without_tabs(lines: list[str], first: int, shifts: dict[int, int]) -> _Changed | None:
    """Replaces tabs by spaces; None if no tab width makes the text YAML, or if several give
    different texts."""
    numbers = _tabs(lines)
    made = list(dict.fromkeys(tuple(_expanded(lines, numbers, width)) for width in _TAB_WIDTHS))
    fits: dict[str, tuple[str, ...]] = {}
    for text in made:
        try:
            root, _ = document("".join(text))
        except Unreadable:
            continue
        fits.setdefault(_outline(root), text)
    if len(fits) != 1:
        return None
    (found,) = fits.values()
    for number in numbers:
        shifts[number + first] = len(found[number]) - len(lines[number])
    message = "this line is indented with a tab: YAML takes spaces only"
    return list(found), [(number, 1, message) for number in numbers]


def _outline(root: Node | None) -> str:
    """The content of a tree without places."""
    if isinstance(root, Scalar):
        return repr(root.text)
    if isinstance(root, Map):
        fields = [f"{e.key.text}:{_outline(e.value)}" for e in root.entries]
        return f"{{{','.join(fields)}}}"
    return f"[{','.join(map(_outline, root.items))}]" if isinstance(root, Items) else ""


def _expanded(lines: list[str], numbers: list[int], width: int) -> list[str]:
    found = list(lines)
    for number in numbers:
        margin = _margin(lines[number])
        found[number] = margin.expandtabs(width) + lines[number][len(margin) :]
    return found


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _outside_blocks(lines: list[str]) -> Iterator[tuple[int, str]]:
    """The lines with content, without those of block scalars (`

    `, `>`).
    """
    block: int | None = None
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip(" "))
        if block is not None and indent > block:
            continue
        block = indent if _BLOCK.match(line.rstrip("\r\n")) and ":" in line else None
        yield number, line
