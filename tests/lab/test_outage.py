"""kdiag on a real Kafka of which broker 3 is down: it is killed once, and started again at the end.

The tests run in the order in which they stand.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.client import HEALTHY
from tests.lab.lab import Lab

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def killed(kafka: Lab) -> Iterator[Lab]:
    """Broker 3 has just been killed: the metadata still has it."""
    kafka.kafka.kill(3)
    try:
        yield kafka
    finally:
        kafka.kafka.run(3)
        kafka.ask("recover")


@pytest.fixture(scope="module")
def missed(killed: Lab) -> Lab:
    """The cluster no longer counts on broker 3."""
    killed.ask("missed")
    return killed


def test_a_broker_that_was_killed(killed: Lab) -> None:
    report = killed.client.check(killed.at("PUBLIC"))
    assert report.verdict == ("listeners", "KD305", 30), report
    assert report.cause["subjects"] == ["broker 3"]


def test_too_few_replicas_for_a_client_that_asks_for_one(missed: Lab) -> None:
    given = {"acks": "1"}
    report = missed.client.check(missed.at("PUBLIC"), "--topic", "strict", given=given)
    assert report.verdict == HEALTHY, report
    assert report.told["verdict"] == "warn", report  # replicas are missing, and it does not care
    codes = {finding["code"] for finding in report.told["findings"]}
    assert "KD901" not in codes, "KRaft places replicas on a broker that is down, too"


def test_too_few_replicas(missed: Lab) -> None:
    report = missed.client.check(missed.at("PUBLIC"), "--topic", "strict")
    assert report.verdict == ("produce", "KD404", 40), report
    assert report.cause["subjects"] == ["broker 1", "broker 2"]
