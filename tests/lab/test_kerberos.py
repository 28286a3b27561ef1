"""Kerberos for real: tickets of a real key server, a real Kafka that wants them, a client that can.

That one is built against Debian's librdkafka: the wheels of confluent-kafka have no Kerberos.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import needs
from tests.lab.client import HEALTHY
from tests.lab.kerberos import SECOND_PORT, SERVICE, Kerberos, kerberos

pytestmark = pytest.mark.kafka

RECORD = [0, 0, "kdiag", "kdiag connectivity check"]


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kerberos]:
    needs.require(*needs.KAFKA, *needs.KERBEROS)
    needs.require_loopback()
    with kerberos(tmp_path_factory.mktemp("kerberos")) as started:
        yield started


def test_with_a_keytab_all_four_hops(realm: Kerberos) -> None:
    realm.no_ticket()
    report = realm.check("--topic", "orders", given=realm.keytab("alice"))
    assert report.verdict == HEALTHY, report
    broker = report.brokers[1]
    assert (broker["layers"]["sasl"], broker["produce"]) == ("ok", "ok"), report
    assert realm.tool("read", "orders") == [RECORD]
    assert realm.errors() == []


def test_with_a_ticket_and_no_topic_nothing_is_written(realm: Kerberos) -> None:
    before = realm.tool("read", "orders")
    realm.ticket("alice")
    report = realm.check(given={})
    assert report.verdict == HEALTHY, report
    *walked, produce = report.told["hops"]
    assert [hop["status"] for hop in walked] == ["pass", "pass", "pass"], report
    assert produce["status"] == "skipped", report
    assert "--topic" in produce["skipped_because"]
    assert realm.tool("read", "orders") == before


def test_an_unknown_topic_is_named_and_not_created(realm: Kerberos) -> None:
    report = realm.check("--topic", "ordres", given=realm.keytab("alice"))
    assert report.verdict == ("metadata", "KD204", 20), report
    assert realm.tool("topics") == ["orders"]


def test_without_a_ticket(realm: Kerberos) -> None:
    realm.no_ticket()
    report = realm.check(given={})
    assert report.verdict == ("bootstrap", "KD120", 10), report
    assert "No Kerberos credentials available" in str(report.cause["evidence"])


def test_a_service_that_the_realm_does_not_know(realm: Kerberos) -> None:
    given = realm.keytab("alice") | {"sasl.kerberos.service.name": f"not-{SERVICE}"}
    report = realm.check(given=given)
    assert report.verdict == ("bootstrap", "KD120", 10), report
    assert f"not-{SERVICE}" in str(report.cause["evidence"]), report


def test_an_address_that_the_realm_does_not_know_78_79(realm: Kerberos) -> None:
    server = f"{realm.other}:{SECOND_PORT}"
    report = realm.check(given=realm.keytab("alice"), server=server)
    assert report.verdict == ("bootstrap", "KD120", 10), report
    assert f"Server {SERVICE}/{realm.other}@" in str(report.cause["evidence"]), report


def test_a_principal_that_the_realm_has_forgotten(realm: Kerberos) -> None:
    realm.no_ticket()
    report = realm.check(given=realm.keytab("gone"))
    assert report.verdict == ("bootstrap", "KD120", 10), report
