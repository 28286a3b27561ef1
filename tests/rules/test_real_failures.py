"""Which failure of a real client stands behind each error of a walk.

Every rule from 1xx to 4xx that declares itself an error has an entry, and each entry rests on what
is kept in this repository: a real client's log, a report of a real server in the lab, or a case of
the control run, in which the clients failed beside kdiag.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kdiag.rules.catalog import every_rule
from kdiag.rules.rule import Severity
from tests.lab.goldens import kept

RULES = every_rule()


TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Log:
    """What librdkafka and Java's client log, as tests/logs has it; "" where one is not there."""

    name: str
    librdkafka: str
    java: str = ""


@dataclass(frozen=True)
class Lab:
    """A case on a real server, by its golden: its report has this error."""

    golden: str


@dataclass(frozen=True)
class Control:
    """A case of tests/control in which no client could produce, and this is kdiag's cause."""

    name: str


@dataclass(frozen=True)
class Judged:
    """A test of this repository in which another client fails beside kdiag."""

    module: str
    test: str


UNSENT = "_MSG_TIMED_OUT"
EXPIRED = "TimeoutException: Expiring"
NO_METADATA = "not present in metadata"

STANDS_BEHIND: Mapping[str, Sequence[Log | Lab | Control | Judged]] = {
    "KD101": [Log("name-not-found", "Failed to resolve", "Couldn't resolve server")],
    "KD102": [Lab("aws/a_resolver_that_does_not_answer_is_no_missing_name")],
    "KD103": [Log("refused", "Connection refused", "could not be established")],
    "KD104": [Log("timeout", "Connection setup timed out in state CONNECT", NO_METADATA)],
    "KD105": [Log("unreachable", "Network is unreachable", "Network is unreachable")],
    "KD107": [
        Log("silent-peer", "Connection setup timed out in state APIVERSION_QUERY", NO_METADATA),
        Control("silent"),
    ],
    "KD108": [Log("http", "Invalid response size 1213486160", NO_METADATA)],
    "KD109": [
        Log("controller-port", "Required feature not supported", "UnsupportedVersionException")
    ],
    "KD110": [Log("tls-required", "in state APIVERSION_QUERY", NO_METADATA)],
    "KD111": [
        Log("tls-not-offered", "connecting to a PLAINTEXT broker", "terminated during authent")
    ],
    "KD112": [
        Log("untrusted-certificate", "certificate verify failed", "SunCertPathBuilderException")
    ],
    "KD113": [Log("certificate-name", "certificate verify failed", "No subject alternative")],
    "KD114": [
        Log("certificate-expired", "certificate verify failed", "CertificateExpiredException")
    ],
    "KD115": [Log("client-certificate", "alert bad certificate", "alert: bad_certificate")],
    "KD116": [Lab("security/no_tls_version_in_common")],
    "KD117": [Log("sasl-required", "connection closed by peer", "disconnected")],
    "KD118": [
        Log("sasl-not-offered", "not valid in current SASL state", "IllegalSaslStateException")
    ],
    "KD119": [
        Log("sasl-mechanism", "Unsupported SASL mechanism", "UnsupportedSaslMechanismException")
    ],
    "KD120": [
        Log("sasl-credentials", "SASL authentication error", "SaslAuthenticationException"),
        Control("wrong-password"),
    ],
    "KD126": [Control("too-many-connects")],
    "KD121": [Log("closed-early", "connection closed by peer", "disconnected")],
    "KD201": [Control("metadata-unanswered")],
    "KD202": [Control("invalid-topic")],
    "KD203": [Control("no-brokers")],
    "KD204": [Log("unknown-topic", "UNKNOWN_TOPIC_OR_PART", "UNKNOWN_TOPIC_OR_PARTITION")],
    "KD205": [Log("topic-denied", "TOPIC_AUTHORIZATION_FAILED", "TopicAuthorizationException")],
    "KD206": [Control("no-leader")],
    "KD207": [Control("no-listener-on-leader")],
    "KD301": [Log("private-address", "Connection setup timed out in state CONNECT", EXPIRED)],
    "KD302": [Log("loopback-address", "Connect to ipv4#127.0.0.1:9096 failed", "localhost/127.0")],
    "KD303": [Control("port-zero")],
    "KD304": [Log("internal-name", "Failed to resolve", "UnknownHostException")],
    "KD305": [
        Log("advertised-port-closed", "Connection refused", "could not be established"),
        Control("one-closed"),
        Judged("control/test_routing.py", "test_librdkafka_fails_where_kdiag_says_so"),
    ],
    "KD306": [Lab("aws/node_ports_of_which_only_the_bootstraps_is_open")],
    "KD128": [
        Judged("rules/test_interception.py", "test_librdkafka_fails_at_a_proxy_that_opens_tls")
    ],
    "KD129": [Judged("control/test_proxies.py", "test_kafka_python_fails_where_kdiag_says_so")],
    "KD130": [Judged("control/test_proxies.py", "test_nor_where_the_proxy_does_not_say_why")],
    "KD307": [Log("swapped", "", "Received invalid metadata error in produce request")],
    "KD308": [
        Log("shared", UNSENT, "Received invalid metadata error in produce request"),
        Control("one-address-leads-to-one"),
    ],
    # These two say why an address fails: what a client meets there is the failure itself.
    "KD309": [Log("internal-name", "Failed to resolve", "UnknownHostException")],
    "KD311": [Log("one-private-address", "Connection setup timed out in state CONNECT")],
    "KD310": [Control("another-cluster")],
    "KD312": [Log("plaintext-then-tls", "in state APIVERSION_QUERY")],
    "KD313": [Judged("control/test_routing.py", "test_librdkafka_fails_where_kdiag_says_so")],
    "KD1001": [
        Judged("control/test_registries.py", "test_confluents_client_fails_where_kdiag_says_so")
    ],
    "KD1002": [
        Judged("control/test_registries.py", "test_confluents_client_fails_where_kdiag_says_so")
    ],
    "KD1003": [
        Judged("control/test_registries.py", "test_confluents_client_fails_where_kdiag_says_so")
    ],
    "KD1004": [
        Judged("control/test_registries.py", "test_confluents_client_fails_where_kdiag_says_so")
    ],
    "KD1005": [
        Judged("control/test_registries.py", "test_confluents_client_fails_where_kdiag_says_so")
    ],
    "KD401": [Control("produce-unanswered")],
    "KD402": [Lab("aws/mtu_black_hole")],
    "KD403": [Log("produce-denied", "TOPIC_AUTHORIZATION_FAILED", "TopicAuthorizationException")],
    "KD404": [Lab("outage/too_few_replicas")],
    "KD405": [Control("not-leader")],
    "KD406": [Log("record-rejected", "MSG_SIZE_TOO_LARGE", "RecordTooLargeException")],
    "KD407": [Lab("client/the_client_disagrees_about_the_family_of_an_address")],
    "KD409": [Control("storage-error")],
}
EVIDENCE = [(code, one) for code, found in STANDS_BEHIND.items() for one in found]


def errors() -> Iterator[str]:
    """The codes of all rules from 1xx to 4xx that declare an error."""
    for rule in RULES.values():
        if rule.code[2] in "1234" and rule.severity is Severity.ERROR:
            yield rule.code


@pytest.mark.parametrize("code", sorted(errors()))
def test_a_real_client_fails_by_what_is_called_an_error(code: str) -> None:
    assert STANDS_BEHIND.get(code), (
        f"{code} is an error: name in STANDS_BEHIND how a real client fails by it, or warn only"
    )


def test_nothing_stands_behind_what_is_no_error() -> None:
    assert set(STANDS_BEHIND) == set(errors())


@pytest.mark.parametrize(
    ("code", "log"), [(code, one) for code, one in EVIDENCE if isinstance(one, Log)]
)
def test_the_clients_log_it(code: str, log: Log) -> None:
    said = {"librdkafka": log.librdkafka, "java": log.java}
    assert any(said.values())
    for client, words in said.items():
        if words:
            text = (TESTS / "logs" / client / f"{log.name}.log").read_text("utf-8")
            assert words in text, f"{code}: {client} says something else in {log.name}.log"


@pytest.mark.parametrize(
    ("code", "case"), [(code, one) for code, one in EVIDENCE if isinstance(one, Lab)]
)
def test_the_lab_has_met_it(code: str, case: Lab) -> None:
    module, _, name = case.golden.partition("/")
    report = kept(module)[name].report
    found = {one["code"]: one["severity"] for one in report["findings"]}
    assert found.get(code) == "error", f"{case.golden} has {found}"


@pytest.mark.parametrize(
    ("code", "case"), [(code, one) for code, one in EVIDENCE if isinstance(one, Judged)]
)
def test_a_test_has_another_client_fail_by_it(code: str, case: Judged) -> None:
    text = (TESTS / case.module).read_text("utf-8")
    assert f"def {case.test}(" in text
    assert code in text


@pytest.mark.parametrize(
    ("code", "case"), [(code, one) for code, one in EVIDENCE if isinstance(one, Control)]
)
def test_no_client_got_through_in_the_control_run(code: str, case: Control) -> None:
    path = TESTS / "control" / "proven" / f"{case.name}.json"
    told = json.loads(path.read_text("utf-8"))
    assert told["clients"] == {"librdkafka": False, "java": False}
    assert code in [cause for _, cause in told["kdiag"].values()], told["kdiag"]
