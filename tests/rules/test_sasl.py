"""KD117 and KD122: a login that was kept back, and one that everybody on the way could read."""

from __future__ import annotations

import pytest

from kdiag.config.endpoint import parse_endpoint
from kdiag.config.mechanisms import READABLE
from kdiag.config.security import Sasl, Security
from kdiag.config.settings import settings
from kdiag.network.attempt import AddressResult, EndpointResult, Failure, LayerResult
from kdiag.rules.rule import Finding
from tests.facts import bootstrap, contact, found_by, listener, listeners, working_bootstrap

NAME = "kafka.example.com:9094"


def findings(code: str, *facts: object, security: Security) -> list[Finding]:
    return found_by(code, *facts, settings(NAME)._replace(security=security))


def logged_in(where: str, address: str, failure: Failure | None = None) -> EndpointResult:
    """A server in plaintext, after a login there."""
    attempts = (
        LayerResult("tcp", 0.0),
        LayerResult("kafka", 0.0),
        LayerResult("sasl", 0.0, failure),
    )
    one = AddressResult(address, attempts, protocol="SASL_PLAINTEXT")
    return EndpointResult(parse_endpoint(where), LayerResult("dns", 0.0), (one,))


def sent(mechanism: str) -> Security:
    return Security("SASL_PLAINTEXT", sasl=Sasl(mechanism, "u", "p"))


def test_a_login_that_was_kept_back_is_told_how_to_be_sent() -> None:
    met = bootstrap(contact(NAME, "sasl:sasl_required", detail="PLAIN"))
    (finding,) = findings("KD117", met, security=Security(sasl=Sasl("PLAIN", "u", "p")))
    assert "kdiag did not send the login" in finding.message
    assert "Write security.protocol=SASL_PLAINTEXT" in finding.remedies[0].summary
    for other in (Security(), Security("SASL_PLAINTEXT"), Security(sasl=Sasl("SCRAM-SHA-512"))):
        (finding,) = findings("KD117", met, security=other)
        assert "did not send" not in finding.message


@pytest.mark.parametrize("mechanism", READABLE)
def test_a_login_that_could_be_read_is_told_of_at_both_hops(mechanism: str) -> None:
    met = bootstrap(logged_in(NAME, "203.0.113.7"))
    theirs = listener(1, "198.51.100.1:9094")
    advertised = listeners(
        theirs._replace(contact=logged_in("198.51.100.1:9094", "198.51.100.1")),
        theirs._replace(contact=logged_in(NAME, "203.0.113.7")),
    )
    first, second = findings("KD122", met, advertised, security=sent(mechanism))
    assert (first.hop, first.subjects) == ("bootstrap", [f"bootstrap {NAME}"])
    assert (second.hop, second.subjects) == ("listeners", ["broker 1"])
    assert {first.severity, second.severity} == {"warning"}
    assert "SASL_SSL" in first.remedies[0].summary


def test_who_learnt_nothing_is_not_counted() -> None:
    unread = ("SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")
    met = bootstrap(logged_in(NAME, "203.0.113.7"))
    assert [findings("KD122", met, security=sent(mechanism)) for mechanism in unread] == [[]] * 3
    for failure in (Failure.MECHANISM, Failure.SASL_REQUIRED, Failure.SASL_NOT_OFFERED):
        kept = bootstrap(logged_in(NAME, "203.0.113.7", failure))
        assert not findings("KD122", kept, security=sent("PLAIN"))
    refused = bootstrap(logged_in(NAME, "203.0.113.7", Failure.CREDENTIALS))
    assert findings("KD122", refused, security=sent("PLAIN"))
    for address in ("127.0.0.1", "::1"):  # nobody is on the way
        assert not findings("KD122", bootstrap(logged_in(NAME, address)), security=sent("PLAIN"))


LIMITED = "SASL_AUTHENTICATION_FAILED: [8e2b]: Too many connects"


@pytest.mark.parametrize(
    ("said", "code", "other", "cause", "fix"),
    [
        (LIMITED, "KD126", "KD120", "limit", "reconnect.backoff.ms"),
        ("x: Invalid tenant name", "KD120", "KD126", "tenant", "token endpoint"),
    ],
)
def test_the_servers_own_words_decide(
    said: str, code: str, other: str, cause: str, fix: str
) -> None:
    met = bootstrap(contact(NAME, "sasl:credentials", detail=said))
    (finding,) = findings(code, met, security=sent("OAUTHBEARER"))
    assert findings(other, met, security=sent("OAUTHBEARER")) == []
    assert finding.severity == "error"
    assert cause in finding.message
    assert fix in finding.remedies[0].summary
    assert "password" not in finding.remedies[0].summary


def test_brokers_that_refuse_in_other_words_are_told_apart() -> None:
    limited = listener(1, "198.51.100.1:9094", "sasl:credentials", detail="Too many connects")
    refused = listener(2, "198.51.100.2:9094", "sasl:credentials", detail="Invalid password")
    met = working_bootstrap(), listeners(limited, refused)
    told = [findings(code, *met, security=sent("PLAIN")) for code in ("KD126", "KD120")]
    assert [[finding.subjects for finding in each] for each in told] == [
        [["broker 1"]],
        [["broker 2"]],
    ]
