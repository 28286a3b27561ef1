"""Strimzi's own schema of its resources, and how a document differs from it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from kdiag.lint.reader import resolved
from kdiag.lint.tree import Entry, Items, Map, Node, Scalar, is_null

Schema = Mapping[str, Any]
Path_ = tuple[str, ...]  # keys; "[]" for the items of a list

# Kubernetes' own part of every resource, which a custom resource's schema leaves out.
_STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": _STRINGS,
        "annotations": _STRINGS,
    },
    "x-kubernetes-preserve-unknown-fields": True,
}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_LONGEST = 100  # characters of a name that is a slip of another
_MOST_SLIPS = 100  # fields of one mapping that are looked up; what has more is of another kind
_MANY = 8  # allowed values, or fields, that are named
_LIST = "a list, each item with a dash"


class Flaw(Enum):
    """In what a document differs from its schema."""

    UNKNOWN = "unknown"  # a field that is nowhere
    MISPLACED = "misplaced"  # a field that is elsewhere
    TYPE = "type"
    VALUE = "value"  # not among those allowed, out of range, of another form
    MISSING = "missing"


@dataclass(frozen=True)
class Deviation:
    """One difference: `node` has it, at `path`. `key` is the field, `entry` it with its value, and
    `parent` the mapping that it stands in.

    `expected` says in words what the schema wants; `near` is what was probably meant; `homes` are
    the paths where a misplaced field belongs.
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


@cache
def resource(kind: str) -> Schema:
    """The schema of a Kafka or a KafkaNodePool."""
    schema = _data()["kinds"][kind]["schema"]
    return {**schema, "properties": {**schema["properties"], "metadata": _METADATA}}


def api_version(kind: str) -> str:
    """The version that the schema is of: kafka.strimzi.io/v1."""
    found: str = _data()["kinds"][kind]["apiVersion"]
    return found


def strimzi_version() -> str:
    """The version of Strimzi that the schema is of: 1.2."""
    found: str = _data()["strimzi"]
    return found.removesuffix(".0")


def known_kinds() -> tuple[str, ...]:
    """The kinds that there is a schema of."""
    return ("Kafka", "KafkaNodePool")


@cache
def _data() -> Any:
    return json.loads((Path(__file__).parent / "data/strimzi.json").read_text("utf-8"))


def deviations(kind: str, root: Node) -> list[Deviation]:
    """Every difference between a resource and its schema, in the order of the text."""
    found = _differences(root, resource(kind), (), kind)
    return sorted(found, key=lambda each: each.node.start)


def meant(root: Node, found: Iterable[Deviation]) -> Node:
    """The resource as if every slip with a near match were put right, all in their places: so that
    a mistyped field is one mistake, and not also a missing one."""
    near = {id(each.entry or each.node): each.near for each in found if each.near}
    return _meant(root, near) if near else root


def _meant(node: Node, near: Mapping[int, str]) -> Node:
    said = near.get(id(node), "")
    if said.startswith(("[", "- ")):
        return Items(node.start, (_meant(node, {**near, id(node): ""}),))
    if isinstance(node, Scalar):
        if not said:
            return node
        plain = resolved(said)
        unquoted = said.strip('"')
        value = plain if unquoted == said else unquoted
        return Scalar(unquoted, value, node.start, node.end, node.plain, node.block)
    if isinstance(node, Items):
        return Items(node.start, tuple(_meant(each, near) for each in node.items), node.closed)
    entries = []
    for each in node.entries:
        key = each.key
        if id(each) in near:
            name = near[id(each)]
            key = Scalar(name, name, key.start, key.end, key.plain)
        entries.append(Entry(key, _meant(each.value, near), each.merged))
    return Map(node.start, tuple(entries), node.closed)


def allowed(schema: Schema, key: str) -> Schema | None:
    """The schema of a field, None where there is no such field."""
    field = schema.get("properties", {}).get(key)
    if field is not None:
        return field  # type: ignore[no-any-return]
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        return more
    return {} if is_open(schema) else None


def is_open(schema: Schema) -> bool:
    """Whether it takes fields that it does not name."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("additionalProperties"):
        return True
    return "properties" not in schema and "items" not in schema and schema.get("type") == "object"


def near_to(name: str, names: Iterable[str]) -> str:
    """The one of these that a mistyped name resembles, "" where none does."""
    return _near(name, tuple(names)) if len(name) <= _LONGEST else ""


@lru_cache(maxsize=4096)
def _near(name: str, names: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # only where something was written wrongly

    lowered = {each.lower(): each for each in names}
    close = get_close_matches(name.lower(), lowered, n=1, cutoff=0.75)
    return lowered[close[0]] if close else ""


def _differences(node: Node, schema: Schema, path: Path_, kind: str) -> Iterator[Deviation]:
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
            return
        if len(node.items) < schema.get("minItems", 0):
            yield Deviation(Flaw.VALUE, node, path, expected="at least one item")
        for each in node.items:
            yield from _differences(each, schema.get("items", {}), (*path, "[]"), kind)
    elif wanted in _TYPES:
        yield from _scalar(node, schema, path)


def _listed(node: Node, item: Schema) -> str:
    """How the only item of a list is to be written, "" where it is not one."""
    if isinstance(node, Scalar):
        fits = item.get("type") == "string" and not node.block and "\n" not in node.text
        return f"[{json.dumps(node.text)}]" if fits else ""
    fits = isinstance(node, Map) and not node.closed and item.get("type") == "object"
    return "- " if fits else ""


def _object(node: Node, schema: Schema, path: Path_, kind: str) -> Iterator[Deviation]:
    if not isinstance(node, Map):
        yield Deviation(Flaw.TYPE, node, path, expected="a mapping of fields")
        return
    taken = {each.key.text: each.value for each in reversed(node.entries)}
    strays = 0
    for each in node.entries:
        below = allowed(schema, each.key.text)
        if below is not None:
            yield from _differences(each.value, below, (*path, each.key.text), kind)
        elif not each.merged:
            strays += 1
            if strays > _MOST_SLIPS:
                yield Deviation(Flaw.UNKNOWN, each.key, path, each.key.text, each, node)
            else:
                yield _stray(each, node, taken, schema, path, kind)
    for key in schema.get("required", ()):
        if is_null(taken.get(key)):
            yield Deviation(Flaw.MISSING, node, path, key=key, parent=node)


def _stray(
    entry: Entry, parent: Map, taken: Collection[str], schema: Schema, path: Path_, kind: str
) -> Deviation:
    """A field that has no place there: a slip of the pen, or at home elsewhere."""
    name = entry.key.text
    near = near_to(name, [key for key in schema.get("properties", {}) if key not in taken])
    homes = () if near.lower() == name.lower() else _homes(kind, name, path)
    if homes:
        return Deviation(
            Flaw.MISPLACED, entry.key, path, name, entry, parent, near=near, homes=homes
        )
    if not near:
        spelt = near_to(name, [key for key in _names(kind) if len(key) > 3])
        homes = _homes(kind, spelt, path) if spelt else ()
        if homes:
            return Deviation(
                Flaw.MISPLACED, entry.key, path, name, entry, parent, near=spelt, homes=homes
            )
    has = list(schema.get("properties", {}))
    expected = ", ".join(f"`{key}`" for key in has) if len(has) <= _MANY and not near else ""
    return Deviation(
        Flaw.UNKNOWN, entry.key, path, name, entry, parent, expected=expected, near=near
    )


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


def _as(text: str, wanted: str) -> str:
    """How the value is to be written so that it is of the wanted type, "" where it cannot be."""
    if wanted == "string":
        return json.dumps(text)
    if wanted == "boolean":
        lowered = text.strip().lower()
        return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(
            lowered, lowered if lowered in ("true", "false") else ""
        )
    stripped = text.strip()
    return stripped if re.fullmatch(r"-?(0|[1-9][0-9]{0,11})", stripped) else ""


@cache
def _fields(kind: str) -> Mapping[str, tuple[Path_, ...]]:
    """Where each field of a resource's spec is: the paths of what holds it."""
    found: dict[str, list[Path_]] = {}
    ahead: list[tuple[Path_, Schema]] = [(("spec",), resource(kind)["properties"]["spec"])]
    found["spec"] = [()]
    for path, schema in ahead:  # grows as it goes
        if "template" in path or "affinity" in path:  # Kubernetes' own, deep and wide
            continue
        for name, below in schema.get("properties", {}).items():
            found.setdefault(name, []).append(path)
            ahead.append(((*path, name), below))
        if "items" in schema:
            ahead.append(((*path, "[]"), schema["items"]))
    return {name: tuple(paths) for name, paths in found.items()}


def _names(kind: str) -> list[str]:
    return list(_fields(kind))


def _homes(kind: str, name: str, path: Path_) -> tuple[Path_, ...]:
    """The places nearest to `path` that have a field of this name."""

    def shared(home: Path_) -> int:
        same = 0
        for one, other in zip(home, path, strict=False):
            if one != other:
                break
            same += 1
        return same

    homes = [home for home in _fields(kind).get(name, ()) if home != path]
    most = max(map(shared, homes), default=0)
    near = [home for home in homes if shared(home) == most and most > 0]
    return tuple(near) if len(near) <= 3 else ()
