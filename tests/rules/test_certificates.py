"""KD112 to KD114, KD125: what is wrong with a certificate, in handshakes of real ones."""

from __future__ import annotations

import datetime
import re
import ssl
from collections.abc import Sequence

import pytest

from kdiag.config.security import Security, Tls
from kdiag.config.settings import settings
from kdiag.network.attempt import EndpointResult, TlsHandshake
from kdiag.rules.rule import Finding
from tests.certificates import BEGIN, END, OTHER_KEY, made, name
from tests.facts import bootstrap, contact, dial, found_by, listener, listeners

DAY = 86400
NOW = BEGIN.timestamp() + 100 * DAY
HOST = "kafka.example.com"
CA, OTHER = name(cn="The CA"), name(cn="Another CA")
LEAF = made(name(cn=HOST), CA, [HOST])
BETWEEN = made(CA, OTHER, ca=True)
ALONE = made(name(cn=HOST), names=[HOST])

_OK, _NO_ISSUER, _SELF_SIGNED, _SELF_SIGNED_ROOT, _EXPIRED = 0, 20, 18, 19, 10


def shown(
    failed: str, chain: Sequence[bytes], code: int, *, host: str = HOST, at: float = NOW
) -> EndpointResult:
    """A server that showed these certificates."""
    handshake = TlsHandshake(host, "TLSv1.3", "TLS_AES_256_GCM_SHA384", tuple(chain), at, False)
    met = dial("203.0.113.7", failed, detail="why")
    return contact(f"{host}:9094", "", met._replace(handshake=handshake._replace(verify_code=code)))


def trusting(*authorities: bytes) -> Security:
    pem = "".join(ssl.DER_cert_to_PEM_cert(der) for der in authorities)
    return Security("SSL", Tls(ca=pem or None, ca_from="ssl.ca.location=ca.pem"))


def findings(
    code: str, *contacts: EndpointResult, security: Security | None = None
) -> list[Finding]:
    asked = settings(f"{HOST}:9094")._replace(security=security or trusting())
    return found_by(code, bootstrap(*contacts), asked)


UNTRUSTED = {
    "self-signed": ((ALONE,), _SELF_SIGNED, trusting(), "it is self-signed"),
    "a root that is not trusted": (
        (LEAF, made(CA, ca=True)), _SELF_SIGNED_ROOT, trusting(),
        "its root, CN=The CA, is not among the authorities trusted",
    ),
    "an unknown issuer, or half a chain": (
        (LEAF,), _NO_ISSUER, trusting(),
        "CN=The CA, who issued it, is not among .*incomplete chain",
    ),
    "a chain to nobody known": (
        (LEAF, BETWEEN), _NO_ISSUER, trusting(), "CN=Another CA, at the end of its chain",
    ),
    "the authority's namesake": (
        (LEAF,), _NO_ISSUER, trusting(made(CA, ca=True, signed_by=OTHER_KEY)),
        "the authority of that name in ssl.ca.location=ca.pem has another key",
    ),
    "a key that is too weak": ((LEAF,), 66, trusting(), "does not trust: why$"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("places", "fix"),
    [
        ("/Library/Frameworks/Python.framework/Versions/3.13/etc/openssl/cert.pem",
         "run Install Certificates.command"),
        ("/usr/lib/ssl/cert.pem", "install the package ca-certificates"),
    ],
)  # fmt: skip
def test_a_machine_without_authorities(places: str, fix: str) -> None:
    met = shown("tls:untrusted", (LEAF,), _NO_ISSUER)
    empty = met.dials[0].handshake
    assert empty
    empty = empty._replace(empty_store=places)
    met = met._replace(dials=(met.dials[0]._replace(handshake=empty),))
    (finding,) = findings("KD112", met)
    assert (
        f"this machine's trust store is empty: there is no authority's certificate in {places}"
        in (finding.message)
    )
    assert fix in finding.remedies[0].summary


@pytest.mark.parametrize("case", UNTRUSTED)
def test_why_it_is_not_trusted(case: str) -> None:
    chain, code, security, said = UNTRUSTED[case]
    (finding,) = findings("KD112", shown("tls:untrusted", chain, code), security=security)
    assert finding.severity == "error"
    assert finding.remedies
    assert re.search(said, finding.message), finding.message


def test_different_reasons_are_different_findings() -> None:
    alone = shown("tls:untrusted", (ALONE,), _SELF_SIGNED)
    half = shown("tls:untrusted", (LEAF,), _NO_ISSUER, host="b.example.com")
    first, second = findings("KD112", alone, half)
    assert "self-signed" in first.message
    assert "incomplete chain" in second.message


def test_whose_certificate_it_is_instead() -> None:
    fake = made(
        name(o="Acme Co", cn="Kubernetes Ingress Controller Fake Certificate"),
        names=["ingress.local"],
    )
    (finding,) = findings("KD112", shown("tls:untrusted", (fake,), _SELF_SIGNED))
    assert "ingress" in finding.remedies[0].summary


def test_the_names_that_a_certificate_is_for_and_those_that_it_covers() -> None:
    chain = (made(name(cn="a"), CA, ["a.example.com", "b.example.com"]),)
    first = shown("tls:name_mismatch", chain, 62, host="kafka.example.com")
    works = dial("203.0.113.1")._replace(handshake=first.dials[0].handshake)
    there = listeners(listener(1, "a.example.com:9094", "", works))
    asked = settings(f"{HOST}:9094")._replace(security=trusting())
    (finding,) = found_by("KD113", bootstrap(first), there, asked)
    assert "not for kafka.example.com" in finding.message
    said = " | ".join(finding.evidence)
    assert "for a.example.com and b.example.com" in said
    assert "covers a.example.com, not kafka.example.com" in said


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (END.timestamp() + 3 * DAY + 5, "expired 3 days ago"),
        (END.timestamp() + DAY + 5, "expired 1 day ago"),
        (END.timestamp() + 5, "has expired"),
        (BEGIN.timestamp() - DAY, "is not valid yet"),
    ],
)
def test_out_of_its_time(at: float, said: str) -> None:
    (finding,) = findings("KD114", shown("tls:expired", (LEAF,), _EXPIRED, at=at))
    assert finding.severity == "error"
    assert said in finding.message
    assert any("by this machine's clock" in line for line in finding.evidence)
    assert "clock" in finding.remedies[0].summary


@pytest.mark.parametrize(
    ("hours", "left", "said"),
    [
        # of a certificate for twenty years: 30 days
        (0, 30 * 24 + 1, ""),
        (0, 30 * 24 - 1, "29 days"),
        (0, 36, "1 day"),
        (0, 12, "12 hours"),
        (0, 0.5, "30 minutes"),
        # of a service mesh's for a day: a third of it
        (24, 23, ""),
        (24, 8.1, ""),
        (24, 7.9, "7 hours"),
        # of one for 30 days, renewed when 10 are left
        (30 * 24, 10 * 24 + 1, ""),
        (30 * 24, 10 * 24 - 1, "9 days"),
    ],
)
def test_soon_out_of_its_time(hours: int, left: float, said: str) -> None:
    begin = END - datetime.timedelta(hours=hours) if hours else BEGIN
    leaf = made(name(cn=HOST), CA, [HOST], begin=begin)
    met = shown("", (leaf,), _OK, at=END.timestamp() - left * 3600)
    found = findings("KD125", met)
    assert [finding.severity for finding in found] == (["warning"] if said else [])
    assert all(finding.message.endswith(f"expires in {said}") for finding in found)
    assert findings("KD114", met) == []


def test_one_certificate_that_expires_is_told_once() -> None:
    at = END.timestamp() - 5 * DAY
    first = shown("", (LEAF,), _OK, at=at)
    again = dial("203.0.113.1")._replace(handshake=first.dials[0].handshake)
    there = listeners(listener(1, "203.0.113.1:9094", "", again))
    (finding,) = found_by("KD125", bootstrap(first), there)
    assert finding.hop == "bootstrap"


def test_what_cannot_be_read_is_no_certificate_and_no_crash() -> None:
    garbage = shown("tls:untrusted", (b"\x30\x03\x02\x01\x01",), _NO_ISSUER)
    (finding,) = findings("KD112", garbage)
    assert finding.evidence
    assert findings("KD125", shown("", (b"", b"\xff"), _OK)) == []


@pytest.mark.parametrize("code", ["KD112", "KD113", "KD114", "KD125"])
def test_a_good_certificate(code: str) -> None:
    assert findings(code, shown("", (LEAF,), _OK)) == []
