"""Makes kdiag/lint/data/strimzi.json anew: python3 -m tests.lint.strimzi_schema

Strimzi's own generator writes the custom resource definitions; what is kept is their structure,
without the prose. It needs Maven and Java 21 or newer: JAVA_HOME, the PATH, or /usr/lib/jvm.
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

VERSION = "1.2.0"
DATA = Path(__file__).resolve().parents[2] / "kdiag/lint/data/strimzi.json"
KINDS = {
    "Kafka": "io.strimzi.api.kafka.model.kafka.Kafka",
    "KafkaNodePool": "io.strimzi.api.kafka.model.nodepool.KafkaNodePool",
}
_PROSE = {"description", "example"}


def java() -> str | None:
    """A Java that the generator runs on, None where there is none."""
    return next((found for found in _javas() if _version(found) >= 21), None)


def definitions(java: str) -> dict[str, Any]:
    """The custom resource definitions, by kind."""
    artifacts = [("io.strimzi", name, VERSION) for name in ("crd-generator", "api")]
    classes = jars(f"strimzi-{VERSION}", artifacts)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, model in KINDS.items():
            out = Path(folder, f"{kind}.yaml")
            tool = "io.strimzi.crdgenerator.CrdGenerator"
            command = [java, *JAVA[1:4], "-cp", f"{classes}/*", tool, "--yaml", f"{model}={out}"]
            subprocess.run(command, check=True, timeout=120, capture_output=True)
            found[kind] = yaml.safe_load(out.read_text("utf-8"))
    return found


def structure(definitions: dict[str, Any]) -> str:
    """What is shipped: the OpenAPI schema of each kind's newest version, without prose."""
    kinds: dict[str, Any] = {}
    for kind, definition in definitions.items():
        newest = definition["spec"]["versions"][0]
        kinds[kind] = {
            "apiVersion": f"{definition['spec']['group']}/{newest['name']}",
            "schema": _told(newest["schema"]["openAPIV3Schema"]),
        }
    made = {"strimzi": VERSION, "kinds": kinds}
    return json.dumps(made, separators=(",", ":"), sort_keys=True) + "\n"


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
    DATA.write_text(structure(definitions(chosen)), "utf-8")
