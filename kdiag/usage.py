"""Wrong usage: the one error for it, and how what a user wrote is shown without its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHOWN = 80  # characters of what a user wrote


class UsageError(Exception):
    """What was asked cannot be done. The text says what was wrong, where, and what to write."""


def quoted(text: str, most: int = SHOWN) -> str:
    """What a user wrote, in quotes: on one line, without control characters, not too long."""
    shown = repr(text[: most + 1])
    return shown if len(shown) <= most + 2 else f"{shown[:most]}…{shown[0]}"


def word(text: str) -> str:
    """A name that a user wrote, up to what no name has: a secret may follow a mistyped `=`."""
    found = re.split(r"[^\w.-]", text, maxsplit=1)[0][:SHOWN]
    return found if found == text else f"{found}…"


def near(name: str, known: Iterable[str]) -> str:
    """The known name that a mistyped one resembles, as a question in brackets; "" if none does."""
    from difflib import get_close_matches  # only where something was written wrongly

    close = get_close_matches(name, known, n=1, cutoff=0.7)
    return f" (did you mean {close[0]}?)" if close else ""
