"""The colours of text on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

# Numbers of xterm's 256 colours. Each can be read on white and on black: a contrast of 4.5 to
# white at least, and of 3.8 to black. Of xterm's first 16 none is such a green or such a grey.
COLOURS: Mapping[str, int] = {"pass": 28, "warn": 130, "fail": 160, "dim": 243}
FEW_COLOURS: Mapping[str, str] = {"pass": "", "warn": "magenta", "fail": "red", "dim": ""}
_CODES = {"": "", "red": "31", "magenta": "35"}


def escape_code(style: str, few: bool) -> str:
    """What stands between ESC[ and m for one of these, "" for the terminal's own colour; `few`: the
    terminal has 16 colours."""
    return _CODES[FEW_COLOURS[style]] if few else f"38;5;{COLOURS[style]}"
