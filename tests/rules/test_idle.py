"""Errors about brokers that the client's topic does not need are warnings, where that is proven."""

from __future__ import annotations

import pytest

from kdiag.config.settings import settings
from kdiag.rules.idle import tempered
from kdiag.rules.rule import Severity
from kdiag.walk.facts.consume import BrokerAnswers, Consume
from tests.facts import (
    client,
    delivery,
    found,
    known,
    listener,
    listeners,
    metadata,
    produce,
    working_bootstrap,
)

HERE, DOWN = listener(1, "3.10.139.221:9094"), listener(3, "3.10.139.223:9094", "tcp:refused")
PROVEN = produce(client=client(delivery(1)))._replace(unreached=(3,), idle=(3,))
TRANSACTIONAL = {"transactional.id": "t"}
COORDINATOR = Consume("consumer", (BrokerAnswers(1, group="UNKNOWN_MEMBER_ID"),))


def severities(*more: object, down: int = 1, **given: object) -> set[Severity]:
    """The severities of what is found at the brokers that are down, after they were tempered."""
    facts = (working_bootstrap(), metadata(), listeners(HERE, *[DOWN] * down), *more)
    asked = settings("3.10.139.221:9094", topic="orders", **given)  # type: ignore[arg-type]
    errors = [f for f in found(*facts) if f.hop == "listeners"]
    assert errors
    return {f.severity for f in tempered(known(asked, *facts), errors)}


def test_a_broker_that_leads_none_of_the_topic() -> None:
    assert severities(PROVEN) == {Severity.WARNING}


@pytest.mark.parametrize("proof", [PROVEN._replace(idle=()), PROVEN._replace(idle=(2,))])
def test_a_broker_that_may_be_needed(proof: object) -> None:
    assert severities(proof) == {Severity.ERROR}


def test_without_a_record() -> None:
    assert severities() == {Severity.ERROR}


def test_the_coordinator_of_a_reader() -> None:
    """It may be the broker that is down, unless another one says that it is."""
    assert severities(PROVEN, group="g") == {Severity.ERROR}
    assert severities(PROVEN, COORDINATOR, group="g") == {Severity.WARNING}


def test_the_coordinator_of_a_transaction() -> None:
    assert severities(PROVEN, properties=TRANSACTIONAL) == {Severity.ERROR}


def test_another_cluster_stays_an_error() -> None:
    """Whatever a client writes there is in the wrong place."""
    wrong = listener(3, "3.10.139.223:9094", "identity:wrong_cluster")
    facts = (working_bootstrap(), metadata(), listeners(HERE, wrong), PROVEN)
    errors = [f for f in found(*facts) if f.code == "KD310"]
    (finding,) = tempered(known(settings("a:1"), *facts), errors)
    assert finding.severity is Severity.ERROR
