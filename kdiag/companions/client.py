"""Sends one GET over a connection of its own. A failure is a value in the answer.

Nothing is followed: neither a redirect nor a proxy of the environment.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from typing import cast

from kdiag import __version__
from kdiag.companions.facts import HttpAnswer
from kdiag.config.rest import RestServer
from kdiag.network.attempt import Failure, LayerResult, clean
from kdiag.network.dialer import TcpConnection, TcpDialer
from kdiag.network.errors import os_failure, os_message
from kdiag.network.tls import TlsHandshakes, tls_failure, tls_message

MOST = 1 << 20  # bytes of an answer
MOST_ADDRESSES = 4
_PART = 1 << 16
_HEADERS = ("content-type", "location", "www-authenticate", "server")
_ALERT = b"\x15\x03"  # the first bytes of a TLS alert
Ending = Callable[..., tuple[LayerResult, ...]]
_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")


class RestClient:
    """Asks one server. `net` opens the connections and bounds reaching it; `answer_timeout`
    (seconds) bounds each answer."""

    def __init__(self, server: RestServer, net: TcpDialer, answer_timeout: float) -> None:
        self._server, self._net, self._timeout = server, net, answer_timeout
        self._handshakes = TlsHandshakes(server.tls) if server.tls else None
        self._addresses: tuple[str, ...] = ()

    async def get(self, path: str, least: float = 0.0) -> HttpAnswer:
        """The answer to a GET of this path; it is waited for `least` seconds at least."""
        dns, self._addresses = await self._net.resolve(self._server.endpoint.host)
        if dns.failure:
            return HttpAnswer(path, (dns,))
        for address in self._addresses[:MOST_ADDRESSES]:
            tcp = await self._net.connect(address, self._server.endpoint.port)
            if tcp.sock is not None:
                return await self._over(tcp, path, dns, max(least, self._timeout))
        return HttpAnswer(path, (dns, tcp.tcp))

    async def _over(
        self, tcp: TcpConnection, path: str, dns: LayerResult, seconds: float
    ) -> HttpAnswer:
        attempts = [dns, tcp.tcp]
        context = self._handshakes.verifying if self._handshakes else None
        started, writer = time.perf_counter(), None
        layer = "tls" if context else "http"

        def ended(failure: Failure | None, detail: str = "") -> tuple[LayerResult, ...]:
            took = time.perf_counter() - started
            return (*attempts, LayerResult(layer, took, failure, clean(detail, 200)))

        try:
            reader, writer = await asyncio.wait_for(self._open(tcp, context), self._net.timeout)
            if context:
                attempts = list(ended(None))
                started, layer = time.perf_counter(), "http"
            writer.write(self._request(path))
            raw = await asyncio.wait_for(_read(reader), seconds)
        except TimeoutError:
            limit = self._net.timeout if layer == "tls" else seconds
            return HttpAnswer(path, ended(Failure.SILENT, f"no answer within {limit:g} s"))
        except ssl.SSLError as error:
            layer = "tls"
            attempts = attempts[:2]
            plain = (error.reason or "").endswith(_PLAIN)
            failure = Failure.TLS_NOT_OFFERED if plain else tls_failure(error)
            return HttpAnswer(path, ended(failure, tls_message(error)))
        except OSError as error:
            failure = os_failure(error) if error.errno else Failure.CLOSED
            message = os_message(error) or "ended by the server"
            return HttpAnswer(path, ended(failure, message))
        except ValueError:  # UnicodeError among them
            message = "this name cannot be asked for in a TLS handshake"
            return HttpAnswer(path, ended(Failure.HANDSHAKE, message))
        finally:
            if writer:
                writer.transport.abort()
            if tcp.sock:
                tcp.sock.close()
        return _answer(path, raw, ended, encrypted=bool(context))

    async def _open(
        self, tcp: TcpConnection, context: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Streams over the TCP connection, after the TLS handshake where the URL is https."""
        name = self._server.endpoint.host if context else None
        reader, writer = await asyncio.open_connection(
            sock=tcp.sock, ssl=context, server_hostname=name
        )
        if self._handshakes:
            try:
                self._handshakes.check_times(writer.get_extra_info("ssl_object"))
            except ssl.SSLError:
                writer.transport.abort()
                raise
        return reader, writer

    def _request(self, path: str) -> bytes:
        server = self._server
        lines = [
            f"GET {server.path}{path} HTTP/1.1",
            f"Host: {server.endpoint}",
            f"User-Agent: kdiag/{__version__}",
            "Accept: application/json, application/vnd.schemaregistry.v1+json, */*;q=0.1",
            "Connection: close",
        ]
        if server.user_info:
            basic = base64.b64encode(server.user_info.encode("utf-8", "replace")).decode()
            lines.append(f"Authorization: Basic {basic}")
        elif server.token:
            lines.append(f"Authorization: Bearer {server.token}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


async def _read(reader: asyncio.StreamReader) -> bytes:
    """The bytes of an answer, at most MOST."""
    raw = b""
    while len(raw) < MOST and not _whole(raw):
        more = await reader.read(_PART)
        if not more:
            break
        raw += more
    return raw


def _whole(raw: bytes) -> bool:
    """Whether the answer is complete, for a server that keeps the connection open after it."""
    head, end, body = raw.partition(b"\r\n\r\n")
    if not end:
        return False
    fields = head.lower().split(b"\r\n")
    for field in fields:
        name, _, value = field.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return len(body) >= int(value.strip()[:9])
        if name == b"transfer-encoding" and b"chunked" in value:
            return body.endswith(b"0\r\n\r\n")
    return False


class _Received:
    """Bytes, as http.client reads a socket."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._raw)


def _answer(path: str, raw: bytes, ended: Ending, *, encrypted: bool) -> HttpAnswer:
    """The answer that the bytes are."""
    if not raw:
        return HttpAnswer(path, ended(Failure.CLOSED, "closed without an answer"))
    if raw.startswith(_ALERT) and not encrypted:
        return HttpAnswer(path, ended(Failure.TLS_REQUIRED, "it answers with a TLS alert"))
    response = http.client.HTTPResponse(cast("socket.socket", _Received(raw)), method="GET")
    try:
        response.begin()
        body = response.read(MOST)
    except http.client.IncompleteRead as error:
        body = error.partial
    except (http.client.HTTPException, ValueError):
        return HttpAnswer(
            path, ended(Failure.HANDSHAKE, "it does not answer in HTTP"), first=raw[:200]
        )
    if response.status == 400 and not encrypted and b"https" in body[:2000].lower():
        return HttpAnswer(path, ended(Failure.TLS_REQUIRED, "HTTP 400: it requires HTTPS"))
    headers = {name: clean(response.headers.get(name, ""), 200) for name in _HEADERS}
    return HttpAnswer(path, ended(None), response.status, headers, body)
