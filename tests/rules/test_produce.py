"""KD4xx: what became of the produce requests, and of the real client's records."""

from __future__ import annotations

import pytest

from kdiag.hops.produce import Produce
from kdiag.rule import RULES
from kdiag.rules import produce as rules
from tests.facts import DOOR, came_in, client, delivery, found, found_by, produce, produced

ALL_WELL = produce(produced(1), produced(2), produced(3))
WRITTEN = produce(produced(1), client=client(delivery(1), delivery(2)))

FIRES = [
    ("KD401", produce(produced(1), produced(3, "silent", "silent")), [3]),
    ("KD401", produce(produced(3, "closed", "closed")), [3]),
    ("KD401", produce(produced(3, "refused", "refused")), [3]),
    ("KD401", produce(produced(3, "", "reset")), [3]),
    ("KD402", produce(produced(1, "", "silent"), produced(2)), [1]),
    ("KD403", produce(produced(1), client=client(delivery(1, "TOPIC_AUTHORIZATION_FAILED"))), [1]),
    ("KD404", produce(produced(1), client=client(delivery(1, "NOT_ENOUGH_REPLICAS"))), [1]),
    ("KD405", produce(produced(1), client=client(delivery(1, "NOT_LEADER_FOR_PARTITION"))), [1]),
    ("KD406", produce(produced(1), client=client(delivery(1, "MSG_SIZE_TOO_LARGE"))), [1]),
    ("KD407", produce(produced(1), client=client(delivery(1, "_MSG_TIMED_OUT"))), [1]),
    ("KD407", produce(produced(1), client=client(delivery(1, "SOMETHING_NEW"))), [1]),
    ("KD408", produce(produced(1), produced(2, throttle_ms=700)), [2]),
    ("KD408", produce(produced(1), client=client(delivery(1, "THROTTLING_QUOTA_EXCEEDED"))), [1]),
]

SILENT = [
    *((code, facts) for code in RULES if code.startswith("KD4") for facts in (ALL_WELL, WRITTEN)),
    ("KD401", produce(produced(1, "", "silent"))),  # large ones only: KD402
    ("KD402", produce(produced(1, "silent", "silent"))),
    ("KD402", produce(produced(1, "", "reset"))),
    ("KD402", produce(produced(1, "", "closed"))),
    ("KD407", produce(produced(1), client=client(delivery(1, "TOPIC_AUTHORIZATION_FAILED")))),
]


@pytest.mark.parametrize(("code", "facts", "nodes"), FIRES)
def test_fires(code: str, facts: Produce, nodes: list[int]) -> None:
    (finding,) = found_by(code, came_in(), facts)
    assert (finding.code, finding.hop) == (code, "produce")
    assert finding.subjects == [f"broker {node}" for node in nodes]
    assert finding.evidence
    assert finding.remedies


@pytest.mark.parametrize(("code", "facts"), SILENT)
def test_is_silent(code: str, facts: Produce) -> None:
    assert found_by(code, came_in(), facts) == []


ERRORS = sorted(
    rules.DENIED | rules.REPLICAS | rules.LEADER | rules.REJECTED | rules.THROTTLED | {"_NEW_ONE"}
)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_of_a_record_is_one_finding(error: str) -> None:
    (finding,) = found(
        came_in(), produce(produced(1), client=client(delivery(1, error, "the words")))
    )
    assert finding.severity == "error"
    assert any("the words" in line for line in finding.evidence)


def test_being_slowed_down_is_a_warning_and_being_refused_for_it_is_not() -> None:
    (slow,) = found_by("KD408", produce(produced(1, throttle_ms=700)))
    (slow_client,) = found_by("KD408", produce(produced(1), client=client(throttle_ms=300)))
    refused = produce(produced(1), client=client(delivery(1, "THROTTLING_QUOTA_EXCEEDED")))
    (hard,) = found_by("KD408", refused)
    assert [slow.severity, slow_client.severity, hard.severity] == ["warning", "warning", "error"]


def test_the_real_clients_words_are_evidence() -> None:
    run = client(delivery(2, "_MSG_TIMED_OUT"), words=("x:9094/2: Connect failed", "all down"))
    (finding,) = found_by("KD407", produce(produced(1), produced(2), client=run))
    assert finding.subjects == ["broker 2"]
    assert "the client says: x:9094/2: Connect failed" in finding.evidence
    assert "the client says: all down" in finding.evidence


def test_the_topic_is_filled_into_the_fix() -> None:
    denied = client(delivery(1, "TOPIC_AUTHORIZATION_FAILED"), delivery(2))
    (finding,) = found_by("KD403", came_in(), produce(produced(1), client=denied))
    assert finding.message == "Topic orders may not be written to by this client: orders-0"
    assert f"--bootstrap-server {DOOR}:9094" in finding.remedies[0].snippet
    assert finding.remedies[0].snippet.endswith("--topic orders")


def test_several_brokers_are_one_finding() -> None:
    hanging = produce(*(produced(node, "silent", "silent") for node in (1, 2)))
    (finding,) = found_by("KD401", hanging)
    assert finding.subjects == ["broker 1", "broker 2"]
    assert finding.message == "Brokers 1 and 2 did not answer a produce request"
