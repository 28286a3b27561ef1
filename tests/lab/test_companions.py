"""A real worker of Kafka Connect beside a real Kafka, and after that Kafka has died."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import kdiag
from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.report.model import Report
from tests.control.released import Broker, Release
from tests.lab import needs
from tests.lab.client import Client
from tests.lab.kafka import CLUSTER_ID, JAVA, VERSION
from tests.lab.processes import end, spawn

pytestmark = pytest.mark.kafka

PORT, PATIENCE = 8083, 60.0
NAMES = ("config", "offset", "status")


@dataclass(frozen=True)
class Pair:
    """A worker of Connect and its broker, which a test may kill."""

    broker: Broker
    kafka: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.broker.address}:{PORT}"

    def health(self) -> int:
        """The status of /health, 0 where nobody listens."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/health", timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def wait(self) -> None:
        """Returns when the worker can work."""
        give_up = time.monotonic() + PATIENCE
        while self.health() != 200:
            assert time.monotonic() < give_up, self.log.read_text(errors="replace")[-1500:]
            time.sleep(0.2)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A broker, and a worker of Connect by its jars, which has come up."""
    needs.require(*needs.KAFKA)
    needs.require_loopback()
    folder = tmp_path_factory.mktemp("connect")
    address = f"127.{random.randint(16, 250)}.{random.randint(0, 255)}.1"
    broker = Broker(Release(VERSION), folder / VERSION, address)
    kafka = broker.start("")
    worker = None
    try:
        Client().tool("create", broker.server, "orders")
        worker = _worker(folder, broker)
        pair = Pair(broker, kafka, folder / "connect.log")
        pair.wait()
        yield pair
    finally:
        if worker:
            end(worker)
        end(kafka)


def _worker(folder: Path, broker: Broker) -> subprocess.Popen[bytes]:
    (folder / "plugins").mkdir()
    converter = "org.apache.kafka.connect.json.JsonConverter"
    lines = [
        f"bootstrap.servers={broker.server}",
        "group.id=connect",
        *(f"{side}.converter={converter}" for side in ("key", "value")),
        *(f"{name}.storage.topic=connect-{name}" for name in NAMES),
        *(f"{name}.storage.replication.factor=1" for name in NAMES),
        *(f"{name}.storage.partitions=1" for name in NAMES[1:]),
        f"listeners=http://{broker.address}:{PORT}",
        "plugin.discovery=service_load",
        f"plugin.path={folder}/plugins",
    ]
    (folder / "connect.properties").write_text("\n".join(lines) + "\n")
    command = [*JAVA, "-cp", broker.release.classes]
    command += ["org.apache.kafka.connect.cli.ConnectDistributed", f"{folder}/connect.properties"]
    with (folder / "connect.log").open("wb") as log:
        return spawn(command, log, log)


def test_a_worker_of_this_cluster(pair: Pair) -> None:
    report = kdiag.check(pair.broker.server, http=[pair.url], answer_timeout=10)
    (row,) = report.companions
    assert (report.exit_code, [f.code for f in report.findings if f.hop == "companions"]) == (0, [])
    assert (row.service, row.version, row.unhealthy) == ("Kafka Connect", VERSION, None)
    assert (row.cluster_id, row.same_cluster) == (CLUSTER_ID, True)


def test_a_schema_registry_it_is_not(pair: Pair) -> None:
    """As the client's Schema Registry a worker of Connect is an error: its /subjects is 404."""
    properties = {"schema.registry.url": pair.url}
    report = kdiag.check(pair.broker.server, properties=properties, answer_timeout=10)
    assert (report.exit_code, report.root_cause) == (100, "KD1005")
    assert "leads to Kafka Connect" in report.findings[0].message


def test_a_worker_that_has_lost_its_kafka_goes_on_to_answer(pair: Pair) -> None:
    """The last of this file: it kills the broker. The walk is that of another cluster."""
    end(pair.kafka)
    report = asyncio.run(_beside(pair))
    (row,) = report.companions
    assert (report.exit_code, report.root_cause) == (100, "KD1004")
    assert (row.service, row.cluster_id, row.same_cluster) == ("Kafka Connect", CLUSTER_ID, False)
    assert (row.unhealthy or "").startswith("unhealthy: ")
    assert row.layers["http"] == "ok"


async def _beside(pair: Pair) -> Report:
    """A check of a fake broker, and of this worker."""
    cluster = FakeCluster("another")
    broker = FakeBroker(cluster, 1)
    port = await broker.start()
    cluster.nodes.append(FakeNode(1, "127.0.0.1", port))
    try:
        return await kdiag.check_async(f"127.0.0.1:{port}", http=[pair.url], answer_timeout=10)
    finally:
        await broker.stop()
