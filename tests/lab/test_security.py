"""TLS, logins and access rules on a real Kafka, alone on loopback."""

from __future__ import annotations

import pytest

from tests.lab import tokens
from tests.lab.client import HEALTHY, Verdict
from tests.lab.goldens import named
from tests.lab.lab import Lab
from tests.lab.listeners import LOGINS, NODES

pytestmark = pytest.mark.kafka

BOOTSTRAP_TLS: dict[str, Verdict] = {
    "EXPIRED": ("bootstrap", "KD114", 10),
    "EARLY": ("bootstrap", "KD114", 10),
    "CHAINLESS": ("bootstrap", "KD112", 10),
    "SELFSIGNED": ("bootstrap", "KD112", 10),
    "MTLS": ("bootstrap", "KD115", 10),
    "MTLS12": ("bootstrap", "KD115", 10),
}


def test_tls(kafka: Lab) -> None:
    report = kafka.client.check(kafka.at("TLS"), given=kafka.properties("TLS"))
    assert report.verdict == HEALTHY, report
    assert report.told["protocol"] == "SSL"
    assert {report.brokers[node]["layers"]["tls"] for node in NODES} == {"ok"}


@pytest.mark.parametrize(("listener", "verdict"), BOOTSTRAP_TLS.items(), ids=named)
def test_tls_refused(kafka: Lab, listener: str, verdict: Verdict) -> None:
    report = kafka.client.check(kafka.at(listener), given=kafka.properties(listener))
    assert report.verdict == verdict, report
    assert report.cause["subjects"] == [f"bootstrap {kafka.at(listener)}"]


@pytest.mark.parametrize("listener", ["TLS", "CHAINED"])
def test_tls_of_another_authority(kafka: Lab, listener: str) -> None:
    given = kafka.properties(listener)
    given["ssl.ca.location"] = str(kafka.kafka.certificates / "other-ca.pem")
    report = kafka.client.check(kafka.at(listener), given=given)
    assert report.verdict == ("bootstrap", "KD112", 10), report


def test_a_chain_that_is_sent_whole(kafka: Lab) -> None:
    report = kafka.client.check(kafka.at("CHAINED"), given=kafka.properties("CHAINED"))
    assert report.verdict == HEALTHY, report


def test_a_self_signed_certificate_that_is_trusted(kafka: Lab) -> None:
    given = kafka.properties("SELFSIGNED")
    given["ssl.ca.location"] = str(kafka.kafka.certificates / "selfsigned-1.pem")
    report = kafka.client.check(kafka.at("SELFSIGNED"), given=given)
    # Each broker's is another one.
    assert report.verdict == ("listeners", "KD112", 30), report
    assert report.cause["subjects"] == ["broker 2", "broker 3"]


def test_one_brokers_certificate_lacks_its_name(kafka: Lab) -> None:
    report = kafka.client.check(kafka.at("NAMELESS"), given=kafka.properties("NAMELESS"))
    assert report.verdict == ("listeners", "KD113", 30), report
    assert report.cause["subjects"] == ["broker 2"]
    assert "b2.kafka.example.com" in " ".join(report.cause["evidence"])


def test_a_name_that_is_not_checked_is_a_warning(kafka: Lab) -> None:
    given = kafka.properties("NAMELESS") | {"ssl.endpoint.identification.algorithm": "none"}
    report = kafka.client.check(kafka.at("NAMELESS"), given=given)
    assert (report.told["verdict"], report.told["exit_code"]) == ("warn", 0), report
    assert [finding["code"] for finding in report.told["findings"]] == ["KD123"]


def test_a_certificate_that_expires_soon_is_a_warning(kafka: Lab) -> None:
    report = kafka.client.check(kafka.at("SOON"), given=kafka.properties("SOON"))
    assert (report.told["verdict"], report.told["exit_code"]) == ("warn", 0), report
    assert {finding["code"] for finding in report.told["findings"]} == {"KD125"}


@pytest.mark.parametrize("listener", ["MTLS", "MTLS12"])
def test_mutual_tls(kafka: Lab, listener: str) -> None:
    given = kafka.properties(listener) | kafka.identity("client")
    assert kafka.client.check(kafka.at(listener), given=given).verdict == HEALTHY


@pytest.mark.parametrize("listener", ["MTLS", "MTLS12"])
def test_a_strangers_client_certificate(kafka: Lab, listener: str) -> None:
    given = kafka.properties(listener) | kafka.identity("stranger")
    report = kafka.client.check(kafka.at(listener), given=given)
    assert report.verdict == ("bootstrap", "KD115", 10), report


def test_no_tls_version_in_common(kafka: Lab) -> None:
    given = kafka.properties("MTLS12") | kafka.identity("client")
    given["ssl.enabled.protocols"] = "TLSv1.3"
    report = kafka.client.check(kafka.at("MTLS12"), given=given)
    assert report.verdict == ("bootstrap", "KD116", 10), report


@pytest.mark.parametrize(
    ("listener", "spoken", "verdict"),
    [
        ("TLS", "PUBLIC", ("bootstrap", "KD110", 10)),
        ("PUBLIC", "TLS", ("bootstrap", "KD111", 10)),
        ("LOGIN", "PUBLIC", ("bootstrap", "KD117", 10)),
        ("PUBLIC", "LOGIN", ("bootstrap", "KD118", 10)),
        ("TLS", "LOGINTLS", ("bootstrap", "KD118", 10)),
        ("LOGINTLS", "TLS", ("bootstrap", "KD117", 10)),
        ("LOGINTLS", "LOGIN", ("bootstrap", "KD110", 10)),
        ("LOGIN", "LOGINTLS", ("bootstrap", "KD111", 10)),
    ],
    ids=named,
)
def test_another_protocol(kafka: Lab, listener: str, spoken: str, verdict: Verdict) -> None:
    report = kafka.client.check(kafka.at(listener), given=kafka.properties(spoken))
    assert report.verdict == verdict, report


@pytest.mark.parametrize(("listener", "spoken"), [("TLSTOPLAIN", "TLS"), ("PLAINTOTLS", "PUBLIC")])
def test_advertised_ports_speak_another_protocol(kafka: Lab, listener: str, spoken: str) -> None:
    report = kafka.client.check(kafka.at(listener), given=kafka.properties(spoken))
    assert report.verdict == ("listeners", "KD312", 30), report
    assert report.cause["subjects"] == ["broker 1", "broker 2", "broker 3"]


@pytest.mark.parametrize("listener", ["LOGIN", "LOGINTLS"])
@pytest.mark.parametrize("mechanism", LOGINS)
def test_logins(kafka: Lab, listener: str, mechanism: str) -> None:
    given = kafka.properties(listener, sasl_mechanism=mechanism)
    if mechanism == "OAUTHBEARER":
        del given["sasl.username"], given["sasl.password"]
        given["enable.sasl.oauthbearer.unsecure.jwt"] = "true"
        given["sasl.oauthbearer.config"] = "principal=alice"
    report = kafka.client.check(kafka.at(listener), "--topic", "orders", given=given)
    assert report.verdict == HEALTHY, report
    in_clear = listener == "LOGIN" and mechanism in ("PLAIN", "OAUTHBEARER")
    assert [f["code"] for f in report.told["findings"]] == (["KD122"] if in_clear else [])
    for node in NODES:
        assert report.brokers[node]["layers"]["sasl"] == "ok"
        assert report.brokers[node]["answered_as"] == node


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("user", ["alice", "nobody"])
def test_a_login_that_is_refused(kafka: Lab, mechanism: str, user: str) -> None:
    given = kafka.properties("LOGIN", sasl_mechanism=mechanism, sasl_username=user)
    given["sasl.password"] = "wrong-password"
    report = kafka.client.check(kafka.at("LOGIN"), given=given)
    assert report.verdict == ("bootstrap", "KD120", 10), report
    assert "wrong-password" not in str(report)


def test_a_token_that_has_expired(kafka: Lab) -> None:
    given = kafka.properties("LOGIN", sasl_mechanism="OAUTHBEARER")
    del given["sasl.username"], given["sasl.password"]
    given["kdiag.oauthbearer.token"] = tokens.unsecured("alice", 1, 2)
    report = kafka.client.check(kafka.at("LOGIN"), given=given)
    assert report.verdict == ("bootstrap", "KD120", 10), report
    assert "expired" in " ".join([report.cause["message"], *report.cause["evidence"]])


def _from(kafka: Lab, url: str, secret: str = tokens.SECRET) -> dict[str, str]:
    given = kafka.properties("LOGINTLS", sasl_mechanism="OAUTHBEARER")
    del given["sasl.username"], given["sasl.password"]
    return given | {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": url,
        "sasl.oauthbearer.client.id": tokens.CLIENT,
        "sasl.oauthbearer.client.secret": secret,
        "sasl.oauthbearer.scope": "kafka",
    }


def test_a_token_from_its_endpoint(kafka: Lab) -> None:
    with tokens.endpoint() as url:
        given = _from(kafka, url)
        report = kafka.client.check(kafka.at("LOGINTLS"), "--topic", "orders", given=given)
    assert report.verdict == HEALTHY, report
    assert tokens.SECRET not in str(report)


def test_a_token_from_its_endpoint_that_has_expired(kafka: Lab) -> None:
    with tokens.endpoint(lifetime=-60) as url:
        report = kafka.client.check(kafka.at("LOGINTLS"), given=_from(kafka, url))
    assert report.verdict == ("bootstrap", "KD120", 10), report
    assert "expired" in " ".join([report.cause["message"], *report.cause["evidence"]])


def test_a_token_that_is_not_granted(kafka: Lab) -> None:
    with tokens.endpoint() as url:
        given = _from(kafka, url, secret="not-the-secret")
        report = kafka.client.check(kafka.at("LOGINTLS"), given=given)
    assert report.verdict == ("bootstrap", "KD120", 10), report
    assert "invalid_client" in " ".join(report.cause["evidence"])
    assert "not-the-secret" not in str(report)


def test_a_mechanism_that_is_not_enabled(kafka: Lab) -> None:
    given = kafka.properties("SCRAMONLY")
    report = kafka.client.check(kafka.at("SCRAMONLY"), given=given)
    assert report.verdict == ("bootstrap", "KD119", 10), report
    assert "SCRAM-SHA-512" in " ".join(report.cause["evidence"])


@pytest.mark.parametrize(
    ("user", "verdict"),
    [
        ("reader", ("produce", "KD403", 40)),
        ("blind", ("metadata", "KD205", 20)),
        ("guest", ("metadata", "KD205", 20)),
        ("outsider", HEALTHY),
    ],
    ids=named,
)
def test_what_a_user_may_not_do_to_a_topic(kafka: Lab, user: str, verdict: Verdict) -> None:
    given = kafka.properties("LOGINTLS") | kafka.login(user)
    report = kafka.client.check(kafka.at("LOGINTLS"), "--topic", "orders", given=given)
    assert report.verdict == verdict, report


@pytest.mark.parametrize(("user", "identity"), [("outsider", "ok"), ("guest", "denied")])
def test_a_user_who_may_not_ask_who_answers(kafka: Lab, user: str, identity: str) -> None:
    """Whoever may describe a topic proves it by the partitions that each broker leads."""
    given = kafka.properties("LOGINTLS") | kafka.login(user)
    report = kafka.client.check(kafka.at("LOGINTLS"), given=given)
    assert report.verdict == HEALTHY, report
    for node in NODES:
        broker = report.brokers[node]
        assert (broker["layers"]["identity"], broker["produce"]) == (identity, "ok"), report
