"""Opens Kafka connections over TLS as the client would, and looks again at peers it refuses."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable

from kdiag.config.security import Tls
from kdiag.kafka.connection import KafkaConnection
from kdiag.kafka.dialer import ConnectionResult
from kdiag.network.attempt import GONE, Failure, LayerResult, TlsHandshake
from kdiag.network.dialer import TcpConnection
from kdiag.network.errors import os_failure
from kdiag.network.tls import ObservedHandshake, TlsHandshakes, tls_failure, tls_message

Reconnect = Callable[[str, int], Awaitable[TcpConnection]]

# Under TLS 1.3 a server that misses a client certificate says so after the handshake. A client that
# writes before this alert arrives gets a reset instead of the alert.
_ALERT_SECONDS = 0.15

_NO_REASON = (Failure.HANDSHAKE, *GONE)
_LOOK_AGAIN = (Failure.UNTRUSTED, Failure.NAME_MISMATCH, Failure.EXPIRED, *_NO_REASON)


class TlsDialer:
    """Opens the TLS connections of one walk. `timeout` (seconds) bounds a handshake,
    `answer_timeout` each answer after it; `reconnect` opens one more TCP connection to an address
    and port; `keep` is called with every open connection."""

    def __init__(
        self,
        tls: Tls,
        timeout: float,
        answer_timeout: float,
        reconnect: Reconnect,
        keep: Callable[[KafkaConnection], None],
    ) -> None:
        self._handshakes = TlsHandshakes(tls)
        self._timeout, self._answer_timeout = timeout, answer_timeout
        self._reconnect, self._keep = reconnect, keep

    async def open(self, tcp: TcpConnection, name: str, max_frame: int) -> ConnectionResult:
        """A Kafka connection to the server of that name. Where the handshake fails because of what
        the peer is, a second handshake without verification shows the peer's certificate."""
        result = await self._handshake(tcp, name, max_frame, self._handshakes.verifying)
        code = result.handshake.verify_code if result.handshake else None
        if self._handshakes.weak_for_openssl(code):
            again = await self._reconnect(tcp.address, tcp.port)
            if again.sock:
                java = await self._handshake(again, name, max_frame, self._handshakes.lenient)
                if java.connection and java.handshake:
                    return java._replace(handshake=java.handshake._replace(only_java=True))
        failure = result.attempts[-1].failure
        if failure not in _LOOK_AGAIN:
            return result
        again = await self._reconnect(tcp.address, tcp.port)
        if again.sock and failure in GONE:  # clients connect again
            second = await self._handshake(again, name, max_frame, self._handshakes.verifying)
            if second.connection:
                return second._replace(dropped=True)
            again = await self._reconnect(tcp.address, tcp.port)
        if again.sock is None:
            return result
        unverified = await self._handshake(again, name, max_frame, self._handshakes.unverifying)
        return _combined(result, unverified)

    async def handshake_as(self, tcp: TcpConnection, name: str) -> TlsHandshake | None:
        """The handshake under another name ("" for none), which verifies nobody; None where it does
        not complete."""
        result = await self._handshake(tcp, name, 0, self._handshakes.unverifying)
        if result.connection is None:
            return None
        result.connection.close()
        return result.handshake

    async def _handshake(
        self, tcp: TcpConnection, name: str, max_frame: int, context: ssl.SSLContext
    ) -> ConnectionResult:
        """One handshake: as the client makes it, or without verification."""
        assert tcp.sock is not None
        observed = self._handshakes.observe()
        started = time.perf_counter()

        def layers(
            failure: Failure | None = None, detail: str = ""
        ) -> tuple[LayerResult, LayerResult]:
            return tcp.tcp, LayerResult("tls", time.perf_counter() - started, failure, detail)

        code: int | None = None
        try:
            connection = await KafkaConnection.over(
                tcp.sock,
                self._timeout,
                answer_timeout=self._answer_timeout,
                context=context,
                name=name or None,
                max_frame=max_frame,
            )
            self._check_times(connection)
        except ssl.SSLError as error:
            failure, message = tls_failure(error), tls_message(error)
            code = getattr(error, "verify_code", None)
        except asyncio.TimeoutError:
            failure = Failure.SILENT
            message = f"no answer to the TLS handshake within {self._timeout:g} s"
        except OSError as error:
            # asyncio raises a reset without errno where the peer closes during the handshake.
            failure = os_failure(error) if error.errno else Failure.CLOSED
            message = "ended by the peer during the handshake"
        except ValueError:  # UnicodeError among them
            tcp.sock.close()
            failure = Failure.HANDSHAKE
            message = "this name cannot be asked for in a TLS handshake"
        else:
            return await self._complete(connection, layers(), observed, name, context)
        if observed.wants_certificate and failure in _NO_REASON:
            failure = Failure.CLIENT_CERTIFICATE
        handshake = self._handshakes.failed(observed, name, code)
        return ConnectionResult(layers(failure, message), handshake=handshake)

    def _check_times(self, connection: KafkaConnection) -> None:
        assert connection.tls is not None
        try:
            self._handshakes.check_times(connection.tls)
        except ssl.SSLError:
            connection.close()
            raise

    async def _complete(
        self,
        connection: KafkaConnection,
        attempts: tuple[LayerResult, LayerResult],
        observed: ObservedHandshake,
        name: str,
        context: ssl.SSLContext,
    ) -> ConnectionResult:
        """The result of a handshake that both sides completed."""
        self._keep(connection)
        assert connection.tls is not None
        code = 0 if context.verify_mode is ssl.CERT_REQUIRED else None
        if observed.wants_certificate:
            await connection.wait_for_end(_ALERT_SECONDS)
        handshake = self._handshakes.complete(connection.tls, observed, name, code)
        return ConnectionResult(attempts, connection, handshake)


def _combined(failed: ConnectionResult, unverified: ConnectionResult) -> ConnectionResult:
    """The failed handshake's result, with what the unverified handshake showed."""
    if not unverified.connection or not unverified.handshake:
        return failed
    code = failed.handshake.verify_code if failed.handshake else None
    handshake = unverified.handshake._replace(verify_code=code)
    *before, tls = failed.attempts
    if tls.failure in _NO_REASON:  # the peer speaks TLS, but not as the client would
        detail = f"{tls.detail}; it would take {handshake.version} with {handshake.cipher}"
        tls = tls._replace(failure=Failure.HANDSHAKE, detail=detail)
    attempts = (*before, tls)
    return failed._replace(attempts=attempts, handshake=handshake, unverified=unverified.connection)
