"""The corrected files of a real cluster: Kafka starts with them, and a client comes in."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from kdiag.api import walk
from kdiag.config.settings import settings
from kdiag.report.model import Report
from kdiag.walk.runner import nobody
from tests.lab.kafka import CLUSTER_ID, JAVA, jars
from tests.lab.needs import KAFKA, require
from tests.lab.processes import end, spawn
from tests.lint.texts import compose
from tests.running import ENOUGH
from tests.walks import on_loopback

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

PATIENCE = 60.0  # seconds, for a broker to come up
PROPERTIES = """\
# a broker of its own
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://10.0.1.11:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
"""


@pytest.fixture
def ports() -> tuple[int, int]:
    require(*KAFKA)
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextmanager
def kafka(text: str, folder: Path) -> Iterator[None]:
    """A real broker with these properties, as long as it is needed."""
    folder.mkdir()
    file = folder / "server.properties"
    beside = f"log.dirs={folder}/logs\noffsets.topic.replication.factor=1\n"
    file.write_text(f"{text}\n{beside}")
    classes = ("-cp", f"{jars()}/*")
    tool = ("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(file))
    subprocess.run([*JAVA, *classes, *tool], check=True, timeout=ENOUGH, capture_output=True)
    with (folder / "log").open("wb") as log:
        process = spawn([*JAVA, *classes, "kafka.Kafka", str(file)], log, log)
        try:
            yield
        finally:
            end(process)


def walked(port: int, name: str, text: str) -> Report:
    """A walk that does not leave the loopback device, once a broker is there to answer."""
    asked = settings(f"127.0.0.1:{port}", timeout=2.0, config={name: text})
    give_up = time.monotonic() + PATIENCE
    while True:
        making = walk(asked, on_loopback, nobody)
        report = asyncio.run(making)
        if report.cluster or time.monotonic() > give_up:
            return report
        time.sleep(0.2)


def corrected(report: Report, name: str, text: str, folder: Path) -> str:
    """The file after the difference that the root cause has for its fix."""
    assert report.cause
    assert report.cause.remedies[0].kind == "diff"
    (folder / name).write_text(text)
    fix = report.cause.remedies[0].snippet
    subprocess.run(["git", "apply", "-"], input=fix, text=True, cwd=folder, check=True, timeout=50)
    return (folder / name).read_text()


def test_a_broker_starts_with_its_corrected_properties_and_is_reached(
    ports: tuple[int, int], tmp_path: Path
) -> None:
    port, controller = ports
    text, name = PROPERTIES.format(port=port, controller=controller), "server.properties"
    with kafka(text, tmp_path / "given"):
        before = walked(port, name, text)
    assert (before.root_cause, before.exit_code) == ("KD301", 30)
    after = corrected(before, name, text, tmp_path)
    assert after == text.replace("10.0.1.11", "127.0.0.1")
    with kafka(after, tmp_path / "corrected"):
        again = walked(port, name, after)
    assert (again.exit_code, [f.code for f in again.findings]) == (0, [])


def environment(text: str) -> str:
    """The properties that the image of a Compose file makes of its environment."""
    (service,) = yaml.safe_load(text)["services"].values()
    return "\n".join(
        f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}"
        for name, value in service["environment"].items()
    )


def test_a_broker_starts_with_its_corrected_compose_file_and_is_reached(
    ports: tuple[int, int], tmp_path: Path
) -> None:
    port, controller = ports
    text = compose(f"PLAINTEXT://10.0.1.11:{port}", f"{port}:{port}", "PLAINTEXT")
    # What images set by themselves.
    default = PROPERTIES.format(port=port, controller=controller).splitlines()
    beside = "\n".join(x for x in default if x.startswith(("process", "controller")))
    speaks = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"

    def running(text: str) -> str:
        listen = f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
        return f"{environment(text)}\n{beside}\n{listen}\n{speaks}"

    name = "compose.yaml"
    with kafka(running(text), tmp_path / "given"):
        before = walked(port, name, text)
    assert before.root_cause == "KD301"
    after = corrected(before, name, text, tmp_path)
    with kafka(running(after), tmp_path / "corrected"):
        again = walked(port, name, after)
    assert again.exit_code == 0
    assert again.cluster
    assert again.cluster.brokers[0].advertised == f"127.0.0.1:{port}"
