"""Logging in over SASL: credentials are tried once, and nowhere else until they were accepted."""

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


# How a login ended: why it failed, and its words.
Ended = tuple[Optional[Failure], str]

_UNSUPPORTED_MECHANISM = "UNSUPPORTED_SASL_MECHANISM"


class Login:
    """The login of one walk, if there is anything to log in with. The first one goes alone; unless
    it is accepted no other follows, and none does once one is refused: no account gets locked by a
    check of many addresses. Who gives no answer to credentials may have counted them as well.
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
        """What is to be known of the login: how it was signed, and that the walk cut it off."""
        cut_off = (CUT_OFF,) if self._under_way and not self._accepted else ()
        return (*(self._ready.notes if self._ready else ()), *cut_off)

    @property
    def ready(self) -> Sasl | None:
        """What is logged in with; a token that was fetched, or signed, is filled in."""
        return self._ready.sasl if self._ready else self.sasl

    async def on(
        self,
        conversation: KafkaConnection,
        handshake: Reply,
        host: str,
        client: Callable[[], Awaitable[Ended]],
    ) -> LayerResult:
        """Logs in to `host` where the answer to SaslHandshake allows it: on that conversation, or
        by what `client` does instead where it has to be `by_client`."""
        offered = clean(", ".join(handshake.body.get("mechanisms", ())), 400)
        if handshake.failure is Failure.NO_COMMON_VERSION:
            words = "its ApiVersions lists no SaslHandshake"
            return LayerResult("sasl", handshake.elapsed, Failure.SASL_NOT_OFFERED, words)
        if handshake.failure:
            return LayerResult("sasl", handshake.elapsed, handshake.failure, handshake.detail)
        error = error_name(handshake.body["error_code"])
        if error == _UNSUPPORTED_MECHANISM and self.sasl is None:
            return LayerResult("sasl", handshake.elapsed, Failure.SASL_REQUIRED, offered)
        if error == _UNSUPPORTED_MECHANISM:
            return LayerResult("sasl", handshake.elapsed, Failure.MECHANISM, offered)
        if error != "NONE":
            return LayerResult("sasl", handshake.elapsed, Failure.SASL_NOT_OFFERED, error)
        if self._only_encrypted and conversation.tls is None:
            return LayerResult("sasl", handshake.elapsed, Failure.SASL_REQUIRED, offered)

        async def log_in() -> Ended:
            if not self.by_client:
                return await self._logged_in(conversation, host, bare=handshake.version == 0)
            async with self._clients:
                return await client()

        if self._accepted:
            return self._not_again() or await self._tried(log_in, handshake.elapsed)
        async with self._alone:
            return self._not_again() or await self._tried(log_in, handshake.elapsed)

    def _not_again(self) -> LayerResult | None:
        if self._ended is None:
            return None
        words = f"not tried again: {self._ended.detail}"
        if self._ended.failure is not Failure.CREDENTIALS:
            words = f"not tried, after another login without success: {self._ended.detail}"
        return LayerResult("sasl", 0.0, self._ended.failure, words)

    async def _tried(self, log_in: Callable[[], Awaitable[Ended]], handshake: float) -> LayerResult:
        """A login, after a SaslHandshake that took that many seconds."""
        started = time.perf_counter() - handshake
        self._under_way = True
        failure, words = await log_in()
        self._under_way = False
        tried = LayerResult("sasl", time.perf_counter() - started, failure, words)
        self._accepted = self._accepted or failure is None
        self.slowest = max(self.slowest, tried.elapsed)
        if failure and limits_connections(words):
            return tried  # it says nothing of the credentials
        if failure is Failure.CREDENTIALS or (failure and not self._accepted):
            self._ended = tried
        return tried

    async def _logged_in(self, conversation: KafkaConnection, host: str, *, bare: bool) -> Ended:
        from kdiag.kafka.sasl.credentials import ready  # as _exchanged, only where there is a login

        assert self.sasl is not None
        if self._ready is None:
            self._ready = await ready(self.sasl, host, self._timeout)
        if self._ready.error:
            return Failure.CREDENTIALS, self._ready.error
        failure, words = await self._exchanged(conversation, self._ready.sasl, host, bare=bare)
        flaw = _flaw(self._ready.sasl, host) if failure else ""
        return failure, f"{words} ({flaw})" if flaw else words

    async def _exchanged(
        self, conversation: KafkaConnection, sasl: Sasl, host: str, *, bare: bool
    ) -> Ended:
        """The mechanism's rounds, until one side has had enough; `bare` without SaslAuthenticate,
        as after SaslHandshake 0: Kafka before 1.0."""
        from kdiag.kafka.sasl.mechanisms import SaslError, exchange

        try:
            steps = exchange(sasl, host)
            said = steps.first()
            for _ in range(MAX_ROUNDS):
                reply = await _told(conversation, said, bare)
                if reply.failure in (Failure.CLOSED, Failure.RESET):
                    why = "; a broker before Kafka 1.0 refuses in no other way" if bare else ""
                    words = f"the broker closed the connection during the login{why}"
                    return Failure.CREDENTIALS, words
                if reply.failure:
                    return reply.failure, reply.detail
                error = error_name(reply.body.get("error_code", 0))
                if error != "NONE":
                    message = reply.body["error_message"]
                    return Failure.CREDENTIALS, f"{error}: {message}" if message else error
                challenge = reply.frame if bare else reply.body["auth_bytes"]
                answer = await self._answer(steps, challenge)
                if answer is None:
                    return None, ""
                said = answer
        except SaslError as error:
            return Failure.CREDENTIALS, clean(str(error))
        return Failure.CREDENTIALS, f"no end after {MAX_ROUNDS} rounds"

    async def _answer(self, steps: Exchange, challenge: bytes) -> bytes | None:
        """The answer to a challenge. The work that it takes is the broker's choice, so it is done
        beside the loop: the other brokers, and the deadline, do not wait for it."""
        async with self._proofs:
            return await in_thread(steps.next, challenge)


def _flaw(sasl: Sasl, host: str) -> str:
    """What is to be known beside a refusal: whom the login was signed for, or what is wrong with
    its token."""
    if sasl.mechanism == "AWS_MSK_IAM":
        return f"signed for {clean(host)} in {sasl.region}"
    return flaw_of(sasl.token, time.time())


def _told(conversation: KafkaConnection, message: bytes, bare: bool) -> asyncio.Future[Reply]:
    """One message of the mechanism, on its way."""
    if bare:
        return conversation.send_bare(message)
    return conversation.send(Question(SASL_AUTHENTICATE, {"auth_bytes": message}))


def flaw_of(token: str, now: float) -> str:
    """What a broker will hold against a token at that moment, "" for nothing that can be seen."""
    if not token:
        return ""
    from kdiag.kafka.sasl.oauth import claims  # what few logins need

    found = claims(token)
    return found.flaw(now) if found else ""
