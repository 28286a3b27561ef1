"""What comes of dialling an address: a line, and a connection over it."""

from __future__ import annotations

import socket
from typing import NamedTuple

from kdiag.kafka.connection import KafkaConnection
from kdiag.network.attempt import LayerResult, TlsHandshake


class TcpConnection(NamedTuple):
    """A TCP connection that came up, or (`sock` None) did not; `source` is our own address on it,
    "" where there is no way at all.
    `address` and `port` are what it leads to, for another line to the same place."""

    address: str
    port: int
    tcp: LayerResult
    sock: socket.socket | None = None
    source: str = ""


class ConnectionResult(NamedTuple):
    """How a connection came up: its layers (tcp, and tls where asked for), and who is at the other
    end. There is no conversation when one of the layers failed; `unverified` is one with a peer
    that is not to be trusted, good for questions and never for credentials."""

    attempts: tuple[LayerResult, ...]
    conversation: KafkaConnection | None = None
    handshake: TlsHandshake | None = None
    unverified: KafkaConnection | None = None
