"""Reads the facts of a log of any size.

Most lines match no pattern, so the reader looks only at lines that contain a word of a pattern.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import BinaryIO

from kdiag.logs import settings
from kdiag.logs.clients import GO, client_of, tells_failure
from kdiag.logs.connection import advertised, connection_of, of_a_broker
from kdiag.logs.facts import BETWEEN_BROKERS, LogConnection, LogEvent, LogFacts
from kdiag.logs.index import FAILURE, TO_WORDS, matching_patterns, of_interest, pattern_index
from kdiag.logs.pattern import Pattern
from kdiag.logs.secrets import without_secrets
from kdiag.logs.stream import MAX_LINE_BYTES, MAX_SMALL, LogStream
from kdiag.network.attempt import clean

_MAX_TEXT = 400  # characters of a line that an event keeps
_MAX_SAMPLES = 64  # lines of one shape that are matched; the reader counts the others
_MAX_TELLING_BYTES = 600
_MAX_VARIANTS = 256  # kinds of numbers in lines of one shape that are told apart
_MAX_SHAPES = 50_000
_MAX_EVENTS = 2_000
_MAX_UNKNOWN = 20
_MAX_ADDRESSES = 200  # addresses of servers and brokers that the reader keeps
_MANY_KINDS = "there were more kinds of lines than kdiag tells apart: the others are left out"

# Words of a line whose numbers tell it from another one of its shape: address, node, error.
_TELLING = re.compile(rb"[\w.\]-]:\d{1,5}(?!\d)|[/#=]-?\d+\b")
_TIME = re.compile(rb"\W{0,2}\d\d:\d\d|\W{0,2}\d{4}[-/]\d\d|\(after")
_BEFORE_A_NUMBER = re.compile(rb"(?i)\W{0,2}(?:node|broker|err(?:or|no)?|to|id:?|rc)\W{0,2}")
# PostgreSQL, MySQL, Redis, MongoDB, ZooKeeper, Elasticsearch, RabbitMQ, HTTP, etcd, Consul…
_OTHER_PORTS = set(
    "443 5432 3306 6379 27017 2181 9200 9300 5672 11211 22 25 53 80 8080 8081 8083 3000 2379 8500 "
    "8125 4317 4318 14268 1433 1521 8086 1883 8883 4222 9042".split()
)
_OURS = re.compile(r"(?i)kafka|partition leader|bootstrap[._ ]servers?|:909\d\b")
_PIECES = re.compile(r"(?:\\r)?\\n(?:\\t)*|#012(?:#011)*")
_ESCAPED_SIGN = re.compile(r"\\{1,8}u00(2[267]|3[c-e])", re.IGNORECASE)
_ESCAPED_QUOTE = re.compile(r'\\{1,8}"')
_DOUBLE_QUOTE = re.compile(r'""(?=[\w\[:,}])|(?<=[\w\]}])""')
_UNKNOWN = Pattern("", "", "", (), proves="unknown")


def read(stream: BinaryIO) -> LogFacts:
    """Reads the facts of a log. The bytes may be anything, also UTF-16 from Windows, or packed; the
    memory does not grow with the size. Raises OSError, PackedLogError."""
    return _LogReader().read(LogStream(stream))


_EventKey = tuple[int, LogConnection, str]


class _LogReader:
    """The state of the reader while it reads one log. A key of `events` and `counts` is the number
    of the pattern, the connection, and the host name of the line."""

    def __init__(self) -> None:
        self.events: dict[_EventKey, LogEvent] = {}
        self.counts: dict[_EventKey, list[int]] = {}  # the count, and the number of the last line
        self.clients: Counter[str] = Counter()
        self.bootstrap: dict[str, None] = {}
        self.advertised: dict[int, str] = {}
        self.reached: set[LogConnection] = set()
        self.dialled: dict[LogConnection, None] = {}
        self.connected: set[str] = set()
        self.settings: dict[str, str] = {}
        self.topics: dict[str, None] = {}
        self.login = self.truncated = self.configured = False
        self.lines = self.metadata = self.metadata_first = self.unknown = 0
        # The shape of a line is the hash of its words. For each: how many lines were matched; 0 if
        # no line of it can match; or the counts of the lines beyond the limit.
        self.shapes: dict[int, int | _Shape] = {}
        self.count_of: dict[int, list[int]] = {}

    def read(self, log: LogStream) -> LogFacts:
        index = pattern_index()
        for chunk in log.chunks():
            for line, words in zip(
                chunk.split(b"\n"), chunk.translate(TO_WORDS).split(b"\n"), strict=True
            ):
                self.lines += 1
                shape = hash(words)
                known = self.shapes.get(shape)
                if known is None:
                    matching = of_interest(index, words)
                    if matching:
                        self._match(line, shape, matching)
                    self._remember(shape, 1 if matching else 0)
                elif not known:
                    continue
                elif isinstance(known, int):
                    matches = self._match(line, shape, of_interest(index, words))
                    self.shapes[shape] = known + 1 if matches or known < 3 else 0
                    if known + 1 == _MAX_SAMPLES:
                        self.shapes[shape] = _Shape(line, self.count_of.pop(shape, None))
                else:
                    key = known.numbers(line)
                    count = known.counts.get(key)
                    if count is None and len(known.counts) < _MAX_VARIANTS:
                        self._match(line, shape, of_interest(index, words))
                        known.counts[key] = self.count_of.pop(shape, known.count)
                    else:
                        count = count or known.count
                        count[0] += 1
                        count[1] = self.lines
        return self._facts(log)

    def _facts(self, log: LogStream) -> LogFacts:
        notes = list(log.notes)
        if log.cut:
            notes.append(f"lines of more than {MAX_LINE_BYTES >> 10} kB were cut: {log.cut:,}")
        if self.truncated:
            notes.append(_MANY_KINDS)
        return LogFacts(
            events=tuple(
                replace(event, count=self.counts[key][0], last=self.counts[key][1])
                for key, event in self.events.items()
            ),
            lines=self.lines,
            size=log.size,
            clients=tuple(name for name, _ in self.clients.most_common() if name),
            bootstrap=tuple(self.bootstrap),
            configured=self.configured,
            advertised=dict(self.advertised),
            metadata=self.metadata,
            metadata_first=self.metadata_first,
            reached=frozenset(self.reached),
            dialled=tuple(self.dialled),
            connected=frozenset(self.connected),
            login=self.login,
            settings=dict(self.settings),
            topics=tuple(self.topics),
            notes=tuple(notes),
            small=log.small if log.size <= MAX_SMALL else b"",
        )

    def _remember(self, shape: int, samples: int) -> None:
        if len(self.shapes) >= _MAX_SHAPES:
            self.shapes.clear()
            self.count_of.clear()
        self.shapes[shape] = samples

    def _match(self, line: bytes, shape: int, words: Collection[bytes]) -> bool:
        """Adds the events of one line; `words` are those words of the line that the index has. A
        line that has lines inside, as JSON has a stack trace, is matched piece by piece. False if
        no other line of the shape can match either."""
        text = _unquoted(line[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r"))
        pieces = [piece for piece in _PIECES.split(text) if piece.strip()]
        if len(pieces) < 2:
            return self._match_text(text, text, shape, words)
        known = False
        for piece in pieces:
            bits = piece.encode("utf-8", "replace").translate(TO_WORDS)
            known |= self._match_text(piece, text, shape, of_interest(pattern_index(), bits))
        return known

    def _match_text(self, text: str, line: str, shape: int, words: Collection[bytes]) -> bool:
        entries = [
            entry
            for word in words
            for entry in pattern_index().get(word, ())
            if any(key in text for key in entry.pattern.keys)
        ]
        if not entries and FAILURE not in words:
            return False
        client = client_of(line)
        known = False
        for number, pattern, details in matching_patterns(text, client, entries):
            known |= pattern.proves != "servers" and not pattern.needs
            connection = _connection(text, line, pattern, details)
            other = client in ("", GO) and _of_another_service(connection.address, line)
            if other and pattern.proves != "other":
                continue
            self._add(number, pattern, connection, details, shape, client, text)
        ours = client or _OURS.search(text)
        if not known and ours and tells_failure(text) and self.unknown < _MAX_UNKNOWN:
            self.unknown += 1
            connection = connection_of(line)
            self._add(-self.unknown, _UNKNOWN, connection, {}, shape, client, text)
            known = True
        if known and client:
            self.clients[client] += 1
        if known:
            self._add_settings(line)
        return known or bool(entries)

    def _add(
        self,
        number: int,
        pattern: Pattern,
        connection: LogConnection,
        details: dict[str, str],
        shape: int,
        client: str,
        text: str,
    ) -> None:
        self._add_progress(pattern, connection, text)
        key = (number, connection, details.get("name", ""))
        if key not in self.events:
            if len(self.events) >= _MAX_EVENTS:
                self.truncated = True
                return
            key_in_text = next((word for word in pattern.keys if word in text), "")
            excerpt = _excerpt(without_secrets(text), key_in_text)
            cleaned = {name: clean(without_secrets(value), 200) for name, value in details.items()}
            event = LogEvent(pattern, client, connection, excerpt, self.lines, 1, 0, cleaned)
            self.events[key] = event
        count = self.counts.setdefault(key, [0, 0])
        count[0] += 1
        count[1] = self.lines
        if pattern.code or shape not in self.count_of:
            self.count_of[shape] = count

    def _add_progress(self, pattern: Pattern, connection: LogConnection, text: str) -> None:
        """Adds what a line proves about the progress of the client, and the addresses in it."""
        if pattern.proves in ("metadata", "lost") or connection.hop == "listeners":
            self.metadata = self.lines
            self.metadata_first = self.metadata_first or self.lines
        self.login |= pattern.proves == "login"
        if len(self.reached) < _MAX_ADDRESSES and pattern.proves == "reached":
            self.reached.add(connection)
        if len(self.connected) < _MAX_ADDRESSES and pattern.proves == "connected":
            self.connected.add(connection.address)
        if len(self.dialled) < _MAX_ADDRESSES and pattern.proves == "dialled":
            self.dialled[connection] = None
        to_bootstrap = connection.hop == "bootstrap" or (
            pattern.proves == "first" and not self.metadata
        )
        if to_bootstrap and connection.address and len(self.bootstrap) < _MAX_ADDRESSES:
            self.bootstrap[connection.address] = None
        if pattern.proves == "servers":
            for server in settings.servers(text).split(","):
                if server and len(self.bootstrap) < _MAX_ADDRESSES:
                    self.bootstrap[clean(server, 300)] = None
                    self.configured = True
        known = list(advertised(text)) if pattern.proves == "metadata" else []
        if connection.node is not None and connection.address and connection.hop == "listeners":
            known.append((connection.node, connection.address))
        for node, address in known:
            if len(self.advertised) < _MAX_ADDRESSES:
                self.advertised.setdefault(node, clean(address, 300))

    def _add_settings(self, text: str) -> None:
        for name, value in settings.settings(text):
            self.settings.setdefault(name, value)
        for topic in settings.topics(text):
            if len(self.topics) < _MAX_ADDRESSES:
                self.topics[topic] = None


class _Shape:
    """Lines of one shape that the reader only counts, because it matched many of them. `counts` has
    the count of each kind of numbers that tell a node, a port or an error apart; `count` is that of
    the kinds beyond the limit."""

    def __init__(self, line: bytes, count: list[int] | None) -> None:
        tokens = line[:_MAX_TELLING_BYTES].split(b" ")
        places = _telling(tokens)
        arrow = next((at for at in places if b"->" in tokens[at]), None)
        self._arrow, self._more = arrow is not None, arrow is not None and places[-1] > arrow
        places = tuple(at for at in places if arrow is None or at < arrow)
        self._last = places[-1] if places else -1
        self._take = itemgetter(*places) if places else None
        self.count = count or [0, 0]
        self.counts: dict[object, list[int]] = {}

    def numbers(self, line: bytes) -> object:
        """The words of a line whose numbers tell it from another line of its shape. Of a->b that is
        b: the port before the arrow is another one each time."""
        words: object = None
        if self._take:
            tokens = line.split(b" ", self._last + 1)
            words = self._take(tokens) if len(tokens) > self._last else None
        if self._arrow:
            after = line.partition(b"->")[2]
            return words, after if self._more else after.partition(b" ")[0]
        return words


def _telling(tokens: Sequence[bytes]) -> tuple[int, ...]:
    """The places of the words of a line whose numbers tell it from another line of its shape."""
    return tuple(
        at
        for at, token in enumerate(tokens)
        if not _TIME.match(token)
        and (
            _TELLING.search(token)
            or (token[-1:].isdigit() and at and _BEFORE_A_NUMBER.fullmatch(tokens[at - 1]))
        )
    )


def _connection(text: str, line: str, pattern: Pattern, details: dict[str, str]) -> LogConnection:
    """The connection that a line is about: the client's own name of it, then the details."""
    named = connection_of(text)
    if not named.hop and not named.address and line is not text:
        named = connection_of(line)
    address = named.address or details.get("address", "")
    if not address and details.get("host") and details.get("port"):
        address = f"{details['host']}:{details['port']}"
    if not address:
        address = details.get("ip") or details.get("name", "")
    hop = named.hop or (pattern.hop if pattern.hop in ("bootstrap", "listeners") else "")
    if hop == "bootstrap" and not named.hop and of_a_broker(text):
        hop = ""  # a client that runs out of brokers tried both
    node = named.node
    if node is None and re.fullmatch(r"\d{1,9}", details.get("node", "")):
        node = int(details["node"])
        hop = hop if hop == BETWEEN_BROKERS else "listeners"
    return LogConnection(hop, node, clean(without_secrets(address), 300))


def _unquoted(text: str) -> str:
    """A line with the quotes that JSON, CSV and HTML write in their own way as plain quotes."""
    if "\\u00" in text:  # as Go writes <, >, & and quotes in JSON
        text = _ESCAPED_SIGN.sub(lambda match: chr(int(match[1], 16)), text)
    if '\\"' in text:
        text = _ESCAPED_QUOTE.sub('"', text)
    if "&quot;" in text or "&#34;" in text:
        text = text.replace("&quot;", '"').replace("&#34;", '"').replace("&gt;", ">")
    return _DOUBLE_QUOTE.sub('"', text) if '""' in text else text


def _of_another_service(address: str, line: str) -> bool:
    """Whether a line without a word of Kafka is about the port of another service."""
    url = "http://" in line or "https://" in line
    return (url or address.rpartition(":")[2] in _OTHER_PORTS) and "kafka" not in line.lower()


def _excerpt(text: str, key: str) -> str:
    """At most _MAX_TEXT characters of a line, around the key of its pattern."""
    begin = 0
    if len(text) > _MAX_TEXT:
        begin = max(0, min(text.find(key) - _MAX_TEXT // 2, len(text) - _MAX_TEXT))
    part = clean(text[begin : begin + _MAX_TEXT].strip(), _MAX_TEXT)
    return ("…" if begin else "") + part + ("…" if begin + _MAX_TEXT < len(text) else "")
