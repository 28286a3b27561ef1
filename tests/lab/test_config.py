"""Files that configure the cluster, beside a real one in the made-up AWS."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import goldens
from tests.lab.client import Report
from tests.lab.lab import Lab
from tests.lab.listeners import NODE_PORT, NODES
from tests.lab.network import HOMES, PUBLICS
from tests.lint.corpus import FOLDER
from tests.lint.texts import kafka

pytestmark = pytest.mark.lab

DOOR = f"{PUBLICS[0]}:{NODE_PORT}"


def corrected(report: Report, folder: Path) -> Any:
    """The external listener of kafka.yaml, after the difference that the report proposes."""
    proposed = [r for f in report.told["findings"] for r in f["remedies"] if r["kind"] == "diff"]
    command = ["git", "apply", "-"]
    (fix,) = proposed
    subprocess.run(command, input=fix["snippet"], text=True, cwd="/", check=True, timeout=50)
    spec = yaml.safe_load((folder / "kafka.yaml").read_text())["spec"]
    return spec["kafka"]["listeners"][-1]["configuration"]


def test_the_tutorial_is_put_right_with_what_the_cluster_has(lab: Lab, tmp_path: Path) -> None:
    """Clients come in by NodePorts of one address; the tutorial knows of nodes 0 and 1."""
    tutorial = (FOLDER / "strimzi/tutorial.yaml").read_text()
    (tmp_path / "kafka.yaml").write_text(tutorial)
    report = lab.client.check(DOOR, "--config", str(tmp_path / "kafka.yaml"))
    assert report.verdict == ("config", "KD602", 60), report
    configuration = corrected(report, tmp_path)
    assert configuration["bootstrap"]["nodePort"] == NODE_PORT
    told = {each["broker"]: each["advertisedHost"] for each in configuration["brokers"]}
    assert {node: told[node] for node in NODES} == dict.fromkeys(NODES, PUBLICS[0])
    with goldens.aside():
        again = lab.client.check(DOOR, "--config", str(tmp_path / "kafka.yaml"))
    assert again.told["exit_code"] == 0, again


def test_private_addresses_are_put_right_with_those_that_answered(lab: Lab, tmp_path: Path) -> None:
    told = ", ".join(
        f"{{broker: {node}, advertisedHost: {home}}}"
        for node, home in zip(NODES, HOMES, strict=True)
    )
    (tmp_path / "kafka.yaml").write_text(kafka(f"brokers: [{told}]"))
    servers = ",".join(lab.at("PRIVATE", node) for node in NODES)
    options = ("--config", str(tmp_path / "kafka.yaml"), "--timeout", "1.5")
    report = lab.client.check(servers, *options)
    assert report.verdict == ("listeners", "KD301", 30), report
    brokers = corrected(report, tmp_path)["brokers"]
    assert [each["advertisedHost"] for each in brokers] == list(PUBLICS)
    with goldens.aside():
        again = lab.client.check(servers, *options)
    assert again.verdict == ("listeners", "KD627", 30), again  # not rolled out yet
