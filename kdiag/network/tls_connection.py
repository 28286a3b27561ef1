"""Connections over TLS: as the client would have them, and a second look at whom it refuses."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable

from kdiag.config.security import Tls
from kdiag.kafka.connection import KafkaConnection
from kdiag.network.attempt import Failure, LayerResult
from kdiag.network.errors import os_failure
from kdiag.network.line import ConnectionResult, TcpConnection
from kdiag.network.tls import OverheardHandshake, TlsHandshakes, tls_failure, tls_words

Again = Callable[[str, int], Awaitable[TcpConnection]]

# A server that misses a client certificate under TLS 1.3 says so after the handshake; whoever
# writes before it has spoken gets a reset instead of its words.
_LAST_WORDS = 0.15

_NO_REASON = (Failure.HANDSHAKE, Failure.CLOSED, Failure.RESET)
_SEE_FOR_YOURSELF = (Failure.UNTRUSTED, Failure.NAME_MISMATCH, Failure.EXPIRED, *_NO_REASON)


class TlsDialer:
    """The TLS of one walk. `timeout` (seconds) bounds a handshake, `answer_timeout` each answer
    after it; `again` makes one more line to an address and port; `keep` is told of every
    conversation."""

    def __init__(
        self,
        tls: Tls,
        timeout: float,
        answer_timeout: float,
        again: Again,
        keep: Callable[[KafkaConnection], None],
    ) -> None:
        self._handshakes = TlsHandshakes(tls)
        self._timeout, self._answer_timeout = timeout, answer_timeout
        self._again, self._keep = again, keep

    async def over(self, line: TcpConnection, name: str, max_frame: int) -> ConnectionResult:
        """A conversation with the server of that name, over a line that came up. Where the
        handshake fails for what the peer is, a second one, that takes anybody, shows whom we met.
        """
        made = await self._shake(line, name, max_frame)
        if made.attempts[-1].failure not in _SEE_FOR_YOURSELF:
            return made
        again = await self._again(line.address, line.port)
        if again.sock is None:
            return made
        return _seen(made, await self._shake(again, name, max_frame, look=True))

    async def _shake(
        self, line: TcpConnection, name: str, max_frame: int, *, look: bool = False
    ) -> ConnectionResult:
        """The handshake on a line: the client's own, or one to look with."""
        assert line.sock is not None
        heard = self._handshakes.hear()
        started = time.perf_counter()
        context = self._handshakes.looking if look else self._handshakes.judging

        def ended(
            failure: Failure | None = None, detail: str = ""
        ) -> tuple[LayerResult, LayerResult]:
            return line.tcp, LayerResult("tls", time.perf_counter() - started, failure, detail)

        code: int | None = None
        try:
            conversation = await KafkaConnection.over(
                line.sock,
                self._timeout,
                answer_timeout=self._answer_timeout,
                context=context,
                name=name,
                max_frame=max_frame,
            )
            self._check_times(conversation)
        except ssl.SSLError as error:
            failure, words = tls_failure(error), tls_words(error)
            code = getattr(error, "verify_code", None)
        except asyncio.TimeoutError:
            failure = Failure.SILENT
            words = f"no answer to the TLS handshake within {self._timeout:g} s"
        except OSError as error:
            # asyncio's word for a peer that closes in the handshake is a reset without a number
            failure = os_failure(error) if error.errno else Failure.CLOSED
            words = "ended by the peer during the handshake"
        except ValueError:  # UnicodeError among them
            line.sock.close()
            failure = Failure.HANDSHAKE
            words = "this name cannot be asked for in a TLS handshake"
        else:
            return await self._shaken(conversation, ended(), heard, name, context)
        if heard.wants_certificate and failure in _NO_REASON:
            failure = Failure.CLIENT_CERTIFICATE
        shown = self._handshakes.overheard(heard, name, code)
        return ConnectionResult(ended(failure, words), handshake=shown)

    def _check_times(self, conversation: KafkaConnection) -> None:
        assert conversation.tls is not None
        try:
            self._handshakes.check_times(conversation.tls)
        except ssl.SSLError:
            conversation.close()
            raise

    async def _shaken(
        self,
        conversation: KafkaConnection,
        made: tuple[LayerResult, LayerResult],
        heard: OverheardHandshake,
        name: str,
        context: ssl.SSLContext,
    ) -> ConnectionResult:
        """A connection whose handshake is complete."""
        self._keep(conversation)
        assert conversation.tls is not None
        code = 0 if context.verify_mode is ssl.CERT_REQUIRED else None
        if heard.wants_certificate:
            await conversation.hear_out(_LAST_WORDS)
        return ConnectionResult(
            made, conversation, self._handshakes.seen(conversation.tls, heard, name, code)
        )


def _seen(made: ConnectionResult, met: ConnectionResult) -> ConnectionResult:
    """A connection whose handshake failed, with what a second one showed."""
    if not met.conversation or not met.handshake:
        return made
    code = made.handshake.verify_code if made.handshake else None
    shown = met.handshake._replace(verify_code=code)
    *before, tls = made.attempts
    if tls.failure in _NO_REASON:  # it does speak TLS, only not as the client would
        words = f"{tls.detail}; it would take {shown.version} with {shown.cipher}"
        tls = tls._replace(failure=Failure.HANDSHAKE, detail=words)
    return made._replace(attempts=(*before, tls), handshake=shown, unverified=met.conversation)
