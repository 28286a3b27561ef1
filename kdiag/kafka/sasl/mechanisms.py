"""The client's side of SASL mechanisms: bytes in, bytes out, no socket.

Whatever a broker sends, the only exception is SaslError, in bounded time; its text is clean.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

from kdiag.config.mechanisms import MECHANISMS
from kdiag.config.security import Sasl
from kdiag.kafka.sasl.sigv4 import presigned
from kdiag.network.attempt import clean

USER_AGENT = "kdiag"
MAX_CHALLENGE = 16 << 10  # bytes; a real one has a few hundred
# Kafka takes 4,096 to 16,384 itself; other brokers ask for more. The most costs half a second.
MIN_ITERATIONS, MAX_ITERATIONS = 4096, 1_000_000


class SaslError(Exception):
    """The exchange cannot go on. The text is clean, and what it quotes of a broker may repeat
    a secret."""


@dataclass(frozen=True)
class ReadyLogin:
    """The credentials of a login: `sasl` with its token or keys, unless `error` says why there
    are none. `notes` are sentences for the user. All text is clean."""

    sasl: Sasl
    error: str = ""
    notes: tuple[str, ...] = ()


class Exchange(Protocol):
    """One login on one connection."""

    def first(self) -> bytes:
        """The first message of the client. Raises SaslError."""

    def next(self, challenge: bytes) -> bytes | None:
        """The answer to a challenge, None when the exchange is over. Raises SaslError."""


def exchange(sasl: Sasl, host: str) -> Exchange:
    """A login to a broker by that host name.

    Raises SaslError where only the real client has the mechanism, or where a credential is missing.
    """
    begin: Callable[[Sasl, str], Exchange] | None = globals().get(_exchange_of(sasl.mechanism))
    if begin:
        return begin(sasl, host)
    if sasl.mechanism in MECHANISMS:
        raise SaslError(
            f"{sasl.mechanism} is not supported by kdiag's own probe, only by the real client if "
            "its build has it"
        )
    raise SaslError(
        f"SASL mechanism {clean(sasl.mechanism)} is not supported by kdiag; it supports: "
        f"{', '.join(name for name in MECHANISMS if _exchange_of(name))}"
    )


def _exchange_of(mechanism: str) -> str:
    return MECHANISMS[mechanism].exchange if mechanism in MECHANISMS else ""


class Plain:
    """PLAIN, RFC 4616: user and password as they are."""

    def __init__(self, sasl: Sasl, host: str) -> None:
        self._user, self._password = _credentials(sasl)

    def first(self) -> bytes:
        return f"\0{self._user}\0{self._password}".encode()

    def next(self, challenge: bytes) -> bytes | None:
        return None


class Scram:
    """SCRAM, RFC 5802, without channel binding, as Kafka speaks it.

    Names and passwords go as they are, without SASLprep, as Kafka's brokers and clients all have
    it: what RFC 5802 asks for would refuse a password that every other client logs in with.
    """

    def __init__(self, digest: str, sasl: Sasl, host: str, nonce: str | None = None) -> None:
        self._digest = digest
        self._user, self._password = _credentials(sasl)
        self._nonce = nonce or secrets.token_urlsafe(24)
        self._expected: bytes | None = None

    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def next(self, challenge: bytes) -> bytes | None:
        message = _ascii(challenge)
        if self._expected is None:
            return self._prove(message)
        if message.startswith("e="):
            raise SaslError(f"the broker refused: {clean(message[2:], 200)}")
        signature = _base64(message[2:].split(",")[0]) if message.startswith("v=") else b""
        if not hmac.compare_digest(signature, self._expected):
            raise SaslError(
                "the broker's signature is wrong: it does not know this user's password itself"
            )
        return None

    @property
    def _bare(self) -> str:
        name = self._user.replace("=", "=3D").replace(",", "=2C")
        return f"n={name},r={self._nonce}"

    def _prove(self, challenge: str) -> bytes:
        found = _SERVER_FIRST.fullmatch(challenge)
        if not found:
            raise SaslError(f"no SCRAM challenge: {clean(challenge, 200)}")
        nonce, iterations = found["nonce"], int(found["iterations"])
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise SaslError("the broker's nonce does not continue the client's")
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            raise SaslError(
                f"the broker asks for {iterations} iterations, "
                f"not {MIN_ITERATIONS} to {MAX_ITERATIONS}"
            )
        salted = _salted(self._digest, self._password, _base64(found["salt"]), iterations)
        final = f"c=biws,r={nonce}"
        messages = f"{self._bare},{challenge},{final}"
        key = self._mac(salted, "Client Key")
        mask = self._mac(hashlib.new(self._digest, key).digest(), messages)
        proof = bytes(a ^ b for a, b in zip(key, mask))
        self._expected = self._mac(self._mac(salted, "Server Key"), messages)
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def _mac(self, key: bytes, text: str) -> bytes:
        return hmac.digest(key, text.encode(), self._digest)


ScramSha256, ScramSha512 = partial(Scram, "sha256"), partial(Scram, "sha512")


class Bearer:
    """OAUTHBEARER, RFC 7628, with Kafka's extensions (KIP-342).

    A broker refuses with JSON, waits for one byte and only then ends the login: `refused` keeps
    that JSON as text.
    """

    def __init__(self, sasl: Sasl, host: str) -> None:
        if not sasl.token:
            raise SaslError("OAUTHBEARER needs a token, and there is none")
        if not _TOKEN.fullmatch(sasl.token):
            raise SaslError("the token has characters that no bearer token may have")
        for name, value in sasl.extensions.items():
            named = _EXTENSION.fullmatch(name) and name != "auth"
            if not named or not _EXTENSION_VALUE.fullmatch(value):
                raise SaslError(f"not a valid SASL extension: {clean(name, 80)}")
        self._token, self._extensions = sasl.token, sasl.extensions
        self.refused = ""

    def first(self) -> bytes:
        pairs = {"auth": f"Bearer {self._token}", **self._extensions}
        fields = "".join(f"{name}={value}\x01" for name, value in pairs.items())
        return f"n,,\x01{fields}\x01".encode()

    def next(self, challenge: bytes) -> bytes | None:
        if self.refused:
            raise SaslError(f"the broker refused the token: {self.refused}")
        if not challenge:
            return None
        self.refused = _bearer_error(challenge)
        return b"\x01"


class MskIam:
    """AWS_MSK_IAM: a signed request as JSON, version 2020_10_22.

    `username` is the AWS access key id, `password` its secret, `token` the session's token if it
    has one. `now` gives Unix seconds. Source: the README of github.com/aws/aws-msk-iam-auth.
    """

    def __init__(self, sasl: Sasl, host: str, now: Callable[[], float] = time.time) -> None:
        if not sasl.username or not sasl.password:
            raise SaslError("AWS_MSK_IAM needs AWS credentials, and there are none")
        if not sasl.region:
            raise SaslError("AWS_MSK_IAM needs a region, and the broker's name tells none")
        self._sasl, self._host, self._now = sasl, host, now

    def first(self) -> bytes:
        sasl = self._sasl
        signed = presigned(
            self._host, sasl.region, sasl.username, sasl.password, sasl.token, self._now()
        )
        payload = {name.lower(): value for name, value in signed.items()}
        fixed = {"version": "2020_10_22", "host": self._host, "user-agent": USER_AGENT}
        return json.dumps({**fixed, **payload}).encode()

    def next(self, challenge: bytes) -> bytes | None:
        if not challenge:
            raise SaslError("the broker accepted without the answer that MSK gives")
        return None


_SERVER_FIRST = re.compile(
    r"r=(?P<nonce>[!-+\--~]+),s=(?P<salt>[A-Za-z0-9+/=]+),i=(?P<iterations>[0-9]{1,9})(,.*)?"
)
# As Kafka's OAuthBearerClientInitialResponse has them.
_TOKEN = re.compile(r"[-_~+/.a-zA-Z0-9]+=*")
_EXTENSION, _EXTENSION_VALUE = re.compile(r"[A-Za-z]+"), re.compile(r"[!-~ \t\r\n]+")


def _credentials(sasl: Sasl) -> tuple[str, str]:
    if not sasl.username or not sasl.password:
        missing = "user name" if not sasl.username else "password"
        raise SaslError(f"{sasl.mechanism} needs a {missing}, and there is none")
    both = sasl.username + sasl.password
    if "\0" in both or not _encodes(both):
        raise SaslError("the user name or password is not text that can be sent")
    return sasl.username, sasl.password


def _encodes(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:  # a byte of the command line that is no UTF-8
        return False


@lru_cache(maxsize=8)  # brokers of a cluster share salt and iterations
def _salted(digest: str, password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations)


def _ascii(challenge: bytes) -> str:
    if len(challenge) > MAX_CHALLENGE:
        raise SaslError(f"a challenge of {len(challenge)} bytes")
    try:
        return challenge.decode("ascii")
    except UnicodeDecodeError:
        raise SaslError("bytes that are no SCRAM message") from None


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SaslError("no valid base64 in the broker's SCRAM message") from None


def _bearer_error(challenge: bytes) -> str:
    """RFC 7628's error as text: status, the scope that is missing, where to ask for a token."""
    text = challenge[:MAX_CHALLENGE].decode("utf-8", "replace")
    try:
        error: Any = json.loads(text)
    except (ValueError, RecursionError):
        error = None
    if not isinstance(error, dict) or not isinstance(error.get("status"), str):
        return clean(text, 200)
    found = [clean(error["status"], 200)]
    for field, name in (("scope", "scope"), ("openid-configuration", "configuration")):
        if isinstance(error.get(field), str):
            found.append(f"{name} {clean(error[field], 200)}")
    return ", ".join(found)
