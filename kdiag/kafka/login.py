"""Logs in over SASL: sends the credentials once, and nowhere else until they are accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Optional

from kdiag.config.mechanisms import CLIENT_ONLY
from kdiag.config.security import Sasl
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.errors import error_name
from kdiag.kafka.login_notes import CUT_OFF
from kdiag.kafka.messages import SASL_AUTHENTICATE, Question
from kdiag.kafka.refusals import limits_connections
from kdiag.network.attempt import Failure, LayerResult, clean
from kdiag.network.dialer import in_thread

if TYPE_CHECKING:
    from kdiag.kafka.sasl.mechanisms import Exchange, ReadyLogin

MAX_ROUNDS = 8
MAX_CLIENTS = 8  # at once: each is some threads
MAX_PROOFS = 2  # at once: a broker may ask for half a second of a processor, and all ask together


# The result of a login: its failure, and the detail.
Ended = tuple[Optional[Failure], str]

_UNSUPPORTED_MECHANISM = "UNSUPPORTED_SASL_MECHANISM"


class Login:
    """The logins of one walk, if it has credentials. The first login is sent alone; unless it is
    accepted no other follows, and none follows after a refusal: a check of many addresses locks no
    account. A server that does not answer may have counted the login too.
    With `only_encrypted` no login is sent over a connection without TLS.
    """

    def __init__(self, sasl: Sasl | None, timeout: float, *, only_encrypted: bool = False) -> None:
        self.sasl = sasl
        self._only_encrypted = only_encrypted
        self._timeout = timeout
        self._ready: ReadyLogin | None = None
        self._alone = asyncio.Lock()
        self._accepted = False
        self._under_way = False  # also where it was cancelled
        self.slowest = 0.0  # seconds that a login took
        self._ended: LayerResult | None = None  # the login after which there is no other
        self._clients = asyncio.Semaphore(MAX_CLIENTS)
        self._proofs = asyncio.Semaphore(MAX_PROOFS)

    @property
    def by_client(self) -> bool:
        """Whether the real client has to log in: kdiag does not speak this mechanism (Kerberos)."""
        return self.sasl is not None and self.sasl.mechanism in CLIENT_ONLY

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the report: how the login was signed, and whether the walk cut it off."""
        cut_off = (CUT_OFF,) if self._under_way and not self._accepted else ()
        return (*(self._ready.notes if self._ready else ()), *cut_off)

    @property
    def ready(self) -> Sasl | None:
        """The credentials of the login, with the token that was fetched or signed."""
        return self._ready.sasl if self._ready else self.sasl

    async def log_in(
        self,
        connection: KafkaConnection,
        handshake: Reply,
        host: str,
        client: Callable[[], Awaitable[Ended]],
    ) -> LayerResult:
        """Logs in to `host` if the reply to SaslHandshake allows it: over this connection or, for a
        mechanism that only the real client has (`by_client`), by calling `client`."""
        offered = clean(", ".join(handshake.body.get("mechanisms", ())), 400)
        if handshake.failure is Failure.NO_COMMON_VERSION:
            detail = "its ApiVersions lists no SaslHandshake"
            return LayerResult("sasl", handshake.elapsed, Failure.SASL_NOT_OFFERED, detail)
        if handshake.failure:
            return LayerResult("sasl", handshake.elapsed, handshake.failure, handshake.detail)
        error = error_name(handshake.body["error_code"])
        if error == _UNSUPPORTED_MECHANISM and self.sasl is None:
            return LayerResult("sasl", handshake.elapsed, Failure.SASL_REQUIRED, offered)
        if error == _UNSUPPORTED_MECHANISM:
            return LayerResult("sasl", handshake.elapsed, Failure.MECHANISM, offered)
        if error != "NONE":
            return LayerResult("sasl", handshake.elapsed, Failure.SASL_NOT_OFFERED, error)
        if self._only_encrypted and connection.tls is None:
            return LayerResult("sasl", handshake.elapsed, Failure.SASL_REQUIRED, offered)

        async def attempt() -> Ended:
            if not self.by_client:
                return await self._logged_in(connection, host, bare=handshake.version == 0)
            async with self._clients:
                return await client()

        if self._accepted:
            return self._not_again() or await self._tried(attempt, handshake.elapsed)
        async with self._alone:
            return self._not_again() or await self._tried(attempt, handshake.elapsed)

    def _not_again(self) -> LayerResult | None:
        if self._ended is None:
            return None
        detail = f"not tried again: {self._ended.detail}"
        if self._ended.failure is not Failure.CREDENTIALS:
            detail = f"not tried, after another login without success: {self._ended.detail}"
        return LayerResult("sasl", 0.0, self._ended.failure, detail)

    async def _tried(
        self, attempt: Callable[[], Awaitable[Ended]], handshake: float
    ) -> LayerResult:
        """A login, after a SaslHandshake that took that many seconds."""
        started = time.perf_counter() - handshake
        self._under_way = True
        failure, detail = await attempt()
        self._under_way = False
        tried = LayerResult("sasl", time.perf_counter() - started, failure, detail)
        self._accepted = self._accepted or failure is None
        self.slowest = max(self.slowest, tried.elapsed)
        if failure and limits_connections(detail):
            return tried  # not because of the credentials
        if failure is Failure.CREDENTIALS or (failure and not self._accepted):
            self._ended = tried
        return tried

    async def _logged_in(self, connection: KafkaConnection, host: str, *, bare: bool) -> Ended:
        # 14 ms
        from kdiag.kafka.sasl.credentials import ready  # as _exchanged, only where there is a login

        assert self.sasl is not None
        if self._ready is None:
            self._ready = await ready(self.sasl, host, self._timeout)
        if self._ready.error:
            return Failure.CREDENTIALS, self._ready.error
        failure, detail = await self._exchanged(connection, self._ready.sasl, host, bare=bare)
        flaw = _flaw(self._ready.sasl, host) if failure else ""
        return failure, f"{detail} ({flaw})" if flaw else detail

    async def _exchanged(
        self, connection: KafkaConnection, sasl: Sasl, host: str, *, bare: bool
    ) -> Ended:
        """The messages of the mechanism, until it ends or fails. `bare`: without SaslAuthenticate,
        as after SaslHandshake 0 (Kafka before 1.0)."""
        from kdiag.kafka.sasl.mechanisms import SaslError, exchange  # 14 ms

        try:
            steps = exchange(sasl, host)
            message = steps.first()
            for _ in range(MAX_ROUNDS):
                reply = await _sent(connection, message, bare)
                if reply.failure in (Failure.CLOSED, Failure.RESET):
                    why = (
                        "; before Kafka 1.0 a broker refuses logins only in this way"
                        if bare
                        else ""
                    )
                    detail = f"the broker closed the connection during the login{why}"
                    return Failure.CREDENTIALS, detail
                if reply.failure:
                    return reply.failure, reply.detail
                error = error_name(reply.body.get("error_code", 0))
                if error != "NONE":
                    message = reply.body["error_message"]
                    return Failure.CREDENTIALS, f"{error}: {message}" if message else error
                challenge = reply.frame if bare else reply.body["auth_bytes"]
                answer = await self._answer(steps, challenge)
                if answer is None:
                    connection.session_ms = reply.body.get("session_lifetime_ms", 0)
                    return None, ""
                message = answer
        except SaslError as error:
            return Failure.CREDENTIALS, clean(str(error))
        return Failure.CREDENTIALS, f"no end after {MAX_ROUNDS} rounds"

    async def _answer(self, steps: Exchange, challenge: bytes) -> bytes | None:
        """The answer to a challenge. The broker decides how much work it is, so a thread does it:
        the event loop, and with it the deadline, does not wait for it."""
        async with self._proofs:
            return await in_thread(steps.next, challenge)


def _flaw(sasl: Sasl, host: str) -> str:
    """What may explain a refusal: the host that the login was signed for, or a fault of its
    token; "" for nothing."""
    if sasl.mechanism == "AWS_MSK_IAM":
        return f"signed for {clean(host)} in {sasl.region}"
    return flaw_of(sasl.token, time.time())


def _sent(connection: KafkaConnection, message: bytes, bare: bool) -> asyncio.Future[Reply]:
    """Sends one message of the mechanism."""
    if bare:
        return connection.send_bare(message)
    return connection.send(Question(SASL_AUTHENTICATE, {"auth_bytes": message}))


def flaw_of(token: str, now: float) -> str:
    """The fault for which a broker refuses the token at that time (Unix seconds), "" for none."""
    if not token:
        return ""
    from kdiag.kafka.sasl.oauth import claims  # 28 ms: few logins need it

    found = claims(token)
    return found.flaw(now) if found else ""
