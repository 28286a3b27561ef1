"""`--strimzi`: the real kubectl, and a Kubernetes API on loopback that it talks to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kdiag.config.settings import UsageError, settings
from kdiag.demo.world import PORT, PRIVATE, PUBLIC, World, endpoint
from kdiag.report.model import Report
from tests.lab.kubernetes import Kubernetes, kubeconfig, kubernetes
from tests.lab.needs import KAFKA, require
from tests.lint.texts import kafka
from tests.running import ENOUGH
from tests.walks import shown, walked

DOORS = ",".join(endpoint(address) for address in PUBLIC)
POOL = """\
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaNodePool
metadata: {name: b, namespace: kafka, labels: {strimzi.io/cluster: my-cluster}}
spec: {replicas: 3, roles: [broker], storage: {type: ephemeral}}
status: {nodeIds: [1, 2, 3]}
"""
BESIDE = """\
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 10.0.1.11}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: other}
spec: {type: NodePort, ports: [{port: 80, nodePort: 32100}]}
"""

# Java, and Maven Central; one server for all of it.
pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("strimzi")]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    require(*KAFKA, "kubectl")
    with kubernetes(tmp_path_factory.mktemp("kubernetes")) as served:
        told = "brokers: [{broker: 0, advertisedHost: 10.0.1.11}]"
        served.create(kafka("bootstrap: {nodePort: 32100}", told) + POOL + BESIDE)
        yield served


def checked(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], **more: Any) -> Report:
    async def build(world: World) -> None:
        await world.three(*((address, PORT) for address in PRIVATE))

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    asked = {"strimzi": "kafka/my-cluster", "timeout": 0.4, "bootstrap": DOORS, **more}
    return walked(build, **asked)


def untold(report: Report) -> list[str]:
    return [line for f in report.findings if f.code == "KD629" for line in (f.message, *f.evidence)]


def test_it_reads_the_cluster_and_all_that_is_beside_it(
    api: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = checked(monkeypatch, api.environment)
    assert untold(report) == []
    assert report.hops[-1].summary == "read kubectl:kafka/my-cluster"
    found = {finding.code: finding.message for finding in report.findings}
    assert "brokers of this cluster have the ids 1, 2 and 3" in found["KD611"]  # the pool's status
    assert "Service other/shop" in found["KD614"]  # of another namespace
    assert "no node has any more" in found["KD628"]  # the nodes' addresses


def test_the_command_that_it_proposes_puts_the_cluster_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with kubernetes(tmp_path) as served:
        served.create(
            kafka("brokers:", "  - broker: 0 # the first", "    advertisedHost: 10.0.1.11") + POOL
        )
        report = checked(monkeypatch, served.environment)
        assert report.cause
        fix = report.cause.remedies[0]
        assert fix.snippet.startswith("kubectl patch kafka my-cluster -n kafka --type json")
        command = ["sh", "-euc", fix.snippet]
        subprocess.run(command, check=True, timeout=ENOUGH, stdout=subprocess.DEVNULL)
        shown = served.kubectl("get", "kafka", "my-cluster", "-n", "kafka", "-o", "json")
        again = checked(monkeypatch, served.environment)
    listeners = json.loads(shown)["spec"]["kafka"]["listeners"]
    told = {x["broker"]: x["advertisedHost"] for x in listeners[1]["configuration"]["brokers"]}
    assert [told[node] for node in (1, 2, 3)] == list(PUBLIC)
    assert listeners[0]["name"] == "plain"  # what was right is as it was
    assert again.root_cause == "KD627"  # the operator of this cluster does not roll it out


def test_what_may_not_be_read_is_said_and_the_rest_is_judged(
    api: Kubernetes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with kubernetes(tmp_path) as served:
        served.create(kafka("brokers: [{broker: 0, advertisedHost: 10.0.1.11}]") + POOL)
        served.forbids("/api/v1/nodes?limit=500", "nodes")
        served.forbids("/api/v1/services?limit=500", "services")
        report = checked(monkeypatch, served.environment)
    message, *evidence = untold(report)
    assert "its user may not read everything" in message
    (nodes,) = evidence  # the Services of its own namespace may be read
    assert (
        'kubectl get nodes: Error from server (Forbidden): nodes is forbidden: User "dev"' in nodes
    )
    assert "KD611" in [finding.code for finding in report.findings]


@pytest.mark.parametrize(
    ("name", "words"),
    [("kafka/other", "there is no such resource"), ("nowhere/my-cluster", "no such resource")],
)
def test_a_resource_that_is_not_there(
    api: Kubernetes, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    report = checked(monkeypatch, api.environment, strimzi=name)
    assert words in untold(report)[0]
    assert report.root_cause == "KD301"  # the walk's verdict stands
    assert report.hops[-1].summary == f"{name}: kubectl showed nothing"


def test_no_kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = checked(monkeypatch, {"PATH": str(tmp_path)})
    assert "there is no kubectl" in untold(report)[0]


def test_a_context_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require("kubectl")
    (tmp_path / "config").write_text(kubeconfig(1, "elsewhere"))
    report = checked(monkeypatch, {"KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path)})
    message, evidence = untold(report)
    assert "its configuration is not reachable from here" in message
    assert "elsewhere" in evidence


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require("kubectl")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        (tmp_path / "config").write_text(kubeconfig(closed.getsockname()[1]))
        home = {"KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path)}
        report = checked(monkeypatch, home)
    message, evidence = untold(report)
    assert "the API server is not reached" in message
    assert "memcache.go" not in evidence


def test_a_server_that_never_answers_is_waited_for_no_longer_than_for_the_walk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require("kubectl")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        (tmp_path / "config").write_text(kubeconfig(silent.getsockname()[1]))
        home = {"KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path)}
        report = checked(monkeypatch, home, deadline=3.0)
    message, evidence = untold(report)
    assert "did not answer in time" in message
    assert "did not answer in 3 s" in evidence


def test_what_kubectl_calls_ends_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A login that kubectl calls for, and that waits for ever."""
    script = tmp_path / "kubectl"
    sleeps = f'{sys.executable} -c "import time; time.sleep(600)"'
    script.write_text(f"#!/bin/sh\n{sleeps} & echo $! > {tmp_path}/$$\nwait\n")
    script.chmod(0o755)
    checked(monkeypatch, {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, deadline=1.5)
    begun = [int(file.read_text()) for file in tmp_path.iterdir() if file.name.isdecimal()]
    assert begun
    give_up = time.monotonic() + 20
    while any(map(_runs, begun)) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not any(map(_runs, begun))


@pytest.mark.parametrize(
    ("prints", "words"),
    [
        ("printf '\\377\\376\\033[31m: [: {'", ""),
        ("yes x | head -c 9000000", "it shows more than is read"),
        ("echo kind: Pod", ""),
        ("printf '\\033[31mno\\007' >&2; exit 3", "it failed"),
        ("kill -9 $$", "it failed"),
    ],
    ids=["bytes", "endless", "else", "escapes", "killed"],
)
def test_whatever_kubectl_prints_the_walk_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prints: str, words: str
) -> None:
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\n{prints}\n")
    (tmp_path / "kubectl").chmod(0o755)
    report = checked(monkeypatch, {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (report.root_cause, report.exit_code) == ("KD301", 30)
    assert words in " ".join(untold(report))
    assert shown(report).replace("\n", "").isprintable()


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("name", ["my-cluster", "a/b/c", "Kafka/x", "-n/x", "kafka/--help"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="write NAMESPACE/NAME"):
        settings("localhost", strimzi=name)
