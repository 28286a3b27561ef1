"""Traces a command: which room of kdiag calls which. `python -m tests.way check HOST:PORT`

It writes a line for each call from one room into another to standard error: both rooms, and the
function.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import kdiag
from kdiag.cli.group import cli

ROOT = Path(kdiag.__file__).parent
RECORD = ROOT / "config/record.py"  # constructors of other rooms' classes, as in typing


class Crossing(NamedTuple):
    """A call from one room into another; `function` is the called one."""

    caller: str
    room: str
    function: str


def traced(arguments: Sequence[str]) -> list[Crossing]:
    """The crossings of a command, in order; imports are left out, and a coroutine counts once."""
    found: list[Crossing] = []
    frames: set[FrameType] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        room, function = _room(frame), frame.f_code.co_qualname
        if event != "call" or not room or function == "<module>" or frame in frames:
            return
        frames.add(frame)
        caller = frame.f_back
        while caller and not _room(caller):
            caller = caller.f_back
        whose = _room(caller) if caller else ""
        if whose and whose != room:
            found.append(Crossing(whose, room, function))

    sys.setprofile(note)
    try:
        cli.main(arguments, prog_name="kdiag", standalone_mode=False)
    finally:
        sys.setprofile(None)
    return found


def _room(frame: FrameType) -> str:
    """The room of a function, "" for other packages."""
    path = Path(frame.f_code.co_filename)
    if path == RECORD:
        return ""
    return path.relative_to(ROOT).parts[0].removesuffix(".py") if path.is_relative_to(ROOT) else ""


if __name__ == "__main__":
    for crossing in traced(sys.argv[1:]):
        sys.stderr.write(f"{' '.join(crossing)}\n")
