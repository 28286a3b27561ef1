"""kdiag on the oldest Kafka that must work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import needs
from tests.lab.client import HEALTHY
from tests.lab.oldest import USER, Oldest, oldest

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oldest]:
    needs.require(*needs.KAFKA)
    needs.require_loopback()
    with oldest(tmp_path_factory.mktemp("oldest")) as started:
        yield started


def test_healthy_and_nothing_left_behind(old: Oldest) -> None:
    report = old.client.check(old.server)
    assert report.verdict == HEALTHY, report
    assert report.told["findings"] == []
    assert (report.brokers[1]["answered_as"], report.brokers[1]["produce"]) == (1, "ok"), report
    assert old.client.tool("topics", old.server) == ["orders"]
    assert old.errors() == []


def test_unknown_topic_is_named_and_not_created(old: Oldest) -> None:
    report = old.client.check(old.server, "--topic", "ordres")
    assert report.verdict == HEALTHY, report
    assert [(f["code"], f["severity"]) for f in report.told["findings"]] == [("KD204", "warning")]
    assert old.client.tool("topics", old.server) == ["orders"]


def test_a_record_that_a_consumer_reads(old: Oldest) -> None:
    assert old.client.check(old.server, "--topic", "orders").verdict == HEALTHY
    found = old.client.tool("read", old.server, "orders")
    assert found == [[0, 0, "kdiag", "kdiag connectivity check"]]


IDEMPOTENT = {"enable.idempotence": "true"}


TRANSACTIONAL = {"transactional.id": "orders-1"}


@pytest.fixture(scope="module")
def bob(old: Oldest) -> dict[str, str]:
    """The properties of a client that may write to the topic, and no more."""
    old.client.tool("allow", old.server, "TOPIC", "orders", USER, "DESCRIBE", "WRITE")
    return old.given


def test_a_client_that_may_write(old: Oldest, bob: dict[str, str]) -> None:
    report = old.client.check(old.login, "--topic", "orders", given=bob)
    assert report.verdict == HEALTHY, report


def test_an_idempotent_producer_needs_a_right_of_its_own(old: Oldest, bob: dict[str, str]) -> None:
    """Brokers before 2.8 ask for IdempotentWrite on the cluster, beside Write on the topic."""
    report = old.client.check(old.login, "--topic", "orders", given={**bob, **IDEMPOTENT})
    assert report.verdict == ("produce", "KD403", 40), report
    assert "CLUSTER_AUTHORIZATION_FAILED" in report.cause["evidence"][0]
    grant = report.cause["remedies"][0]["snippet"].splitlines()[-1]
    assert grant.endswith(
        f"--add --allow-principal User:{USER} --operation IdempotentWrite --cluster"
    )


def test_an_idempotent_producer_that_has_it(old: Oldest, bob: dict[str, str]) -> None:
    old.client.tool("allow", old.server, "CLUSTER", "kafka-cluster", USER, "IDEMPOTENT_WRITE")
    report = old.client.check(old.login, "--topic", "orders", given={**bob, **IDEMPOTENT})
    assert report.verdict == HEALTHY, report


def test_a_transactional_id_needs_a_right_of_its_own(old: Oldest, bob: dict[str, str]) -> None:
    report = old.client.check(old.login, "--topic", "orders", given={**bob, **TRANSACTIONAL})
    assert report.verdict == ("produce", "KD403", 40), report
    assert report.cause["subjects"] == ["transactional.id orders-1"]
    grant = report.cause["remedies"][0]["snippet"].splitlines()[-1]
    assert grant.endswith("--operation Describe --operation Write --transactional-id orders-1")


def test_a_transactional_id_that_may_be_used(old: Oldest, bob: dict[str, str]) -> None:
    """To ask for the right starts no transaction: Kafka makes a topic for the first one."""
    old.client.tool("allow", old.server, "TRANSACTIONAL_ID", "orders-1", USER, "WRITE")
    report = old.client.check(old.login, "--topic", "orders", given={**bob, **TRANSACTIONAL})
    assert report.verdict == HEALTHY, report
    assert any("this client may use transactional.id orders-1" in n for n in report.told["notes"])
    assert not list(old.folder.glob("data/__transaction_state-*"))
    assert old.errors() == []
