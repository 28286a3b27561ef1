"""What the real client is given, and the properties that kdiag proposes."""

from __future__ import annotations

import re

import pytest
import trustme
from confluent_kafka import Producer

from kdiag.config.mechanisms import MECHANISMS
from kdiag.config.properties import stores
from kdiag.config.properties.dialects import KeySource
from kdiag.config.properties.names import KNOWN, PROTOCOLS
from kdiag.config.properties.syntax import parse_properties
from kdiag.config.security import Sasl, Security, Tls, librdkafka
from kdiag.config.settings import settings
from kdiag.rules.matching import matching
from tests.running import ROOT

CA = trustme.CA()
CERT = CA.issue_cert("client.example")
CHAIN, KEY = stores.identity(
    KeySource(
        "both", text=(CERT.cert_chain_pems[0].bytes() + CERT.private_key_pem.bytes()).decode()
    )
)
TLS = Tls(ca=CA.cert_pem.bytes().decode(), certificate=CHAIN, key=KEY, verify_name=False)

LOGINS = {
    "PLAIN": Sasl("PLAIN", "u", "p-hunter2"),
    "SCRAM-SHA-256": Sasl("SCRAM-SHA-256", "u", "p-hunter2"),
    "SCRAM-SHA-512": Sasl("SCRAM-SHA-512", "u", "p-hunter2"),
    "OAUTHBEARER": Sasl(
        "OAUTHBEARER",
        endpoint="https://id.example/token",
        client_id="id",
        client_secret="s-hunter2",
        scope="all",
        extensions={"logicalCluster": "lkc-1", "identityPoolId": "pool-1"},
        endpoint_ca=TLS.ca,
    ),
}


@pytest.mark.parametrize("mechanism", LOGINS)
def test_librdkafka_takes_what_it_is_given(mechanism: str) -> None:
    given = librdkafka(Security("SASL_SSL", TLS, LOGINS[mechanism]))
    assert given["sasl.mechanism"] == mechanism
    assert (given["ssl.ca.pem"], given["ssl.key.pem"]) == (TLS.ca, KEY)
    assert given["ssl.endpoint.identification.algorithm"] == "none"
    Producer(given)  # raises for a name or a value that it does not know


def test_what_a_mechanism_brings() -> None:
    plain = librdkafka(Security("SASL_PLAINTEXT", TLS, LOGINS["PLAIN"]))
    assert plain == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "p-hunter2",
    }
    bearer = librdkafka(Security("SASL_PLAINTEXT", TLS, LOGINS["OAUTHBEARER"]))
    assert bearer["sasl.oauthbearer.extensions"] == "logicalCluster=lkc-1,identityPoolId=pool-1"
    assert bearer["sasl.oauthbearer.method"] == "oidc"
    assert bearer["https.ca.pem"] == TLS.ca
    kerberos = librdkafka(Security("SASL_PLAINTEXT", TLS, Sasl("GSSAPI", service_name="broker")))
    assert kerberos["sasl.kerberos.service.name"] == "broker"


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "AWS_MSK_IAM"])
def test_a_ready_token_is_for_the_callback_alone(mechanism: str) -> None:
    sasl = LOGINS["OAUTHBEARER"]._replace(mechanism=mechanism, token="a.b.c")
    assert librdkafka(Security("SASL_PLAINTEXT", Tls(), sasl)) == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
    }


def test_nothing_is_given_that_the_protocol_has_no_use_for() -> None:
    for protocol in (None, "PLAINTEXT"):
        found = librdkafka(Security(protocol, TLS, LOGINS["PLAIN"]))
        assert found == {"security.protocol": "PLAINTEXT"}
    assert "sasl.password" not in librdkafka(Security("SSL", TLS, LOGINS["PLAIN"]))
    assert "ssl.key.pem" not in librdkafka(Security("SASL_PLAINTEXT", TLS, LOGINS["PLAIN"]))


def test_whom_the_client_trusts() -> None:
    careless = librdkafka(Security("SSL", Tls(verify=False)))
    assert careless["enable.ssl.certificate.verification"] == "false"
    careful = librdkafka(Security("SSL"))
    assert careful == {
        "security.protocol": "SSL",
        "enable.ssl.certificate.verification": "true",
        "ssl.endpoint.identification.algorithm": "https",
    }


def filled(value: str) -> str:
    """A value with what its placeholders stand for: a principal as kinit takes it has no `<`."""
    return re.sub(r"<([^<>]*)>", r"\1", value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mechanism", ["", *MECHANISMS])
def test_what_is_proposed_can_be_given_to_kdiag(protocol: str, mechanism: str) -> None:
    for snippet in matching(protocol, mechanism):
        given = parse_properties(snippet)
        assert given["security.protocol"] == protocol
        assert set(given) <= KNOWN
        kept = {
            name: "https://id.example/" if value.startswith("<https") else filled(value)
            for name, value in given.items()
            if not name.startswith("ssl.")
        }
        if "sasl.mechanism=OAUTHBEARER" in snippet and mechanism == "AWS_MSK_IAM":
            continue  # librdkafka's way to AWS is in its program, not in its properties
        found = settings("a:1", properties=kept).security
        logs_in = protocol.startswith("SASL") and mechanism
        assert (found.sasl.mechanism if found.sasl else "") == (mechanism if logs_in else "")


def test_what_is_proposed_leaves_to_the_user_what_only_the_user_knows() -> None:
    java, other = matching("SASL_SSL", "SCRAM-SHA-512")
    assert 'username="<user>" password="<password>";' in java
    assert "ScramLoginModule" in java
    assert other.splitlines() == [
        "security.protocol=SASL_SSL",
        "ssl.ca.location=<the CA's certificates.pem>",
        "sasl.mechanism=SCRAM-SHA-512",
        "sasl.username=<user>",
        "sasl.password=<password>",
    ]


def test_a_mechanism_of_the_peers_own_is_not_proposed() -> None:
    assert matching("SASL_PLAINTEXT", "X\nssl.key.pem=/etc") == matching("SASL_PLAINTEXT")


def test_every_secret_is_listed_and_none_is_shown() -> None:
    sasl = Sasl("PLAIN", password="p-hunter2", token="t-hunter2", client_secret="c-hunter2")
    whole = Security("SASL_SSL", Tls(key="k-hunter2", key_password="kp-hunter2"), sasl)
    assert {*whole.secrets} == {"k-hunter2", "kp-hunter2", "p-hunter2", "t-hunter2", "c-hunter2"}
    assert "hunter2" not in repr(whole)
    assert Security().secrets == ()


def test_the_page_has_every_mechanism() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    table = page.partition("## SASL\n")[2].partition("\n## ")[0]
    for name, mechanism in MECHANISMS.items():
        assert f"`{name}`" in table, f"docs/configuration.md does not name {name}"
        assert f"`{mechanism.modules[0]}`" in table
