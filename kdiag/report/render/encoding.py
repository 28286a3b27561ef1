"""Replaces the characters of a text that an output stream's encoding lacks."""

from __future__ import annotations

from typing import TextIO

# kdiag's own non-ASCII characters, and what replaces them.
PLAIN = str.maketrans(
    {"√": "+", "‼": "!", "×": "x", "–": "-", "·": "-", "…": "...", "—": "-", "─": "-", "│": "|"}
)


def fitted(text: str, stream: TextIO) -> str:
    """The text in characters of the stream's encoding; other characters become escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if fits(text, stream):
        return text
    return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)


def fits(text: str, stream: TextIO) -> bool:
    """Whether the stream's encoding has all characters of the text."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
