"""kdiag as a process of its own, forked from one that has loaded kdiag: 20 ms rather than 200. The
real clients of tests are started the same way.

Which module is loaded when, and what a fresh interpreter does, is tried where that is the subject:
tests/cli/test_start.py, tests/cli/test_interrupt.py, some tests of the lab.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import runpy
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
from selectors import EVENT_READ, DefaultSelector
from types import ModuleType

# What few commands need, and what is another program.
ROOT = Path(__file__).parents[1]
LEFT_OUT = ("kdiag.__main__", "kdiag.aws", "kdiag.mcp", "kdiag.serve")
NUMBER = struct.Struct(">i")


class Forks:
    """The process from which others are forked, started when the first is asked for. `program` is
    the module that these run, `folder` is where the kdiag is that is loaded, `inside` the prefix of
    a command that runs in another network namespace, `more` are modules to load beside."""

    def __init__(
        self,
        program: str = "kdiag",
        *more: str,
        folder: Path = ROOT,
        inside: Sequence[str] = (),
    ) -> None:
        self.program, self.inside = program, inside
        self._loaded, self._folder = (program, *more), folder
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
        """Runs the program: its exit code, and what it has written. Several may run at once. None
        where no process can be forked like this."""
        if sys.platform != "linux":
            return None
        request = json.dumps([list(arguments), str(cwd), dict(environment)]).encode()
        with ExitStack() as closing:
            files = [os.memfd_create(name) for name in ("request", "stdin", "stdout", "stderr")]
            for file, content in zip(files, (request, stdin), strict=False):
                os.write(file, content)
                os.lseek(file, 0, os.SEEK_SET)
            for file in files:
                closing.callback(os.close, file)
            answer, theirs = map(closing.enter_context, socket.socketpair())
            with self._lock:
                wire = self._wire = self._wire or self._start(environment)
                socket.send_fds(wire, [b"!"], [*files, theirs.fileno()])
            theirs.close()
            pid = number(answer)
            answer.settimeout(timeout)
            try:
                code = number(answer)
            except TimeoutError:
                os.kill(pid, 9)
                raise subprocess.TimeoutExpired([self.program, *arguments], timeout) from None
            out, err = (os.pread(each, os.fstat(each).st_size, 0) for each in files[2:])
            return code, out, err

    def end(self) -> None:
        """Ends that process, which nobody asks any more."""
        if self._wire:
            self._wire.close()

    def _start(self, environment: Mapping[str, str]) -> socket.socket:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tests.forked", str(theirs.fileno()), *self._loaded]
        with theirs:
            subprocess.Popen(
                [*self.inside, *command],
                pass_fds=[theirs.fileno()], cwd=self._folder,
                env={**environment, "PYTHONPATH": f"{self._folder}{os.pathsep}{ROOT}"},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        return ours


def number(wire: socket.socket) -> int:
    data = wire.recv(NUMBER.size, socket.MSG_WAITALL)
    if len(data) < NUMBER.size:
        raise EOFError("the process to fork from is gone")
    return int(NUMBER.unpack(data)[0])


def load(module: str) -> None:
    """Imports a module, and all in a folder of kdiag; of kdiag itself what is no other program."""
    imported: ModuleType = import_module(module)
    if module.startswith("kdiag"):
        left_out = LEFT_OUT if module == "kdiag" else ()
        for each in pkgutil.walk_packages(imported.__path__, f"{module}."):
            if not each.name.startswith(left_out):
                with suppress(ModuleNotFoundError):  # the command that needs it says so
                    import_module(each.name)


def serve(wire: socket.socket, program: str) -> None:
    """Forks a process for each request, until nobody asks any more."""
    gc.freeze()
    running: dict[int, tuple[int, socket.socket]] = {}  # by what gets ready when a process ends
    with DefaultSelector() as selector:
        selector.register(wire, EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in running:
                    pid, answer = running.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    with answer, suppress(BrokenPipeError):  # nobody waits for it any more
                        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                        answer.sendall(NUMBER.pack(code))
                    continue
                asked, files, _, _ = socket.recv_fds(wire, 1, 5)
                if not asked:
                    return
                answer = socket.socket(fileno=files.pop())
                pid = os.fork()
                if not pid:
                    for each in (wire, answer, *(other for _, other in running.values())):
                        each.close()
                    become(program, *files)
                for file in files:
                    os.close(file)
                ended = os.pidfd_open(pid)
                running[ended] = pid, answer
                selector.register(ended, EVENT_READ)
                answer.sendall(NUMBER.pack(pid))


def become(program: str, request: int, *streams: int) -> None:
    """Runs a program as a fresh interpreter in UTF-8 mode would; it does not return."""
    code = 1
    try:
        with os.fdopen(request, "rb") as file:
            arguments, cwd, environment = json.load(file)
        for wanted, stream in enumerate(streams):
            os.dup2(stream, wanted)
            os.close(stream)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        sys.argv, sys.path[0] = [program, *arguments], cwd
        sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape")
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape")
        sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace")
        if program == "kdiag":
            from kdiag.__main__ import main

            main()
        else:
            runpy.run_module(program, run_name="__main__")
            sys.stdout.flush()
            code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    for loaded in sys.argv[2:]:
        load(loaded)
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
