"""Mis-indented YAML → the shape that was meant, by the schema of the resource.

Every line goes to the innermost place that is still open, has such a field and has not got it yet.
Where its indentation leads to one that takes it, that is the place. Lines keep their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from kdiag.lint.aliases import known_as
from kdiag.lint.reader import MAX_DEPTH, split
from kdiag.lint.schema import Model, Schema, allowed, is_open, resource
from kdiag.lint.slips import near_to
from kdiag.lint.tree import Spot

_LINE = re.compile(r"([ \t]*)((?:-[ \t]+)*)(.*)\Z", re.DOTALL)
_KEY = re.compile(r"""("[^"]*"|'[^']*'|[\w./$-]+)[ \t]*:(?:[ \t]+(.*)|)\Z""", re.DOTALL)
_BLOCK = re.compile(r"[|>][+-]?[0-9]?[+-]?[ \t]*(#.*)?\Z")
_STEP = 2
_SETTINGS = "under `config`"
_MOST_MOVED, _MOST_GUESSES = 200, 1000  # lines that stand wrongly, names that are mistyped
_LONGEST = 200  # lines of one value in brackets


@dataclass(frozen=True)
class MovedLine:
    """A line with wrong indentation: its place, its field, where it belongs ("under `brokers`"),
    and by how many columns it moves to the right."""

    spot: Spot
    what: str
    owner: str
    by: int
    tabs: bool = False
    dash: str = ""  # "missing" before it, or "stray"


@dataclass(frozen=True)
class RepairedText:
    """A text with repaired indentation, and the lines that moved."""

    text: str
    moved: tuple[MovedLine, ...]
    shifts: dict[int, int]  # line number → characters to the right


@dataclass
class _Frame:
    """An open mapping or list, to which a line may belong."""

    schema: Schema
    is_list: bool
    owner: str
    before: int  # where its owner stood, and
    after: int  # where its owner stands now
    was: int | None = None  # where its lines stood: its first one's column
    now: int = 0
    used: set[str] = field(default_factory=set)

    @property
    def free(self) -> list[str]:
        """The fields of the schema that the mapping does not have yet."""
        return [name for name in self.schema.get("properties", {}) if name not in self.used]

    def settle(self, indent: int, least: int) -> None:
        """Takes the indentation of the first line for all lines of the frame, if that is deep
        enough."""
        if self.was is None:
            proper = indent - self.before
            self.was = indent
            self.now = self.after + (proper if proper >= least else _STEP * least)
            if proper < least:
                self.was = self.before + least

    def takes(self, key: str, indent: int, opens: bool) -> bool:
        if self.is_list or key in self.used:
            return False
        if is_open(self.schema) and key not in self.schema.get("properties", {}):
            if opens and (self.owner == _SETTINGS or self.schema.get("additionalProperties")):
                return False  # settings and labels have values, and nothing below them
            return indent > self.before and (self.was is None or indent >= self.was)
        return allowed(self.schema, key) is not None


@dataclass
class _Line:
    """The parts of a line; `more` are the lines that continue its value."""

    number: int
    indent: int  # in columns; in characters
    chars: int
    dashes: str
    key: str
    body: str
    ending: str
    opens: bool  # it has no value yet: what follows is its value
    tabs: bool
    dash: str = ""  # "missing", "stray"
    below: str = ""  # the field of the next line, where that is further in
    more: list[str] = field(default_factory=list)
    above: list[str] = field(default_factory=list)  # comments and blank lines


def repair_indentation(
    text: str, kind: Model, first_line: int = 1, dashes: bool = False
) -> RepairedText | None:
    """The text with every line at its place; None if no line moves, or if the places are not clear.
    With `dashes`, missing and extra dashes are repaired too."""
    lines, rest = _lines(text)
    if lines is None:
        return None
    made = _Mender(kind, first_line, dashes)
    for line in lines:
        if not made.place(line) or made.at_a_loss:
            return None
    if not made.moved:
        return None
    return RepairedText("".join(made.out) + "".join(rest), tuple(made.moved), made.shifts)


class _Mender:
    def __init__(self, kind: Model, first_line: int, dashes: bool) -> None:
        root = _Frame(resource(*kind), False, "to the left margin", -1, 0, was=0, now=0)
        self.frames = [root]
        self.out: list[str] = []
        self.moved: list[MovedLine] = []
        self.shifts: dict[int, int] = {}
        self.guesses = 0
        self._first, self._dashes = first_line, dashes

    @property
    def at_a_loss(self) -> bool:
        """Whether so many lines are wrong that a repair would be a guess."""
        many = len(self.moved) > _MOST_MOVED or self.guesses > _MOST_GUESSES
        return many or len(self.frames) > MAX_DEPTH

    def place(self, line: _Line) -> bool:
        """Writes a line at its place; False if there is no such place."""
        if line.dashes:
            return self._item(line)
        found = self._frame(line) if line.key else None
        if found is None:
            return self._with_dash(line)
        del self.frames[self.frames.index(found) + 1 :]
        was = found.was
        found.settle(line.indent, 1)
        self._write(
            line, found.now, found.owner, wrong=line.indent != (found.was if was is None else was)
        )
        self._open(found, line, found.now, line.indent)
        return True

    def _near(self, key: str, names: Iterable[str]) -> str:
        """The name that a misspelt one resembles, within the limit on guesses."""
        self.guesses += 1
        return near_to(key, names) if self.guesses <= _MOST_GUESSES else ""

    def _item(self, line: _Line) -> bool:
        lists = [frame for frame in self.frames if frame.is_list]
        fits = [each for each in reversed(lists) if self._item_fits(each, line.key)]
        literal = [each for each in fits if each.was == line.indent]
        fresh = [each for each in fits if each.was is None and each is self.frames[-1]]
        found = next(iter([*literal, *fresh, *fits]), None)
        if line.dashes.count("-") > 1:
            return False
        if found is None:
            return self._without_dash(line)
        del self.frames[self.frames.index(found) + 1 :]
        was = found.was
        found.settle(line.indent, 0)
        wrong = line.indent != (found.was if was is None else was)
        self._write(line, found.now, found.owner, wrong=wrong)
        if line.key:
            schema = found.schema.get("items", {})
            width = len(line.dashes)
            name = f"into the item that begins in line {line.number + self._first}"
            item = _Frame(schema, False, name, line.indent, found.now)
            item.was, item.now = line.indent + width, found.now + width
            self.frames.append(item)
            self._open(item, line, item.now, item.was)
        return True

    def _without_dash(self, line: _Line) -> bool:
        """Places a field with an extra dash, outside of any list."""
        bare = replace(line, dashes="", dash="stray", indent=line.indent + len(line.dashes))
        fits = bare.key and any(
            not x.is_list and allowed(x.schema, bare.key) is not None for x in self.frames
        )
        return self._dashes and bool(fits) and self.place(bare)

    def _with_dash(self, line: _Line) -> bool:
        """Places the first field of an item, whose dash is missing."""
        lists = [x for x in self.frames if x.is_list]
        empty = lists and lists[-1] is self.frames[-1] and line.indent >= lists[-1].before
        if not self._dashes or not line.key or not empty:
            return False
        if allowed(lists[-1].schema.get("items", {}), line.key) is None:
            return False
        back = max(line.indent - _STEP, 0)
        return self._item(replace(line, dashes="- ", dash="missing", indent=back))

    def _item_fits(self, frame: _Frame, key: str) -> bool:
        schema = frame.schema.get("items", {})
        if not key:
            return bool(schema.get("type") != "object")
        return allowed(schema, key) is not None or bool(
            self._near(key, schema.get("properties", {}))
        )

    def _frame(self, line: _Line) -> _Frame | None:
        """The mapping that a field belongs to."""
        key, indent = line.key, line.indent
        inner = list(reversed([frame for frame in self.frames if not frame.is_list]))
        fitting = [frame for frame in inner if frame.takes(key, indent, line.opens)]
        literal = [frame for frame in fitting if frame.was == indent]
        fresh = [frame for frame in fitting if frame.was is None and indent > frame.before]
        named = [x for x in inner if known_as(key, x.free, line.below)]
        here = [frame for frame in named if frame.was == indent]
        for found in (*fresh[:1], *literal, *here, *fitting, *named):
            return found
        near = [frame for frame in inner if self._near(key, frame.free)]
        here = [frame for frame in near if frame.was == indent]
        return next(iter([*here, *near, *(frame for frame in inner if frame.was == indent)]), None)

    def _open(self, frame: _Frame, line: _Line, now: int, was: int) -> None:
        """Adds the frame of the value that may follow a line."""
        frame.used.add(line.key)
        below = allowed(frame.schema, line.key)
        if below is None:
            near = known_as(line.key, frame.free, line.below) or self._near(line.key, frame.free)
            below = allowed(frame.schema, near) if near else {}
            frame.used.add(near)
        if line.opens:
            is_list = (below or {}).get("type") == "array"
            schema = below or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            self.frames.append(_Frame(schema, is_list, f"under `{line.key}`", was, now))

    def _write(self, line: _Line, now: int, owner: str, wrong: bool) -> None:
        shift = now - line.indent
        number = line.number + self._first
        if wrong or line.tabs or line.dash:
            spot = Spot(number, line.chars + 1)
            what = line.key or line.body
            self.moved.append(MovedLine(spot, what, owner, shift, line.tabs, line.dash))
        for above in line.above:
            self.out.append(_shifted(above, shift if above.strip() else 0))
        self.out.append(" " * now + line.dashes + line.body + line.ending)
        self.out += [_shifted(each, shift) for each in line.more]
        for each in range(number, number + 1 + len(line.more)):
            self.shifts[each] = now - line.chars


def _shifted(line: str, shift: int) -> str:
    """A line moved to the right, or to the left up to the margin."""
    if shift >= 0 or not line.strip():
        return " " * shift + line if line.strip() else line
    free = len(line) - len(line.lstrip(" "))
    return line[min(-shift, free) :]


def _lines(text: str) -> tuple[list[_Line] | None, list[str]]:
    """The lines of a document; None if a value does not end."""
    found: list[_Line] = []
    above: list[str] = []
    raw = split(text)
    at = 0
    while at < len(raw):
        line = _line(at, raw[at])
        at += 1
        if line is None:
            above.append(raw[at - 1])
            continue
        line.above, above = above, []
        end = _continued(line, raw, at)
        if end is None or not (line.key or line.dashes):
            return None, []
        line.more = raw[at:end]
        at = end
        if found and line.indent > found[-1].indent:
            found[-1].below = line.key
        found.append(line)
    return found, above


def _line(number: int, content: str) -> _Line | None:
    """The parts of a line; None for a comment, a blank line or a document marker."""
    text = content.rstrip(" \t\r\n\x85\u2028\u2029")
    match, ending = _LINE.match(text), content[len(text) :]
    if match is None:
        return None
    indent, dashes, body = match.groups()
    if body == "-":
        dashes, body = "-", ""
    if (
        (not body and not dashes)
        or body.startswith(("#", "--- ", "...", "%"))
        or content.startswith("---")
    ):
        return None
    key = _KEY.match(body)
    name = key[1].strip("\"'") if key else ""
    value = (key[2] or "").strip() if key else body
    opens = bool(key) and (
        not value or value.startswith("#") or re.fullmatch(r"&\S+", value) is not None
    )
    width = len(indent.expandtabs(_STEP))
    return _Line(number, width, len(indent), dashes, name, body, ending, opens, "\t" in indent)


def _continued(line: _Line, raw: list[str], at: int) -> int | None:
    """The number of the line after the value of a line, which may be a block scalar, or have open
    brackets or quotes; None if the value does not end."""
    key = _KEY.match(line.body)
    value = (key[2] or "") if key else line.body
    if _BLOCK.match(value):
        end = at
        for number in range(at, len(raw)):
            stripped = raw[number].lstrip(" ")
            if not stripped.strip():
                continue
            if len(raw[number]) - len(stripped) <= line.indent:
                break
            end = number + 1
        return end
    if not value.startswith(("[", "{", '"', "'")):
        return at
    for end in range(at, min(len(raw), at + _LONGEST) + 1):
        if _is_whole("".join([value, *raw[at:end]])):
            return end
    return None


def _is_whole(text: str) -> bool:
    """Whether a text closes all its brackets and quotes."""
    bare = re.sub(r"""'[^']*'|"(?:\\.|[^"\\])*\"""", "", text, flags=re.DOTALL)
    bare = re.sub(r"(?<=\s)#.*", "", bare)
    if re.match(r"""\s*['"]""", bare):
        return False
    return sum(map(bare.count, "[{")) <= sum(map(bare.count, "]}"))
