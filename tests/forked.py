"""kdiag as a process of its own, forked from one that has loaded kdiag: 20 ms rather than 200.

Which module is loaded when, and what a fresh interpreter does, is tried where that is the subject:
tests/cli/test_start.py, tests/cli/test_interrupt.py, the lab.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path

# What few commands need, and what is another program.
ROOT = Path(__file__).parents[1]
LEFT_OUT = ("kdiag.__main__", "kdiag.aws", "kdiag.mcp", "kdiag.serve")
HEAD = struct.Struct(">i")


class Forks:
    """The process from which others are forked, started when the first is asked for. `folder` is
    where the kdiag is that it loads."""

    def __init__(self, folder: Path = ROOT) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._wire: socket.socket | None = None

    def run(
        self,
        arguments: Sequence[str],
        stdin: bytes,
        cwd: Path,
        environment: Mapping[str, str],
        timeout: float,
    ) -> tuple[int, bytes, bytes] | None:
        """Runs kdiag: its exit code, and what it has written. None while another one runs, and
        where no process can be forked like this."""
        if sys.platform != "linux" or not self._lock.acquire(blocking=False):
            return None
        with ExitStack() as closing:
            closing.callback(self._lock.release)
            wire = self._wire = self._wire or self._start(environment)
            streams = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
            for stream in streams:
                closing.callback(os.close, stream)
            os.write(streams[0], stdin)
            os.lseek(streams[0], 0, os.SEEK_SET)
            request = json.dumps([list(arguments), str(cwd), dict(environment)]).encode()
            socket.send_fds(wire, [HEAD.pack(len(request))], streams)
            wire.sendall(request)
            pid = number(wire)
            wire.settimeout(timeout)
            try:
                code = number(wire)
            except TimeoutError:
                os.kill(pid, 9)
                wire.settimeout(None)
                number(wire)
                raise subprocess.TimeoutExpired(["kdiag", *arguments], timeout) from None
            wire.settimeout(None)
            out, err = (os.pread(each, os.fstat(each).st_size, 0) for each in streams[1:])
            return code, out, err

    def end(self) -> None:
        """Ends that process, which nobody asks any more."""
        if self._wire:
            self._wire.close()

    def _start(self, environment: Mapping[str, str]) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], cwd=self._folder,
                env={**environment, "PYTHONPATH": f"{self._folder}{os.pathsep}{ROOT}"},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        return ours


def number(wire: socket.socket) -> int:
    data = wire.recv(HEAD.size, socket.MSG_WAITALL)
    if len(data) < HEAD.size:
        raise EOFError("the process to fork from is gone")
    return int(HEAD.unpack(data)[0])


def serve(wire: socket.socket) -> None:
    """Forks a process for each request, until nobody asks any more."""
    import kdiag

    for module in pkgutil.walk_packages(kdiag.__path__, "kdiag."):
        if not module.name.startswith(LEFT_OUT):
            with suppress(ModuleNotFoundError):  # the command that needs it says so
                import_module(module.name)
    gc.freeze()
    while True:
        head, streams, _, _ = socket.recv_fds(wire, HEAD.size, 3)
        if not head:
            return
        request = json.loads(wire.recv(HEAD.unpack(head)[0], socket.MSG_WAITALL))
        pid = os.fork()
        if not pid:
            try:
                wire.close()
                become(streams, *request)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        for stream in streams:
            os.close(stream)
        wire.sendall(HEAD.pack(pid))
        wire.sendall(HEAD.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def become(
    streams: Sequence[int], arguments: list[str], cwd: str, environment: Mapping[str, str]
) -> None:
    """Runs kdiag's main function as a fresh interpreter in UTF-8 mode would; it does not return."""
    for wanted, stream in enumerate(streams):
        os.dup2(stream, wanted)
        os.close(stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv, sys.path[0] = ["kdiag", *arguments], cwd
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape")
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace")
    from kdiag.__main__ import main

    main()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
