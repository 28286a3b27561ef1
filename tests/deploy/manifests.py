"""Holds what is applied to Kubernetes to its judges: kubeconform with the schemas of Kubernetes and
of the Prometheus operator, and krew's validator for the manifest of the plugin.

Both are built with Go by `python3 tests --checks`. Each judge has to refuse what is broken, too.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
KINDS = (
    *("namespace-v1", "configmap-v1", "service-v1", "deployment-apps-v1", "daemonset-apps-v1"),
    *("cronjob-batch-v1", "networkpolicy-networking-v1"),
)
OPERATED = ("PrometheusRule", "ServiceMonitor", "Probe")
# A key of each kind, to be misspelt.
KEYS = {
    "ConfigMap": "data", "Service": "targetPort", "Deployment": "periodSeconds",
    "DaemonSet": "tolerations", "CronJob": "concurrencyPolicy", "NetworkPolicy": "podSelector",
    "Probe": "prober", "ServiceMonitor": "path", "PrometheusRule": "expr",
}  # fmt: skip


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        problems = [*_kubernetes(folder), *_krew(folder)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def rendered(folder: str = "monitoring") -> str:
    """What `kubectl apply -k` applies of a folder in docs/deploy/kubernetes."""
    path = str(ROOT / "docs/deploy/kubernetes" / folder)
    return subprocess.check_output(["kubectl", "kustomize", path], text=True)


def _kubernetes(folder: Path) -> Iterator[str]:
    _write_schemas(folder)
    yield from (" ".join(each) for each in _refused(folder, rendered()))
    keys = "|".join(KEYS.values())
    broken = re.sub(rf"^(\s*(?:- )?)({keys}):", r"\1\2s:", rendered(), flags=re.MULTILINE)
    refused = {kind for kind, *_ in _refused(folder, broken)}
    yield from (f"kubeconform takes any key in a {kind}" for kind in KEYS.keys() - refused)


def _refused(schemas: Path, manifests: str) -> Iterator[tuple[str, str, str]]:
    """The kind and the name of each resource that kubeconform refuses, and why."""
    location = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    command = [
        str(TOOLS / "kubeconform"),
        "-strict",
        "-schema-location",
        location,
        "-output",
        "json",
    ]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout or "{}").get("resources") or []
    yield from ((each["kind"], each["name"], each["msg"]) for each in found)
    if done.returncode and not found:
        yield "kubeconform", "itself", done.stdout + done.stderr


def _write_schemas(folder: Path) -> None:
    """A schema for each kind, which needs no other file and knows every key."""
    import kubernetes_validate
    from cloudcoil.models.prometheus_operator import v1

    versions = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    newest = max(versions.glob("*-strict"), key=lambda path: int(path.name.split(".")[1]))
    local = (newest / "_definitions.json").read_text("utf-8").replace("/api/_definitions.json", "")
    for kind in KINDS:
        text = (newest / f"{kind}.json").read_text("utf-8").replace("/api/_definitions.json", "")
        schema = {**json.loads(text), "$defs": json.loads(local)["$defs"]}
        (folder / f"{kind}.json").write_text(json.dumps(schema))
    for name in OPERATED:
        schema = _closed(getattr(v1, name).model_json_schema())
        (folder / f"{name.lower()}-monitoring-v1.json").write_text(json.dumps(schema))


def _closed(schema: Any) -> Any:
    """A schema whose objects have no other keys than those it names."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def _krew(folder: Path) -> Iterator[str]:
    location = ROOT / "docs/deploy/build.py"
    spec = importlib.util.spec_from_file_location("build", location)
    assert spec and spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    archives = []
    for system in ("darwin_arm64", "linux_amd64", "linux_arm64"):
        archives.append(folder / f"kubectl-kdiag_{build.VERSION}_{system}.tar.gz")
        archives[-1].write_bytes(hashlib.sha256(system.encode()).digest())
    text = build.krew_manifest(archives)
    (manifest := folder / "kdiag.yaml").write_text(text)
    if wrong := _wrong_plugin(manifest):
        yield wrong
    for right, other in (("arch: arm64", "arch: amd64"), ("version: v", "version: ")):
        manifest.write_text(text.replace(right, other))
        if not _wrong_plugin(manifest):
            yield f"krew's validator takes {other} for {right}"


def _wrong_plugin(manifest: Path) -> str:
    """What krew says against a manifest; the archives are not fetched."""
    command = [str(TOOLS / "validate-krew-manifest"), "-manifest", str(manifest), "-skip-install"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"krew: {done.stderr}" if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
