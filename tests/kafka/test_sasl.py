"""SASL as a client speaks it: the RFCs' own examples, hostile brokers, no secret in any word."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.config.mechanisms import CLIENT_ONLY, MECHANISMS
from kdiag.config.redaction import redacted
from kdiag.config.security import Sasl
from kdiag.kafka.sasl.mechanisms import (
    MAX_CHALLENGE,
    MAX_ITERATIONS,
    Bearer,
    Exchange,
    MskIam,
    SaslError,
    Scram,
    exchange,
)

quick = hypothesis_settings(max_examples=300, deadline=None, database=None, derandomize=True)

SPOKEN = tuple(name for name in MECHANISMS if name not in CLIENT_ONLY)
SECRET = "hunter2-not-to-be-seen"
BOB = Sasl("PLAIN", "bob", SECRET)
NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = NONCE + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="


def login(mechanism: str) -> Exchange:
    """A login that has its first message behind it."""
    steps = exchange(
        Sasl(mechanism, "bob", SECRET, token=SECRET, region="eu-west-2"), "b-1.example"
    )
    steps.first()
    return steps


def scram(password: str = "pencil", user: str = "user", digest: str = "sha256") -> Scram:
    """The client of RFC 7677's example."""
    return Scram(digest, Sasl("SCRAM-SHA-256", user, password), "h", NONCE)


def asked(nonce: str = SERVER_NONCE, salt: str = SALT, iterations: object = 4096) -> bytes:
    """A server's first message."""
    return f"r={nonce},s={salt},i={iterations}".encode()


def test_every_mechanism_begins() -> None:
    assert len(SPOKEN) == 5
    for mechanism in SPOKEN:
        assert login(mechanism)


def test_plain_is_rfc_4616() -> None:
    steps = exchange(Sasl("PLAIN", "tim", "tanstaaftanstaaf"), "h")
    assert steps.first() == b"\0tim\0tanstaaftanstaaf"
    assert steps.next(b"") is None


def test_scram_is_rfc_7677() -> None:
    steps = scram()
    assert steps.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert steps.next(asked()) == (
        f"c=biws,r={SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode()
    )
    assert steps.next(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") is None


def test_scram_is_rfc_5802() -> None:
    nonce = "fyko+d2lbbFgONRv9qkxdawL"
    steps = Scram("sha1", Sasl("SCRAM-SHA-1", "user", "pencil"), "h", nonce)
    assert steps.first() == b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
    theirs = nonce + "3rfcNHYJY1ZVvWVs7j"
    assert steps.next(asked(theirs, "QSXCR+Q6sek8bf92")) == (
        f"c=biws,r={theirs},p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=".encode()
    )
    assert steps.next(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=") is None


def test_a_name_with_signs_is_escaped() -> None:
    assert scram(user="a=b,c").first() == f"n,,n=a=3Db=2Cc,r={NONCE}".encode()


def test_a_password_goes_as_it_is() -> None:
    """Kafka has no SASLprep: a wide letter is not the same as a narrow one."""
    assert scram("ｐencil").next(asked()) != scram("pencil").next(asked())


def test_every_login_has_its_own_nonce() -> None:
    first = {exchange(Sasl("SCRAM-SHA-256", "bob", "x"), "h").first() for _ in range(20)}
    assert len(first) == 20


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        (asked(iterations=4095), "4095 iterations"),
        (asked(iterations=MAX_ITERATIONS + 1), "1000001 iterations"),
        (asked(iterations=0), "0 iterations"),
        (asked(iterations=10**30), "no SCRAM challenge"),
        (asked(iterations="9" * 5000), "no SCRAM challenge"),
        (asked(iterations=-1), "no SCRAM challenge"),
        (asked(NONCE), "does not continue"),
        (asked("someoneelses"), "does not continue"),
        (asked(NONCE[:-1]), "does not continue"),
        (asked(salt="W22"), "base64"),
        (asked(salt=""), "no SCRAM challenge"),
        (b"m=ext," + asked(), "no SCRAM challenge"),
        (b"", "no SCRAM challenge"),
        (b"\xff\xfe", "bytes that are no SCRAM"),
        (b"\x1b[31mred", "no SCRAM challenge"),
        (b"r" * (MAX_CHALLENGE + 1), "16385 bytes"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_scram_challenge_that_is_none(challenge: bytes, words: str) -> None:
    steps = scram()
    steps.first()
    with pytest.raises(SaslError) as error:
        steps.next(challenge)
    assert words in str(error.value)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("final", "words"),
    [
        (b"v=" + base64.b64encode(b"x" * 32), "signature is wrong"),
        (b"v=", "signature is wrong"),
        (b"v", "signature is wrong"),
        (b"", "signature is wrong"),
        (b"v=!", "base64"),
        (b"e=other-error", "the broker refused: other-error"),
        (b"e=pencil", "the broker refused: pencil"),
        (b"e=\x1b[2J", "\\x1b[2J"),
    ],
    ids=repr,
)
def test_a_broker_that_does_not_prove_itself(final: bytes, words: str) -> None:
    steps = scram()
    steps.first()
    steps.next(asked())
    with pytest.raises(SaslError) as error:
        steps.next(final)
    assert words in str(error.value)
    assert str(error.value).isprintable()


def test_the_most_iterations_take_bounded_time() -> None:
    started = time.monotonic()
    assert scram(digest="sha512").next(asked(iterations=MAX_ITERATIONS))
    assert time.monotonic() - started < 30


def test_bearer_is_rfc_7628_with_extensions() -> None:
    sasl = Sasl("OAUTHBEARER", token="vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
    assert exchange(sasl, "h").first() == (
        b"n,,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )
    more = Sasl("OAUTHBEARER", token="abc", extensions={"logicalCluster": "lkc-1", "pool": "p 2"})
    assert exchange(more, "h").first() == (
        b"n,,\x01auth=Bearer abc\x01logicalCluster=lkc-1\x01pool=p 2\x01\x01"
    )


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        (b'{"status":"invalid_token"}', "invalid_token"),
        (
            b'{"status":"insufficient_scope","scope":"kafka","openid-configuration":"https://x"}',
            "insufficient_scope, scope kafka, configuration https://x",
        ),
        (b'{"status":3}', '{"status":3}'),
        (b"[" * MAX_CHALLENGE, "[[["),
        (b"\x1b]0;pwned\x07", "\\x1b]0;pwned\\x07"),
        (b'{"status":"' + SECRET.encode() + b'"}', "***"),
        (b'{"status":"' + b"\\u0068" + SECRET[1:].encode() + b'"}', "***"),
        (b'{"status":"' + b"x" * 190 + SECRET.encode() + b'"}', "x" * 190),
        (SECRET.encode(), "***"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_refused_token_keeps_the_broker_s_words(challenge: bytes, words: str) -> None:
    steps = Bearer(Sasl("OAUTHBEARER", token=SECRET), "h")
    steps.first()
    assert steps.next(challenge) == b"\x01"
    shown = redacted(steps.refused, (SECRET,))
    assert words in shown
    assert SECRET[:8] not in shown
    assert shown.isprintable()
    with pytest.raises(SaslError, match="the broker refused the token"):
        steps.next(b"")


def test_an_accepted_token_is_the_end() -> None:
    assert login("OAUTHBEARER").next(b"") is None


def test_msk_accepts_with_an_answer() -> None:
    assert login("AWS_MSK_IAM").next(b'{"version":"2020_10_22","request-id":"1"}') is None
    with pytest.raises(SaslError, match="without the answer"):
        login("AWS_MSK_IAM").next(b"")


def test_msk_s_payload_has_what_aws_documents() -> None:
    sasl = Sasl("AWS_MSK_IAM", "AKIDEXAMPLE", SECRET, token="SESSION", region="eu-west-2")
    payload = json.loads(MskIam(sasl, "b-1.example", now=lambda: 1_600_000_000.0).first())
    signature = payload.pop("x-amz-signature")
    assert len(bytes.fromhex(signature)) == 32
    assert payload == {
        "version": "2020_10_22",
        "host": "b-1.example",
        "user-agent": "kdiag",
        "action": "kafka-cluster:Connect",
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": "AKIDEXAMPLE/20200913/eu-west-2/kafka-cluster/aws4_request",
        "x-amz-date": "20200913T122640Z",
        "x-amz-security-token": "SESSION",
        "x-amz-signedheaders": "host",
        "x-amz-expires": "900",
    }


@pytest.mark.parametrize(
    ("sasl", "words"),
    [
        (Sasl("GSSAPI"), "GSSAPI is not supported"),
        (Sasl("DIGEST-MD5"), "DIGEST-MD5 is not supported by kdiag; it supports: PLAIN, SCRAM"),
        (Sasl("\x1b[1m"), "\\x1b[1m is not supported"),
        (Sasl("PLAIN", "", SECRET), "PLAIN needs a user name"),
        (Sasl("SCRAM-SHA-512", "bob"), "SCRAM-SHA-512 needs a password"),
        (Sasl("PLAIN", "bob", f"{SECRET}\0x"), "is not text that can be sent"),
        (Sasl("PLAIN", "bob", f"{SECRET}\udcff"), "is not text that can be sent"),
        (Sasl("OAUTHBEARER"), "needs a token"),
        (Sasl("OAUTHBEARER", token=f"{SECRET}\n"), "no bearer token may have"),
        (Sasl("OAUTHBEARER", token="x", extensions={"auth": SECRET}), "extension: auth"),
        (Sasl("OAUTHBEARER", token="x", extensions={"a1": SECRET}), "extension: a1"),
        (Sasl("OAUTHBEARER", token="x", extensions={"a": f"{SECRET}\x01b=c"}), "extension: a"),
        (Sasl("AWS_MSK_IAM", region="eu-west-2"), "needs AWS credentials"),
        (Sasl("AWS_MSK_IAM", "AKID", SECRET), "needs a region"),
    ],
    ids=lambda value: repr(value)[:32],
)
def test_what_cannot_begin_says_why(sasl: Sasl, words: str) -> None:
    with pytest.raises(SaslError) as error:
        exchange(sasl, "h")
    assert words in str(error.value)
    assert SECRET not in str(error.value)
    assert str(error.value).isprintable()


def test_no_repr_shows_a_secret() -> None:
    for mechanism in SPOKEN:
        steps = login(mechanism)
        assert SECRET not in repr(steps)
    assert SECRET not in repr(BOB)


CHALLENGES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
    st.builds(
        lambda nonce, salt, iterations, rest: (
            f"r={NONCE}{nonce},s={salt},i={iterations}{rest}".encode("utf-8", "replace")
        ),
        st.text(max_size=20),
        st.text("ABCabc019+/=", max_size=30),
        st.integers(-10, 8192),
        st.text(max_size=10),
    ),
    st.text("ABCabc019+/=,", max_size=60).map(lambda text: f"v={text}".encode()),
    st.just(SECRET.encode()),
)


@quick
@given(st.sampled_from(SPOKEN), st.lists(CHALLENGES, min_size=1, max_size=4))
@example("SCRAM-SHA-256", [asked(), b"v=\xff"])
@example("OAUTHBEARER", [b"{}", b"{}"])
def test_whatever_a_broker_says_only_a_sasl_error_comes_out(
    mechanism: str, challenges: list[bytes]
) -> None:
    steps = scram(SECRET) if mechanism == "SCRAM-SHA-256" else login(mechanism)
    steps.first()
    try:
        for challenge in challenges:
            answer = steps.next(challenge)
            if answer is None:
                break
            assert len(answer) < 4 * MAX_CHALLENGE
    except SaslError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 1200
