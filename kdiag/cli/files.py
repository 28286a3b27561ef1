"""The bytes and the text of files that a user names; - is standard input."""

from __future__ import annotations

import sys

import click

MAX_CONFIGURATION = 1 << 20  # bytes
CONFIGURATION = "a file of configuration: 1 MiB at most"


def read(name: str, most: int, what: str) -> bytes:
    """The bytes of a file, at most `most`; `what` names the limit in an error. Raises
    click.UsageError."""
    from kdiag.config.reading import read as read_file  # 0.5 ms

    try:
        data = sys.stdin.buffer.read(most + 1) if name == "-" else read_file(name, most + 1)
    except (OSError, ValueError) as error:  # no file's name: it has a zero byte
        from kdiag.config.usage import is_file_name  # 0.5 ms

        reason = error.strerror if isinstance(error, OSError) else "it is not the name of a file"
        shown = name if is_file_name(name) else "…"
        raise click.UsageError(f"cannot read {shown}: {reason}") from None
    if len(data) > most:
        raise click.UsageError(f"{name} is larger than {what}")
    return data


def saved_report(name: str) -> bytes:
    """The bytes of a report that was saved with -o json. Raises click.UsageError."""
    from kdiag.report.load import MOST  # 58 ms

    return read(name, MOST, "a report: 32 MiB at most")


def configuration(name: str) -> str:
    """The text of a configuration file of Kafka, with its own line endings."""
    return text(read(name, MAX_CONFIGURATION, CONFIGURATION), name)


def text(data: bytes, name: str = "the file") -> str:
    """The text of a file in any Unicode encoding. Raises click.UsageError for other bytes."""
    from kdiag.text import decoded  # 0.3 ms

    try:
        return decoded(data)
    except ValueError as error:
        raise click.UsageError(f"{name}: {error}") from None


def named(name: str) -> str:
    """The name of a file in a report."""
    return "stdin" if name == "-" else name
