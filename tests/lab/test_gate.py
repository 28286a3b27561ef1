"""What a pipeline asks for, of a real Kafka: expectations, waiting, several targets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab.client import HEALTHY, PATIENCE
from tests.lab.lab import Lab
from tests.lab.listeners import USERS
from tests.running import ROOT, environment

pytestmark = pytest.mark.kafka

MET = ("brokers=3", "advertised=127.*", "protocol=SASL_SSL", "certificate-days>=30")
MET_TOO = ("identity=proven", "cluster-id=*", "topic-partitions>=3", "acks-ms<60000")


def expecting(*texts: str) -> list[str]:
    return [argument for text in texts for argument in ("--expect", text)]


def test_all_that_can_be_expected_is_so(kafka: Lab) -> None:
    given = kafka.properties("LOGINTLS")
    asked = ("--topic", "orders", *expecting(*MET, *MET_TOO))
    report = kafka.client.check(kafka.at("LOGINTLS"), *asked, given=given)
    assert report.verdict == HEALTHY, report
    assert [one["met"] for one in report.told["expectations"]] == [True] * 8
    found = {one["expectation"]: one["found"] for one in report.told["expectations"]}
    assert set(found["acks-ms<60000"]) == {f"the leader on broker {node}" for node in (1, 2, 3)}
    assert found["brokers=3"] == {"": 3}
    assert len(found["certificate-days>=30"]) == 4


def test_what_is_not_as_expected(kafka: Lab) -> None:
    """A path that works, and not to where somebody thought."""
    asked = expecting("brokers=4", "protocol=SSL", "identity=proven", "certificate-days>=30")
    report = kafka.client.check(kafka.at("PUBLIC"), *asked)
    assert report.verdict == ("expect", "KD701", 70), report
    met = [one["met"] for one in report.told["expectations"]]
    assert met == [False, False, True, False]


def test_a_user_who_may_not_ask_who_answers_proves_no_identity(kafka: Lab) -> None:
    given = kafka.properties("LOGIN", sasl_username="guest", sasl_password=USERS["guest"])
    report = kafka.client.check(kafka.at("LOGIN"), *expecting("identity=proven"), given=given)
    assert report.verdict == ("expect", "KD701", 70), report


def test_it_waits_for_a_broker_that_comes_back(kafka: Lab) -> None:
    """Hop 3 fails until it is up again. Whoever looks at the port of broker 1 alone is ready."""
    kafka.kafka.kill(3)
    started = False
    asked = ("check", kafka.at("PUBLIC"), "--wait", "600", "--expect", "brokers=3")
    process = subprocess.Popen(
        [sys.executable, "-m", "kdiag", *asked],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stderr
        first = process.stderr.readline()
        kafka.kafka.run(3)
        started = True
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait(PATIENCE)
        if not started:
            kafka.kafka.run(3)
        kafka.ask("recover")
    assert first == "kdiag: waiting: listeners: KD305 advertised-port-closed\n"
    assert process.returncode == 0, out + err
    assert "3 of 3 brokers answered" in out
