"""The man page kdiag(1), docs/kdiag.1: the help of every command in the macros of man."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc

import click

from kdiag.cli.exits import EXIT_CODES
from kdiag.cli.group import COMMANDS, cli

ENVIRONMENT = {
    "KDIAG_TOPIC, KDIAG_TIMEOUT, ...": "The option of that name of kdiag check.",
    "KDIAG_X_SASL_PASSWORD, ...": "The client property of that name, here sasl.password.",
    "KDIAG_OAUTHBEARER_TOKEN": "A token for SASL OAUTHBEARER.",
    "NO_COLOR, FORCE_COLOR, COLUMNS": "No colours; colours also in a pipe; the width of a line.",
    "CI": "No live view, and no request for this client's public address.",
}
FILES = {
    "~/.config/kdiag/kdiag.toml": "Your targets, for kdiag check @NAME.",
    "kdiag.toml": "More targets, in the current folder; they may decide less.",
}
HEAD = '.\\" Written by `python3 tests --rewrite` from the help of the commands.'
UNWRAPPED = "\b\n"  # begins a paragraph that click does not wrap


def manual() -> str:
    """The page, in the macros of man(7)."""
    context = click.Context(cli, info_name="kdiag", help_option_names=["-h", "--help"])
    about, *description = paragraphs(cli.help)
    lines = [
        *(HEAD, '.TH KDIAG 1 "" "kdiag" "User Commands"', ".SH NAME"),
        rf"kdiag \- {escaped(about[0].lower() + about[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        *(f".B kdiag {name}\n.RI [ options ] ...\n.br" for name in COMMANDS),
        ".SH DESCRIPTION",
        *blocks(description),
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command
        lines += section(command, click.Context(command, info_name=name, parent=context))
    lines += [".SH EXIT STATUS", *blocks([EXIT_CODES])]
    for title, rows in (("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)):
        lines += [f".SH {title}", *terms(rows.items())]
    return "\n".join(lines) + "\n"


def section(command: click.Command, context: click.Context) -> Iterator[str]:
    """A command: its usage, its text, its options, its examples."""
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    yield f'.SS "{escaped(usage)}"'
    yield from blocks(paragraphs(command.help))
    records = (each.get_help_record(context) for each in command.get_params(context))
    yield from terms(record for record in records if record and record[1])
    yield from blocks(text for text in paragraphs(command.epilog) if text != EXIT_CODES)


def paragraphs(text: str | None) -> list[str]:
    """The paragraphs of a text for click, those that click wraps in one line."""
    found = re.split(r"\n\s*\n", cleandoc(text or ""))
    return [part if part.startswith(UNWRAPPED) else " ".join(part.split()) for part in found]


def blocks(texts: Iterable[str]) -> Iterator[str]:
    """Paragraphs in man's macros."""
    for text in texts:
        yield ".PP"
        if not text.startswith(UNWRAPPED):
            yield escaped(text)
            continue
        rows = text.removeprefix(UNWRAPPED).split("\n")
        if rows[0].endswith(":"):
            yield escaped(rows.pop(0))
        yield from (".RS 4", ".nf", *(escaped(row.strip()) for row in rows), ".fi", ".RE")


def terms(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Terms, each with its text indented below it."""
    for term, text in rows:
        yield f".TP\n.B {escaped(term)}\n{escaped(text)}"


def escaped(text: str) -> str:
    """A line in which no character is a request or an escape of troff."""
    for character, written in (("\\", r"\e"), ("-", r"\-"), ("'", r"\(aq"), ('"', r"\(dq")):
        text = text.replace(character, written)
    return rf"\&{text}" if text.startswith(".") else text
