"""A trust store is judged as the client would that it is configured for; the real clients agree."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer

from kdiag.api import walk
from kdiag.config.settings import UsageError, settings
from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.network import tls
from kdiag.report.model import Report
from kdiag.walk.runner import nobody, plain_dialer
from tests.trust import CASES, HOST, Case, Trust

TRUST = Trust()
SOON = 2.0  # seconds in which librdkafka lists topics on loopback, or never will
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def store(case: Case, folder: Path) -> str:
    path = folder / "trusted.pem"
    path.write_text(TRUST.pem(case.trusts))
    return str(path)


async def checked(
    case: Case, folder: Path, topic: str | None = None, **properties: str
) -> tuple[Report, bool]:
    """The report on the broker of a case, and whether librdkafka lists its topics."""
    cluster = FakeCluster("kdiagTrustCluster00001", topics={"orders": [1]})
    broker = FakeBroker(cluster, 1)
    port = await broker.start(tls=TRUST.server(case, folder))
    cluster.nodes.append(FakeNode(1, HOST, port))
    given = {name.replace("_", "."): value for name, value in properties.items()}
    given |= {"security.protocol": "SSL", "broker.address.family": "v4"}
    try:
        asked = settings(f"{HOST}:{port}", topic=topic, properties=given)
        report = await walk(asked, plain_dialer, nobody)
        return report, await asyncio.to_thread(lists_topics, port, store(case, folder))
    finally:
        await broker.stop()


def lists_topics(port: int, ca: str) -> bool:
    given = {
        "bootstrap.servers": f"{HOST}:{port}",
        "security.protocol": "SSL",
        "ssl.ca.location": ca,
        "broker.address.family": "v4",
        "log_level": 0,
    }
    try:
        return bool(Producer(given).list_topics(timeout=SOON).brokers)
    except KafkaException:
        return False


@each
async def test_by_the_rule_of_openssl_as_librdkafka(case: Case, tmp_path: Path) -> None:
    report, lists = await checked(case, tmp_path, ssl_ca_location=store(case, tmp_path))
    assert (report.root_cause or "") == case.openssl, report
    assert lists is report.ok
    if case.words:
        assert report.cause
        assert re.search(case.words, report.cause.message), report.cause.message
        assert report.cause.remedies


@each
async def test_by_the_rule_of_java(case: Case, tmp_path: Path) -> None:
    """tests/lab/test_trust.py holds these verdicts to Java's client."""
    given = {"ssl_truststore_type": "PEM", "ssl_truststore_location": store(case, tmp_path)}
    report, lists = await checked(case, tmp_path, **given)
    assert (report.root_cause or "") == case.java, report
    noted = [note for note in report.notes if "only Java's client trusts" in note]
    assert bool(noted) is (report.ok and not lists)


def test_records_are_not_written_by_a_client_that_would_refuse(tmp_path: Path) -> None:
    case = CASES["the broker's own"]
    given = {"ssl_truststore_type": "PEM", "ssl_truststore_location": store(case, tmp_path)}
    report, lists = asyncio.run(checked(case, tmp_path, "orders", **given))
    assert (report.exit_code, report.findings, lists) == (0, [], False)
    assert any("writes no record there" in note for note in report.notes)


def test_an_empty_file_is_said_to_be_empty_and_clients_do_not_start(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.touch()
    with pytest.raises(UsageError, match=r"ssl.ca.location='?.*ca.pem'? is empty"):
        settings("localhost:9093", properties={"ssl.ca.location": str(empty)})
    with pytest.raises(KafkaException, match=r"ssl\.ca\.location"):
        Producer({"security.protocol": "SSL", "ssl.ca.location": str(empty), "log_level": 0})


def test_a_machine_without_any_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr(tls, "_CA_FILES", ())
    report, _ = asyncio.run(checked(CASES["the root"], tmp_path))
    assert (report.root_cause, report.cause and report.cause.severity) == ("KD112", "error")
    assert report.cause
    assert "this machine's trust store is empty" in report.cause.message
    assert "install the package ca-certificates" in report.cause.remedies[0].summary


def test_authorities_are_also_found_where_librdkafka_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_text(TRUST.pem(("root",)))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(tls, "_CA_FILES", (str(tmp_path / "ca.pem"),))
    report, _ = asyncio.run(checked(CASES["the root"], tmp_path))
    assert report.ok, report


def test_an_expired_authority_has_a_fix_of_its_own(tmp_path: Path) -> None:
    def fix(name: str) -> str:
        case = CASES[name]
        report, _ = asyncio.run(checked(case, tmp_path, ssl_ca_location=store(case, tmp_path)))
        assert report.cause
        return " ".join(remedy.summary for remedy in report.cause.remedies)

    assert "new certificate into ssl.ca.location=" in fix("an expired root")
    assert "Renew the broker's certificate" in fix("the broker's has expired")
    assert "send the new certificate" in fix("an expired intermediate one is sent")
