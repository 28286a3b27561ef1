"""kdiag and the real client on CPython for Windows, under Wine, against a real Kafka."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.goldens import named
from tests.lab.lab import Lab
from tests.windows import wine

pytestmark = [pytest.mark.kafka, pytest.mark.windows]


@pytest.mark.parametrize("listener", ["PUBLIC", "TLS", "LOGIN", "LOGINTLS"], ids=named)
def test_the_real_client_writes_too(kafka: Lab, tmp_path: Path, listener: str) -> None:
    given = kafka.properties(listener)
    if listener.startswith("LOGIN"):
        given |= kafka.login("alice") | {"sasl.mechanism": "SCRAM-SHA-512"}
    if "ssl.ca.location" in given:
        given["ssl.ca.location"] = wine.path(Path(given["ssl.ca.location"])).replace("\\", "/")
    file = tmp_path / "client.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    before = kafka.ask("end", "orders")
    done = wine.kdiag(
        *("check", kafka.at(listener), "--topic", "orders", "-F", wine.path(file)),
        *("--timeout", "20", "-o", "json"),
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    report = json.loads(done.stdout)
    assert report["verdict"] == "pass", report
    after = kafka.ask("end", "orders")
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert after - before == 3, report  # one for the leader of each partition
