"""The bytes and the text of files that a user names; - is standard input."""

from __future__ import annotations

from contextlib import suppress

import click

MAX_CONFIGURATION = 8 << 20  # bytes


def read(name: str, most: int, what: str) -> bytes:
    """At most `most` bytes; a larger file is no `what`. Raises click.UsageError."""
    try:
        with click.open_file(name, "rb") as file:
            data: bytes = file.read(most + 1)
    except OSError as error:
        from kdiag.usage import is_file_name

        shown = name if is_file_name(name) else "…"
        raise click.UsageError(f"cannot read {shown}: {error.strerror}") from None
    if len(data) > most:
        raise click.UsageError(f"{name} is larger than {what}")
    return data


def configuration(name: str) -> str:
    """The text of a file that configures Kafka, its lines ending as they do."""
    data = read(name, MAX_CONFIGURATION, "a file of configuration: 8 MiB at most")
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "ascii"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("latin-1")


def named(name: str) -> str:
    """How a file is called in a report."""
    return "stdin" if name == "-" else name
