"""The schemas of Strimzi's resources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]
Path_ = tuple[str, ...]  # keys; "[]" for the items of a list
Model = tuple[str, str]  # a kind, and which of its schemas: v1 or v1beta2

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


def model(kind: str, version: str) -> Model:
    """The schema for a resource of this apiVersion. v1beta2, older versions and a resource without
    apiVersion have the schema of v1beta2, which accepts all that v1 accepts."""
    return kind, "v1" if version.endswith("/v1") else "v1beta2"


@cache
def resource(kind: str, version: str = "v1") -> Schema:
    """The schema of a Kafka or a KafkaNodePool."""
    schema = _data()["kinds"][kind][version]
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
    """Whether a schema accepts fields that it does not name."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("additionalProperties"):
        return True
    return "properties" not in schema and "items" not in schema and schema.get("type") == "object"


def at(path: Path_, kind: Model) -> Schema | None:
    """The schema at a path."""
    schema: Schema | None = resource(*kind)
    for step in path:
        if schema is None:
            return None
        schema = schema.get("items") if step == "[]" else allowed(schema, step)
    return schema


@cache
def _fields(kind: Model) -> Mapping[str, tuple[Path_, ...]]:
    """Where each field of a resource's spec is: the paths of what holds it."""
    found: dict[str, list[Path_]] = {}
    ahead: list[tuple[Path_, Schema]] = [(("spec",), resource(*kind)["properties"]["spec"])]
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


def field_names(kind: Model) -> list[str]:
    """Every name that a field of a resource has."""
    return list(_fields(kind))


def homes_of(kind: Model, name: str, path: Path_) -> tuple[Path_, ...]:
    """The places of a field that are nearest to `path`."""
    homes = [home for home in _fields(kind).get(name, ()) if home != path]
    most = max((shared_steps(home, path) for home in homes), default=0)
    near = [home for home in homes if shared_steps(home, path) == most > 0]
    return tuple(near) if len(near) <= 3 else ()


def shared_steps(path: Path_, other: Path_) -> int:
    """How many steps two paths share, from the root on."""
    pairs = zip(path, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
