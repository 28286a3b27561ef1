"""What a log shows, as plain values: the lines recognised, and how far the client came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdiag.logs.pattern import Pattern


@dataclass(frozen=True)
class LogConnection:
    """Which connection a line is about. `hop` is "" where the line does not tell; `node` is a
    broker's id; `at` is host:port as it was dialled, "" where it is not told."""

    hop: str = ""
    node: int | None = None
    at: str = ""


@dataclass(frozen=True)
class Sign:
    """Lines of one kind about one connection: the first of them, `line` from 1, and how many.

    `text` is clean, without secrets, and bounded. `said` has the groups of the pattern.
    """

    pattern: Pattern
    client: str
    who: LogConnection
    text: str
    line: int
    count: int
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Log:
    """A log. `clients` are those who wrote it, the most talkative first; `cut` tells that there
    were more kinds of lines than are kept, or more of the file than is read.

    `bootstrap` are servers that clients began with; `advertised` the addresses of brokers by node
    id, as far as they are told; `metadata` that some client got the metadata. `dialled` are
    connections that were tried, `connected` the addresses where TCP stood, `reached` those where
    Kafka answered; `login` tells that some client logs in.
    """

    signs: tuple[Sign, ...]
    lines: int
    size: int
    clients: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    advertised: Mapping[int, str] = field(default_factory=dict)
    metadata: bool = False
    reached: frozenset[LogConnection] = frozenset()
    dialled: tuple[LogConnection, ...] = ()
    connected: frozenset[str] = frozenset()
    login: bool = False
    cut: bool = False
