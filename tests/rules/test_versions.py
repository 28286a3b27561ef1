"""Brokers' releases, told by the versions that they list: held to the tables of real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdiag.demo.broker import BROKER_APIS
from kdiag.rules.versions import ApiVersionTable, notes, release
from kdiag.walk.facts.listeners import Listener
from tests.facts import known, listener, listeners, working_bootstrap

RELEASES: dict[str, ApiVersionTable] = {
    version: tuple((int(key), 0, int(last)) for key, last in (pair.split(":") for pair in pairs))
    for version, *pairs in (
        line.split()
        for line in Path(__file__).with_name("kafka_versions.txt").read_text().splitlines()
        if not line.startswith("#")
    )
}


@pytest.mark.parametrize("version", RELEASES)
def test_every_release_is_told_from_the_others(version: str) -> None:
    wanted = "0.11" if version.startswith("0.11.") else version.rpartition(".")[0]
    assert release(RELEASES[version]) == ("3.3" if wanted == "3.4" else wanted)


def test_a_server_that_is_no_release_of_kafka_has_none() -> None:
    assert release(tuple((key, *most) for key, most in BROKER_APIS.items())) is None
    assert release(tuple(row for row in RELEASES["4.0.1"] if row[0] != 32)) is None
    assert release(()) is None


def broker(node: int, version: str) -> Listener:
    made = listener(node, f"198.51.100.{node}:9092")
    (dial,) = made.contact.dials
    dial = dial._replace(apis=RELEASES[version])
    return made._replace(contact=made.contact._replace(dials=(dial,)))


def said(*versions: str) -> list[str]:
    brokers = (broker(node, version) for node, version in enumerate(versions, 1))
    return list(notes(known(working_bootstrap(), listeners(*brokers))))


def test_brokers_in_the_middle_of_an_upgrade_are_named() -> None:
    first, second = said("3.9.1", "3.9.1", "4.0.1")
    assert "broker 1 and broker 2 are of Kafka 3.9; broker 3 is of Kafka 4.0" in first
    assert "the brokers are of Kafka 3.9" in second


def test_the_clients_that_the_next_major_release_breaks() -> None:
    (note,) = said("2.8.2", "2.8.2")
    assert "for clients from Kafka 2.1 on" in note
    assert said("4.3.1", "4.3.1") == []
