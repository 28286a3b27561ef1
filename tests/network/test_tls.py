"""What an error of OpenSSL's means, and what a server's request for a certificate says."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdiag.config.security import Tls
from kdiag.network import tls
from kdiag.network.attempt import Failure
from kdiag.network.tls import tls_failure, tls_message
from tests.together import together

NAMES = (b"0\x0b1\x090\x07\x06\x03U\x04\x0a\x0c\x00", b"0\x00")


def error(reason: str, kind: type[ssl.SSLError] = ssl.SSLError, code: int = 0) -> ssl.SSLError:
    made = kind(1, f"[SSL: {reason}] words")
    made.reason = reason
    if isinstance(made, ssl.SSLCertVerificationError):
        made.verify_code, made.verify_message = code, "why."
    return made


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Failure.CLIENT_CERTIFICATE),
        ("SSLV3_ALERT_BAD_CERTIFICATE", Failure.CLIENT_CERTIFICATE),
        ("SSL/TLS_ALERT_BAD_CERTIFICATE", Failure.CLIENT_CERTIFICATE),
        ("TLSV1_ALERT_UNKNOWN_CA", Failure.CLIENT_CERTIFICATE),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", Failure.CLIENT_CERTIFICATE),
        ("TLSV1_ALERT_PROTOCOL_VERSION", Failure.HANDSHAKE),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", Failure.HANDSHAKE),
        ("TLSV1_UNRECOGNIZED_NAME", Failure.HANDSHAKE),
        ("WRONG_VERSION_NUMBER", Failure.HANDSHAKE),
        ("a reason of tomorrow", Failure.HANDSHAKE),
        ("UNEXPECTED_EOF_WHILE_READING", Failure.CLOSED),
    ],
)
def test_a_reason(reason: str, failure: Failure) -> None:
    assert tls_failure(error(reason)) is failure


@pytest.mark.parametrize("kind", [ssl.SSLEOFError, ssl.SSLZeroReturnError])
def test_a_peer_that_is_gone(kind: type[ssl.SSLError]) -> None:
    assert tls_failure(error("", kind)) is Failure.CLOSED


@together("code", range(100))
def test_every_verify_code_is_one_of_three(code: int) -> None:
    found = tls_failure(error("CERTIFICATE_VERIFY_FAILED", ssl.SSLCertVerificationError, code))
    expected = {
        9: Failure.EXPIRED,
        10: Failure.EXPIRED,
        62: Failure.NAME_MISMATCH,
        64: Failure.NAME_MISMATCH,
    }
    assert found is expected.get(code, Failure.UNTRUSTED)


def test_its_words_are_without_decoration() -> None:
    for version in ("TLSV1", "SSLV3", "TLSV13", "SSL/TLS"):
        assert tls_message(error(f"{version}_ALERT_INTERNAL_ERROR")) == "alert: internal error"
    assert tls_message(error("WRONG_VERSION_NUMBER")) == "wrong version number"
    verify = error("CERTIFICATE_VERIFY_FAILED", ssl.SSLCertVerificationError, 20)
    assert tls_message(verify) == "why"


def listed(names: tuple[bytes, ...]) -> bytes:
    body = b"".join(len(name).to_bytes(2, "big") + name for name in names)
    return len(body).to_bytes(2, "big") + body


def test_the_authorities_of_tls_1_2() -> None:
    request = b"\x02\x01\x40" + b"\x00\x02\x04\x03" + listed(NAMES)
    assert tls._authorities(request, newest=False) == NAMES


def test_the_authorities_of_tls_1_3() -> None:
    other = b"\x00\x0d\x00\x04\x00\x02\x04\x03"  # signature_algorithms
    wanted = listed(NAMES)
    extensions = other + b"\x00\x2f" + len(wanted).to_bytes(2, "big") + wanted
    request = b"\x00" + len(extensions).to_bytes(2, "big") + extensions
    assert tls._authorities(request, newest=True) == NAMES
    assert tls._authorities(b"\x00\x00\x00", newest=True) == ()


@given(st.binary(max_size=200), st.booleans())
def test_no_request_is_too_strange(body: bytes, newest: bool) -> None:
    assert len(tls._authorities(body, newest)) <= tls.MAX_CHAIN


def shown(handshakes: tls.TlsHandshakes, *chain: bytes) -> tuple[bytes, ...]:
    """What is kept of the chain of one peer."""
    found = handshakes.failed(tls.ObservedHandshake(chain=chain), "broker", None)
    return found.chain if found else ()


def test_what_all_peers_show_is_kept_once() -> None:
    handshakes = tls.TlsHandshakes(Tls())
    one, other = (shown(handshakes, bytes([n]) * 9, b"ca" * 9) for n in (1, 2))
    assert one == (b"\1" * 9, b"ca" * 9)
    assert one[1] is other[1]


def test_the_certificates_of_all_peers_together_are_bounded() -> None:
    handshakes = tls.TlsHandshakes(Tls())
    size = 90_000
    chains = [shown(handshakes, n.to_bytes(2, "big") * (size // 2)) for n in range(1000)]
    kept = {certificate for chain in chains for certificate in chain}
    assert len(kept) == tls.MAX_CERTIFICATES // size
    assert shown(handshakes, bytes(size)) == chains[0], "what is known is shown as before"
