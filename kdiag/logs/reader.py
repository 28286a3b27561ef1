"""Reads a log of any size as it comes: what no pattern can match is passed over in bulk."""

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
from kdiag.logs.facts import Log, LogConnection, Sign
from kdiag.logs.pattern import Pattern
from kdiag.logs.secrets import without_secrets
from kdiag.network.attempt import clean

MOST = 4 << 30  # bytes that are read
_CHUNK = 1 << 20
_LONGEST = 4096  # bytes of a line that are looked at
_SHOWN = 400  # characters of a line that are kept
_LOOKS = 64  # at lines that differ in digits only; then they are counted
_SHAPES = 50_000
_SIGNS = 2_000
_NAMES = 200  # servers and brokers that are kept

FAMILIES = {
    "librdkafka": librdkafka.PATTERNS,
    "the Java client": java.PATTERNS,
    "kafka-python or aiokafka": python.PATTERNS,
    "kafkajs": kafkajs.PATTERNS,
    "sarama or franz-go": go.PATTERNS,
    "a broker": broker.PATTERNS,
    "": protocol.PATTERNS,
}

# Who writes like this; a line of the one is not looked at with the patterns of the others first.
_MARKS = (
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

# Letters in small, everything else a space: what is left of a line are its words, and lines that
# differ in numbers only are the same.
_WORDS = bytes(
    byte | 32 if chr(byte).isalpha() and byte < 128 else 10 if byte == 10 else 32
    for byte in range(256)
)
_EVERYWHERE = set(
    b"broker brokers connect connection message metadata partition record request state".split()
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read(stream: BinaryIO) -> Log:
    """What a log shows. The bytes may be anything; memory does not grow with them. Raises OSError.

    A log that Windows wrote as UTF-16 is read too.
    """
    return _Reading().all_of(stream)


class _Reading:
    """A log on its way through."""

    def __init__(self) -> None:
        self.signs: dict[tuple[int, LogConnection, str], Sign] = {}
        self.counts: Counter[tuple[int, LogConnection, str]] = Counter()
        self.clients: Counter[str] = Counter()
        self.bootstrap: dict[str, None] = {}
        self.advertised: dict[int, str] = {}
        self.reached: set[LogConnection] = set()
        self.dialled: dict[LogConnection, None] = {}
        self.connected: set[str] = set()
        self.metadata = self.login = self.cut = False
        self.lines = self.size = 0
        # Shape of a line → its looks so far, and the sign that it last was, if any.
        self.looks: dict[int, int] = {}
        self.last: dict[int, tuple[int, LogConnection, str]] = {}

    def all_of(self, stream: BinaryIO) -> Log:
        index = _index()
        for chunk in self._chunks(stream):
            for line, words in zip(
                chunk.split(b"\n"), chunk.translate(_WORDS).split(b"\n"), strict=True
            ):
                self.lines += 1
                shape = hash(words)
                looks = self.looks.get(shape)
                if looks is None:
                    found = index.keys() & words[:_LONGEST].split()
                    self._remember(shape, 1 if found else _LOOKS)
                    if found:
                        self._look(line, shape, found)
                elif looks < _LOOKS:
                    self.looks[shape] = looks + 1
                    self._look(line, shape, index.keys() & words[:_LONGEST].split())
                elif shape in self.last:
                    self.counts[self.last[shape]] += 1
        return Log(
            signs=tuple(replace(s, count=self.counts[key]) for key, s in self.signs.items()),
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
            cut=self.cut,
        )

    def _chunks(self, stream: BinaryIO) -> Iterator[bytes]:
        """The bytes in pieces of whole lines; the end of an endless line is left out."""
        left, endless, decode = b"", False, None
        while self.size < MOST:
            data = stream.read(_CHUNK)
            if not data:
                break
            if not self.size and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
                decode = codecs.getincrementaldecoder("utf-16")("replace")
            self.size += len(data)
            if decode:
                data = decode.decode(data).encode("utf-8", "replace")
            if endless:
                _, newline, data = data.partition(b"\n")
                endless = not newline
            whole, newline, left = (left + data).rpartition(b"\n")
            if len(left) > _LONGEST:
                whole, left, endless = whole + newline + left[:_LONGEST], b"", True
            if whole:
                yield whole
        else:
            self.cut = True
        if left:
            yield left

    def _remember(self, shape: int, looks: int) -> None:
        if len(self.looks) >= _SHAPES:
            self.looks.clear()
            self.last.clear()
        self.looks[shape] = looks

    def _look(self, line: bytes, shape: int, words: Collection[bytes]) -> None:
        """Recognises a line by the words in it that matter, and keeps what it shows."""
        text = line[:_LONGEST].decode("utf-8", "replace").rstrip("\r")
        rows = [row for word in words for row in _index()[word] if row.pattern.key in text]
        if not rows:
            return
        text = _ESCAPES.sub("", text)
        client = next((name for name, mark in _MARKS if mark.search(text)), "")
        if client:
            self.clients[client] += 1
        for number, pattern, said in _recognised(text, client, rows):
            about = _about(text, pattern, said)
            self._show(pattern, about, said)
            key = (number, about, said.get("name", ""))
            if key not in self.signs:
                if len(self.signs) >= _SIGNS:
                    self.cut = True
                    continue
                shown = _window(without_secrets(text), pattern.key)
                kept = {name: clean(value, 200) for name, value in said.items()}
                self.signs[key] = Sign(pattern, client, about, shown, self.lines, 1, kept)
            self.counts[key] += 1
            if pattern.code or shape not in self.last:
                self.last[shape] = key

    def _show(self, pattern: Pattern, about: LogConnection, said: dict[str, str]) -> None:
        """What a line proves beside."""
        if pattern.shows in ("metadata", "lost") or about.hop == "listeners":
            self.metadata = True
        self.login |= pattern.shows == "login"
        if pattern.shows == "reached" and len(self.reached) < _NAMES:
            self.reached.add(about)
        if pattern.shows == "connected" and len(self.connected) < _NAMES:
            self.connected.add(about.at)
        if pattern.shows == "dialled" and len(self.dialled) < _NAMES:
            self.dialled[about] = None
        begun = about.hop == "bootstrap" or (pattern.shows == "first" and not self.metadata)
        if begun and about.at and len(self.bootstrap) < _NAMES:
            self.bootstrap[about.at] = None
        for server in said.get("servers", "").split(","):
            if server.strip() and len(self.bootstrap) < _NAMES:
                self.bootstrap[clean(server.strip(), 300)] = None
        if about.node is not None and about.at and len(self.advertised) < _NAMES:
            self.advertised.setdefault(about.node, about.at)


@dataclass(frozen=True)
class _Row:
    """A pattern with its place among all, its client, and its regular expression."""

    number: int
    client: str
    pattern: Pattern
    detail: re.Pattern[str] | None


@lru_cache(maxsize=1)
def _index() -> dict[bytes, list[_Row]]:
    """Word → the patterns of lines that have it."""
    index: dict[bytes, list[_Row]] = {}
    every = [(client, each) for client, patterns in FAMILIES.items() for each in patterns]
    for number, (client, pattern) in enumerate(every):
        row = _Row(number, client, pattern, re.compile(pattern.detail) if pattern.detail else None)
        for word in words_of(pattern):
            index.setdefault(word, []).append(row)
    return index


def words_of(pattern: Pattern) -> list[bytes]:
    """The words by which its lines are found: as it says, or the longest whole one of its key that
    is not in every other line."""
    if pattern.words:
        return [word.lower().encode() for word in pattern.words]
    there = set(pattern.example.encode().translate(_WORDS).split())
    own = [word for word in pattern.key.encode().translate(_WORDS).split() if word in there]
    return [max(own, key=lambda word: (word not in _EVERYWHERE, len(word)))]


def _recognised(
    text: str, client: str, rows: Sequence[_Row]
) -> Iterator[tuple[int, Pattern, dict[str, str]]]:
    """The first pattern that fits and has a code, and the first that has none: those of the client
    that wrote the line before the others."""
    with_code = without = False
    for row in sorted(rows, key=lambda row: (row.client != client, row.number)):
        if with_code if row.pattern.code else without:
            continue
        match = row.detail.search(text) if row.detail else None
        if row.detail and not match:
            continue
        said = {k: v for k, v in match.groupdict().items() if v} if match else {}
        if row.pattern.code:
            with_code = True
        else:
            without = True
        yield row.number, row.pattern, said


def _about(text: str, pattern: Pattern, said: dict[str, str]) -> LogConnection:
    """Which connection a line is about: what the client calls it, then what the pattern found."""
    found = connection_of(text)
    at = found.at or said.get("at", "")
    if not at and said.get("host") and said.get("port"):
        at = f"{said['host']}:{said['port']}"
    if not at:
        at = said.get("ip", "")
    hop = found.hop or (pattern.hop if pattern.hop in ("bootstrap", "listeners") else "")
    node = found.node
    if node is None and re.fullmatch(r"\d{1,9}", said.get("node", "")):
        node, hop = int(said["node"]), "listeners"
    return LogConnection(hop, node, clean(at, 300))


def _window(text: str, key: str) -> str:
    """The part of a line that is shown: it has the pattern's words in it."""
    at = text.find(key)
    begin = max(0, min(at - _SHOWN // 2, len(text) - _SHOWN)) if len(text) > _SHOWN else 0
    part = clean(text[begin : begin + _SHOWN].strip(), _SHOWN)
    return ("…" if begin else "") + part + ("…" if begin + _SHOWN < len(text) else "")
