"""Text of a peer or a file, made fit to be shown."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

TEXT_LIMIT = 1024
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks: PowerShell writes it


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """Text of a peer, fit for a terminal, JSON and XML: escapes shown, length bounded."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def clean_bytes(data: bytes, limit: int = 120) -> str:
    """The first bytes of a strange answer, readable: text as it is, everything else escaped."""
    return clean(data[:limit].decode("ascii", "backslashreplace").strip(), limit * 4)


def decoded(data: bytes) -> str:
    """The text of a file: UTF-8 or UTF-16, as PowerShell writes it, with a byte order mark or
    without, and else Latin-1, as Java reads properties. Raises ValueError for bytes that are no
    text."""
    for encoding in _encodings(data):
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if "\0" in text:
                break
            return text
    raise ValueError("its bytes are no text: write it in UTF-8")


def encoded(text: str, like: bytes) -> bytes:
    """A text in the encoding of the file that it is to replace, with the byte order mark that this
    file has."""
    for mark, encoding in _MARKS:
        if like.startswith(mark):
            return mark + text.encode(encoding)
    for encoding in _encodings(like):
        with suppress(UnicodeDecodeError):
            like.decode(encoding)
            return text.encode("utf-8" if encoding == "utf-8-sig" else encoding)
    raise ValueError("its bytes are no text: write it in UTF-8")


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 broker`, `3 brokers`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def whole_number(text: str, digits: int = 19) -> int | None:
    """The number that a text is, of at most so many digits (19: those of a long); None for any
    other text: Python refuses numbers of thousands of digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits else None


_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def _encodings(data: bytes) -> tuple[str, ...]:
    if data[:2] in UTF_16:
        return ("utf-16",)
    start = data[:1024]
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if zeros.count(0) * 10 > len(start) * 4:  # most of the text is ASCII
            return (encoding,)
    return ("utf-8-sig", "latin-1")


@lru_cache(maxsize=1024)  # a frame can hold millions of the same one
def _escaped(char: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(char)
    wide = f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    return short.get(char) or (f"\\x{code:02x}" if code < 256 else wide)
