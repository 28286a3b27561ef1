"""The error catalog: errors of Kafka and librdkafka, found by name and by number."""

from __future__ import annotations

import json

import confluent_kafka
import pytest

from kdiag.kafka.error_catalog import find, names
from kdiag.kafka.errors import error_name
from kdiag.rules.catalog import every_rule
from tests.running import kdiag
from tests.together import together

RULES = every_rule()


LIBRDKAFKA_ERRORS = {
    name: value
    for name, value in vars(confluent_kafka.KafkaError).items()
    if isinstance(value, int) and not name.startswith("__")
}


@together("name", LIBRDKAFKA_ERRORS)
def test_every_error_of_librdkafka_is_found_by_name_and_number(name: str) -> None:
    number = LIBRDKAFKA_ERRORS[name]
    error = find(str(number))
    assert error is not None
    assert error.number == number
    assert error.own == name.startswith("_")
    for spelling in (name, f"RD_KAFKA_RESP_ERR_{name}", name.lower()):
        assert find(spelling) == error


def test_every_error_of_the_protocol_has_the_name_that_kafka_uses() -> None:
    for number in range(-1, 134):
        error = find(str(number))
        assert error is not None
        assert error.name == error_name(number)
    assert find("134") is None


@together("name", names())
def test_every_error_has_sentences_and_known_codes(name: str) -> None:
    error = find(name)
    assert error is not None
    for text in (error.means, error.fix):
        assert not text or text.endswith((".", "TOPIC"))
    assert set(error.codes) <= set(RULES)


@pytest.mark.parametrize(
    ("spelling", "number"),
    [
        ("LeaderNotAvailableException", 5),
        ("NotLeaderOrFollowerException", 6),
        ("NotLeaderForPartitionError", 6),
        ("UnknownTopicOrPartitionError", 3),
        ("TopicAuthorizationException", 29),
        ("SaslAuthenticationException", 58),
        ("UnsupportedSaslMechanismException", 33),
        ("ErrNotEnoughReplicas", 19),
        ("RecordTooLargeException", 10),
        ("KafkaError._TRANSPORT", -195),
        ("Local: Message timed out", -192),
        ("Broker: No matching listener", 72),
        (" 72 ", 72),
    ],
)
def test_an_error_is_found_by_the_spelling_of_every_client(spelling: str, number: int) -> None:
    error = find(spelling)
    assert error is not None
    assert error.number == number


@pytest.mark.parametrize("text", ["", "-", "7" * 1000, "_NOPE", "\x1b[2J", "10.5", "--72"])
def test_other_text_is_no_error(text: str) -> None:
    assert find(text) is None


def test_explain_takes_a_code_a_name_and_a_number() -> None:
    for subject, first_line in (
        ("KD301", "KD301 private-address (error)"),
        ("private-address", "KD301 private-address (error)"),
        ("72", "72 LISTENER_NOT_FOUND (Kafka's protocol)"),
        ("-195", "-195 _TRANSPORT (librdkafka's own)"),
    ):
        done = kdiag("explain", subject)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0] == first_line
    assert "How to fix: " in kdiag("explain", "72").stdout
    assert "KD207 listener-missing-on-leader" in kdiag("explain", "72").stdout


def test_explain_writes_json() -> None:
    found = json.loads(kdiag("explain", "-195", "-o", "json").stdout)
    assert (found["kind"], found["name"], found["of"]) == ("error", "_TRANSPORT", "librdkafka")
    assert "KD104" in found["findings"]
    found = json.loads(kdiag("explain", "kd301", "-o", "json").stdout)
    assert (found["kind"], found["name"]) == ("finding", "private-address")


def test_explain_refuses_an_unknown_subject_and_suggests_a_similar_one() -> None:
    for subject, hint in (
        ("LEADR_NOT_AVAILABLE", "LEADER_NOT_AVAILABLE"),
        ("private-adress", "private-address"),
        ("KD300", "KD301 or KD302 or KD303"),
        ("kd0301", "KD301 or KD302 or KD303"),
    ):
        done = kdiag("explain", subject)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"did you mean {hint}" in done.stderr
    assert "no file: there are KD0xx, KD1xx, KD2xx" in kdiag("explain", "KD1999").stderr
    done = kdiag("explain", "\x1b]0;owned\x07")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
