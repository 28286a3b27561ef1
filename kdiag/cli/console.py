"""Makes a console of Windows understand colours; other systems' terminals do."""

from __future__ import annotations

import os
import sys
from typing import Any

_OUTPUT, _ERRORS = -11, -12  # STD_OUTPUT_HANDLE, STD_ERROR_HANDLE
_VIRTUAL_TERMINAL = 0x0004  # ENABLE_VIRTUAL_TERMINAL_PROCESSING


def prepare_console() -> None:
    """Asks a console of Windows to understand escape sequences; where it does not (before Windows
    10), nothing is coloured."""
    if sys.platform != "win32":
        return
    for number, stream in ((_OUTPUT, sys.stdout), (_ERRORS, sys.stderr)):
        if stream.isatty() and not _understands(number):
            os.environ["NO_COLOR"] = "1"


def _understands(number: int) -> bool:
    """Whether the console of a standard stream now understands escape sequences."""
    import ctypes  # 3.6 ms

    windll: Any = getattr(ctypes, "windll", None)
    handle, mode = ctypes.c_void_p(windll.kernel32.GetStdHandle(number)), ctypes.c_ulong()
    if not windll.kernel32.GetConsoleMode(handle, ctypes.byref(mode)):
        return True  # a terminal that is no console of Windows
    return bool(windll.kernel32.SetConsoleMode(handle, mode.value | _VIRTUAL_TERMINAL))
