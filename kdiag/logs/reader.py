"""Reads the facts of a log of any size.

Most lines match no pattern, so the reader looks only at lines that contain a word of a pattern.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import BinaryIO

from kdiag.logs import broker, go, java, kafkajs, librdkafka, protocol, python
from kdiag.logs.connection import connection_of
from kdiag.logs.facts import LogConnection, LogEvent, LogFacts
from kdiag.logs.pattern import Pattern
from kdiag.logs.secrets import without_secrets
from kdiag.network.attempt import clean

MAX_BYTES = 4 << 30  # bytes that the reader reads
_CHUNK_BYTES = 1 << 20
_MAX_LINE_BYTES = 4096  # bytes of a line that the reader compares with patterns
_MAX_TEXT = 400  # characters of a line that an event keeps
_MAX_SAMPLES = 64  # lines of one shape that are matched; the reader counts the others
_MAX_SHAPES = 50_000
_MAX_EVENTS = 2_000
_MAX_ADDRESSES = 200  # addresses of servers and brokers that the reader keeps

PATTERNS = {
    "librdkafka": librdkafka.PATTERNS,
    "the Java client": java.PATTERNS,
    "kafka-python or aiokafka": python.PATTERNS,
    "kafkajs": kafkajs.PATTERNS,
    "sarama or franz-go": go.PATTERNS,
    "a broker": broker.PATTERNS,
    "": protocol.PATTERNS,
}

# Text that only one client writes. The patterns of that client are tried before all others.
_CLIENT_MARKERS = (
    ("librdkafka", re.compile(r"%\d\|\d+\.\d+\||\[thrd:|rdkafka|KafkaError\{|cimpl\.")),
    ("kafkajs", re.compile(r'"logger":"kafkajs"|KafkaJS|\[BrokerPool\]')),
    (
        "kafka-python or aiokafka",
        re.compile(r"(?<![\w.])kafka\.(?:conn|net|client|cluster|coord|prod|err)"),
    ),
    ("kafka-python or aiokafka", re.compile(r"aiokafka|<BrokerConnection|<KafkaConn|_ssl\.c:")),
    ("a broker", re.compile(r"\[SocketServer|\[KafkaRaftServer|kafka\.server\.|\[BrokerServer")),
    (
        "the Java client",
        re.compile(r"org\.apache\.kafka|\[(?:Producer|Consumer|Admin\w*) clientId="),
    ),
    ("sarama or franz-go", re.compile(r"\[sarama\]|client/metadata|dial tcp|broker: (?:seed_)?\d")),
)

# Translates letters to lower case, and all other bytes except newlines to spaces. The result is the
# words of a line; lines that differ only in digits have equal words.
_TO_WORDS = bytes(
    byte | 32 if chr(byte).isalpha() and byte < 128 else 10 if byte == 10 else 32
    for byte in range(256)
)
_COMMON_WORDS = set(
    b"broker brokers connect connection message metadata partition record request state".split()
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read(stream: BinaryIO) -> LogFacts:
    """Reads the facts of a log. The bytes may be anything, also UTF-16 from Windows; the memory
    does not grow with the size. Raises OSError."""
    return _LogReader().read(stream)


class _LogReader:
    """The state of the reader while it reads one log. A key of `events` and `counts` is the number
    of the pattern, the connection, and the host name of the line."""

    def __init__(self) -> None:
        self.events: dict[tuple[int, LogConnection, str], LogEvent] = {}
        self.counts: Counter[tuple[int, LogConnection, str]] = Counter()
        self.clients: Counter[str] = Counter()
        self.bootstrap: dict[str, None] = {}
        self.advertised: dict[int, str] = {}
        self.reached: set[LogConnection] = set()
        self.dialled: dict[LogConnection, None] = {}
        self.connected: set[str] = set()
        self.metadata = self.login = self.truncated = False
        self.lines = self.size = 0
        # The shape of a line is the hash of its words.
        self.samples: dict[int, int] = {}
        self.last_key: dict[int, tuple[int, LogConnection, str]] = {}

    def read(self, stream: BinaryIO) -> LogFacts:
        index = _index()
        for chunk in self._chunks(stream):
            for line, words in zip(
                chunk.split(b"\n"), chunk.translate(_TO_WORDS).split(b"\n"), strict=True
            ):
                self.lines += 1
                shape = hash(words)
                samples = self.samples.get(shape)
                if samples is None:
                    matching = index.keys() & words[:_MAX_LINE_BYTES].split()
                    self._remember(shape, 1 if matching else _MAX_SAMPLES)
                    if matching:
                        self._match(line, shape, matching)
                elif samples < _MAX_SAMPLES:
                    self.samples[shape] = samples + 1
                    self._match(line, shape, index.keys() & words[:_MAX_LINE_BYTES].split())
                elif shape in self.last_key:
                    self.counts[self.last_key[shape]] += 1
        return LogFacts(
            events=tuple(replace(e, count=self.counts[key]) for key, e in self.events.items()),
            lines=self.lines,
            size=self.size,
            clients=tuple(name for name, _ in self.clients.most_common() if name),
            bootstrap=tuple(self.bootstrap),
            advertised=dict(self.advertised),
            metadata=self.metadata,
            reached=frozenset(self.reached),
            dialled=tuple(self.dialled),
            connected=frozenset(self.connected),
            login=self.login,
            truncated=self.truncated,
        )

    def _chunks(self, stream: BinaryIO) -> Iterator[bytes]:
        """Chunks of whole lines; a line longer than _MAX_LINE_BYTES is cut."""
        rest, too_long, decoder = b"", False, None
        while self.size < MAX_BYTES:
            data = stream.read(_CHUNK_BYTES)
            if not data:
                break
            if not self.size and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
                decoder = codecs.getincrementaldecoder("utf-16")("replace")
            self.size += len(data)
            if decoder:
                data = decoder.decode(data).encode("utf-8", "replace")
            if too_long:
                _, newline, data = data.partition(b"\n")
                too_long = not newline
            whole, newline, rest = (rest + data).rpartition(b"\n")
            if len(rest) > _MAX_LINE_BYTES:
                whole, rest, too_long = whole + newline + rest[:_MAX_LINE_BYTES], b"", True
            if whole:
                yield whole
        else:
            self.truncated = True
        if rest:
            yield rest

    def _remember(self, shape: int, samples: int) -> None:
        if len(self.samples) >= _MAX_SHAPES:
            self.samples.clear()
            self.last_key.clear()
        self.samples[shape] = samples

    def _match(self, line: bytes, shape: int, words: Collection[bytes]) -> None:
        """Adds the events of one line; `words` are those words of the line that the index has."""
        text = line[:_MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r")
        candidates = [
            entry for word in words for entry in _index()[word] if entry.pattern.key in text
        ]
        if not candidates:
            return
        text = _ESCAPES.sub("", text)
        client = next((name for name, marker in _CLIENT_MARKERS if marker.search(text)), "")
        if client:
            self.clients[client] += 1
        for number, pattern, details in _matching(text, client, candidates):
            connection = _connection(text, pattern, details)
            self._add_progress(pattern, connection, details)
            key = (number, connection, details.get("name", ""))
            if key not in self.events:
                if len(self.events) >= _MAX_EVENTS:
                    self.truncated = True
                    continue
                excerpt = _excerpt(without_secrets(text), pattern.key)
                cleaned = {name: clean(value, 200) for name, value in details.items()}
                self.events[key] = LogEvent(
                    pattern, client, connection, excerpt, self.lines, 1, cleaned
                )
            self.counts[key] += 1
            if pattern.code or shape not in self.last_key:
                self.last_key[shape] = key

    def _add_progress(
        self, pattern: Pattern, connection: LogConnection, details: dict[str, str]
    ) -> None:
        """Adds what a line proves about the progress of the client, and the addresses in it."""
        if pattern.proves in ("metadata", "lost") or connection.hop == "listeners":
            self.metadata = True
        self.login |= pattern.proves == "login"
        if pattern.proves == "reached" and len(self.reached) < _MAX_ADDRESSES:
            self.reached.add(connection)
        if pattern.proves == "connected" and len(self.connected) < _MAX_ADDRESSES:
            self.connected.add(connection.address)
        if pattern.proves == "dialled" and len(self.dialled) < _MAX_ADDRESSES:
            self.dialled[connection] = None
        to_bootstrap = connection.hop == "bootstrap" or (
            pattern.proves == "first" and not self.metadata
        )
        if to_bootstrap and connection.address and len(self.bootstrap) < _MAX_ADDRESSES:
            self.bootstrap[connection.address] = None
        for server in details.get("servers", "").split(","):
            if server.strip() and len(self.bootstrap) < _MAX_ADDRESSES:
                self.bootstrap[clean(server.strip(), 300)] = None
        node, address = connection.node, connection.address
        if node is not None and address and len(self.advertised) < _MAX_ADDRESSES:
            self.advertised.setdefault(node, address)


@dataclass(frozen=True)
class _IndexedPattern:
    """A pattern with its number among all patterns, its client and its compiled expression."""

    number: int
    client: str
    pattern: Pattern
    regex: re.Pattern[str] | None


@lru_cache(maxsize=1)
def _index() -> dict[bytes, list[_IndexedPattern]]:
    """Maps a word to the patterns that can match a line with that word."""
    index: dict[bytes, list[_IndexedPattern]] = {}
    every = [(client, pattern) for client, patterns in PATTERNS.items() for pattern in patterns]
    for number, (client, pattern) in enumerate(every):
        regex = re.compile(pattern.regex) if pattern.regex else None
        for word in index_words(pattern):
            index.setdefault(word, []).append(_IndexedPattern(number, client, pattern, regex))
    return index


def index_words(pattern: Pattern) -> list[bytes]:
    """The words that the index has for a pattern: `pattern.index_words`, or the longest whole word
    of the key, preferably one that is rare in logs."""
    if pattern.index_words:
        return [word.lower().encode() for word in pattern.index_words]
    example_words = set(pattern.example.encode().translate(_TO_WORDS).split())
    key_words = pattern.key.encode().translate(_TO_WORDS).split()
    whole = [word for word in key_words if word in example_words]
    return [max(whole, key=lambda word: (word not in _COMMON_WORDS, len(word)))]


def _matching(
    text: str, client: str, candidates: Sequence[_IndexedPattern]
) -> Iterator[tuple[int, Pattern, dict[str, str]]]:
    """The first matching pattern with a code, and the first without: (number, pattern, details).
    Patterns of the client that wrote the line come first."""
    with_code = without = False
    for entry in sorted(candidates, key=lambda entry: (entry.client != client, entry.number)):
        if with_code if entry.pattern.code else without:
            continue
        match = entry.regex.search(text) if entry.regex else None
        if entry.regex and not match:
            continue
        details = {k: v for k, v in match.groupdict().items() if v} if match else {}
        if entry.pattern.code:
            with_code = True
        else:
            without = True
        yield entry.number, entry.pattern, details


def _connection(text: str, pattern: Pattern, details: dict[str, str]) -> LogConnection:
    """The connection that a line is about: the client's own name of it, then the details."""
    named = connection_of(text)
    address = named.address or details.get("address", "")
    if not address and details.get("host") and details.get("port"):
        address = f"{details['host']}:{details['port']}"
    if not address:
        address = details.get("ip", "")
    hop = named.hop or (pattern.hop if pattern.hop in ("bootstrap", "listeners") else "")
    node = named.node
    if node is None and re.fullmatch(r"\d{1,9}", details.get("node", "")):
        node, hop = int(details["node"]), "listeners"
    return LogConnection(hop, node, clean(address, 300))


def _excerpt(text: str, key: str) -> str:
    """At most _MAX_TEXT characters of a line, around the key of its pattern."""
    begin = 0
    if len(text) > _MAX_TEXT:
        begin = max(0, min(text.find(key) - _MAX_TEXT // 2, len(text) - _MAX_TEXT))
    part = clean(text[begin : begin + _MAX_TEXT].strip(), _MAX_TEXT)
    return ("…" if begin else "") + part + ("…" if begin + _MAX_TEXT < len(text) else "")
