"""Colours and line breaks of lint's text, for a terminal; rich takes too long to load."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from shutil import get_terminal_size
from textwrap import TextWrapper
from typing import TextIO

from kdiag.report.render.palette import escape_code

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_NARROWEST = 40


@dataclass(frozen=True)
class Style:
    """Colours and width of the output: `width` 0 is unlimited, `few` means 16 colours."""

    coloured: bool = False
    width: int = 0
    few: bool = False

    def bold(self, text: str) -> str:
        return self._in("1", text)

    def error(self, text: str) -> str:
        return self._in(f"1;{escape_code('fail', self.few)}", text)

    def warning(self, text: str) -> str:
        return self._in(escape_code("warn", self.few), text)

    def good(self, text: str) -> str:
        return self._in(escape_code("pass", self.few), text)

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.coloured and colour else text

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
    """A wrapper that does not count escape codes of colours."""

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
    many = os.environ.get("COLORTERM") in ("truecolor", "24bit")
    many = many or os.environ.get("TERM", "").endswith(("256color", "-direct", "-kitty"))
    return Style((is_terminal or forced) and not plain, width, not many)
