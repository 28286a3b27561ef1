"""The error for wrong usage, and how a message quotes the user without showing a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

NO_SERVER = "no bootstrap server: write kdiag check HOST:PORT"

SHOWN = 80  # characters of what a user wrote
SHORT = 5  # characters of what is no secret, wherever it stands
_ENDINGS = (
    *(".pem", ".crt", ".cer", ".key", ".der", ".jks", ".p12", ".pfx", ".ks", ".keystore"),
    *(".truststore", ".keytab", ".token", ".jwt", ".txt", ".properties", ".conf", ".cfg", ".ini"),
    *(".yaml", ".yml", ".toml", ".json", ".env", ".log", ".zip"),
)


class UsageError(Exception):
    """An argument, option or file cannot be used. The text says what is wrong, where, and what to
    write instead."""


def quoted(text: str, most: int = SHOWN) -> str:
    """A text of the user in quotes: one line, no control characters, at most `most` characters."""
    shown = repr(text[: most + 1])
    return shown if len(shown) <= most + 2 else f"{shown[:most]}…{shown[0]}"


def word(text: str) -> str:
    """A name of the user, up to the first character that no name has: a secret may follow it."""
    found = re.split(r"[^\w.-]", text, maxsplit=1)[0][:SHOWN]
    return found if found == text else f"{found}…"


def like(text: str, known: Iterable[str]) -> str:
    """A text of the user in the place of one of `known`, if it resembles one or has at most SHORT
    characters; else "…", because it may be a secret."""
    choices = {choice.lower() for choice in known}
    shown = len(text) <= SHORT or text.lower() in choices or near(text.lower(), choices)
    return word(text) if shown else "…"


def is_file_name(text: str) -> bool:
    """Whether a text is certainly the name of a file, by its ending or its folder; any other text
    may be a secret."""
    if text.lower().endswith(_ENDINGS):
        return True
    from pathlib import Path  # 5.2 ms: only where something was written wrongly

    try:
        path = Path(text)
        return path.exists() or bool(path.parent.name and path.parent.is_dir())
    except (OSError, ValueError):  # longer than any name, or with a zero byte in it
        return False


NO_THREAD = (
    "kdiag cannot start another thread on this machine: see ulimit -u, the limit on a container's "
    "processes, and memory"
)


def no_thread(error: BaseException) -> bool:
    """Whether an error says that no thread could be started."""
    return isinstance(error, RuntimeError) and "start new thread" in str(error)


def raised_at(error: Exception) -> str:
    """The type of an error, and the file and line that raised it; never its text, in which any
    secret of the configuration may be."""
    from traceback import extract_tb  # 2.2 ms

    last = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119


def near(name: str, known: Iterable[str]) -> str:
    """The known name that a mistyped one resembles, as a question in brackets; "" if none does."""
    from difflib import get_close_matches  # 1.5 ms: only where something was written wrongly

    close = get_close_matches(name, known, n=1, cutoff=0.7)
    return f" (did you mean {close[0]}?)" if close else ""
