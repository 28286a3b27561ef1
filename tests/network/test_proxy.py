"""What a proxy may answer, each as one value: bytes on the wire against the real dialer."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kdiag.config.proxy import ENVIRONMENT, Proxy, parse_proxy
from kdiag.config.settings import settings
from kdiag.config.usage import UsageError
from kdiag.kafka.proxy_dialer import ProxyDialer
from kdiag.network.dialer import TcpConnection
from tests.peers import silent

HELLO = b"\5\0"  # SOCKS5: no login
GENEROUS = 20.0
PASSWORD = "wonder:land@secret"


@asynccontextmanager
async def proxy(
    *answers: bytes, scheme: str = "http", timeout: float = GENEROUS, login: str = ""
) -> AsyncIterator[tuple[ProxyDialer, list[bytes]]]:
    """A dialer through a peer that answers each request with the next bytes, then closes; and what
    the peer was sent."""
    heard: list[bytes] = []

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        for answer in answers:
            heard.append(await reader.read(4096))
            writer.write(answer)
        if answers and answers[-1] == b"":
            await silent(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = Proxy(scheme, "127.0.0.1", port, *login.partition("/")[::2])
    try:
        yield ProxyDialer(made, timeout), heard
    finally:
        server.close()


async def dialled(
    *answers: bytes, host: str = "kafka.example.com", **more: object
) -> TcpConnection:
    async with proxy(*answers, **more) as (dialer, _):  # type: ignore[arg-type]
        connection = await dialer.connect(host, 9092)
        if connection.sock:
            connection.sock.close()
        return connection


def http(status: str, *headers: str, body: str = "") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, "", body)).encode()


def reply(code: int) -> bytes:
    return b"\5%c\0\1\0\0\0\0\0\0" % code


@pytest.mark.parametrize(
    ("answer", "layer", "failure", "words"),
    [
        (http("403 Forbidden"), "proxy", "proxy_denied", "403 Forbidden"),
        (http("407 Wanted", "Proxy-Authenticate: NTLM"), "proxy", "proxy_credentials", "(NTLM)"),
        (http("405 Not Allowed"), "proxy", "not_proxy", "405 Not Allowed to CONNECT"),
        (http("502 Bad Gateway"), "proxy", "proxy_failed", "which may be anything"),
        (http("503 Service Unavailable"), "proxy", "proxy_failed", "which may be anything"),
        (http("504 Gateway Timeout"), "proxy", "proxy_failed", "which may be anything"),
        (http("503 x", "X-Squid-Error: ERR_CONNECT_FAIL 111"), "tcp", "refused", "the proxy says"),
        (http("503 x", "X-Squid-Error: ERR_CONNECT_FAIL 110"), "tcp", "timeout", "the proxy says"),
        (http("503 x", "X-Squid-Error: ERR_CONNECT_FAIL 113"), "tcp", "unreachable", "113"),
        (http("503 x", "X-Squid-Error: ERR_CONNECT_FAIL 1110"), "proxy", "proxy_failed", "503"),
        (
            http("503 x", "X-Squid-Error: ERR_DNS_FAIL 0", body="The domain name does not exist."),
            "dns",
            "not_found",
            "the proxy says",
        ),
        (http("503 x", "X-Squid-Error: ERR_DNS_FAIL 0"), "dns", "resolver_failed", "ERR_DNS_FAIL"),
        (http("403 x", "X-Squid-Error: ERR_ACCESS_DENIED 0"), "proxy", "proxy_denied", "ACCESS"),
        (http("502 x", "Proxy-Status: p; error=connection_refused"), "tcp", "refused", "p; error"),
        (http("504 x", "Proxy-Status: p; error=connection_timeout"), "tcp", "timeout", "p; error"),
        (
            http("502 x", 'Proxy-Status: p; error=dns_error; rcode="NXDOMAIN"'),
            "dns",
            "not_found",
            "NXDOMAIN",
        ),
        (b"\5\xff", "proxy", "not_proxy", "does not answer as HTTP"),
        (b"HTTP/1.1 nonsense\r\n\r\n", "proxy", "not_proxy", "nonsense"),
    ],
)
async def test_what_an_http_proxy_answers(
    answer: bytes, layer: str, failure: str, words: str
) -> None:
    result = (await dialled(answer)).tcp
    assert (result.layer, result.failure and result.failure.value) == (layer, failure)
    assert words in result.detail


@pytest.mark.parametrize(
    ("answers", "layer", "failure", "words"),
    [
        ((b"\5\xff",), "proxy", "proxy_credentials", "a client without a login"),
        ((HELLO, reply(1)), "proxy", "proxy_failed", "general failure"),
        ((HELLO, reply(2)), "proxy", "proxy_denied", "not allowed by its rules"),
        ((HELLO, reply(3)), "tcp", "unreachable", "the proxy says"),
        ((HELLO, reply(4)), "proxy", "proxy_failed", "may not find the name"),
        ((HELLO, reply(5)), "tcp", "refused", "the proxy says"),
        ((HELLO, reply(6)), "proxy", "proxy_failed", "TTL expired"),
        ((HELLO, reply(7)), "proxy", "not_proxy", "opens no connections"),
        ((HELLO, reply(99)), "proxy", "proxy_failed", "unknown reply 99"),
        ((b"HTTP/1.1 400 Bad Request\r\n",), "proxy", "not_proxy", "begins HTTP/1.1 400"),
        ((b"\5\7",), "proxy", "not_proxy", "does not answer as SOCKS5"),
        ((), "proxy", "not_proxy", "closed the connection on the greeting"),
        ((HELLO,), "proxy", "proxy_failed", "closed the connection on the request to connect"),
    ],
)
async def test_what_a_socks_proxy_answers(
    answers: tuple[bytes, ...], layer: str, failure: str, words: str
) -> None:
    result = (await dialled(*answers, scheme="socks5h")).tcp
    assert (result.layer, result.failure and result.failure.value) == (layer, failure)
    assert words in result.detail


async def test_an_address_that_is_unreachable_is_no_name_that_is_not_found() -> None:
    result = (await dialled(HELLO, reply(4), scheme="socks5h", host="192.0.2.1")).tcp
    assert (result.layer, result.failure and result.failure.value) == ("tcp", "unreachable")


@pytest.mark.parametrize(
    ("scheme", "failure", "words"),
    [
        ("socks5h", "not_proxy", "no answer to the greeting within 0.1 s"),
        ("http", "proxy_failed", "no answer to CONNECT within 0.1 s"),
    ],
)
async def test_silence_proves_little(scheme: str, failure: str, words: str) -> None:
    result = (await dialled(b"", scheme=scheme, timeout=0.1)).tcp
    assert (result.failure and result.failure.value, result.detail) == (failure, words)


async def test_a_proxy_that_is_not_there_is_not_dialled_again() -> None:
    async with proxy() as (dialer, heard):
        pass
    first, second = await dialer.connect("a", 1), await dialer.connect("b", 2)
    assert first.tcp.failure == "proxy_unreachable"
    assert second.tcp is first.tcp
    assert not heard


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("kafka.example.com", b"\5\1\0\3\x11kafka.example.com\x23\x84"),
        ("192.0.2.1", b"\5\1\0\1\xc0\0\2\1\x23\x84"),
        ("::1", b"\5\1\0\4" + bytes(15) + b"\1\x23\x84"),
    ],
)
async def test_socks5_is_asked_for_a_name_or_an_address(host: str, sent: bytes) -> None:
    async with proxy(HELLO, reply(0), scheme="socks5h") as (dialer, heard):
        connection = await dialer.connect(host, 9092)
        assert connection.sock is not None
        connection.sock.close()
    assert heard == [b"\5\1\0", sent]
    assert connection.source == "", "the servers see the proxy's address"


async def test_connect_reads_nothing_of_the_far_side() -> None:
    async with proxy(http("200 OK") + b"\0\0\0\7") as (dialer, heard):
        connection = await dialer.connect("::1", 9092)
        assert connection.sock is not None
        with connection.sock:
            assert await asyncio.get_running_loop().sock_recv(connection.sock, 9) == b"\0\0\0\7"
    assert heard == [b"CONNECT [::1]:9092 HTTP/1.1\r\nHost: [::1]:9092\r\n\r\n"]


@pytest.mark.parametrize("host", ["a\r\nX: y", "a b", "", "a/b", "a@b"])
async def test_a_broker_writes_nothing_into_a_request(host: str) -> None:
    async with proxy(http("200 OK")) as (dialer, heard):
        result = (await dialer.connect(host, 9092)).tcp
    assert (result.layer, result.detail, heard) == ("dns", "not a valid host name", [])


async def test_the_login_goes_alone_the_first_time_and_never_once_refused() -> None:
    answers = b"\5\2", b"\1\1"
    async with proxy(*answers, scheme="socks5h", login=f"bob/{PASSWORD}") as (dialer, heard):
        results = await asyncio.gather(*(dialer.connect(f"b{n}", 9092) for n in range(5)))
    assert {result.tcp.failure for result in results} == {"proxy_credentials"}
    assert heard == [b"\5\2\0\2", b"\1\3bob%c%s" % (len(PASSWORD), PASSWORD.encode())]
    assert PASSWORD not in repr(results)


# Its URL.


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("socks5h://proxy.example", Proxy("socks5h", "proxy.example", 1080)),
        ("SOCKS5://10.0.0.1:1", Proxy("socks5", "10.0.0.1", 1)),
        ("http://[::1]:3128/", Proxy("http", "::1", 3128)),
        ("http://proxy", Proxy("http", "proxy", 8080)),
        ("http://bob:a%40b%3Ac@proxy:1", Proxy("http", "proxy", 1, "bob", "a@b:c")),
        ("http://bob:a@b:c@proxy:1", Proxy("http", "proxy", 1, "bob", "a@b:c")),
        ("", None),
    ],
)
def test_a_url_is_read(text: str, found: Proxy | None) -> None:
    assert parse_proxy(text) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"https://bob:{PASSWORD}@proxy:1", "without TLS to the proxy"),
        (f"socks4://bob:{PASSWORD}@proxy:1", "SOCKS5 and HTTP CONNECT"),
        (f"bob:{PASSWORD}@proxy:1", "write socks5h://HOST:PORT"),
        (f"http://bob:{PASSWORD}@proxy:99999", "is not a number"),
        (f"http://bob:{PASSWORD}@pro xy:1", "is not a host name"),
        (f"http://bob:{PASSWORD * 20}@proxy:1", "at most 255 bytes"),
        ("http://proxy/wonder", "write socks5h://HOST:PORT"),
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        parse_proxy(text)
    assert "wonder" not in str(raised.value)


def test_the_environment_is_read_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="none of ALL_PROXY"):
        parse_proxy("env")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    assert settings("b:1").options.proxy is None
    assert settings("b:1", proxy="env").options.proxy == Proxy("http", "proxy", 1)
    monkeypatch.setenv("ALL_PROXY", "ftp://proxy:1")
    with pytest.raises(UsageError, match="--proxy env, ALL_PROXY ftp"):
        parse_proxy("env")


def test_kafka_pythons_properties_are_taken_as_it_takes_them() -> None:
    """It resolves names itself with socks5://, and has the proxy do so with the others."""
    url = "socks5://proxy:1"
    for name in ("proxy_url", "socks5_proxy"):
        found = settings("b:1", properties={name: url}).options.proxy
        assert found == Proxy("socks5", "proxy", 1, names_here=True)
    found = settings("b:1", properties={"proxy_url": "socks5h://bob:a%40b@proxy:1"}).options.proxy
    assert found == Proxy("socks5h", "proxy", 1, "bob", "a%40b")
    both = settings("b:1", properties={"proxy_url": url}, proxy="http://other:2")
    assert both.options.proxy == Proxy("http", "other", 2)
    assert "proxy_url is not used: --proxy is given" in both.notes
    assert settings("b:1", properties={"proxy_url": url}, proxy="").options.proxy is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"properties": {"sasl.mechanism": "GSSAPI"}}, "librdkafka makes that login"),
        ({"aws": True}, "give it with --aws-source IP"),
    ],
)
def test_what_goes_through_no_proxy_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        settings("b:1", proxy="http://proxy:1", **given)  # type: ignore[arg-type]


def test_what_goes_beside_the_proxy_is_said() -> None:
    login = {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url": "https://t/"}
    login |= {"sasl.oauthbearer.client.id": "i", "sasl.oauthbearer.client.secret": "s"}
    notes = settings("b:1", proxy="http://p:1", topic="orders", properties=login).notes
    assert any(note.startswith("no record was written: the real client") for note in notes)
    assert "the token is fetched from its endpoint directly, and not through the proxy" in notes
    assert PASSWORD not in repr(settings("b:1", proxy="http://b:wonder%3Aland%40secret@p:1"))
