"""Opens Kafka connections over TCP or TLS, and closes them at the end of a walk."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from kdiag.config.record import NamedTuple
from kdiag.config.security import Tls
from kdiag.kafka.connection import KafkaConnection
from kdiag.kafka.messages import CLIENT_ID, MAX_FRAME
from kdiag.network.attempt import LayerResult, TlsHandshake
from kdiag.network.dialer import Lookup, TcpConnection, TcpDialer, connect_failure

if TYPE_CHECKING:
    from kdiag.kafka.tls_dialer import TlsDialer
    from kdiag.network.head_start import StartedConnection


class ConnectionResult(NamedTuple):
    """The layers of one connection (tcp, and tls where it was wanted), and the connection, None
    where a layer failed. `unverified` is a connection to a peer whose certificate was refused: it
    takes questions, and never credentials. `dropped`: the peer ended the first handshake without an
    alert, and completed the next."""

    attempts: tuple[LayerResult, ...]
    connection: KafkaConnection | None = None
    handshake: TlsHandshake | None = None
    unverified: KafkaConnection | None = None
    dropped: bool = False


class KafkaDialer(TcpDialer):
    """Opens the Kafka connections of one walk. `patience` (seconds; None: the timeout) bounds each
    lookup and each TLS handshake, `answer_timeout` (the same) each answer after that.
    `client_id` goes with requests: servers may choose by it which addresses they advertise.
    `max_frame` is the most bytes of one answer, on connections that are opened from now on."""

    def __init__(
        self,
        timeout: float,
        *,
        answer_timeout: float | None = None,
        patience: float | None = None,
        family: str = "any",
        lookup: Lookup = socket.getaddrinfo,
        device: str | None = None,
        tls: Tls | None = None,
        started: Iterable[StartedConnection] = (),
        client_id: str = CLIENT_ID,
    ) -> None:
        self.answer_timeout = timeout if answer_timeout is None else answer_timeout
        super().__init__(
            timeout,
            patience=patience,
            family=family,
            lookup=lookup,
            device=device,
            started=started,
        )
        self._client_id = client_id if len(client_id) < 1000 else CLIENT_ID
        self.max_frame = MAX_FRAME
        self._tls = tls or Tls()
        self._open: set[KafkaConnection] = set()

    @cached_property
    def _tls_dialer(self) -> TlsDialer:
        from kdiag.kafka.tls_dialer import TlsDialer  # 3 ms that plaintext does not need

        again = partial(self.connect, again=True)
        return TlsDialer(self._tls, self.patience, self.answer_timeout, again, self._keep)

    async def open(self, tcp: TcpConnection, name: str | None = None) -> ConnectionResult:
        """Opens a Kafka connection over a TCP connection; with a `name`, over TLS with the server
        of this name."""
        if tcp.sock is None:
            return ConnectionResult((tcp.tcp,))
        if name is not None:
            return await self._tls_dialer.open(tcp, name, self.max_frame)
        try:
            connection = await KafkaConnection.over(
                tcp.sock,
                self.timeout,
                answer_timeout=self.answer_timeout,
                max_frame=self.max_frame,
                sent=tcp.sent,
                waited=tcp.waited,
            )
        except (asyncio.TimeoutError, OSError) as error:
            tcp.sock.close()
            failure, detail = connect_failure(error, self.timeout)
            return ConnectionResult((tcp.tcp._replace(failure=failure, detail=detail),))
        except BaseException:
            tcp.sock.close()
            raise
        self._keep(connection)
        return ConnectionResult((tcp.tcp,), connection)

    async def handshake_as(self, address: str, port: int, name: str) -> TlsHandshake | None:
        """One more connection to a TLS server, under another name ("" for none): its handshake,
        None where it does not complete."""
        tcp = await self.connect(address, port, again=True)
        return await self._tls_dialer.handshake_as(tcp, name) if tcp.sock else None

    def _keep(self, connection: KafkaConnection) -> None:
        self._open.add(connection)
        connection.client_id = self._client_id
        connection.on_close = self._open.discard

    async def close(self) -> None:
        """Closes all connections that are still open."""
        for connection in tuple(self._open):
            connection.close()
        await super().close()
