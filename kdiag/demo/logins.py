"""The server's side of SASL for the fake broker: each mechanism, with Kafka's error messages.

Source: Kafka's SaslServerAuthenticator, PlainSaslServer, ScramSaslServer, OAuthBearerSaslServer and
its unsecured validator; for AWS_MSK_IAM, the README of github.com/aws/aws-msk-iam-auth.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdiag.config.mechanisms import MECHANISMS
from kdiag.kafka.codec import WireError
from kdiag.kafka.messages import API_VERSIONS, SASL_AUTHENTICATE, SASL_HANDSHAKE, Request
from kdiag.kafka.sasl.sigv4 import signature

UNSUPPORTED_MECHANISM, ILLEGAL_SASL_STATE, AUTHENTICATION_FAILED = 33, 34, 58

# Receives the client's messages, yields the challenges, and returns the last answer.
Steps = Generator[bytes, bytes, bytes]

_QUERY = {
    name.lower(): name
    for name in (
        "Action",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-SignedHeaders",
    )
}


class Refused(Exception):
    """The server refuses the credentials. The text is the error message to the client, "" for
    Kafka's usual one."""


def unsecured_subject(token: str) -> str | None:
    """The subject of an unsigned token, by the rules of Kafka's unsecured validator; None where the
    token is signed, expired or malformed."""
    try:
        header, payload, signature = token.split(".")
        algorithm = json.loads(_base64url(header))["alg"]
        claims = json.loads(_base64url(payload))
        valid = claims.get("iat", 0) <= time.time() < claims["exp"]
        return str(claims["sub"]) if algorithm == "none" and not signature and valid else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def unsecured_token(subject: str, lifetime: float = 3600.0) -> str:
    """An unsigned token that `unsecured_subject` accepts; `lifetime` is in seconds."""
    claims = {"sub": subject, "iat": time.time(), "exp": time.time() + lifetime}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


@dataclass
class Logins:
    """The SASL configuration of a listener. `users` maps user names to passwords, or AWS access key
    ids to secret keys.

    `attempts` counts, by user, how often credentials were presented. `subject` returns the user of
    an OAUTHBEARER token, None for an invalid one. `iterations` are SCRAM's; `lifetime_ms` is the
    session's, 0 without a limit.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = field(
        default_factory=lambda: tuple(name for name in MECHANISMS if name in _STEPS)
    )
    iterations: int = 4096
    lifetime_ms: int = 0
    subject: Callable[[str], str | None] = unsecured_subject
    attempts: Counter[str] = field(default_factory=Counter)

    def steps(self, mechanism: str) -> Steps:
        """The server's side of one mechanism, started and ready for the client's first message."""
        steps = _STEPS[mechanism](self)
        next(steps)
        return steps

    def _plain(self) -> Steps:
        tokens = (yield b"").decode().split("\0")
        if len(tokens) != 3:
            raise Refused(f"Invalid SASL/PLAIN response: expected 3 tokens, got {len(tokens)}")
        _, user, password = tokens
        if not user or not password:
            missing = "password" if user else "username"
            raise Refused(f"Authentication failed: {missing} not specified")
        self.attempts[user] += 1
        if self.users.get(user) != password:
            raise Refused("Authentication failed: Invalid username or password")
        return b""

    def _scram(self, digest: str) -> Steps:
        first = (yield b"").decode()
        bare = first.removeprefix("n,,")
        name, nonce = bare.split(",")[:2]
        user = name.removeprefix("n=").replace("=2C", ",").replace("=3D", "=")
        self.attempts[user] += 1
        if bare == first or user not in self.users:
            raise Refused
        salt = hashlib.sha256(user.encode()).digest()[:16]
        nonce += secrets.token_urlsafe(18)
        challenge = f"{nonce},s={base64.b64encode(salt).decode()},i={self.iterations}"
        final, _, proof = (yield challenge.encode()).decode().rpartition(",p=")
        if final != f"c=biws,{nonce}":
            raise Refused

        def mac(key: bytes, message: str) -> bytes:
            return hmac.digest(key, message.encode(), digest)

        password = self.users[user].encode()
        salted = hashlib.pbkdf2_hmac(digest, password, salt, self.iterations)
        messages = f"{bare},{challenge},{final}"
        stored = hashlib.new(digest, mac(salted, "Client Key")).digest()
        masks = zip(mac(stored, messages), base64.b64decode(proof), strict=True)
        key = bytes(a ^ b for a, b in masks)
        if not hmac.compare_digest(hashlib.new(digest, key).digest(), stored):
            raise Refused
        return b"v=" + base64.b64encode(mac(mac(salted, "Server Key"), messages))

    def _bearer(self) -> Steps:
        header, _, fields = (yield b"").decode().partition("\x01")
        if not header.startswith("n,") or not fields.endswith("\x01\x01"):
            raise Refused
        pairs = dict(pair.split("=", 1) for pair in fields[:-2].split("\x01"))
        scheme, _, token = pairs["auth"].partition(" ")
        if scheme.lower() != "bearer":
            raise Refused
        user = self.subject(token)
        self.attempts[user or _subject_claimed(token)] += 1
        if user is None:
            error = '{"status":"invalid_token"}'
            yield error.encode()
            raise Refused(error)
        return b""

    def _iam(self) -> Steps:
        payload = json.loads((yield b""))
        user = payload["x-amz-credential"].split("/")[0]
        self.attempts[user] += 1
        request_id = "9f5a3e02-3d4c-4a77-9f5e-0d1b5a2c7e11"
        if user not in self.users or not signed(payload, self.users[user]):
            raise Refused(f"[{request_id}]: Access denied")
        return json.dumps({"version": "2020_10_22", "request-id": request_id}).encode()


_STEPS: Mapping[str, Callable[[Logins], Steps]] = {
    "PLAIN": Logins._plain,
    "SCRAM-SHA-256": lambda logins: logins._scram("sha256"),
    "SCRAM-SHA-512": lambda logins: logins._scram("sha512"),
    "OAUTHBEARER": Logins._bearer,
    "AWS_MSK_IAM": Logins._iam,
}


class ServerLogin:
    """The login of one connection, on the server's side. Until the login is complete, only
    ApiVersions and SASL requests are answered; any other request closes the connection."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins
        self._versions_answered = False
        self._mechanism = ""
        self._steps: Steps | None = None
        self._complete = False
        self.raw = False  # after SaslHandshake 0 the mechanism's messages have no header
        self.failed = False

    def answer(self, request: Request) -> dict[str, Any] | None:
        """The answer to a request before the login; None where the broker answers it as usual.

        Once `failed` is true, the broker closes the connection after the answer. Raises WireError
        where it closes the connection without an answer.
        """
        if self._complete:
            return None
        if self._steps:
            return self._during(request, self._steps)
        if request.api is API_VERSIONS and not self._versions_answered:
            self._versions_answered = True
            return None
        if request.api is SASL_HANDSHAKE:
            self.raw = request.version == 0
            return self._handshake(request.body["mechanism"])
        raise WireError(f"unexpected {request.api.name} during SASL handshake")

    def token(self, message: bytes) -> bytes | None:
        """The challenge to a SASL message without a Kafka header; None to close the connection:
        without a header the server has no error message."""
        assert self._steps
        try:
            return self._steps.send(message)
        except StopIteration as ended:
            self._complete, self.raw = True, False
            return bytes(ended.value)
        except (Refused, ValueError, KeyError, TypeError, AttributeError):
            self.failed = True
            return None

    def _handshake(self, mechanism: str) -> dict[str, Any]:
        enabled = list(self._logins.mechanisms)
        if mechanism not in enabled:
            self.failed, self.raw = True, False
            return {"error_code": UNSUPPORTED_MECHANISM, "mechanisms": enabled}
        self._mechanism, self._steps = mechanism, self._logins.steps(mechanism)
        return {"error_code": 0, "mechanisms": enabled}

    def _during(self, request: Request, steps: Steps) -> dict[str, Any]:
        if request.api is API_VERSIONS:
            self.failed = True
            return {"error_code": ILLEGAL_SASL_STATE, "api_keys": [], "throttle_time_ms": 0}
        if request.api is not SASL_AUTHENTICATE:
            raise WireError(f"unexpected {request.api.name} during SASL authentication")
        default = (
            "Authentication failed during authentication due to invalid credentials with SASL "
            f"mechanism {self._mechanism}"
        )
        try:
            return _authenticated(steps.send(request.body["auth_bytes"]))
        except StopIteration as ended:
            self._complete = True
            return _authenticated(ended.value, self._logins.lifetime_ms)
        except Refused as error:
            message = str(error) or default
        except (ValueError, KeyError, TypeError, AttributeError):
            message = default
        self.failed = True
        return {
            "error_code": AUTHENTICATION_FAILED,
            "error_message": message,
            "auth_bytes": b"",
            "session_lifetime_ms": 0,
        }


def signed(payload: Mapping[str, str], secret: str) -> bool:
    """Whether an AWS_MSK_IAM payload is signed with this secret key."""
    query = {_QUERY[name]: value for name, value in payload.items() if name in _QUERY}
    expected = signature(payload["host"], query, secret)
    return hmac.compare_digest(expected, payload["x-amz-signature"])


def _authenticated(answer: bytes, lifetime_ms: int = 0) -> dict[str, Any]:
    return {
        "error_code": 0,
        "error_message": None,
        "auth_bytes": answer,
        "session_lifetime_ms": lifetime_ms,
    }


def _subject_claimed(token: str) -> str:
    try:
        return str(json.loads(_base64url(token.split(".")[1]))["sub"])
    except (ValueError, KeyError, TypeError, IndexError):
        return ""


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
