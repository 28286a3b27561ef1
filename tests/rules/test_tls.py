"""KD110, KD111, KD115, KD116 and KD123: what became of a handshake, and what it asks for."""

from __future__ import annotations

import ssl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kdiag.config.security import Security, Tls
from kdiag.config.settings import settings
from kdiag.network.attempt import EndpointResult, TlsHandshake
from kdiag.rules.rule import Finding
from tests.certificates import KEY, made, name
from tests.facts import bootstrap, contact, dial, found_by

HOST = "kafka.example.com"
CA = name(cn="The CA")
LEAF = made(name(cn=HOST), CA, [HOST])
MESH = made(name(), name(o="cluster.local"), uris=["spiffe://cluster.local/ns/kafka/sa/default"])
OWN = Tls(
    certificate=ssl.DER_cert_to_PEM_cert(made(name(cn="our-app"), name(cn="Our CA"))),
    key=KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
)


def shown(
    failed: str, chain: bytes = LEAF, *, authorities: tuple[bytes, ...] = ()
) -> EndpointResult:
    """A server that showed this certificate, and wants one by these authorities."""
    handshake = TlsHandshake(
        HOST, "TLSv1.2", "x", (chain,), 1.8e9, bool(authorities), authorities, 0
    )
    return contact(f"{HOST}:9094", "", dial("203.0.113.7", failed)._replace(handshake=handshake))


def findings(code: str, met: EndpointResult, security: Security | None = None) -> list[Finding]:
    asked = settings(f"{HOST}:9094")._replace(security=security or Security("SSL"))
    return found_by(code, bootstrap(met), asked)


def test_a_client_without_the_certificate_that_is_wanted() -> None:
    wanted = (CA.public_bytes(), name(cn="Another").public_bytes())
    (finding,) = findings("KD115", shown("tls:client_certificate", authorities=wanted))
    assert "requires a client certificate, and this client has none" in finding.message
    assert "the listener accepts certificates by CN=The CA and CN=Another" in finding.evidence


def test_a_certificate_of_our_own_that_is_refused() -> None:
    (finding,) = findings("KD115", shown("tls:client_certificate"), Security("SSL", OWN))
    assert "refuses the client certificate that it was shown" in finding.message
    assert "this client showed CN=our-app, issued by CN=Our CA" in finding.evidence


def test_a_mesh_wants_certificates_that_nobody_outside_has() -> None:
    (finding,) = findings("KD115", shown("tls:client_certificate", MESH))
    assert "mesh" in finding.remedies[0].summary


@pytest.mark.parametrize(
    ("security", "said"),
    [
        (Security("SSL", Tls(verify=False, verify_name=False)), "does not check certificates"),
        (Security("SSL", Tls(verify_name=False)), "does not check names in certificates"),
    ],
    ids=["nothing is checked", "names are not"],
)
def test_a_check_that_is_turned_off(security: Security, said: str) -> None:
    (finding,) = findings("KD123", shown(""), security)
    assert (finding.severity, finding.evidence) == (
        "warning",
        ["every name here would pass the check"],
    )
    assert said in finding.message
    other = made(name(cn="other"), CA, ["other.example.com"])
    (finding,) = findings("KD123", shown("", other), security)
    assert "a certificate for other.example.com, not for kafka.example.com" in finding.evidence[0]


def test_a_check_that_is_on_or_of_nothing() -> None:
    assert findings("KD123", shown("")) == []
    plaintext = contact(f"{HOST}:9094", "", dial("203.0.113.7"))
    assert findings("KD123", plaintext, Security("PLAINTEXT", Tls(verify=False))) == []


def test_versions_that_the_client_insists_on_are_in_the_fix() -> None:
    only = Security("SSL", Tls(versions=("TLSv1.3",)))
    failed = contact(f"{HOST}:9094", "tls:handshake", detail="unsupported protocol")
    (finding,) = findings("KD116", failed, only)
    assert "this client takes TLSv1.3 only" in finding.remedies[0].summary
    (finding,) = findings("KD116", failed)
    assert "only" not in finding.remedies[0].summary


@pytest.mark.parametrize(
    ("code", "failed", "said"),
    [
        ("KD110", "tls:tls_required", "requires TLS, and this client speaks plaintext"),
        ("KD111", "tls:tls_not_offered", "speaks plaintext, and this client speaks TLS"),
    ],
)
def test_one_side_speaks_tls(code: str, failed: str, said: str) -> None:
    speaks = "SSL" if code == "KD110" else "PLAINTEXT"
    met = dial("203.0.113.7", failed)._replace(protocol=speaks)
    (finding,) = findings(code, contact(f"{HOST}:9094", "", met))
    assert said in finding.message
    assert f"security.protocol={speaks}" in finding.remedies[0].snippet
