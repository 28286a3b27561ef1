"""Text of a peer or a file, made fit to be shown."""

from __future__ import annotations

from functools import lru_cache

TEXT_LIMIT = 1024


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


@lru_cache(maxsize=1024)  # a frame can hold millions of the same one
def _escaped(char: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(char)
    wide = f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    return short.get(char) or (f"\\x{code:02x}" if code < 256 else wide)
