"""Has a proxy open a connection: SOCKS5 (RFC 1928, 1929) and HTTP CONNECT (RFC 9110).

A proxy that reports a failure of the far side proves nothing about it: the report quotes the proxy.
"""

from __future__ import annotations

import asyncio
import re
import socket
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress

from kdiag.address import parse
from kdiag.config.endpoint import Endpoint
from kdiag.config.proxy import Proxy
from kdiag.config.record import NamedTuple
from kdiag.network.attempt import Failure, clean, clean_bytes

MAX_HEAD, MAX_BODY = 16 << 10, 8 << 10  # bytes of an HTTP answer
_PAUSE = 0.2  # seconds without data, after which an answer is taken as complete
_HOST = re.compile(r"[\w.:%-]{1,253}\Z")  # nothing else may stand in a request


class Refusal(NamedTuple):
    """Why there is no connection: the layer that failed ("proxy", or "dns" or "tcp" of the far
    side, as the proxy says), the failure, and its text."""

    layer: str
    failure: Failure
    detail: str


def _far(layer: str, failure: Failure, text: str) -> Refusal:
    return Refusal(layer, failure, f"the proxy says: {text}")


def _failed(text: str) -> Refusal:
    return Refusal("proxy", Failure.PROXY_FAILED, text)


def _not_a_proxy(text: str) -> Refusal:
    return Refusal("proxy", Failure.NOT_PROXY, text)


async def open_through(
    sock: socket.socket, proxy: Proxy, host: str, port: int, timeout: float
) -> Refusal | None:
    """Has the proxy at the other end of `sock` connect to host and port; None once it has.
    `timeout` (seconds) bounds its answer."""
    if not _HOST.match(host):
        return Refusal("dns", Failure.NOT_FOUND, "not a valid host name")
    speak = _connect if proxy.scheme == "http" else _socks5
    stage = ["the greeting"]
    try:
        return await asyncio.wait_for(speak(sock, proxy, host, port, stage), timeout)
    except asyncio.TimeoutError:
        text = f"no answer to {stage[0]} within {timeout:g} s"
    except (EOFError, OSError):
        text = f"it closed the connection on {stage[0]}, without an answer"
    return _not_a_proxy(text) if stage[0] == "the greeting" else _failed(text)


async def _send(sock: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await asyncio.get_running_loop().sock_recv(sock, count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


async def _rest(sock: socket.socket, most: int) -> bytes:
    """What else the peer sends until it pauses."""
    data = b""
    with suppress(asyncio.TimeoutError, OSError, EOFError):
        while len(data) < most:
            data += await asyncio.wait_for(_exactly(sock, 1), _PAUSE)
    return data


# SOCKS5's replies (RFC 1928, section 6), each with what it proves.
_REPLIES: Mapping[int, Refusal] = {
    1: _failed("it answers: general failure"),
    2: Refusal("proxy", Failure.PROXY_DENIED, "it answers: not allowed by its rules"),
    3: _far("tcp", Failure.UNREACHABLE, "network unreachable"),
    4: _far("tcp", Failure.UNREACHABLE, "host unreachable"),
    5: _far("tcp", Failure.REFUSED, "connection refused"),
    6: _failed("it answers: TTL expired; some proxies say so of a connection that times out"),
    7: _not_a_proxy("it answers: command not supported; it opens no connections"),
    8: _failed("it answers: address type not supported"),
}
_LENGTHS = {1: 4, 4: 16}  # of addresses: IPv4, IPv6


async def _socks5(
    sock: socket.socket, proxy: Proxy, host: str, port: int, stage: list[str]
) -> Refusal | None:
    offered = b"\0\2" if proxy.username else b"\0"
    await _send(sock, bytes([5, len(offered)]) + offered)
    version, method = greeting = await _exactly(sock, 2)
    if version != 5 or method not in (*offered, 255):
        text = clean_bytes(greeting + await _rest(sock, 60))
        return _not_a_proxy(f"it does not answer as SOCKS5; its answer begins {text}")
    if method == 255:
        login = "this user and password" if proxy.username else "a client without a login"
        return Refusal("proxy", Failure.PROXY_CREDENTIALS, f"it does not take {login}")
    if method == 2:
        stage[0] = "the login"
        user, password = proxy.username.encode(), proxy.password.encode()
        await _send(sock, bytes([1, len(user)]) + user + bytes([len(password)]) + password)
        if (await _exactly(sock, 2))[1]:
            text = "it refuses the user and password"
            return Refusal("proxy", Failure.PROXY_CREDENTIALS, text)
    stage[0] = "the request to connect"
    await _send(sock, b"\5\1\0" + _address(host) + port.to_bytes(2, "big"))
    version, reply, _, kind = await _exactly(sock, 4)
    if version != 5:
        return _not_a_proxy("its answer to the request is not SOCKS5")
    if reply == 4 and parse(host) is None:
        return _failed("it answers: host unreachable; it may not find the name, or have no route")
    if reply:
        return _REPLIES.get(reply, _failed(f"it answers with the unknown reply {reply}"))
    length = _LENGTHS.get(kind) or (await _exactly(sock, 1))[0]
    await _exactly(sock, length + 2)
    return None


def _address(host: str) -> bytes:
    """A host as SOCKS5 has it: its kind, and its bytes."""
    literal = parse(host)
    if literal is not None and "%" not in host:
        return bytes([1 if literal.version == 4 else 4]) + literal.packed
    name = host.encode("idna") if not host.isascii() else host.encode()
    return bytes([3, len(name)]) + name


async def _connect(
    sock: socket.socket, proxy: Proxy, host: str, port: int, stage: list[str]
) -> Refusal | None:
    stage[0] = "CONNECT"
    target = str(Endpoint(host if host.isascii() else host.encode("idna").decode(), port))
    login = b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    lines += [f"Proxy-Authorization: Basic {login}"] if proxy.username else []
    await _send(sock, "\r\n".join((*lines, "", "")).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # nothing behind it may be read: it is the far side's
        head += await _exactly(sock, 1)
        if not b"HTTP/".startswith(head[:5]) or len(head) > MAX_HEAD:
            text = clean_bytes(head + await _rest(sock, 60))
            return _not_a_proxy(f"it does not answer as HTTP; its answer begins {text}")
    first, *fields = head.decode("latin-1").split("\r\n")
    status = re.match(r"HTTP/1\.\d (\d{3})(.*)", first)
    if not status:
        return _not_a_proxy(f"its answer begins {clean(first, 80)}")
    if status[1].startswith("2"):
        return None
    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    text = clean((status[1] + status[2])[:80])
    return await _unopened(sock, proxy, int(status[1]), text, headers)


async def _unopened(
    sock: socket.socket, proxy: Proxy, status: int, text: str, headers: Mapping[str, str]
) -> Refusal:
    """Why an HTTP proxy has not connected, by its status and by what squid's and RFC 9209's header
    fields say. 502, 503 and 504 alone may be anything."""
    if status == 407:
        asks = clean(headers.get("proxy-authenticate", ""), 80)
        login = "it refuses the user and password" if proxy.username else "it requires a login"
        text = f"it answers {text}: {login}{f' ({asks})' if asks else ''}"
        return Refusal("proxy", Failure.PROXY_CREDENTIALS, text)
    reason = headers.get("x-squid-error", "") or headers.get("proxy-status", "")
    if reason.startswith("ERR_DNS_FAIL"):
        reason += f" {(await _rest(sock, MAX_BODY)).decode('latin-1')}"
    for pattern, layer, failure in _REASONS:
        if re.search(pattern, reason):
            shown = clean(reason.split(" ERR")[0].partition("<")[0].strip(), 80)
            if layer == "proxy":
                return Refusal(layer, failure, f"it answers {text} ({shown})")
            return _far(layer, failure, f"{text} ({shown})")
    if status == 403:
        return Refusal("proxy", Failure.PROXY_DENIED, f"it answers {text}")
    if status in (400, 404, 405, 501):
        return _not_a_proxy(f"it answers {text} to CONNECT")
    return _failed(f"it answers {text}, which may be anything")


# What a header field says, by squid's error with errno (Linux, BSD), or by RFC 9209's error type.
_REASONS = (
    (r"(?s)ERR_DNS_FAIL.*name does not exist", "dns", Failure.NOT_FOUND),
    (r'dns_error.*rcode="?NXDOMAIN', "dns", Failure.NOT_FOUND),
    (r"ERR_DNS_FAIL|dns_error|dns_timeout", "dns", Failure.RESOLVER_FAILED),
    (r"ERR_CONNECT_FAIL (111|61)\b|connection_refused", "tcp", Failure.REFUSED),
    (r"ERR_CONNECT_FAIL (110|60)\b|connection_timeout", "tcp", Failure.TIMEOUT),
    (
        r"ERR_CONNECT_FAIL (101|113|51|65)\b|destination_ip_unroutable",
        "tcp",
        Failure.UNREACHABLE,
    ),
    (
        r"ERR_ACCESS_DENIED|http_request_denied|destination_ip_prohibited",
        "proxy",
        Failure.PROXY_DENIED,
    ),
)
