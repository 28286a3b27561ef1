"""Reads the bytes of a file that a user names, with limits on size and, for a pipe, on time."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

PATIENCE = 30.0  # seconds for a pipe to say more; somebody's own command may write it


def read(name: str, most: int) -> bytes:
    """The bytes of a file, at most the first `most`. Raises OSError."""
    with opened(name) as file:
        found = bytearray()
        waits = _is_pipe(file)
        while len(found) < most:
            if waits:
                _await(file)
            # A pipe gives what is there; the rest may never come.
            part = os.read(file.fileno(), min(most - len(found), 1 << 16))
            if not part:
                break
            found += part
    return bytes(found)


def opened(name: str) -> BinaryIO:
    """Opens a file for reading; for a pipe, waits until it has data. Raises OSError, also if nobody
    writes to a pipe."""
    handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(handle, "rb")  # raises for a folder, and closes it
    try:
        if _is_pipe(file):
            _await(file)
        if hasattr(os, "set_blocking"):
            os.set_blocking(handle, True)
    except BaseException:
        file.close()
        raise
    return file


def _is_pipe(file: BinaryIO) -> bool:
    return stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)


def _await(file: BinaryIO) -> None:
    """Returns when a pipe has data or is closed."""
    import select  # 0.4 ms

    ready, _, _ = select.select([file], [], [], PATIENCE)
    if not ready:
        raise OSError(errno.ETIMEDOUT, "nobody writes to this pipe")
