"""A command that hangs is ended with its children, on Linux and where Windows' means are all."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdiag.network import child_process
from kdiag.network.child_process import (
    CommandOutput,
    OutputTooLarge,
    kill_command,
    run_command,
    start_command,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# A command that starts another one, says so, and hangs.
HANGING = ("sh", "-c", "sleep 600 & echo $!; wait")


def is_running(pid: int) -> bool:
    """Whether a process runs: one that has ended may wait for its parent's attention."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


async def ended(pid: int) -> None:
    while is_running(pid):
        await asyncio.sleep(0.01)


async def started_and_killed() -> None:
    process = await start_command(HANGING, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    child = int(await process.stdout.readline())
    assert is_running(child)
    kill_command(process)
    await process.wait()
    await ended(child)
    kill_command(process)  # it has ended: nothing happens


def test_a_command_and_its_child() -> None:
    asyncio.run(asyncio.wait_for(started_and_killed(), 20))


async def test_a_command_that_is_cancelled_while_it_starts() -> None:
    output, writes = os.pipe()
    starting = asyncio.ensure_future(
        start_command(HANGING, stdin=asyncio.subprocess.PIPE, stdout=writes)
    )
    for _ in range(2):  # it runs now, and asyncio has not connected its pipes
        await asyncio.sleep(0)
    child = int(os.read(output, 20))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(starting, 20)
    await asyncio.wait_for(ended(child), 20)
    for each in (output, writes):
        os.close(each)


class Kernel32:
    """Windows' jobs, for processes of this machine: a process and its children are in one."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.jobs: dict[int, list[int]] = {}
        self.names = SimpleNamespace(
            CreateJobObjectW=self.create,
            OpenProcess=self.open_process,
            AssignProcessToJobObject=self.assign,
            CloseHandle=self.close,
            TerminateJobObject=self.terminate,
        )

    def create(self, security: None, name: None) -> int:
        self.jobs[len(self.jobs) + 1] = []
        return len(self.jobs)

    def open_process(self, rights: int, inherited: bool, pid: int) -> int:
        assert rights == 0x901
        self.open.add(pid)
        return pid

    def assign(self, job: ctypes.c_void_p, process: ctypes.c_void_p) -> int:
        assert process.value in self.open
        self.jobs[job.value or 0].append(process.value or 0)
        return 1

    def resume(self, process: ctypes.c_void_p) -> int:
        assert [process.value] in self.jobs.values()  # what it starts is in its job
        return 0

    def close(self, handle: ctypes.c_void_p) -> int:
        self.open.remove(handle.value or 0)
        return 1

    def terminate(self, job: ctypes.c_void_p, code: int) -> int:
        for pid in self.jobs[job.value or 0]:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for each in (pid, *map(int, children)):
                os.kill(each, 9)
        return 1


def test_a_command_and_its_child_with_the_means_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel32, popen, groups = Kernel32(), subprocess.Popen, []

    def windows_popen(*arguments: Any, creationflags: int = 0, **more: Any) -> Any:
        assert not more.get("start_new_session")
        groups.append(creationflags)
        return popen(*arguments, **more)

    ntdll = SimpleNamespace(NtResumeProcess=kernel32.resume)
    windll = SimpleNamespace(kernel32=kernel32.names, ntdll=ntdll)
    monkeypatch.setattr(subprocess, "Popen", windows_popen)
    monkeypatch.setattr(ctypes, "windll", windll, raising=False)
    monkeypatch.setattr(child_process, "sys", SimpleNamespace(platform="win32"))
    for lacking in ("os", "signal"):  # they have neither killpg nor SIGKILL
        monkeypatch.setattr(child_process, lacking, SimpleNamespace())
    asyncio.run(asyncio.wait_for(started_and_killed(), 20))
    assert groups == [0x204]  # suspended, in a process group of its own: it gets no Ctrl-C
    assert not kernel32.open


async def test_all_that_a_command_writes_is_read() -> None:
    command = ("sh", "-c", "head -c 300000 /dev/zero; echo no >&2; exit 3")
    assert await run_command(command, 20, 1 << 20) == CommandOutput(3, bytes(300_000), b"no\n")
    with pytest.raises(OutputTooLarge):
        await run_command(command, 20, 299_999)
