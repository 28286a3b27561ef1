"""Listeners of Strimzi before 0.20, a mapping by name, converted to the items of a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kdiag.lint.edit import Edit, Edits
from kdiag.lint.tree import Entry, Map, Scalar, Spot, entries, is_null, number, text

KEYED = "by name"  # how a fix of this kind is marked

# Of a listener that does not say it: port, type, tls.
# Source: ListenersConvertor of the cluster operator, 0.22.
_DEFAULTS: Mapping[str, tuple[str, str, str]] = {
    "plain": ("9092", "internal", "false"),
    "tls": ("9093", "internal", "true"),
    "external": ("9094", "", "true"),
}


@dataclass(frozen=True, eq=False)
class KeyedListener:
    """One listener of the mapping: its entry, its fields, and the fields that an item needs in
    addition."""

    entry: Entry
    body: Map
    lacks: tuple[tuple[str, str], ...]

    @property
    def item(self) -> Map:
        """The listener as an item of a list."""
        start = self.entry.key.start
        made = []
        for name, value in self.lacks:
            plain = {"true": True, "false": False}.get(
                value, int(value) if value.isdecimal() else value
            )
            key = Scalar(name, name, start, start)
            made.append(Entry(key, Scalar(value, plain, start, start)))
        return Map(start, (*made, *self.body.entries))

    def edits(self) -> Edits:
        """The edits that convert the entry to an item."""
        key, value = self.entry.key, self.entry.value
        first, *rest = [f"{name}: {value_text}" for name, value_text in self.lacks]
        colon = Spot(key.end.line, key.end.column + 1)
        if isinstance(value, Map) and value.closed and value.entries:
            inside = Spot(value.start.line, value.start.column + 1)
            return (Edit(key.start, inside, f"- {{{', '.join((first, *rest))}, "),)
        if not self.body.entries:
            end = value.closed if isinstance(value, Map) and value.closed else colon
            margin = " " * (key.start.column + 1)
            lines = "".join(f"\n{margin}{each}" for each in rest)
            return (Edit(key.start, end, f"- {first}{lines}"),)
        gap = self.body.start.column - key.start.column
        margin = " " * (self.body.start.column - 1)
        top = Spot(self.body.start.line, 1)
        lines = "".join(f"{margin}{each}\n" for each in rest)
        named = Edit(key.start, colon, f"-{' ' * (gap - 1)}{first}")
        return (named, Edit(top, top, lines)) if rest else (named,)


def items_of(node: Map) -> list[KeyedListener] | None:
    """The listeners of such a mapping; None for another mapping, or if required fields are not
    known."""
    found = list(_listeners(node))
    ports = {text(each.item, "port") for each in found}
    whole = found and len(found) == len(node.entries) and len(ports) == len(found)
    return found if whole and not node.closed else None


def _listeners(node: Map) -> Iterator[KeyedListener]:
    for listener in node.entries:
        name, value = listener.key.text, listener.value
        flat = Map(value.start)
        if not is_null(value) and not isinstance(value, Map):
            return
        body = value if isinstance(value, Map) else flat
        nested = body.entries and not body.closed
        apart = (
            body.start.line > listener.key.start.line
            and body.start.column > listener.key.start.column + 1
        )
        if listener.merged or not re.fullmatch(r"[a-z0-9]{1,11}", name) or (nested and not apart):
            return
        names = {x.key.text for x in entries(body)}
        known = _DEFAULTS.get(name, ("", "", ""))
        fields = [("name", name), *zip(("port", "type", "tls"), known, strict=True)]
        lacks = tuple((key, default) for key, default in fields if key not in names)
        if all(default for _, default in lacks) and ("port" not in names or number(body, "port")):
            yield KeyedListener(listener, body, lacks)
