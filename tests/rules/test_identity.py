"""KD307 and KD308: an error only where clients fail, else a warning, a note or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from kdiag.rules.catalog import every_rule
from kdiag.rules.rule import Match, Note
from kdiag.walk.facts.listeners import Listener
from tests.facts import (
    DOOR,
    client,
    delivery,
    found_by,
    known,
    listener,
    listeners,
    metadata,
    produce,
    produced,
)

RULES = every_rule()


THERE = f"{DOOR}:9094"


def met(node: int, failed: str = "", *, answered: int | None = None, **proof: Any) -> Listener:
    """Broker `node` at the address that they share, and what it proved there."""
    found = listener(node, THERE, failed, answered=answered)
    dials = tuple(dial._replace(**proof) for dial in found.contact.dials)
    return found._replace(contact=found.contact._replace(dials=dials))


def said(code: str, *facts: Any) -> list[str]:
    """Severities, and "note" for a note."""
    rule = RULES[code]
    judged = rule.judged(known(*facts))
    return ["note" if isinstance(x, Note) else rule.finding(x).severity.value for x in judged]


def took(*nodes: int) -> Any:
    """The real client's record was acknowledged by these."""
    return produce(produced(1), client=client(*map(delivery, nodes)))


WRONG = met(2, "identity:wrong_node", answered=1)
UNKNOWN = met(1, answered=None)


@pytest.mark.parametrize(
    ("found", "facts", "expected"),
    [
        (WRONG, (), ["error"]),
        (met(2, "identity:wrong_node", refuses=(2,)), (), ["error"]),
        (met(2, "identity:wrong_node", recognised=False), (), ["error"]),
        (WRONG, (took(2),), ["note"]),
        (WRONG, (took(1),), ["error"]),
        (met(2, answered=1, serves=(2,)), (), ["note"]),
        (met(2, answered=1, serves=(2,), recognised=False), (), ["warning"]),
        (met(2, serves=(2,), recognised=False), (), ["warning"]),
        (met(2, serves=(2,)), (), []),
        (met(2, recognised=True), (), []),
    ],
    ids=[
        *("names itself", "does not lead", "says no", "record taken", "another's record"),
        *("routed", "routed until the upgrade", "routed namelessly", "serves", "says yes"),
    ],
)
def test_wrong_broker(found: Listener, facts: tuple[Any, ...], expected: list[str]) -> None:
    assert said("KD307", listeners(found), *facts) == expected


def test_the_next_upgrade_is_named() -> None:
    routed = met(2, answered=1, serves=(2,), recognised=False)
    (finding,) = found_by("KD307", listeners(routed))
    assert "those of Kafka 4.4 and newer drop the connection" in finding.message
    assert len(finding.evidence) == 3


@pytest.mark.parametrize(
    ("found", "facts", "expected"),
    [
        ((met(1), WRONG), (), ["error"]),
        ((met(1, serves=(1,), refuses=(2,)), met(2, serves=(2,), refuses=(1,))), (), ["error"]),
        ((met(1, "refused"), met(2, "refused")), (), ["error"]),
        ((met(1), met(2)), (), ["warning"]),
        ((met(1, serves=(1, 2)), met(2)), (), ["warning"]),
        ((met(1, serves=(1, 2)), met(2, serves=(1, 2))), (), ["note"]),
        ((met(1), WRONG), (took(1, 2),), ["note"]),
        ((met(1, serves=(1,)), WRONG), (took(1),), ["error"]),
        ((met(1),), (), []),
    ],
    ids=[
        *("another answers", "each by chance", "nobody answers", "nothing proven", "half proven"),
        *("serves all", "records taken", "one record taken", "not shared"),
    ],
)
def test_shared_address(
    found: tuple[Listener, ...], facts: tuple[Any, ...], expected: list[str]
) -> None:
    assert said("KD308", listeners(*found), *facts) == expected


def test_a_broker_that_took_the_record_is_no_subject() -> None:
    (finding,) = found_by("KD308", listeners(met(1), WRONG), took(1))
    assert finding.subjects == ["broker 2"]


def test_wrong_cluster_stays_an_error() -> None:
    """Whatever is taken there is written to the wrong place."""
    found = met(2, "identity:wrong_cluster")
    (match,) = RULES["KD310"].judged(known(metadata(found.broker), listeners(found), took(2)))
    assert isinstance(match, Match)
    assert match.severity is None
