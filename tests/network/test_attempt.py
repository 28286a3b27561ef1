"""How attempts add up to an endpoint, and how a peer's text is made fit to show."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.config.settings import Endpoint
from kdiag.network.attempt import (
    LAYERS,
    AddressResult,
    EndpointResult,
    Failure,
    LayerResult,
    clean,
    clean_bytes,
)

quick = hypothesis_settings(max_examples=300, deadline=None, database=None, derandomize=True)

ENDPOINT = Endpoint("broker", 9092)
DNS = LayerResult("dns", 0.001)


def dial(address: str, *layers: str) -> AddressResult:
    """A dial through these layers; "tcp!timeout" is a layer that failed, and how."""
    attempts = []
    for text in layers:
        layer, _, failure = text.partition("!")
        attempts.append(LayerResult(layer, 0.01, Failure(failure) if failure else None))
    return AddressResult(address, tuple(attempts))


WORKS = dial("10.0.0.1", "tcp", "kafka", "identity")
UNPROVEN = dial("10.0.0.2", "tcp", "kafka", "identity!denied")
TIMEOUT = dial("10.0.0.3", "tcp!timeout")
SILENT = dial("10.0.0.4", "tcp", "kafka!silent")
OTHER = dial("10.0.0.5", "tcp", "kafka", "identity!wrong_node")


@pytest.mark.parametrize(
    ("one", "failed"),
    [
        (WORKS, None),
        (UNPROVEN, None),
        (TIMEOUT, ("tcp", Failure.TIMEOUT)),
        (SILENT, ("kafka", Failure.SILENT)),
        (OTHER, ("identity", Failure.WRONG_NODE)),
        (AddressResult("10.0.0.1", ()), None),
        (dial("x", "tcp", "identity!denied", "sasl!closed"), ("sasl", Failure.CLOSED)),
    ],
    ids=["works", "unproven", "timeout", "silent", "other", "nothing", "after-denied"],
)
def test_where_a_dial_failed(one: AddressResult, failed: tuple[str, Failure] | None) -> None:
    found = one.failed
    assert (found and (found.layer, found.failure)) == failed


@pytest.mark.parametrize(
    ("dials", "best"),
    [
        ((), None),
        ((TIMEOUT,), TIMEOUT),
        ((TIMEOUT, SILENT), SILENT),
        ((SILENT, TIMEOUT), SILENT),
        ((OTHER, SILENT), OTHER),
        ((TIMEOUT, WORKS, OTHER), WORKS),
        ((OTHER, dial("10.0.0.9", "tcp")), dial("10.0.0.9", "tcp")),
        ((OTHER, UNPROVEN), UNPROVEN),
        ((WORKS, UNPROVEN), WORKS),
    ],
)
def test_the_best_way_in(dials: tuple[AddressResult, ...], best: AddressResult | None) -> None:
    assert EndpointResult(ENDPOINT, DNS, dials).best == best


def test_a_contact_that_works_by_one_of_its_addresses() -> None:
    contact = EndpointResult(ENDPOINT, DNS, (TIMEOUT, WORKS))
    assert contact.usable
    assert contact.failed is None
    assert contact.attempts == (DNS, *WORKS.attempts)
    assert contact.layers == {
        "dns": "ok", "tcp": "ok", "tls": None, "kafka": "ok", "sasl": None, "identity": "ok"
    }  # fmt: skip


def test_a_contact_that_may_not_be_identified_is_usable() -> None:
    contact = EndpointResult(ENDPOINT, DNS, (UNPROVEN,))
    assert contact.usable
    assert contact.failed is None
    assert contact.layers["identity"] == "denied"


def test_a_contact_that_fails_by_every_address_fails_where_it_got_furthest() -> None:
    contact = EndpointResult(ENDPOINT, DNS, (TIMEOUT, SILENT))
    assert not contact.usable
    assert contact.failed == SILENT.attempts[-1]
    assert contact.attempts == (DNS, *SILENT.attempts)
    assert contact.layers == {
        "dns": "ok", "tcp": "ok", "tls": None, "kafka": "silent", "sasl": None, "identity": None
    }  # fmt: skip


def test_a_contact_whose_name_does_not_resolve() -> None:
    dns = LayerResult("dns", 0.2, Failure.NOT_FOUND, "no such name")
    contact = EndpointResult(ENDPOINT, dns)
    assert not contact.usable
    assert contact.best is None
    assert contact.failed == dns
    assert contact.attempts == (dns,)
    assert contact.layers == {**dict.fromkeys(LAYERS), "dns": "not_found"}


def test_a_contact_that_nobody_can_dial() -> None:
    contact = EndpointResult(Endpoint("0.0.0.0", 9092), None)
    assert not contact.usable
    assert contact.failed is None
    assert contact.attempts == ()
    assert contact.layers == dict.fromkeys(LAYERS)


def test_a_name_without_addresses_is_not_usable() -> None:
    contact = EndpointResult(ENDPOINT, DNS)
    assert not contact.usable
    assert contact.attempts == (DNS,)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain text, ümlaut, 日本, 😀", "plain text, ümlaut, 日本, 😀"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x00\x07\x7f", "\\x00\\x07\\x7f"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("\x85\x9b31m", "\\x85\\x9b31m"),
        ("\u202agnp\u202e\u2066\u2069", "\\u202agnp\\u202e\\u2066\\u2069"),
        ("a\u200bb\u200dc\ufeffd\u00ade", "a\\u200bb\\u200dc\\ufeffd\\xade"),
        ("\u2028\u2029\u00a0", "\\u2028\\u2029\\xa0"),
        ("\ud800a\udfff", "\\ud800a\\udfff"),
        ("\ufffe\uffff", "\\ufffe\\uffff"),
        ("\U000e0041\U0010ffff", "\\U000e0041\\U0010ffff"),
    ],
)
def test_text_of_a_peer_is_shown_with_escapes(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcde", 5, "abcde"),
        ("abcdef", 5, "abcd…"),
        ("\n" * 6, 5, "\\n\\n\\n\\n…"),
        ("x" * 9999, 1024, "x" * 1023 + "…"),
    ],
)
def test_long_text_of_a_peer_is_cut(text: str, limit: int, shown: str) -> None:
    assert clean(text, limit) == shown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", ""),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"SSH-2.0-OpenSSH_9.6\r\nmore", "SSH-2.0-OpenSSH_9.6\\r\\nmore"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "\\x15\\x03\\x03\\x00\\x02\\x02("),
        (b"\x00\xff\x9b\x1b[2J", "\\x00\\xff\\x9b\\x1b[2J"),
        ("ä".encode(), "\\xc3\\xa4"),
        (b"x" * 121, "x" * 120),
        (b"\xff" * 9999, "\\xff" * 120),
    ],
)
def test_the_bytes_of_a_strange_answer(data: bytes, shown: str) -> None:
    assert clean_bytes(data) == shown


@given(text=st.text(st.characters()), data=st.binary(max_size=300))
@example(text="\U0010ffff" * 2000, data=b"\x01" * 300)
@quick
def test_what_is_shown_is_safe_everywhere(text: str, data: bytes) -> None:
    for shown, limit in ((clean(text), 10 * 1024), (clean_bytes(data), 4 * 120)):
        assert shown.isprintable()
        assert len(shown) <= limit
        assert json.loads(json.dumps(shown).encode()) == shown
        assert ET.fromstring(f'<a b="{_quoted(shown)}"/>').get("b") == shown
        assert shown.encode().decode() == shown


@given(text=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=1024))
@quick
def test_printable_text_is_shown_as_it_is(text: str) -> None:
    assert clean(text) == text


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
