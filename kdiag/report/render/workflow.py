"""Workflow commands: what GitHub Actions takes for an annotation in the output of a step."""

from __future__ import annotations

import re
from collections.abc import Mapping

# What the log of a job obeys, on GitHub where a line begins with it, on Azure anywhere in a line.
_COMMAND = re.compile(r"^[ \t]*:(?=:[A-Za-z-]+(?: [^\n]*)?::)|#(?=#(?:vso)?\[)", re.MULTILINE)


def command(kind: str, properties: Mapping[str, str], message: str) -> str:
    """One command, a line; `kind` is error, warning or notice."""
    given = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{kind} {given}::{_escaped(message)}\n"


def no_command(text: str) -> str:
    """Text for a log, in which no line is a command."""
    return _COMMAND.sub(lambda found: f"{found.group()} ", text)


def _escaped(said: str, more: str = "") -> str:
    """As GitHub wants it: percent, line breaks, and in properties what separates them."""
    for char in f"%\r\n{more}":
        said = said.replace(char, f"%{ord(char):02X}")
    return said
