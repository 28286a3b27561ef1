"""The bytes and the text of files that a user names; - is standard input."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

MAX_CONFIGURATION = 1 << 20  # bytes


def read(name: str, most: int, what: str) -> bytes:
    """At most `most` bytes; a larger file is no `what`. Raises click.UsageError."""
    from kdiag.config.reading import read as read_file

    try:
        data = sys.stdin.buffer.read(most + 1) if name == "-" else read_file(name, most + 1)
    except (OSError, ValueError) as error:  # no file's name: it has a zero byte
        from kdiag.config.usage import is_file_name

        reason = error.strerror if isinstance(error, OSError) else "it is no name of a file"
        shown = name if is_file_name(name) else "…"
        raise click.UsageError(f"cannot read {shown}: {reason}") from None
    if len(data) > most:
        raise click.UsageError(f"{name} is larger than {what}")
    return data


def configuration(name: str) -> str:
    """The text of a file that configures Kafka, its lines ending as they do."""
    return text(read(name, MAX_CONFIGURATION, "a file of configuration: 1 MiB at most"))


def text(data: bytes) -> str:
    """Bytes of a file as text, whatever wrote them."""
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "ascii"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("latin-1")


def named(name: str) -> str:
    """How a file is called in a report."""
    return "stdin" if name == "-" else name
