"""Text in the characters that an output stream's encoding has."""

from __future__ import annotations

from typing import TextIO

# What a report says with these it can say with ASCII too.
PLAIN = str.maketrans(
    {"√": "+", "‼": "!", "×": "x", "–": "-", "·": "-", "…": "...", "—": "-", "─": "-", "│": "|"}
)


def fitted(text: str, stream: TextIO) -> str:
    """The text in what the stream's encoding has; what it lacks is shown as an escape."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if fits(text, stream):
        return text
    return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)


def fits(text: str, stream: TextIO) -> bool:
    """Whether the stream's encoding has all of this."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
