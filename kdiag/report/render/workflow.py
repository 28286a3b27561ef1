"""Workflow commands: lines in the output of a step that GitHub Actions turns into annotations."""

from __future__ import annotations

import re
from collections.abc import Mapping

# The start of a workflow command: on GitHub at the start of a line, on Azure anywhere in a line.
_COMMAND = re.compile(r"^[ \t]*:(?=:[A-Za-z-]+(?: [^\n]*)?::)|#(?=#(?:vso)?\[)", re.MULTILINE)


def command(kind: str, properties: Mapping[str, str], message: str) -> str:
    """One command, a line; `kind` is error, warning or notice."""
    given = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{kind} {given}::{_escaped(message)}\n"


def no_command(text: str) -> str:
    """The text with every workflow command in it made harmless."""
    return _COMMAND.sub(lambda found: f"{found.group()} ", text)


def _escaped(text: str, more: str = "") -> str:
    """The text escaped by GitHub's rules: percent, line breaks, and `more` in properties."""
    for char in f"%\r\n{more}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text
