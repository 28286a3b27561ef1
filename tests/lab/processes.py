"""Processes that end with the test run, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
_SET_PARENT_DEATH_SIGNAL = 1
_LIBC = ctypes.CDLL(None)


def spawn(
    command: Sequence[str | os.PathLike[str]],
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Starts a process that the kernel kills as soon as this one is gone."""
    parent = os.getpid()

    def tie() -> None:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, preexec_fn=tie)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills a process, paused or not, and waits until it is gone."""
    process.kill()
    process.wait(10)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


def command_lines() -> list[str]:
    """The command line of everything that runs on this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            words = path.read_bytes().rstrip(b"\0").split(b"\0")
            found.append(b" ".join(words).decode("utf-8", "replace"))
    return [line for line in found if line]
