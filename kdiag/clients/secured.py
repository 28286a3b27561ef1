"""Connections over TLS: as the client would have them, and a second look at whom it refuses."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable

from kdiag.attempt import Attempt, Failure
from kdiag.clients.conversation import Conversation
from kdiag.clients.failures import os_failure
from kdiag.clients.line import Connection, Line
from kdiag.clients.tls import Handshakes, Heard, tls_failure, tls_words
from kdiag.security import Tls

Again = Callable[[str, int], Awaitable[Line]]

# A server that misses a client certificate under TLS 1.3 says so after the handshake; whoever
# writes before it has spoken gets a reset instead of its words.
_LAST_WORDS = 0.15

_NO_REASON = (Failure.HANDSHAKE, Failure.CLOSED, Failure.RESET)
_SEE_FOR_YOURSELF = (Failure.UNTRUSTED, Failure.NAME_MISMATCH, Failure.EXPIRED, *_NO_REASON)


class Secured:
    """The TLS of one walk. `timeout` (seconds) bounds a handshake, `answer_timeout` each answer
    after it; `again` makes one more line to an address and port; `keep` is told of every
    conversation."""

    def __init__(
        self,
        tls: Tls,
        timeout: float,
        answer_timeout: float,
        again: Again,
        keep: Callable[[Conversation], None],
    ) -> None:
        self._handshakes = Handshakes(tls)
        self._timeout, self._answer_timeout = timeout, answer_timeout
        self._again, self._keep = again, keep

    async def over(self, line: Line, name: str, max_frame: int) -> Connection:
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
        self, line: Line, name: str, max_frame: int, *, look: bool = False
    ) -> Connection:
        """The handshake on a line: the client's own, or one to look with."""
        assert line.sock is not None
        heard = self._handshakes.hear()
        started = time.perf_counter()
        context = self._handshakes.looking if look else self._handshakes.judging

        def ended(failure: Failure | None = None, detail: str = "") -> tuple[Attempt, Attempt]:
            return line.tcp, Attempt("tls", time.perf_counter() - started, failure, detail)

        code: int | None = None
        try:
            conversation = await Conversation.over(
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
        return Connection(ended(failure, words), handshake=shown)

    def _check_times(self, conversation: Conversation) -> None:
        assert conversation.tls is not None
        try:
            self._handshakes.check_times(conversation.tls)
        except ssl.SSLError:
            conversation.close()
            raise

    async def _shaken(
        self,
        conversation: Conversation,
        made: tuple[Attempt, Attempt],
        heard: Heard,
        name: str,
        context: ssl.SSLContext,
    ) -> Connection:
        """A connection whose handshake is complete."""
        self._keep(conversation)
        assert conversation.tls is not None
        code = 0 if context.verify_mode is ssl.CERT_REQUIRED else None
        if heard.wants_certificate:
            await conversation.hear_out(_LAST_WORDS)
        return Connection(
            made, conversation, self._handshakes.seen(conversation.tls, heard, name, code)
        )


def _seen(made: Connection, met: Connection) -> Connection:
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
