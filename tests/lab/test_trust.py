"""Kafka's own client, in Java, reaches the verdicts that kdiag has for it on odd trust stores."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from tests.lab import kafka, needs
from tests.trust import CASES, HOST, Trust

pytestmark = pytest.mark.kafka

PATIENCE = 120  # seconds
OUT_OF_ITS_TIME, UNTRUSTED = "NotAfter", "unable to find valid certification path"
WORDS = {"": "ok", "KD114": OUT_OF_ITS_TIME, "KD112": UNTRUSTED}


async def test_java_trusts_what_kdiag_says_that_it_does(tmp_path: Path) -> None:
    needs.require(*needs.KAFKA)
    trust, brokers, arguments = Trust(), [], []
    for number, case in enumerate(CASES.values()):
        cluster = FakeCluster("kdiagTrustCluster00001", topics={"orders": [1]})
        broker = FakeBroker(cluster, 1)
        port = await broker.start(tls=trust.server(case, tmp_path))
        cluster.nodes.append(FakeNode(1, HOST, port))
        store = tmp_path / f"{number}.pem"
        store.write_text(trust.pem(case.trusts))
        brokers.append(broker)
        arguments += [str(store), str(port)]
    try:
        said = await asyncio.to_thread(_java, *arguments)
    finally:
        for broker in brokers:
            await broker.stop()
    assert len(said) == len(CASES)
    for (name, case), line in zip(CASES.items(), said, strict=True):
        # A root of the same name and another key fails one step later.
        words = ("ignature", UNTRUSTED) if name == "another authority" else (WORDS[case.java],)
        assert any(each in line for each in words), f"{name}: {line}"


def _java(*arguments: str) -> list[str]:
    client = Path(__file__).with_name("Trust.java")
    command = [*kafka.JAVA, "-cp", f"{kafka.jars()}/*", str(client), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
