"""KD4xx: what became of the produce requests, and of the real client's records."""

from __future__ import annotations

import pytest

from kdiag.config.settings import settings
from kdiag.kafka.errors import error_name
from kdiag.network.attempt import Sent
from kdiag.rules.catalog import every_rule
from kdiag.rules.records import code_of
from kdiag.rules.rule import Note
from kdiag.walk.facts.produce import BrokerProduce, Produce
from tests.facts import (
    DOOR,
    client,
    delivery,
    found,
    found_by,
    hop_failures,
    known,
    metadata,
    produce,
    produced,
    working_bootstrap,
)

RULES = every_rule()


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
    ("KD407", produce(produced(1), client=client(delivery(1, "_NEW_ONE"))), [1]),
    ("KD409", produce(produced(1), client=client(delivery(1, "SOMETHING_NEW"))), [1]),
    ("KD409", produce(produced(1), client=client(delivery(1, "KAFKA_STORAGE_ERROR"))), [1]),
    ("KD409", produce(produced(1), client=client(delivery(1, "REQUEST_TIMED_OUT"))), [1]),
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
    (finding,) = found_by(code, working_bootstrap(), facts)
    assert (finding.code, finding.hop) == (code, "produce")
    assert finding.subjects == [f"broker {node}" for node in nodes]
    assert finding.evidence
    assert finding.remedies


@pytest.mark.parametrize(("code", "facts"), SILENT)
def test_is_silent(code: str, facts: Produce) -> None:
    assert found_by(code, working_bootstrap(), facts) == []


EXPLAINED = [
    ("KAFKA_STORAGE_ERROR", "KD409", "A disk of the broker fails", "log for the disk"),
    ("REQUEST_TIMED_OUT", "KD409", "followers, slow or lost", "replicas that are behind"),
    ("LEADER_NOT_AVAILABLE", "KD405", "being elected", "Run it again"),
    ("NOT_ENOUGH_REPLICAS", "KD404", "min.insync.replicas", "missing replicas"),
    ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", "KD404", "was written, but", "missing replicas"),
    ("POLICY_VIOLATION", "KD406", "A policy", "Compare"),
    ("INVALID_RECORD", "KD406", "no key for a compacted topic", "Compare"),
    ("MSG_SIZE_TOO_LARGE", "KD406", "max.message.bytes", "max.request.size"),
    ("RECORD_LIST_TOO_LARGE", "KD406", "segment", "Send less"),
    ("UNSUPPORTED_FOR_MESSAGE_FORMAT", "KD406", "newer message format", "Compare"),
    ("UNSUPPORTED_COMPRESSION_TYPE", "KD406", "compression", "compression.type"),
    ("INVALID_REQUIRED_ACKS", "KD406", "acks is none of", "Set acks"),
    ("CLUSTER_AUTHORIZATION_FAILED", "KD403", "idempotently", "Grant"),
    ("THROTTLING_QUOTA_EXCEEDED", "KD408", "quota", "quota"),
    ("_MSG_TIMED_OUT", "KD407", "was not delivered within", "the client's message"),
]


@pytest.mark.parametrize(("error", "code", "means", "fix"), EXPLAINED)
def test_an_error_is_told_with_what_it_means_and_what_to_do(
    error: str, code: str, means: str, fix: str
) -> None:
    failed = client(delivery(1, error, "the words"))
    (finding,) = found(working_bootstrap(), produce(produced(1), client=failed))
    severity = "warning" if error == "INVALID_RECORD" else "error"
    assert (finding.code, finding.severity) == (code, severity)
    assert any("the words" in line for line in finding.evidence)
    assert means in " ".join(finding.evidence)
    assert fix in finding.remedies[0].summary


def test_a_broker_that_answers_is_never_a_disagreement() -> None:
    """KD407 is for what only the client says."""
    errors = [error_name(code) for code in range(-1, 200) if code]
    assert {code_of(error) for error in errors} == {
        *("KD403", "KD404", "KD405", "KD406", "KD408", "KD409")
    }


def test_an_idempotent_producer_that_may_not_be_one_is_told_its_access_rule() -> None:
    denied = client(delivery(1, "CLUSTER_AUTHORIZATION_FAILED"), delivery(2))
    (finding,) = found_by("KD403", working_bootstrap(), produce(produced(1), client=denied))
    assert finding.message == "This client may not be an idempotent producer: orders-0"
    assert finding.remedies[0].snippet.endswith(
        "--add --allow-principal User:ANONYMOUS --operation IdempotentWrite --cluster"
    )
    newer = working_bootstrap()._replace(apis={60: (0, 1)})
    (finding,) = found_by("KD403", newer, produce(produced(1), client=denied))
    assert finding.remedies[0].snippet.endswith(
        "--add --allow-principal User:ANONYMOUS --operation Describe --operation Write "
        "--topic orders"
    )


TRANSACTIONAL = settings("b:1", topic="orders", properties={"transactional.id": "orders-1"})


def test_a_transactional_id_that_may_not_be_used_is_told_its_access_rule() -> None:
    denied = metadata()._replace(transaction="TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
    (finding,) = found_by("KD403", working_bootstrap(), denied, WRITTEN, TRANSACTIONAL)
    assert finding.message == "This client may not use its transactional.id orders-1"
    assert (finding.severity, finding.subjects) == ("error", ["transactional.id orders-1"])
    assert (
        finding.remedies[0]
        .snippet.splitlines()[1]
        .endswith("--operation Describe --operation Write --transactional-id orders-1")
    )


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ("INVALID_PRODUCER_ID_MAPPING", "this client may use transactional.id orders-1: "),
        ("NOT_COORDINATOR", "this client may use transactional.id orders-1: "),
        ("UNSUPPORTED_VERSION", "not proven: that this client may use transactional.id orders-1: "),
        (None, "not proven: that this client may use transactional.id orders-1"),
    ],
)
def test_what_is_known_of_a_transactional_id_is_a_note(said: str | None, note: str) -> None:
    facts = known(
        working_bootstrap(), metadata()._replace(transaction=said), WRITTEN, TRANSACTIONAL
    )
    (told,) = RULES["KD403"].judged(facts)
    assert isinstance(told, Note)
    assert told.text.startswith(note)


def test_two_kinds_of_a_brokers_failure_are_two_findings() -> None:
    failed = client(
        delivery(1, "KAFKA_STORAGE_ERROR"),
        delivery(2, "REQUEST_TIMED_OUT"),
        delivery(3, "KAFKA_STORAGE_ERROR"),
    )
    first, second = found_by("KD409", produce(produced(1), client=failed))
    assert first.message == "Brokers 1 and 3 answered KAFKA_STORAGE_ERROR for orders-0 and orders-2"
    assert first.subjects == ["broker 1", "broker 3"]
    assert second.subjects == ["broker 2"]


def test_a_value_that_the_client_does_not_take_is_a_warning() -> None:
    refused = ("linger.ms=900001: outside allowed range 0..900000",)
    ran = client(delivery(1))._replace(refused=refused)
    (finding,) = found_by("KD407", produce(produced(1), client=ran))
    assert (finding.severity, finding.evidence) == ("warning", list(refused))
    assert finding.message == "The real client does not take linger.ms, and ran without"
    assert finding.subjects == ["property linger.ms"]


def test_a_client_that_does_not_start_is_told_as_that() -> None:
    misfit = client(delivery(1, "_INVALID_ARG", "`acks` must be set to `all`"))
    (finding,) = found_by("KD407", produce(produced(1), client=misfit))
    assert finding.message == "The real client does not start with these properties"
    assert finding.severity == "error"


def test_a_client_that_the_deadline_cut_off_proves_nothing() -> None:
    ran = client(delivery(1, "_MSG_TIMED_OUT"), delivery(2, "TOPIC_AUTHORIZATION_FAILED"))
    facts = produce(produced(1), produced(2), client=ran._replace(short_of=9.0))
    codes = {finding.code for finding in found(working_bootstrap(), facts)}
    assert codes == {"KD403"}  # which a broker said
    assert facts.failed == ("broker 2",)
    (finding,) = found_by("KD002", hop_failures(), facts)
    assert (finding.severity, finding.hop, finding.subjects) == ("warning", "produce", ["broker 1"])
    assert "not proven" in finding.message
    assert "--deadline 40" in finding.remedies[0].summary
    assert found_by("KD002", hop_failures(), facts._replace(client=ran)) == []


def test_an_unanswered_probe_is_no_error_for_a_client_that_the_deadline_cut_off() -> None:
    ran = client(delivery(1, "_MSG_TIMED_OUT"))._replace(short_of=9.0)
    silent = produced(1, "silent", "silent")
    (cut_off,) = found_by("KD401", working_bootstrap(), produce(silent, client=ran))
    (failed,) = found_by(
        "KD401", working_bootstrap(), produce(silent, client=ran._replace(short_of=0.0))
    )
    assert [cut_off.severity, failed.severity] == ["warning", "error"]


def test_a_servers_words_that_the_client_repeats_are_the_cause() -> None:
    ran = client(delivery(1, "_MSG_TIMED_OUT"), words=("SASL: [8e2b]: Too many connects",))
    (finding,) = found_by("KD407", produce(produced(1), client=ran))
    assert finding.message == (
        "The real client could not write to orders-0: the broker's limit on new connections is "
        "used up"
    )
    assert "reconnect.backoff.ms" in finding.remedies[0].summary


def test_it_claims_no_answer_of_a_probe_that_there_was_not() -> None:
    failed = client(delivery(1, "_MSG_TIMED_OUT"))
    (lost,) = found_by("KD407", produce(produced(1, "silent", "silent"), client=failed))
    (well,) = found_by("KD407", produce(produced(1), client=failed))
    assert "the probe" not in lost.message
    assert well.message.endswith(", though every broker answers the probe")


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
    (finding,) = found_by("KD403", working_bootstrap(), produce(produced(1), client=denied))
    assert finding.message == "Topic orders may not be written to by this client: orders-0"
    assert f"--bootstrap-server {DOOR}:9094" in finding.remedies[0].snippet
    assert finding.remedies[0].snippet.endswith("--topic orders")


def test_several_brokers_are_one_finding() -> None:
    hanging = produce(*(produced(node, "silent", "silent", own=True) for node in (1, 2)))
    (finding,) = found_by("KD401", hanging)
    assert finding.subjects == ["broker 1", "broker 2"]
    assert finding.message == "Brokers 1 and 2 did not answer a produce request"


def judged(code: str, facts: Produce) -> list[str]:
    rule = RULES[code]
    said = rule.judged(known(working_bootstrap(), facts))
    return ["note" if isinstance(x, Note) else rule.finding(x).severity.value for x in said]


LATE = client(delivery(1, "_MSG_TIMED_OUT"))
TOOK = client(delivery(1))
DENIED = client(delivery(1, "TOPIC_AUTHORIZATION_FAILED"))
SILENCE = produced(1, "silent", "silent")
HANGING = produced(1, "", "silent")


def with_sent(sent: Sent | None) -> BrokerProduce:
    large = HANGING.large._replace(sent=sent)
    return HANGING._replace(large=large, first=(HANGING.small, large))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (produce(SILENCE), ["warning"]),
        (produce(produced(1, "closed", "closed")), ["warning"]),
        (produce(produced(1, "silent", "silent", own=True)), ["error"]),
        (produce(produced(1, "refused", "refused")), ["error"]),
        (produce(produced(1, "", "reset")), ["error"]),
        (produce(SILENCE, client=LATE), ["error"]),
        (produce(SILENCE, client=TOOK), ["note"]),
        (produce(SILENCE, client=DENIED), ["note"]),
        (produce(produced(1, "throttled", "throttled")), []),
        (produce(produced(1, "no_common_version", "no_common_version")), []),
        (produce(with_sent(Sent(0, 0, 0))), ["warning"]),
        (produce(with_sent(Sent(0, 0, 4000))), ["warning"]),
        (produce(HANGING), []),
    ],
    ids=[
        *("silent", "closed", "own topic too", "gone", "large closed", "client fails"),
        *("record taken", "record answered", "throttled", "no version", "arrived", "not read"),
        "vanished",
    ],
)
def test_unanswered_is_an_error_only_where_a_client_fails(
    facts: Produce, expected: list[str]
) -> None:
    assert judged("KD401", facts) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (produce(HANGING), ["error"]),
        (produce(HANGING, client=TOOK), ["note"]),
        (produce(with_sent(None)), ["warning"]),
        (produce(with_sent(Sent(0, 2, 0))), []),
        (produce(with_sent(Sent(0, 0, 4000))), []),
        (produce(HANGING._replace(first=())), []),
        (produce(SILENCE), []),
    ],
    ids=[
        *("lost", "record taken", "not told", "arrived", "not read", "once only", "small too"),
    ],
)
def test_packets_vanish_where_the_system_says_so(facts: Produce, expected: list[str]) -> None:
    assert judged("KD402", facts) == expected
