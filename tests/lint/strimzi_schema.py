"""Makes kdiag/lint/data/strimzi.json anew: python3 -m tests.lint.strimzi_schema

Strimzi's own generator writes the custom resource definitions; what is kept is their structure,
without the prose. It needs Maven and Java 21 or newer: JAVA_HOME, the PATH, or /usr/lib/jvm.

v1 is that of the newest release. v1beta2 is what the last release with ZooKeeper has, and what
later ones added: a field that one of both knows is known, and required is what both require.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.lab.kafka import JAVA, jars

VERSION, OLD = "1.2.0", "0.45.0"
DATA = Path(__file__).resolve().parents[2] / "kdiag/lint/data/strimzi.json"
KINDS = {
    "Kafka": "io.strimzi.api.kafka.model.kafka.Kafka",
    "KafkaNodePool": "io.strimzi.api.kafka.model.nodepool.KafkaNodePool",
}
_PROSE = {"description", "example"}


def java() -> str | None:
    """A Java that the generator runs on, None where there is none."""
    return next((found for found in _javas() if _version(found) >= 21), None)


def definitions(java: str, release: str = VERSION) -> dict[str, Any]:
    """The custom resource definitions of a release, by kind."""
    artifacts = [("io.strimzi", name, release) for name in ("crd-generator", "api")]
    classes = jars(f"strimzi-{release}", artifacts)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, model in KINDS.items():
            out = Path(folder, f"{kind}.yaml")
            tool = "io.strimzi.crdgenerator.CrdGenerator"
            command = [java, *JAVA[1:4], "-cp", f"{classes}/*", tool, "--yaml", f"{model}={out}"]
            subprocess.run(command, check=True, timeout=120, capture_output=True)
            found[kind] = yaml.safe_load(out.read_text("utf-8"))
    return found


def structure(newest: dict[str, Any], old: dict[str, Any]) -> str:
    """What is shipped: the OpenAPI schema of each kind by API version, without prose."""
    kinds: dict[str, Any] = {}
    for kind, definition in newest.items():
        v1 = definition["spec"]["versions"][0]
        before = next(x for x in old[kind]["spec"]["versions"] if x["name"] == "v1beta2")
        schema = _told(v1["schema"]["openAPIV3Schema"])
        kinds[kind] = {
            "apiVersion": f"{definition['spec']['group']}/{v1['name']}",
            "v1": schema,
            "v1beta2": _either(_told(before["schema"]["openAPIV3Schema"]), schema),
        }
    made = {"strimzi": VERSION, "kinds": kinds}
    return json.dumps(made, separators=(",", ":"), sort_keys=True) + "\n"


def _either(one: Any, other: Any) -> Any:
    """A schema that takes what one of two takes."""
    both = {**other, **one}
    fields = [x.get("properties", {}) for x in (one, other)]
    if any(fields):
        names = dict.fromkeys([*fields[0], *fields[1]])
        both["properties"] = {
            name: _either(fields[0].get(name, below), below)
            if (below := fields[1].get(name)) is not None
            else fields[0][name]
            for name in names
        }
    if "items" in one and "items" in other:
        both["items"] = _either(one["items"], other["items"])
    if "enum" in both:
        enums = [x.get("enum") for x in (one, other)]
        both["enum"] = list(dict.fromkeys([*(enums[0] or ()), *(enums[1] or ())]))
        if None in enums:
            del both["enum"]
    for limit in ("pattern", "minimum", "maximum", "minItems", "x-kubernetes-validations"):
        if one.get(limit) != other.get(limit):
            both.pop(limit, None)
    required = [x for x in one.get("required", ()) if x in other.get("required", ())]
    both.pop("required", None)
    return {**both, "required": required} if required else both


def _told(schema: Any) -> Any:
    """A schema without its prose. A field may have the name of a keyword: `properties` are kept."""
    if isinstance(schema, list):
        return [_told(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _told(field) for name, field in value.items()}
        if key == "properties"
        else _told(value)
        for key, value in schema.items()
        if key not in _PROSE
    }


def _javas() -> Iterator[str]:
    for variable, home in sorted(os.environ.items()):
        if variable.startswith("JAVA_HOME"):
            yield f"{home}/bin/java"
    found = shutil.which("java")
    if found:
        yield found
    yield from sorted(str(path) for path in Path("/usr/lib/jvm").glob("*/bin/java"))


def _version(java: str) -> int:
    if not Path(java).exists():
        return 0
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', said.stderr + said.stdout)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    chosen = java()
    if chosen is None:
        sys.exit("Java 21 or newer is needed: set JAVA_HOME")
    DATA.write_text(structure(definitions(chosen), definitions(chosen, OLD)), "utf-8")
