"""The Kafka protocol's types, each read from and written to bytes; no message is known here.

Whatever bytes come in, the only error that comes out is WireError, and what they may make us
allocate is bounded.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from kdiag.config.record import NamedTuple
from kdiag.network.attempt import TEXT_LIMIT, clean

# What decoded values may cost, in bytes as CPython spends them: enough for 10,000 partitions of
# three replicas.
MAX_DECODED = 10 << 20
_VALUE_COST, _STRUCT_COST, _TEXT_COST = 56, 240, 24

# No more of a text is decoded than `clean` would keep, a character having four bytes at most.
_TEXT_BYTES = 4 * (TEXT_LIMIT + 1)

Body = dict[str, Any]


class WireError(Exception):
    """The bytes are not a valid message. The text names the field, and is safe to print."""


class Reader:
    """Reads values from bytes, front to back. Each read is bounded by what is left and its cost."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.budget = data, 0, MAX_DECODED

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise WireError(f"{size} bytes announced, {self.left} left")
        self.at += size
        return self.data[self.at - size : self.at]

    def spend(self, cost: int) -> None:
        self.budget -= cost
        if self.budget < 0:
            raise WireError("more values than any real answer has")

    def varint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise WireError("a variable-length number of over five bytes")


def varint(value: int) -> bytes:
    """An unsigned variable-length number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Type(Protocol):
    """How one type is read and written; `flexible` is the newer, compact form with tags."""

    @property
    def least(self) -> int:
        """The fewest bytes one value takes, which bounds what an array's count can promise."""

    def read(self, reader: Reader, version: int, flexible: bool) -> Any: ...

    def write(self, out: bytearray, value: Any, version: int, flexible: bool) -> None: ...


class Number(NamedTuple):
    """A fixed-size number, by its struct format."""

    format: str

    @property
    def least(self) -> int:
        return struct.calcsize(self.format)

    def read(self, reader: Reader, version: int, flexible: bool) -> Any:
        reader.spend(_VALUE_COST)
        return struct.unpack(self.format, reader.take(self.least))[0]

    def write(self, out: bytearray, value: Any, version: int, flexible: bool) -> None:
        out += struct.pack(self.format, value)


class Blob(NamedTuple):
    """A length and that many bytes; -1 (0 in the compact form) is null."""

    prefix: str
    text: bool
    nullable: bool = False
    least: int = 1

    def read(self, reader: Reader, version: int, flexible: bool) -> Any:
        size = _read_length(reader, self.prefix, flexible)
        if size < 0:
            if self.nullable and size == -1:
                return None
            raise WireError(f"a length of {size}")
        raw = reader.take(size)
        if not self.text:
            reader.spend(_VALUE_COST + size)
            return raw
        text = clean(raw[:_TEXT_BYTES].decode("utf-8", "replace"))
        reader.spend(_TEXT_COST + sys.getsizeof(text))  # an escape is far longer than its byte
        return text

    def write(self, out: bytearray, value: Any, version: int, flexible: bool) -> None:
        raw = value.encode() if isinstance(value, str) else value
        _write_length(out, self.prefix, None if raw is None else len(raw), flexible)
        out += raw or b""


class Array(NamedTuple):
    """A count and that many items; -1 (0 in the compact form) is null."""

    item: Type
    nullable: bool = False
    least: int = 1

    def read(self, reader: Reader, version: int, flexible: bool) -> Any:
        count = _read_length(reader, ">i", flexible)
        if count == -1 and self.nullable:
            return None
        if not 0 <= count <= reader.left // self.item.least:
            raise WireError(f"{count} items announced, {reader.left} bytes left")
        reader.spend(_VALUE_COST)
        return [self.item.read(reader, version, flexible) for _ in range(count)]

    def write(self, out: bytearray, value: Any, version: int, flexible: bool) -> None:
        _write_length(out, ">i", None if value is None else len(value), flexible)
        for item in value or ():
            self.item.write(out, item, version, flexible)


class Struct:
    """Fields in order: (name, type) or (name, type, first version that has it)."""

    least = 1

    def __init__(self, *fields: tuple[str, Type] | tuple[str, Type, int]) -> None:
        self.fields = [(f[0], f[1], f[2] if len(f) > 2 else 0) for f in fields]

    def read(self, reader: Reader, version: int, flexible: bool) -> Body:
        reader.spend(_STRUCT_COST)
        body: Body = {}
        for name, kind, since in self.fields:
            if version >= since:
                try:
                    body[name] = kind.read(reader, version, flexible)
                except WireError as error:
                    raise WireError(f"{name}: {error}") from None
        if flexible:
            skip_tags(reader)
        return body

    def write(self, out: bytearray, value: Mapping[str, Any], version: int, flexible: bool) -> None:
        for name, kind, since in self.fields:
            if version >= since:
                kind.write(out, value[name], version, flexible)
        if flexible:
            out.append(0)


def _read_length(reader: Reader, prefix: str, flexible: bool) -> int:
    if flexible:
        return reader.varint() - 1
    return int(struct.unpack(prefix, reader.take(struct.calcsize(prefix)))[0])


def _write_length(out: bytearray, prefix: str, length: int | None, flexible: bool) -> None:
    size = -1 if length is None else length
    out += varint(size + 1) if flexible else struct.pack(prefix, size)


def skip_tags(reader: Reader) -> None:
    """Skips tagged fields: kdiag needs none of them."""
    for _ in range(reader.varint()):
        reader.spend(_VALUE_COST)
        reader.varint()
        reader.take(reader.varint())


BOOL = Number(">?")
INT8, INT16, INT32, INT64 = Number(">b"), Number(">h"), Number(">i"), Number(">q")
STRING, NULLABLE_STRING = Blob(">h", text=True), Blob(">h", text=True, nullable=True)
BYTES, NULLABLE_BYTES = Blob(">i", text=False), Blob(">i", text=False, nullable=True)
INTS = Array(INT32)
UUID = Number(">16s")
