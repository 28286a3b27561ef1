"""Colours and line breaks of lint's text, for a terminal; rich takes too long to load."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from shutil import get_terminal_size
from textwrap import TextWrapper
from typing import TextIO

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_NARROWEST = 40


@dataclass(frozen=True)
class Style:
    """How text is shown: in colours or not, in lines of so many columns, 0 for any length."""

    coloured: bool = False
    width: int = 0

    def bold(self, text: str) -> str:
        return self._in("1", text)

    def red(self, text: str) -> str:
        return self._in("31;1", text)

    def yellow(self, text: str) -> str:
        return self._in("33", text)

    def green(self, text: str) -> str:
        return self._in("32", text)

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.coloured else text

    def wrapped(self, line: str, indent: int) -> str:
        """A line, or several, the further ones indented; with its line break."""
        if not self.width or len(_ESCAPE.sub("", line)) <= self.width:
            return f"{line}\n"
        begin = line[: len(line) - len(line.lstrip(" "))]
        wrapper = _Wrapper(
            self.width, begin, " " * indent, break_long_words=False, break_on_hyphens=False
        )
        return "".join(f"{part}\n" for part in wrapper.wrap(line.lstrip(" ")))


class _Wrapper(TextWrapper):
    """A wrapper that gives colours no room."""

    def _split(self, text: str) -> list[str]:
        return [_Word(chunk) for chunk in super()._split(text)]


class _Word(str):
    __slots__ = ()

    def __len__(self) -> int:
        return len(_ESCAPE.sub("", str(self)))


def styled(stream: TextIO) -> Style:
    """The style of a stream: plain unless it is a terminal, or FORCE_COLOR asks for colours."""
    is_terminal = stream.isatty()
    forced = bool(os.environ.get("FORCE_COLOR"))
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    width = max(get_terminal_size().columns, _NARROWEST) if is_terminal else 0
    return Style((is_terminal or forced) and not plain, width)
