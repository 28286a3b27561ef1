"""A console of Windows, of which only kernel32 is made up: it is asked to understand colours."""

from __future__ import annotations

import ctypes
import io
import os
from types import SimpleNamespace
from typing import Any

import pytest

from kdiag.cli import console
from kdiag.lint.style import styled
from kdiag.report.render.terminal_page import console_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Kernel32:
    """Two consoles of Windows; `able` says whether they know ENABLE_VIRTUAL_TERMINAL_PROCESSING."""

    def __init__(self, able: bool, consoles: tuple[int, ...] = (-11, -12)) -> None:
        self.able, self.modes = able, dict.fromkeys(consoles, 3)

    def get_std_handle(self, number: int) -> int:
        return number

    def get_mode(self, handle: ctypes.c_void_p, mode: Any) -> int:
        found = self.modes.get(ctypes.c_int(handle.value or 0).value)
        if found is not None:
            mode._obj.value = found
        return found is not None

    def set_mode(self, handle: ctypes.c_void_p, mode: int) -> int:
        if not self.able and mode & 4:
            return 0
        self.modes[ctypes.c_int(handle.value or 0).value] = mode
        return 1

    def prepared(self, monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]) -> None:
        names = {
            "GetStdHandle": self.get_std_handle,
            "GetConsoleMode": self.get_mode,
            "SetConsoleMode": self.set_mode,
        }
        windll = SimpleNamespace(kernel32=SimpleNamespace(**names))
        monkeypatch.setattr(ctypes, "windll", windll, raising=False)
        streams = {"stdout": stream(), "stderr": stream()}
        monkeypatch.setattr(console, "sys", SimpleNamespace(platform="win32", **streams))
        for name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.setenv(name, "")  # it is as it was afterwards
            monkeypatch.delenv(name)
        monkeypatch.setenv("TERM", "xterm-256color")
        console.prepare_console()


def coloured() -> tuple[bool, bool]:
    """Whether lint, and a report, write escape sequences to a terminal."""
    page = Terminal()
    console_of(page).print("x", style="bold red")
    return styled(Terminal()).coloured, "\x1b" in page.getvalue()


def test_a_console_that_understands_colours_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel32 = Kernel32(able=True)
    kernel32.prepared(monkeypatch, Terminal)
    assert kernel32.modes == {-11: 7, -12: 7}
    assert coloured() == (True, True)


def test_a_console_that_does_not_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel32 = Kernel32(able=False)
    kernel32.prepared(monkeypatch, Terminal)
    assert kernel32.modes == {-11: 3, -12: 3}
    assert os.environ["NO_COLOR"] == "1"
    assert styled(Terminal()).coloured is False


def test_a_pipe_and_a_terminal_of_another_kind_stay_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel32 = Kernel32(able=False)
    kernel32.prepared(monkeypatch, io.StringIO)
    assert "NO_COLOR" not in os.environ
    Kernel32(able=False, consoles=()).prepared(monkeypatch, Terminal)
    assert "NO_COLOR" not in os.environ
