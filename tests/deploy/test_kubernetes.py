"""What docs/deploy has for Kubernetes and Prometheus: what it asks for, that it fits together, and
that its alerts name the cause."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from kdiag import __version__
from kdiag.api import CheckOptions
from kdiag.cli.exits import EXAMPLES
from kdiag.report.model import Report
from kdiag.serve.metrics import ServerMetrics, probe_text
from kdiag.serve.probing import Probe, Prober
from kdiag.named_targets import RequestedTargets
from tests.deploy.manifests import rendered
from tests.lab.needs import require
from tests.running import ROOT, Brokers, kdiag
from tests.test_docs import parsed
from tests.walks import scenarios

FOLDER = ROOT / "docs/deploy/kubernetes"
RULES = yaml.safe_load((FOLDER / "monitoring/rules.yaml").read_text("utf-8"))
DASHBOARD = json.loads((FOLDER / "monitoring/dashboard.json").read_text("utf-8"))
PODS = ("Deployment", "DaemonSet", "CronJob")
OPERATED = "monitoring.coreos.com/v1"


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    """All that `kubectl apply -k` applies."""
    require("kubectl")
    return list(yaml.safe_load_all(rendered()))


def of(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    found = [each for each in objects if each["kind"] == kind]
    (one,) = [each for each in found if not name or each["metadata"]["name"] == name]
    return one


def template(workload: dict[str, Any]) -> dict[str, Any]:
    spec = workload["spec"]
    found = spec["jobTemplate"]["spec"]["template"] if workload["kind"] == "CronJob" else None
    return found or spec["template"]


def test_kubernetes_knows_every_key(objects: list[dict[str, Any]]) -> None:
    """tests/deploy/manifests.py asks kubeconform, the operator's kinds among them."""
    for each in objects:
        if each["apiVersion"] != OPERATED:
            kubernetes_validate.validate(each, "1.34", strict=True)
        assert each["metadata"].get("namespace", "kdiag") == "kdiag"


@pytest.mark.parametrize("kind", PODS)
def test_a_pod_asks_for_little(objects: list[dict[str, Any]], kind: str) -> None:
    """Not root, nothing to write to, no token, no capability; within limits."""
    pod = template(of(objects, kind))["spec"]
    (one,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert one["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert one["resources"]["limits"] == {"cpu": "1", "memory": "256Mi"}
    assert one["image"] == f"registry.example.com/kdiag:{__version__}"
    assert all(mount["readOnly"] for mount in one["volumeMounts"])
    parsed(f"kdiag {shlex.join(one['args'])}")


def test_the_parts_fit_together(objects: list[dict[str, Any]]) -> None:
    """Services find their pods, monitors find their Services, ports and targets have one name."""
    targets = of(objects, "Probe")["spec"]["targets"]["staticConfig"]["static"]
    config = next(each for each in objects if "kdiag.toml" in each.get("data", ()))
    assert all(f"[targets.{name}]" in config["data"]["kdiag.toml"] for name in targets)
    for kind, service in (("Deployment", "kdiag-serve"), ("DaemonSet", "kdiag-nodes")):
        labels = template(of(objects, kind))["metadata"]["labels"]
        assert of(objects, kind)["spec"]["selector"]["matchLabels"] == labels
        found = of(objects, "Service", service)
        assert found["spec"]["selector"] == labels
        monitor = of(objects, "ServiceMonitor", service)["spec"]
        assert monitor["selector"]["matchLabels"].items() <= found["metadata"]["labels"].items()
        (port,) = found["spec"]["ports"]
        assert {each["port"] for each in monitor["endpoints"]} == {port["name"]}
        (container,) = template(of(objects, kind))["spec"]["containers"]
        (opened,) = container["ports"]
        assert (opened["name"], opened["containerPort"]) == (port["targetPort"], port["port"])
        assert f"0.0.0.0:{port['port']}" in container["args"]
    (endpoint,) = of(objects, "ServiceMonitor", "kdiag-nodes")["spec"]["endpoints"]
    assert endpoint["params"]["target"] == targets
    prober = of(objects, "Probe")["spec"]["prober"]["url"]
    assert prober == "kdiag-serve.kdiag.svc:9797"
    policy = of(objects, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    for kind in PODS:
        labels = template(of(objects, kind))["metadata"]["labels"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def test_the_cron_job_runs(
    objects: list[dict[str, Any]], brokers: Brokers, tmp_path: Path
) -> None:
    """Its arguments, in a folder with its kdiag.toml."""
    (one,) = template(of(objects, "CronJob"))["spec"]["containers"]
    targets = (FOLDER / "base/kdiag.toml").read_text("utf-8")
    theirs = "kafka-bootstrap.kafka.svc:9092"
    assert theirs in targets
    (tmp_path / "kdiag.toml").write_text(targets.replace(theirs, brokers.three().bootstrap))
    done = kdiag(*one["args"], cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 of 2 expectations met" in done.stdout


def measured(report: Report, **labels: str) -> list[dict[str, str]]:
    """What Prometheus has of a probe for ten minutes, with the labels of its job."""
    text = probe_text(Probe(report, 1.5, {("broker 1", "tcp"): 0.1}))
    return [
        {"series": f"{each.name}{{{told({**each.labels, **labels})}}}", "values": f"{each.value}x12"}
        for family in text_string_to_metric_families(text)
        for each in family.samples
    ]


def told(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items() if value)


def fired(name: str, summary: str, **labels: str) -> dict[str, Any]:
    rule = rules()[name]
    return {"alertname": name, "labels": {"severity": rule["labels"]["severity"], **labels},
            "summary": summary}  # fmt: skip


def rules() -> dict[str, Any]:
    (group,) = RULES["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def promtool(*arguments: object) -> str:
    require("promtool")
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
