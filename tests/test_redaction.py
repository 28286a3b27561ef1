"""What peers said, without the secrets that they were told, however they repeat them."""

from __future__ import annotations

import base64
import json
import string
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote, quote_plus

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given
from hypothesis import strategies as st

from kdiag.config.redaction import redacted, secrets, without
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import (
    TEXT_LIMIT,
    AddressResult,
    EndpointResult,
    Failure,
    LayerResult,
    TlsHandshake,
    clean,
)
from kdiag.network.certificate import read

SECRET = 'Wonder&land/7+ "s\u00e9cret"'

SPELT: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in another case": str.upper,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a path": quote,
    "in a query": quote_plus,
    "with lower hex in a URL": lambda s: quote(s, safe="").replace("%2F", "%2f"),
    "every byte as in a URL": lambda s: "".join(f"%{byte:02X}" for byte in s.encode()),
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in JSON, not ASCII": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "every letter escaped in JSON": lambda s: "".join(f"\\u{ord(char):04x}" for char in s),
    "in HTML": lambda secret: "".join(f"&#{ord(char)};" for char in secret),
    "as Python has it": lambda secret: ascii(secret)[1:-1],
    "in hex": lambda secret: secret.encode().hex(),
    "in upper hex": lambda secret: secret.encode().hex().upper(),
    "in hex with colons": lambda secret: secret.encode().hex(":"),
    "in hex with 0x": lambda secret: " ".join(f"0x{byte:02x}" for byte in secret.encode()),
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in base64, for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "in base64, after a name": lambda s: base64.b64encode(f"\0alice\0{s}".encode()).decode(),
    "in base64, before more": lambda s: base64.b64encode(f"{s}\0more".encode()).decode(),
    "in base64, with line ends": lambda s: base64.encodebytes(s.encode() * 9).decode(),
    "letter by letter": " ".join,
    "between control characters": "\x01".join,
    "between invisible characters": "\u200b".join,
    "between terminal escapes": "\x1b".join,
}


def shown(text: str) -> str:
    """A peer's text as it comes out: cleaned where it became one, then without secrets."""
    return redacted(clean(text), (SECRET,))


@pytest.mark.parametrize("spell", SPELT.values(), ids=SPELT)
def test_every_spelling(spell: Callable[[str], str]) -> None:
    said = shown(f"refused: {spell(SECRET)} | is wrong")
    assert said.startswith("refused: ")
    assert said.endswith("| is wrong")
    left = said.removeprefix("refused: ").removesuffix("| is wrong").strip()
    assert "***" in left
    # What may be left is what stood around it, in bits of it or as another text of the peer's.
    assert len(left.replace("***", "")) <= 14, left


LETTERS = st.text(string.ascii_letters + string.digits, min_size=8, max_size=40)
ANY = st.text(string.printable.strip() + " é世", min_size=8, max_size=40).map(str.strip)
AROUND = st.text(max_size=30)


@given(AROUND, ANY.filter(lambda text: len(text) >= 8), AROUND)
@example("", "00000000", "")
@example("\\", "!!!!!!!!", "\\")
@example("%", "25252525", "%")
def test_none_is_left_as_it_is(before: str, secret: str, after: str) -> None:
    said = redacted(clean(f"{before}{secret}{after}"), (secret,))
    assert secret not in said


@given(AROUND, LETTERS, AROUND, st.sampled_from(sorted(set(SPELT) - {"letter by letter"})))
def test_none_is_left_in_any_spelling(before: str, secret: str, after: str, spelling: str) -> None:
    spelt = SPELT[spelling](secret)
    said = redacted(clean(f"{before} {spelt} {after}", 10_000), (secret,))
    letters = "".join(filter(str.isalnum, said)).lower()
    assert secret.lower() not in letters
    assert secret.encode().hex() not in letters
    assert clean(spelt) not in said


@given(st.integers(0, 80), LETTERS, st.sampled_from(("as it is", "in hex", "in base64")))
def test_none_is_left_where_a_text_is_cut(shift: int, secret: str, spelling: str) -> None:
    """Of its beginning no more than three characters."""
    spelt = SPELT[spelling](secret)
    said = redacted(clean("." * (TEXT_LIMIT - 1 - shift) + spelt), (secret,))
    length = 4 if spelling == "as it is" else 8
    assert spelt[:length] not in said


def test_nor_where_somebody_else_cut_it() -> None:
    """librdkafka keeps 512 bytes of an error, and marks no cut."""
    assert redacted("x" * 500 + " hunter2-sec", ("hunter2-secret",)).endswith("x ***")
    assert redacted("Cluster hunt", ("hunter2-secret",)) == "Cluster hunt"


@given(st.text(max_size=300))
def test_what_holds_no_secret_stays(text: str) -> None:
    assert redacted(text, ("Zebra-crossing-4711",)) == text


def test_what_is_too_short_to_be_hidden() -> None:
    text = "a kafka broker: YQ== 61"
    assert secrets(("a", "1", "abc", ""), ()) == ()
    assert redacted(text, secrets(("a", "6", "YQ="), ())) == text


def test_a_short_one_is_a_word_of_its_own() -> None:
    said = "no kafka, not kafka. kafka-1.example.com and b.kafka:9092, kafkaesque, 'kafka'"
    assert redacted(said, ("kafka",)) == (
        "no ***, not ***. kafka-1.example.com and b.kafka:9092, kafkaesque, '***'"
    )


def test_what_the_user_wrote_in_the_open_is_none() -> None:
    told = ("kafka", "orders", "hunter2-secret")
    assert secrets(told, ("kafka:9092", "orders", "")) == ("hunter2-secret",)


@dataclass(frozen=True)
class Said:
    words: tuple[str, ...]
    named: dict[str, str]
    number: int
    why: Failure | None = None


def test_values_of_every_kind() -> None:
    hidden = ("plaintext-secret", "sasl_plaintext")
    said = Said(("SASL_PLAINTEXT", "a sasl_plaintext"), {"x": "plaintext-secret"}, 7, Failure.RESET)
    told = without(said, hidden, frozenset({"SASL_PLAINTEXT"}))
    assert told == Said(("SASL_PLAINTEXT", "a ***"), {"x": "***"}, 7, Failure.RESET)
    assert told.why is Failure.RESET
    untouched = replace(said, words=("nothing",), named={})
    assert without(untouched.words, hidden) is untouched.words
    assert without(said, ()) is said


def test_a_certificate_stays_one() -> None:
    ca = trustme.CA()
    made = ca.issue_cert("hunter2-secret.example.com", common_name="hunter2-secret")
    parsed = x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes())
    chain = (parsed.public_bytes(Encoding.DER),)
    handshake = TlsHandshake("a", "TLSv1.3", "x", chain, 0.0)
    dial = AddressResult("127.0.0.1", (LayerResult("tls", 0.1),), handshake=handshake)
    contact = EndpointResult(Endpoint("a", 1), None, (dial,))
    told = without(contact, ("hunter2-secret",)).dials[0].handshake.chain
    found = read(told[0])
    assert len(told[0]) == len(chain[0])
    assert "hunter2" not in f"{found}"
    assert list(found.names) == ["**************.example.com"]
    assert found.issuer == read(chain[0]).issuer


def test_a_long_text_and_a_long_secret_take_no_time() -> None:
    """Minutes, where it looked again from every digit."""
    started = time.process_time()
    token = "eyJhbGciOiJub25lIn0." + "Ab3" * 1500
    assert redacted("A" * 300_000, (token, "Zz" * 1500)) == "A" * 300_000
    redacted("Ab3" * 300 + "…" * 3000, (token,))
    redacted("%41" * 100_000, (token,))
    assert time.process_time() - started < 20


def test_many_brokers_take_little_time() -> None:
    chain = (bytes(range(256)) * 6,)
    dials = tuple(
        AddressResult(f"10.0.{n // 250}.{n % 250}", (LayerResult("tls", 0.1, None, f"as {n}"),),
             handshake=TlsHandshake(f"b{n}", "TLSv1.3", "x", chain, 0.0))
        for n in range(1000)
    )  # fmt: skip
    started = time.process_time()
    assert without(dials, ("hunter2-secret", "another-of-them")) is dials
    assert time.process_time() - started < 10


def _calls(value: object) -> int:
    """How many functions of Python and of C it takes to hide secrets in a value."""
    counted = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        without(value, ("swordfish-secret", "another-long-secret"))
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize(
    "text",
    [
        *("swordfish-secret ", "x swordfish-secret", "%73wordfish-secret\\n", "swordfi\u2026"),
        *("&amp;&lt;", "\\x73", "sw", "\u2026\u2026", "sswordfish-secre"),
    ],
)
def test_twice_as_much_to_search_costs_twice_as_much(text: str) -> None:
    without("x", ("swordfish-secret", "another-long-secret"))
    one, two = _calls(text * 500), _calls(text * 1000)
    assert two < 2.2 * one + 1000
    raw = text.encode("utf-8")
    one, two = _calls(raw * 500), _calls(raw * 1000)
    assert two < 2.2 * one + 1000


def test_what_every_broker_says_is_searched_once() -> None:
    words, certificate = "the broker's words " * 20, bytes(range(256)) * 50
    once = _calls([words, certificate])
    assert _calls([words, certificate] * 1000) < once + 20_000
