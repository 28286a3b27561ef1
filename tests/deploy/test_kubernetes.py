"""What docs/deploy has for Kubernetes and Prometheus: what it asks for, that it fits together, and
that its alerts name the cause."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import kubernetes_validate
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from kdiag import __version__
from kdiag.named_targets import RequestedTargets
from kdiag.report.model import Report
from kdiag.serve.metrics import ServerMetrics, probe_text
from kdiag.serve.probing import Probe, Prober
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
NOBODY = {"exp_labels": {"nobody": "expects"}}
METRIC = re.compile(r"\b(?:kdiag|probe|up)(?:_\w+)?\b(?=\s*[{=[)]|$)")


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
    spec = spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec
    return cast(dict[str, Any], spec["template"])


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


def test_the_cron_job_runs(objects: list[dict[str, Any]], brokers: Brokers, tmp_path: Path) -> None:
    """Its arguments, in a folder with its kdiag.toml."""
    (one,) = template(of(objects, "CronJob"))["spec"]["containers"]
    targets = (FOLDER / "base/kdiag.toml").read_text("utf-8")
    theirs = "kafka-bootstrap.kafka.svc:9092"
    assert theirs in targets
    (tmp_path / "kdiag.toml").write_text(targets.replace(theirs, brokers.three().bootstrap))
    done = kdiag(*one["args"], cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 of 2 expectations met" in done.stdout


def measured(report: Report, withheld: str = "", **labels: str) -> list[dict[str, str]]:
    """What Prometheus has of a probe for 100 minutes, with the labels of its job."""
    text = probe_text(Probe(report, 1.5, {("broker 1", "tcp"): 0.1}, withheld))
    return [
        {
            "series": f"{each.name}{{{told({**each.labels, **labels})}}}",
            "values": f"{each.value}x99",
        }
        for family in text_string_to_metric_families(text)
        for each in family.samples
    ]


def told(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items() if value)


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


def test_alerts_name_the_cause(tmp_path: Path) -> None:
    """What kdiag serve measures → what Prometheus says, by `promtool test rules`."""
    cause, refused = scenarios()["private-address"], scenarios()["refused"]
    without = replace(refused, root_cause=None, findings=[])
    locked = scenarios()["sasl-credentials"]
    series = [
        *measured(scenarios()["healthy"], job="kdiag", instance="healthy"),
        *measured(cause, job="kdiag", instance="prod"),
        *measured(without, job="kdiag", instance="late"),
        *measured(locked, "it was refused", job="kdiag", instance="locked"),
        *measured(scenarios()["healthy"], job="kdiag-nodes", instance="prod", node="a"),
        *measured(refused, job="kdiag-nodes", instance="prod", node="b"),
        *measured(refused, job="kdiag-nodes", instance="prod", node="c"),
        {"series": 'up{job="kdiag-serve",instance="10.0.0.7:9797"}', "values": "0x100"},
        {"series": "kdiag_config_last_reload_successful", "values": "0x100"},
        # The test begins in 1970.
        {
            "series": 'probe_ssl_earliest_cert_expiry{job="kdiag",instance="tls"}',
            "values": f"{10 * 86400}x100",
        },
    ]
    wanted = {
        "KafkaClientsCannotConnect": [
            "A client cannot connect to prod: KD301 private-address, listeners",
            "A client cannot connect to locked: KD120 sasl-credentials, bootstrap",
        ],
        "KafkaProbeFailsWithoutCause": ["The check of late fails, and no finding explains it"],
        "KafkaNodesCannotConnect": [
            "Clients on 2 nodes cannot connect to prod: KD103 refused, bootstrap"
        ],
        "KdiagLoginRefused": ["The login to locked was not accepted, and is not repeated"],
        "KdiagDoesNotAnswer": [
            "kdiag serve does not answer (kdiag-serve, 10.0.0.7:9797): what it watches is not "
            "watched"
        ],
        "KdiagConfigurationIsOld": [
            "kdiag serve could not use the new kdiag.toml, and goes on with the old one"
        ],
        "KafkaCertificateExpires": ["A certificate of tls expires in 9d 22h 30m 0s"],
    }
    assert wanted.keys() == rules().keys()
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(RULES["spec"]))
    said = ruled(tmp_path, series, list(wanted))
    for name, summaries in wanted.items():
        assert sorted(said[name]) == sorted(summaries), name


def ruled(folder: Path, series: list[dict[str, str]], names: list[str]) -> dict[str, list[str]]:
    """The summaries of the alerts that fire. promtool compares and prints what it got."""
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "alert_rule_test": [
                    # None is expected: what fires is printed, all labels of it.
                    {"eval_time": "90m", "alertname": name, "exp_alerts": [NOBODY]}
                    for name in names
                ],
            }
        ],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(tests))
    require("promtool")
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    found: dict[str, list[str]] = {name: [] for name in names}
    got_of = re.compile(r"alertname: ?(\w+).*?got:\[(.*?)\]\s*$", re.DOTALL | re.MULTILINE)
    for name, got in got_of.findall(done.stdout + done.stderr):
        found[name] = re.findall(r'summary="([^"]*)"', got)
    return found


def expressions() -> list[str]:
    """Every query of the dashboard, with a value in the place of its variables."""
    found = [query["expr"] for panel in DASHBOARD["panels"] for query in panel["targets"]]
    return [text.replace("$target", "prod").replace("$__rate_interval", "5m") for text in found]


def test_queries_are_of_what_kdiag_measures(tmp_path: Path) -> None:
    """promtool parses the dashboard's queries as rules; each metric in them, and in the alerts, is
    one that kdiag serve has."""
    asked = [*expressions(), *(rule["expr"] for rule in rules().values())]
    named = {name for text in asked for name in METRIC.findall(text)}
    healthy = probe_text(Probe(scenarios()["healthy"], 1.5, {("broker 1", "tcp"): 0.1}))
    failing = probe_text(Probe(scenarios()["certificate-expires-soon"], 1.5, {}))
    failing += probe_text(Probe(scenarios()["advertised-blocked"], 1.5, {}))
    prober = Prober(RequestedTargets({}), 1, lambda *_: None)
    own = ServerMetrics(prober).text().decode()
    there = set(re.findall(r"^(\w+)", healthy + failing + own, re.MULTILINE))
    assert len(named) > 12
    assert named - there == {"up"}
    recorded = [{"record": f"query:{n}", "expr": text} for n, text in enumerate(expressions())]
    for groups in (RULES["spec"], {"groups": [{"name": "dashboard", "rules": recorded}]}):
        (tmp_path / "rules.yml").write_text(yaml.safe_dump(groups))
        assert "SUCCESS" in promtool("check", "rules", tmp_path / "rules.yml")
    recorded[0]["expr"] += "{"
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "d", "rules": recorded}]})
    )
    with pytest.raises(AssertionError):
        promtool("check", "rules", tmp_path / "rules.yml")


def test_grafana_knows_every_key_of_the_dashboard() -> None:
    """Its own models of a dashboard lose none."""
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))
    assert list(lost(DASHBOARD, again)) == []
    misspelt = json.loads(json.dumps(DASHBOARD).replace('"gridPos"', '"gridpos"'))
    assert list(lost(misspelt, json.loads(JSONEncoder().encode(Dashboard.from_json(misspelt)))))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for one, other in combinations([panel["gridPos"] for panel in DASHBOARD["panels"]], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def lost(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """The places of values that are not in `after` as they were."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{place}/{key}")
            else:
                yield f"{place}/{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{place}/{number}")
    elif before != after:
        yield place
