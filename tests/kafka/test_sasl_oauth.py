"""Tokens: fetched from a server on loopback, made, and read for what they say of themselves."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.config.redaction import redacted
from kdiag.config.security import Sasl, Security
from kdiag.kafka.sasl import oauth
from kdiag.kafka.sasl.credentials import ready

quick = hypothesis_settings(max_examples=300, deadline=None, database=None, derandomize=True)

SECRET = "hunter2-not-to-be-seen"
BASIC = base64.b64encode(f"kdiag:{SECRET}".encode()).decode()
NOW = 1_800_000_000.0


class Issuer:
    """An HTTP server that gives one answer to all, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answer = b""
        self.url = ""
        self.drip = 0.0
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/token?realm=x"

    def says(self, status: str, body: bytes | object) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = b"HTTP/1.1 %s\r\nConnection: close\r\n\r\n%s" % (status.encode(), data)

    def sasl(self) -> Sasl:
        return Sasl(
            "OAUTHBEARER",
            endpoint=self.url,
            client_id="kdiag",
            client_secret=SECRET,
            scope="kafka read",
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split()[0])
            self.asked.append(head + await reader.readexactly(length))
            while self.drip:
                writer.write(b"x" if self.answer else b"HTTP/1.1 200 OK\r\nX: ")
                self.answer = b"x"
                await writer.drain()
                await asyncio.sleep(self.drip)
            writer.write(self.answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def stop(self) -> None:
        assert self._server
        self._server.close()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    await issuer.start()
    yield issuer
    issuer.stop()


async def test_a_token_by_client_credentials(issuer: Issuer) -> None:
    issuer.says("200 OK", {"access_token": "abc.def.ghi", "expires_in": 300})
    got = await ready(issuer.sasl(), "b", 5.0)
    assert got.error == ""
    assert got.sasl == issuer.sasl()._replace(token="abc.def.ghi")
    host = issuer.url.removesuffix("/token?realm=x")
    assert got.notes == (f"the client secret went to {host} without TLS",)
    (asked,) = issuer.asked
    assert asked.startswith(b"POST /token?realm=x HTTP/1.1\r\n")
    assert f"Authorization: Basic {BASIC}".encode() in asked
    assert asked.endswith(b"\r\n\r\ngrant_type=client_credentials&scope=kafka+read")
    assert SECRET not in repr(got) and "abc.def" not in repr(got)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            "401 Unauthorized",
            {"error": "invalid_client", "error_description": "no\x1b[31m such client"},
            "answered 401: invalid_client, no\\x1b[31m such client",
        ),
        ("400 Bad", {"error": f"bad {SECRET}"}, "answered 400: bad ***"),
        ("400 Bad", {"error": "x" * 190 + SECRET}, "x" * 190),
        ("400 Bad", f"Authorization: Basic {BASIC}".encode(), "Authorization: Basic a2RpYWc6***"),
        ("500 Oops", b"<html>broken</html>", "answered 500: <html>broken</html>"),
        ("500 Oops", b"", "answered 500: nothing"),
        ("503 Busy", {}, "answered 503: no reason given"),
        ("302 Found", b"", "answered 302: nothing"),
        ("200 OK", {"token": "x"}, "without an access_token"),
        ("200 OK", {"access_token": 5}, "without an access_token"),
        ("200 OK", ["access_token"], "answered 200"),
        ("200 OK", b"[" * 100_000, "answered 200: [[["),
        ("200 OK", b" " * (oauth.MAX_ANSWER + 1), "more than 1048576 bytes"),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_an_answer_without_a_token(
    issuer: Issuer, status: str, body: bytes | object, words: str
) -> None:
    issuer.says(status, body)
    got = await oauth.fetched(issuer.sasl(), 5.0)
    shown = redacted(got.error, Security(sasl=got.sasl).secrets)
    assert words in shown
    assert got.error.isprintable()
    assert len(got.error) < 600
    assert not any(hidden in shown for hidden in (SECRET, SECRET[:9], BASIC))
    assert SECRET not in repr(got.sasl)
    assert not got.sasl.token
    assert len(issuer.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 99999,
    ],
    ids=["closed", "ssh", "no-status", "long-line"],
)
async def test_a_stranger_at_the_endpoint(issuer: Issuer, answer: bytes) -> None:
    issuer.answer = answer
    got = await oauth.fetched(issuer.sasl(), 5.0)
    assert got.error.startswith("http://127.0.0.1:")
    assert got.error.isprintable()
    assert SECRET not in got.error


async def test_a_server_that_drips_costs_one_timeout(issuer: Issuer) -> None:
    issuer.drip = 0.02
    got = await oauth.fetched(issuer.sasl(), 0.3)
    assert "did not answer within 0.3 s" in got.error


async def test_a_closed_port() -> None:
    issuer = Issuer()
    await issuer.start()
    issuer.stop()
    got = await oauth.fetched(issuer.sasl(), 5.0)
    assert got.error.endswith("Connection refused")


@pytest.mark.parametrize(
    "endpoint", ["ftp://x/", "token", "http://", "http://[::1", "http://x:99999/", "https://:1/"]
)
async def test_an_endpoint_that_is_none(endpoint: str) -> None:
    got = await oauth.fetched(Sasl("OAUTHBEARER", endpoint=endpoint), 1.0)
    assert got.error in (
        "the token endpoint is no URL",
        "the token endpoint is no http or https URL",
    )


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1/a b", "http://127.0.0.1:1/\u00e9"])
async def test_an_endpoint_that_http_cannot_ask_for(endpoint: str) -> None:
    got = await oauth.fetched(Sasl("OAUTHBEARER", endpoint=endpoint), 1.0)
    assert got.error


async def test_the_endpoint_s_certificate_is_verified() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    issuer = Issuer()
    await issuer.start(server)
    issuer.says("200 OK", {"access_token": "abc"})

    stranger = await oauth.fetched(issuer.sasl(), 5.0)
    assert "its certificate is not trusted" in stranger.error
    assert issuer.asked == []
    pem = authority.cert_pem.bytes().decode()
    known = await oauth.fetched(issuer.sasl()._replace(endpoint_ca=pem), 5.0)
    assert (known.sasl.token, known.error, known.notes) == ("abc", "", ())
    no_pem = await oauth.fetched(issuer.sasl()._replace(endpoint_ca="no PEM"), 5.0)
    assert no_pem.error.endswith("cannot be read")
    issuer.stop()


async def test_what_needs_nothing_is_ready() -> None:
    for sasl in (Sasl("PLAIN", "bob", "x"), Sasl("OAUTHBEARER", token="x"), Sasl("GSSAPI")):
        got = await ready(sasl, "b", 1.0)
        assert (got.sasl, got.error, got.notes) == (sasl, "", ())


def jwt(claims: object, header: object = None) -> str:
    """A token with these claims, signed by nobody that matters."""
    parts = (json.dumps(header or {"alg": "RS256"}), json.dumps(claims), "signature")
    return ".".join(base64.urlsafe_b64encode(p.encode()).decode().rstrip("=") for p in parts)


def test_what_a_token_says() -> None:
    said = {"sub": "bob", "aud": ["kafka", "x"], "iss": "https://idp", "exp": NOW, "nbf": NOW - 60}
    found = oauth.claims(jwt(said))
    assert found == oauth.Claims("bob", ("kafka", "x"), "https://idp", NOW, NOW - 60, "RS256")
    assert found.flaw(NOW - 1) == ""
    assert found.flaw(NOW) == "the token expired at 2027-01-15 08:00:00 UTC"
    assert found.flaw(NOW - 61) == "the token is not valid before 2027-01-15 07:59:00 UTC"


@pytest.mark.parametrize(
    "exp", [None, "soon", True, -1, 1e400, float("nan"), 10**300, [1], {"a": 1}], ids=repr
)
def test_a_time_that_is_none(exp: object) -> None:
    found = oauth.claims(jwt({"exp": exp}))
    assert found
    assert found.expires is None
    assert found.flaw(NOW) == ""


@pytest.mark.parametrize(
    "token",
    ["", "abc", "a.b", "a.b.c", "e30.e30", "e30.W10.", "W10.e30.", "e30.e30.x.y", "\u00e9.e30."],
)
def test_a_token_that_is_no_jwt(token: str) -> None:
    assert oauth.claims(token) is None


def test_what_a_token_says_is_clean_and_short() -> None:
    found = oauth.claims(jwt({"sub": "\x1b[2J" * 1000, "aud": ["\x07"] * 1000, "iss": 5}))
    assert found
    assert found.subject.isprintable() and len(found.subject) <= 800
    assert len(found.audience) == 20 and found.audience[0] == "\\x07"
    assert found.issuer == ""


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["sub", "aud", "iss", "exp", "nbf", "alg"]), inner)
    ),
    max_leaves=8,
)


@quick
@given(st.text() | st.builds(jwt, VALUES, VALUES))
def test_any_token_can_be_read(token: str) -> None:
    found = oauth.claims(token)
    if found:
        assert found.flaw(NOW).isprintable()
