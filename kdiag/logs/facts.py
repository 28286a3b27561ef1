"""Facts of a log as plain values: the lines that match a pattern, and the progress of clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdiag.logs.pattern import Pattern

BETWEEN_BROKERS = "brokers"


@dataclass(frozen=True)
class LogConnection:
    """The connection that a line is about. `hop` is "" if the line does not name the hop, and
    BETWEEN_BROKERS for a connection of brokers to each other; `node` is the id of a broker;
    `address` is the dialled host:port, "" if the line does not contain it."""

    hop: str = ""
    node: int | None = None
    address: str = ""


@dataclass(frozen=True)
class LogEvent:
    """Lines that match one pattern and are about one connection: first line, last line, and count.

    `line` is the number of the first line, from 1. `text` is printable, has no secrets and is at
    most 400 characters long. `details` are the named groups of the pattern that matched.
    """

    pattern: Pattern
    client: str
    connection: LogConnection
    text: str
    line: int
    count: int
    last: int = 0
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogFacts:
    """Everything that a log proves. `lines` and `size` (bytes) count what was read. `clients` are
    the programs that wrote the log, the most frequent first. `notes` are sentences about what was
    not read, or not whole.

    `bootstrap` are the addresses of bootstrap servers, and `configured` is True if the log has all
    of them, from settings; `advertised` maps a node id to the address of that broker. `metadata` is
    the last line that proves that a client received metadata, `metadata_first` the first one, 0
    for none. `dialled` are connections that a client tried, `connected` the addresses with a TCP
    connection, `reached` the connections on which Kafka answered. `login` is True if a client logs
    in with SASL. `settings` are client properties that lines name, `topics` the names of topics.
    `small` is the whole log, if it is short.
    """

    events: tuple[LogEvent, ...]
    lines: int
    size: int
    clients: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    configured: bool = False
    advertised: Mapping[int, str] = field(default_factory=dict)
    metadata: int = 0
    metadata_first: int = 0
    reached: frozenset[LogConnection] = frozenset()
    dialled: tuple[LogConnection, ...] = ()
    connected: frozenset[str] = frozenset()
    login: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    small: bytes = b""
