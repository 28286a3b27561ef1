"""Wrong usage: the one error for it, and how what a user wrote is shown without its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHOWN = 80  # characters of what a user wrote
SHORT = 5  # characters of what is no secret, wherever it stands
_ENDINGS = (
    *(".pem", ".crt", ".cer", ".key", ".der", ".jks", ".p12", ".pfx", ".ks", ".keystore"),
    *(".truststore", ".keytab", ".token", ".jwt", ".txt", ".properties", ".conf", ".cfg", ".ini"),
    *(".yaml", ".yml", ".toml", ".json", ".env", ".log", ".zip"),
)


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


def like(text: str, known: Iterable[str]) -> str:
    """What a user wrote where one of `known` belongs, if it resembles one or is no longer than
    SHORT; else "…": what stands in the wrong place may be a secret."""
    choices = {choice.lower() for choice in known}
    shown = len(text) <= SHORT or text.lower() in choices or near(text.lower(), choices)
    return word(text) if shown else "…"


def is_file_name(text: str) -> bool:
    """Whether a text is plainly a file's name: something is there, or could be; else it may be a
    secret in the place of one."""
    if text.lower().endswith(_ENDINGS):
        return True
    from pathlib import Path  # only where something was written wrongly

    try:
        path = Path(text)
        return path.exists() or bool(path.parent.name and path.parent.is_dir())
    except (OSError, ValueError):  # longer than any name, or with a zero byte in it
        return False


NO_THREAD = (
    "this machine gives kdiag no more threads: see ulimit -u, the limit on a container's "
    "processes, and memory"
)


def no_thread(error: BaseException) -> bool:
    """Whether a thread could not be started."""
    return isinstance(error, RuntimeError) and "start new thread" in str(error)


def near(name: str, known: Iterable[str]) -> str:
    """The known name that a mistyped one resembles, as a question in brackets; "" if none does."""
    from difflib import get_close_matches  # only where something was written wrongly

    close = get_close_matches(name, known, n=1, cutoff=0.7)
    return f" (did you mean {close[0]}?)" if close else ""
