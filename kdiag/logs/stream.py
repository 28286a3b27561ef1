"""The bytes of a log as chunks of whole lines: unpacked, as UTF-8, and without colours."""

from __future__ import annotations

import codecs
import importlib
import io
import re
import shutil
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any, BinaryIO, cast

from kdiag.text import UTF_16

MAX_BYTES = 4 << 30  # bytes that are read, unpacked
MAX_LINE_BYTES = 32 << 10  # bytes of a line that are compared with patterns
MAX_SMALL = 256 << 10  # bytes of a log that are kept, to be read once more
_CHUNK_BYTES = 1 << 20
_HEAD_BYTES = 4096
_BINARY_SHARE = 0.05  # of the head that is control characters

# A colour: an escape sequence, also as text, and as what is left where the escape was removed.
_COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_COLOURS_AS_TEXT = re.compile(
    rb"(?:\^\[|\\u001[bB]|\\x1[bB]|\\033|#033)?\[(?:\d{1,3}(?:;\d{1,3}){0,4})?[mK]"
)
_JOURNAL = re.compile(rb'"MESSAGE"\s{0,4}:\s{0,4}\[([\d,\s]{2,200000})\]')
# What a web page, a chat or a ticket adds to pasted text: blanks that do not break, and marks
# without width.
_BLANK, _BLANKS = b"\xc2\xa0", re.compile(rb"\xc2\xa0|\xe2\x80\xaf")
_UNSEEN = re.compile(rb"\xe2\x80[\x8b-\x8f\xaa-\xae]|\xef\xbb\xbf")
# A line that containerd wrote in parts, of which each but the last one is marked with a P.
_IN_PARTS = re.compile(rb"(?m)(?:^\S+ std(?:out|err) P [^\n]*\n)+\S+ std(?:out|err) F [^\n]*")
_PART = re.compile(rb"\n\S+ std(?:out|err) [PF] ")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\x08\x0c\x1b")) + b"\x7f"

_KINDS = (
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x89PNG", "a picture: kdiag reads text, not pictures of it"),
    (b"\xff\xd8\xff", "a picture: kdiag reads text, not pictures of it"),
    (b"%PDF", "a PDF file: copy its text"),
    (b"\xd4\xc3\xb2\xa1", "captured packets, not a log"),
    (b"\x0a\x0d\x0d\x0a", "captured packets, not a log"),
    (b"SQLite format", "a database"),
    (b"\xca\xfe\xba\xbe", "a Java class"),
    (b"JAVA PROFILE", "a dump of Java's memory"),
)


class PackedLogError(ValueError):
    """A log that cannot be unpacked here; the text says what to do."""


class LogStream:
    """Reads chunks of whole lines. `size` and `cut` count bytes and lines that were cut; `notes`
    are sentences about what was read; `small` is the whole log as text, if it is short."""

    def __init__(self, stream: BinaryIO) -> None:
        self.size = self.cut = 0
        self.notes: list[str] = []
        self.small = b""
        self._stream = stream
        self._packed = ""
        self.truncated = False

    def chunks(self) -> Iterator[bytes]:
        """Chunks of whole lines without their last newline. Raises OSError, PackedLogError."""
        rest, too_long = b"", False
        for data in self._plain():
            if too_long:
                _, newline, data = data.partition(b"\n")
                too_long = not newline
            whole, newline, rest = (rest + data).rpartition(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                whole, rest, too_long = whole + newline + rest[:MAX_LINE_BYTES], b"", True
                self.cut += 1
            if whole:
                yield whole
        if rest:
            yield rest

    def _plain(self) -> Iterator[bytes]:
        """The bytes of the log as UTF-8 without colours, and with the messages of journald."""
        coloured = journal = None
        for data in self._text():
            if b"\x1b" in data:
                data = _COLOURS.sub(b"", data)
            if coloured is None:  # the search takes long, and a log has them soon or never
                coloured = bool(_COLOURS_AS_TEXT.search(data))
                journal = b'"MESSAGE"' in data
            if coloured:
                data = _COLOURS_AS_TEXT.sub(b"", data)
            if journal:
                data = _JOURNAL.sub(_message, data)
            if _BLANK in data:
                data = _BLANKS.sub(b" ", data)
            if b"\xe2\x80" in data:
                data = _UNSEEN.sub(b"", data)
            if b" stderr P " in data or b" stdout P " in data:
                data = _IN_PARTS.sub(_whole, data)
            if self.size <= MAX_SMALL:
                self.small += data
            yield data

    def _text(self) -> Iterator[bytes]:
        decoder = None
        for data in self._unpacked():
            if not self.size:
                encoding = _utf_16(data[:_HEAD_BYTES])
                if encoding:
                    decoder = codecs.getincrementaldecoder(encoding)("replace")
                elif kind := _binary(data[:_HEAD_BYTES]):
                    self.notes.append(f"this is not text but {kind}")
            self.size += len(data)
            yield decoder.decode(data).encode("utf-8", "replace") if decoder else data
            if self.size >= MAX_BYTES:
                self.truncated = True
                self.notes.append(f"only the first {MAX_BYTES >> 30} GiB were read")
                return

    def _unpacked(self) -> Iterator[bytes]:
        head = self._stream.read(_HEAD_BYTES)
        stream: Any = _Rejoined(head, self._stream)
        for magic, module, name in _PACKERS:
            if head.startswith(magic):
                self._packed = name
                stream = _opened(module, name, stream)
        read = getattr(stream, "read1", stream.read)  # gives what comes before the damage
        try:
            while data := read(_CHUNK_BYTES):
                yield data
        except Exception as error:
            packed = (EOFError, zlib.error, OSError) if self._packed else ()
            if not self._packed or not (isinstance(error, packed) or "zst" in str(type(error))):
                raise
            self.notes.append(
                f"the {self._packed} file is damaged or cut: what came before is read"
            )


class _Rejoined:
    """A stream whose first bytes were already read."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        if size < 0:
            return head + self._stream.read()
        if len(head) > size:
            self._head = head[size:]
            return head[:size]
        return head if head and len(head) == size else head + self._stream.read(size - len(head))


_PACKERS = (
    (b"\x1f\x8b", "gzip", "gzip"),
    (b"BZh", "bz2", "bzip2"),
    (b"\xfd7zXZ\0", "lzma", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard", "zstd"),
)


def _opened(module: str, name: str, stream: _Rejoined) -> Any:
    """A stream that unpacks another one. Raises PackedLogError."""
    if name == "zstd":
        for module in ("compression.zstd", "zstandard"):
            try:
                return importlib.import_module(module).open(stream, "rb")
            except ImportError:
                continue
        program = shutil.which("zstd")
        if program:
            return _Program(program, stream)
        raise PackedLogError(
            "this log is packed by zstd, and neither Python's module zstandard nor the program "
            "zstd is here"
        )
    return importlib.import_module(module).open(stream, "rb")


class _Program:
    """The output of `zstd -dc` for a stream. Raises EOFError at the end of a damaged file."""

    def __init__(self, program: str, stream: _Rejoined) -> None:
        self._process = subprocess.Popen(
            [program, "-dcq"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        threading.Thread(target=self._feed, args=(stream,), daemon=True).start()

    def _feed(self, stream: _Rejoined) -> None:
        with suppress(OSError), cast("BinaryIO", self._process.stdin) as into:
            while data := stream.read(_CHUNK_BYTES):
                into.write(data)

    def read(self, size: int) -> bytes:
        output = cast("io.BufferedReader", self._process.stdout)
        data = output.read1(size)
        if not data:
            output.close()
            if self._process.wait():
                raise EOFError
        return data


def _whole(match: re.Match[bytes]) -> bytes:
    """A line that was written in parts, with empty lines for the other parts."""
    return _PART.sub(b"", match[0]) + b"\n" * match[0].count(b"\n")


def _utf_16(head: bytes) -> str:
    """The encoding of a log in UTF-16, which Windows writes, with its mark or without; else ""."""
    if head[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        return "utf-32"
    if head[:2] in UTF_16:
        return "utf-16"
    half = len(head) // 2
    zeros = head[1::2].count(0), head[::2].count(0)
    if half > 4 and max(zeros) > 0.7 * half and min(zeros) < 0.1 * half:
        return "utf-16-le" if zeros[0] > zeros[1] else "utf-16-be"
    return ""


def _binary(head: bytes) -> str:
    """What a file is that is no text, "" for text."""
    kind = next((kind for magic, kind in _KINDS if head.startswith(magic)), "")
    if kind and head.translate(None, _CONTROLS) == head and not head.startswith(b"%PDF"):
        return ""  # text that begins alike
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return kind or ("binary data" if controls > _BINARY_SHARE * len(head) else "")


def _message(match: re.Match[bytes]) -> bytes:
    """The message of a line of journald, which writes it as numbers if it has a control character:
    as text."""
    try:
        text = bytes(int(number) for number in match[1].split(b","))
    except ValueError:
        return match[0]
    text = _COLOURS.sub(b"", text).replace(b"\n", b"\\n").replace(b'"', b'\\"')
    return b'"MESSAGE":"' + text + b'"' + b"\n" * match[0].count(b"\n")


def unwrapped(log: bytes) -> Iterator[bytes]:
    """A short log with the lines joined that a terminal or an editor has wrapped: broken anywhere,
    and broken at blanks; nothing if no lines are wrapped.

    A line goes on in the next one if the next one's first word would not have fitted. The number
    of lines stays, so that line numbers are right.
    """
    lines = [line.rstrip(b"\r") for line in log.split(b"\n")]
    if b"kpro_" in log or b"\\n" in log:  # a term of Erlang, or a folded text of YAML
        yield re.sub(rb"(?:\n {6,}(?!at )\S[^\n]*)+", _joined, log)
    width = max(map(len, lines), default=0)
    if not 40 <= width <= 250:
        return
    wrapped = {
        number
        for number, (before, line) in enumerate(pairwise(lines), 1)
        if before and line and not _NEW_RECORD.match(line)
        and len(before) + 1 + len(line.split(b" ", 1)[0]) > width
    }  # fmt: skip
    for blank in (b"", b" ") if wrapped else ():
        joined: list[bytes] = []
        at = 0
        for number, line in enumerate(lines):
            if number in wrapped:
                joined[at] += blank + line
                joined.append(b"")
            else:
                joined.append(line)
                at = number
        yield b"\n".join(joined)


def _joined(match: re.Match[bytes]) -> bytes:
    lines = match[0].split(b"\n")
    return b" ".join(line.strip() for line in lines) + b"\n" * (len(lines) - 1)


_NEW_RECORD = re.compile(
    rb"%\d\||\[?\d{4}[-/ ]\d\d[-/ ]\d\d|\[?\d\d:\d\d:\d\d|\{\"|\[sarama\]"
    rb"|(?:INFO|WARN|ERROR|DEBUG|FATAL)\b|Caused by:|Traceback|\s+at [\w$.]+"
    rb"|\w{3} [ \d]\d \d\d:\d\d:\d\d"
)
