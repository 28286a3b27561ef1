"""OAuth: fetches a token with client credentials, and reads the claims of a token."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import math
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode, urlsplit

from kdiag.config.security import Sasl
from kdiag.kafka.sasl.mechanisms import ReadyLogin
from kdiag.network.attempt import clean
from kdiag.network.dialer import in_thread

MAX_ANSWER = 1 << 20  # bytes
_LAST_SECOND = 253402300799  # of the year 9999


@dataclass(frozen=True)
class Claims:
    """The claims of a JWT, unverified. Times are in Unix seconds, None where there is none."""

    subject: str = ""
    audience: tuple[str, ...] = ()
    issuer: str = ""
    expires: float | None = None
    not_before: float | None = None
    algorithm: str = ""

    def flaw(self, now: float) -> str:
        """The fault for which a broker refuses the token at that time, "" for none."""
        if self.expires is not None and self.expires <= now:
            return f"the token expired at {_moment(self.expires)}"
        if self.not_before is not None and self.not_before > now:
            return f"the token is not valid before {_moment(self.not_before)}"
        return ""


def claims(token: str) -> Claims | None:
    """The claims of a JWT, unverified; None if the text is no JWT."""
    try:
        header, payload, _ = token.split(".")
        head, body = json.loads(_base64url(header)), json.loads(_base64url(payload))
    except (ValueError, RecursionError):
        return None
    if not isinstance(head, dict) or not isinstance(body, dict):
        return None
    audience = body.get("aud")
    audience = audience if isinstance(audience, list) else [audience]
    return Claims(
        subject=_text(body.get("sub")),
        audience=tuple(filter(None, map(_text, audience[:20]))),
        issuer=_text(body.get("iss")),
        expires=_seconds(body.get("exp")),
        not_before=_seconds(body.get("nbf")),
        algorithm=_text(head.get("alg")),
    )


async def fetched(sasl: Sasl, timeout: float) -> ReadyLogin:
    """A token from `sasl.endpoint`, asked for once, by the client-credentials grant of RFC 6749.

    `timeout` (seconds) bounds the whole. It is asked as Kafka's own client asks: with id and secret
    of the client in a Basic header.
    """
    try:
        url = urlsplit(sasl.endpoint)
        host, port = url.hostname, url.port
    except ValueError:
        return ReadyLogin(sasl, "the token endpoint is no URL")
    if url.scheme not in ("http", "https") or not host:
        return ReadyLogin(sasl, "the token endpoint is no http or https URL")
    where = f"{url.scheme}://{clean(host)}" + (f":{port}" if port else "")
    plain = f"the client secret went to {where} without TLS"
    notes = (plain,) if url.scheme == "http" else ()
    basic = base64.b64encode(f"{sasl.client_id}:{sasl.client_secret}".encode("utf-8", "replace"))
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        connection = _connection(url.scheme == "https", host, port, timeout, sasl.endpoint_ca)
    except ssl.SSLError:
        return ReadyLogin(sasl, f"the certificates to verify {where} with cannot be read")
    try:
        asking = in_thread(_ask, connection, path, basic.decode(), sasl.scope, timeout)
        status, body = await asyncio.wait_for(asking, timeout)
    except asyncio.TimeoutError:
        return ReadyLogin(sasl, f"{where} did not answer within {timeout:g} s", notes)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return ReadyLogin(sasl, f"{where}: {clean(_message(error), 200)}", notes)
    finally:
        _cut(connection)
    token, flaw = _granted(status, body)
    return ReadyLogin(sasl._replace(token=token), flaw and f"{where} {flaw}", notes)


def _connection(
    tls: bool, host: str, port: int | None, timeout: float, authorities: str | None
) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(host, port, timeout=timeout)
    trust = ssl.create_default_context(cadata=authorities)
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=trust)


def _ask(
    connection: http.client.HTTPConnection, path: str, basic: str, scope: str, timeout: float
) -> tuple[int, bytes]:
    """Status and body of the answer, as much as arrives in time and within the limit."""
    form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
    headers = {
        "Accept": "application/json",
        "Authorization": f"Basic {basic}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    end = time.monotonic() + timeout
    connection.request("POST", path, urlencode(form), headers)
    answer = connection.getresponse()
    body = b""
    while len(body) <= MAX_ANSWER and time.monotonic() < end:
        more = answer.read1(1 << 16)
        if not more:
            break
        body += more
    return answer.status, body


def _cut(connection: http.client.HTTPConnection) -> None:
    """Closes a connection that a thread may still read from: it must not read for ever."""
    sock = connection.sock
    if sock:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
    connection.close()


def _granted(status: int, body: bytes) -> tuple[str, str]:
    """The token, or what is wrong with the answer."""
    if len(body) > MAX_ANSWER:
        return "", f"answered with more than {MAX_ANSWER} bytes"
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        text = _text(body[:1000].decode("utf-8", "replace").strip())
        return "", f"answered {status}: {text or 'nothing'}"
    if status != http.client.OK:
        reasons = filter(None, (_text(answer.get(x)) for x in ("error", "error_description")))
        return "", f"answered {status}: {', '.join(reasons) or 'no reason given'}"
    token = answer.get("access_token")
    if not isinstance(token, str) or not token:
        return "", "answered 200 without an access_token"
    return token, ""


def _message(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    message = error.strerror if isinstance(error, OSError) else None
    return message or str(error) or type(error).__name__


def _text(value: object) -> str:
    return clean(value, 200) if isinstance(value, str) else ""


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= _LAST_SECOND else None


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
