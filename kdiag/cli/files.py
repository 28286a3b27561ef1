"""The bytes and the text of files that a user names; - is standard input."""

from __future__ import annotations

import click


def read(name: str, most: int, what: str) -> bytes:
    """At most `most` bytes; a larger file is no `what`. Raises click.UsageError."""
    try:
        with click.open_file(name, "rb") as file:
            data: bytes = file.read(most + 1)
    except OSError as error:
        raise click.UsageError(f"cannot read {name}: {error.strerror}") from None
    if len(data) > most:
        raise click.UsageError(f"{name} is larger than {what}")
    return data
