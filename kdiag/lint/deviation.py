"""Compares a resource with its schema, and finds what was intended."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from kdiag.lint.aliases import old_name
from kdiag.lint.broker import is_variable
from kdiag.lint.keyed import KEYED, items_of
from kdiag.lint.reader import resolved
from kdiag.lint.resources import bare, certifiable
from kdiag.lint.schema import Model, Path_, Schema, allowed, at, field_names, homes_of, resource
from kdiag.lint.slips import converted, near_to
from kdiag.lint.tree import Entry, Items, Map, Node, Scalar, Spot, entries, is_null

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_MOST_SLIPS = 100  # fields of one mapping that are looked up; what has more is of another kind
_MANY = 8  # allowed values, or fields, that are named
UNDASHED = "no dash"  # how a fix of this kind is marked
_SETTINGS = ("spec", "kafka", "config")
_LIST = "a list, each item with a dash"


class Flaw(Enum):
    """The kind of a difference from the schema."""

    UNKNOWN = "unknown"  # a field that is nowhere
    MISPLACED = "misplaced"  # a field that is elsewhere
    TYPE = "type"
    VALUE = "value"  # not among those allowed, out of range, of another form
    MISSING = "missing"
    SPLIT = "split"  # an item of a list that is a part of the item before it


@dataclass(frozen=True)
class Deviation:
    """One difference: `node` has it, at `path`. `key` is the field, `entry` it with its value, and
    `parent` the mapping that it stands in.

    `expected` says in words what the schema wants; `near` is what was meant, as it is to be
    written, and `value` the value that goes with it, "" for the one that it has; `homes` are the
    paths where a misplaced field belongs.
    """

    flaw: Flaw
    node: Node
    path: Path_
    key: str = ""
    entry: Entry | None = None
    parent: Map | None = None
    expected: str = ""
    near: str = ""
    homes: tuple[Path_, ...] = ()
    value: str = ""
    gone: bool = False  # v1beta2 has it, v1 has not


_NOTHING = Deviation(Flaw.VALUE, Map(Spot(1, 1)), ())


def deviations(kind: Model, root: Node) -> list[Deviation]:
    """Every difference between a resource and its schema, in the order of the text."""
    found = _differences(root, resource(*kind), (), kind)
    return sorted(found, key=lambda each: each.node.start)


def meant(root: Node, found: Iterable[Deviation]) -> Node:
    """The resource with every deviation corrected whose correction is known, at the original
    places, so that a misspelt field is not reported as a missing field as well."""
    near = {id(x.entry or x.node): x for x in found if x.near or x.flaw is Flaw.SPLIT}
    return _meant(root, near) if near else root


def _meant(node: Node, near: Mapping[int, Deviation]) -> Node:
    found = near.get(id(node))
    correction = found.near if found else ""
    if correction.startswith(("[", "- ")):
        if correction.startswith("[") and isinstance(node, Scalar):
            words = json.loads(correction)
            return Items(node.start, tuple(Scalar(x, x, node.start, node.end) for x in words))
        return Items(node.start, (_meant(node, {**near, id(node): _NOTHING}),))
    if correction == KEYED and isinstance(node, Map):
        listed = tuple(_meant(each.item, near) for each in items_of(node) or ())
        return Items(node.start, listed)
    if correction == UNDASHED and isinstance(node, Items):
        return _meant(node.items[0], near)
    if isinstance(node, Scalar):
        if not correction:
            return node
        plain = resolved(correction)
        unquoted = correction.strip('"')
        value = plain if unquoted == correction else unquoted
        return Scalar(unquoted, value, node.start, node.end, node.plain, node.block)
    if isinstance(node, Items):
        return Items(node.start, tuple(_joined_items(node, near)), node.closed)
    fields = []
    for field in node.entries:
        key, slip = field.key, near.get(id(field))
        if slip:
            key = Scalar(slip.near, slip.near, key.start, key.end, key.plain)
        fields.append(Entry(key, _meant(field.value, near), field.merged))
    return Map(node.start, tuple(fields), node.closed)


def _joined_items(node: Items, near: Mapping[int, Deviation]) -> Iterator[Node]:
    """The items of a list; parts of a split item are joined."""
    open_: Node | None = None
    for item in node.items:
        made = _meant(item, near)
        slip = near.get(id(item))
        if slip and slip.flaw is Flaw.SPLIT and isinstance(open_, Map) and isinstance(made, Map):
            open_ = Map(open_.start, (*open_.entries, *made.entries))
            continue
        if open_ is not None:
            yield open_
        open_ = made
    if open_ is not None:
        yield open_


def _differences(node: Node, schema: Schema, path: Path_, kind: Model) -> Iterator[Deviation]:
    if not schema or is_null(node):
        return
    wanted = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(node, Scalar):
            yield Deviation(Flaw.TYPE, node, path, expected="a number or text")
    elif wanted == "object":
        yield from _object(node, schema, path, kind)
    elif wanted == "array":
        if not isinstance(node, Items):
            near = _listed(node, schema.get("items", {}))
            yield Deviation(Flaw.TYPE, node, path, expected=_LIST, near=near)
            # What is in it is judged as it is meant.
            listed = items_of(node) if near == KEYED and isinstance(node, Map) else None
            parts: list[Node] = [x.body for x in listed or ()]
            parts += [node] * (near == "- ")
            for part in parts:
                yield from _below(part, schema.get("items", {}), (*path, "[]"), kind, listed)
            return
        if len(node.items) < schema.get("minItems", 0):
            yield Deviation(Flaw.VALUE, node, path, expected="at least one item")
        item = schema.get("items", {})
        for first, *parts in _whole_items(node, item):
            yield from (Deviation(Flaw.SPLIT, part, (*path, "[]")) for part in parts)
            whole = [x for part in (first, *parts) for x in entries(part)] if parts else []
            one = Map(first.start, tuple(whole)) if parts else first
            yield from _differences(one, item, (*path, "[]"), kind)
    elif wanted in _TYPES:
        yield from _scalar(node, schema, path)


def _whole_items(node: Items, item: Schema) -> Iterator[Sequence[Node]]:
    """The items of a list, each as its parts. Several items are parts of one if some lack required
    fields and all have them after joining neighbours with different fields."""
    alone = [[each] for each in node.items]
    required = set(item.get("required", ()))
    fields = [{each.key.text for each in entries(part)} for part in node.items]
    if node.closed or not required or all(required <= have for have in fields):
        return iter(alone)
    joined: list[list[Node]] = []
    taken: set[str] = set()
    for part, have in zip(node.items, fields, strict=True):
        if not isinstance(part, Map) or part.closed or not have:
            return iter(alone)
        if not joined or have & taken:
            if joined and not required <= taken:
                return iter(alone)
            joined.append([])
            taken = set()
        joined[-1].append(part)
        taken |= have
    return iter(joined if required <= taken and len(joined) < len(alone) else alone)


def _listed(node: Node, item: Schema) -> str:
    """The value written as a list, "" if it cannot be one."""
    if isinstance(node, Scalar):
        if item.get("type") != "string" or node.block:
            return ""
        words = [word for word in re.split(r"[\s,;\[\]\"']+", node.text) if word.strip("-")]
        hosts = [word.removeprefix("-") for word in words]
        if not hosts or not all(re.fullmatch(r"[\w*][\w-]*([.:][\w-]*)+", each) for each in hosts):
            hosts = [node.text] if "\n" not in node.text else []
        return f"[{', '.join(map(json.dumps, hosts))}]" if hosts else ""
    if not isinstance(node, Map) or item.get("type") != "object":
        return ""
    names = {each.key.text for each in node.entries}
    if "tls" in item.get("properties", {}) and items_of(node):
        return KEYED
    fields = item.get("properties", {})
    fits = any(name in fields or near_to(name, fields) for name in names)
    return "- " if fits and not node.closed else ""


def _as_mapping(node: Node, schema: Schema) -> str:
    """The value written as a mapping, "" if it cannot be one."""
    if isinstance(node, Items):
        fields = entries(node.items[0]) if len(node.items) == 1 and not node.closed else ()
        fits = all(allowed(schema, each.key.text) is not None for each in fields)
        return UNDASHED if fields and fits else ""
    found = re.match(r"(\w+):(?=[^\s/])", node.text) if isinstance(node, Scalar) else None
    if not found or not isinstance(node, Scalar) or allowed(schema, found[1]) is None:
        return ""
    # There is no blank behind the colon.
    return f"{found[0]} {node.text[found.end() :]}" if node.plain and not node.block else ""


def _object(node: Node, schema: Schema, path: Path_, kind: Model) -> Iterator[Deviation]:
    if not isinstance(node, Map):
        near = _as_mapping(node, schema)
        yield Deviation(Flaw.TYPE, node, path, expected="a mapping of fields", near=near)
        if near == UNDASHED and isinstance(node, Items):
            yield from _differences(node.items[0], schema, path, kind)
        return
    taken = {each.key.text for each in node.entries}
    given = {each.key.text for each in node.entries if not is_null(each.value)}
    strays, meant_for = 0, set()
    for field in node.entries:
        below = allowed(schema, field.key.text)
        if path == _SETTINGS and not isinstance(field.value, Scalar):
            homes = homes_of(kind, field.key.text, path)
            flaw = Flaw.MISPLACED if homes else Flaw.TYPE
            at_fault = field.key if homes else field.value
            yield Deviation(
                flaw,
                at_fault,
                (*path, field.key.text) if not homes else path,
                field.key.text if homes else "",
                field if homes else None,
                node,
                expected="a single value",
                homes=homes,
            )
        elif below is not None:
            yield from _differences(field.value, below, (*path, field.key.text), kind)
        elif not field.merged:
            strays += 1
            if strays > _MOST_SLIPS:
                yield Deviation(Flaw.UNKNOWN, field.key, path, field.key.text, field, node)
                continue
            stray = _stray(field, node, taken, schema, path, kind)
            yield stray
            meant_for.add("" if stray.homes else stray.near)
            home = (stray.homes or (path,))[0]
            name = stray.near or (field.key.text if stray.homes else "")
            meant_ = at((*home, name), kind) if name and not stray.value else None
            if meant_ and not isinstance(field.value, Scalar):
                yield from _differences(field.value, meant_, (*home, name), kind)
    for key in schema.get("required", ()):
        if key not in given and key not in meant_for:
            yield Deviation(Flaw.MISSING, node, path, key=key, parent=node)


def _below(
    node: Node, schema: Schema, path: Path_, kind: Model, keyed: object
) -> Iterator[Deviation]:
    """The deviations of one item. A keyed item misses nothing: its name is its key."""
    found = _differences(node, schema, path, kind)
    return (x for x in found if not (keyed and x.flaw is Flaw.MISSING and x.node is node))


def _stray(
    entry: Entry, parent: Map, taken: Collection[str], schema: Schema, path: Path_, kind: Model
) -> Deviation:
    """The deviation for a field that the schema does not have here: misspelt, renamed or
    misplaced."""
    name, fields = entry.key.text, schema.get("properties", {})
    free = {key: below for key, below in fields.items() if key not in taken}
    old = old_name(path, entry)
    if old and old[0] in free:
        return Deviation(
            Flaw.UNKNOWN, entry.key, path, name, entry, parent, near=old[0], value=old[1]
        )
    value_text = entry.value.text if isinstance(entry.value, Scalar) else ""
    near, value = converted(name, value_text, free)
    if not near and kind[1] == "v1" and at((*path, name), (kind[0], "v1beta2")) is not None:
        return Deviation(Flaw.UNKNOWN, entry.key, path, name, entry, parent, gone=True)
    near = near or near_to(name, free)
    if near and not _fits(entry.value, free[near]):
        near = ""
    certain = value or near.lower() == name.lower()
    homes = () if certain else homes_of(kind, name, path)
    spelt = near
    if not near and not homes:
        spelt = near_to(name, [key for key in field_names(kind) if len(key) > 3])
        homes = homes_of(kind, spelt, path) if spelt else ()
    if homes:
        return Deviation(
            Flaw.MISPLACED, entry.key, path, name, entry, parent, near=spelt, homes=homes
        )
    few = ", ".join(f"`{key}`" for key in fields) if len(fields) <= _MANY and not near else ""
    return Deviation(
        Flaw.UNKNOWN, entry.key, path, name, entry, parent, expected=few, near=near, value=value
    )


def _fits(value: Node, schema: Schema) -> bool:
    """Whether a value is a mapping, a list or a scalar as the schema of a field demands."""
    if is_null(value) or not schema or schema.get("x-kubernetes-int-or-string"):
        return True
    shapes = {"object": Map, "array": Items}
    return isinstance(value, shapes.get(schema.get("type", ""), Scalar))


def _scalar(node: Node, schema: Schema, path: Path_) -> Iterator[Deviation]:
    wanted = schema["type"]
    words = {"string": "text", "integer": "a whole number", "number": "a number"}
    expected = words.get(wanted, "true or false")
    if not isinstance(node, Scalar):
        yield Deviation(Flaw.TYPE, node, path, expected=expected)
        return
    value = node.value
    fits = isinstance(value, _TYPES[wanted]) and isinstance(value, bool) == (wanted == "boolean")
    if not fits:
        yield Deviation(Flaw.TYPE, node, path, expected=expected, near=_as(node.text, wanted))
        return
    enum = schema.get("enum")
    if enum and value not in enum:
        shown = ", ".join(enum[:_MANY]) + (", …" if len(enum) > _MANY else "")
        near = near_to(node.text, list(enum))
        yield Deviation(Flaw.VALUE, node, path, expected=f"one of {shown}", near=near)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and value < low:
            yield Deviation(Flaw.VALUE, node, path, expected=f"at least {low}")
        elif high is not None and value > high:
            yield Deviation(Flaw.VALUE, node, path, expected=f"at most {high}")
    elif "pattern" in schema and not re.search(schema["pattern"], str(value)):
        yield Deviation(Flaw.VALUE, node, path, expected=f"text of the form {schema['pattern']}")
    elif path[-2:-1] == ("alternativeNames",) and not (
        certifiable(node.text) or is_variable(node.text)
    ):
        several = bool(re.search(r"[\s,]", node.text.strip()))
        expected = "one host name or address" + ", the next one as an item of its own" * several
        near = "" if several else bare(node.text.strip())
        yield Deviation(Flaw.VALUE, node, path, expected=expected, near=near)


def _as(text: str, wanted: str) -> str:
    """The text written as a value of the wanted type, "" if that is impossible."""
    if wanted == "string":
        return json.dumps(text)
    if wanted == "boolean":
        lowered = text.strip().lower()
        return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(
            lowered, lowered if lowered in ("true", "false") else ""
        )
    stripped = text.strip()
    return stripped if re.fullmatch(r"-?(0|[1-9][0-9]{0,11})", stripped) else ""
