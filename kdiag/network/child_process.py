"""Commands of this machine that kdiag runs, ssh and kubectl. One that hangs is ended together with
the processes that it has started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

_SUSPENDED_IN_NEW_GROUP = 0x204
_RIGHTS = 0x901  # PROCESS_SUSPEND_RESUME, PROCESS_SET_QUOTA, PROCESS_TERMINATE

# Windows alone has them: what a process starts belongs to its job.
_jobs: WeakKeyDictionary[asyncio.subprocess.Process, int] = WeakKeyDictionary()


async def start_command(command: Sequence[str], **streams: int) -> asyncio.subprocess.Process:
    """Starts a command in a session or process group of its own: it gets no Ctrl-C of this terminal
    beside kdiag, and nothing that it runs can ask for a password there. Raises OSError."""
    starting = asyncio.ensure_future(_started(command, streams))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # asyncio would end the command alone, and wait for what it has started.
        await end_command(await starting)
        raise


async def _started(command: Sequence[str], streams: dict[str, int]) -> asyncio.subprocess.Process:
    windows = sys.platform == "win32"
    more: dict[str, Any] = dict(streams)
    more |= {"creationflags": _SUSPENDED_IN_NEW_GROUP} if windows else {"start_new_session": True}
    process = await asyncio.create_subprocess_exec(*command, **more)
    if windows:
        _jobs[process] = _resumed_in_job(process.pid)
    return process


def kill_command(process: asyncio.subprocess.Process) -> None:
    """Ends a command that runs, and its children, at once."""
    if process.returncode is not None:
        return
    with suppress(OSError):
        if sys.platform == "win32":
            _windll().kernel32.TerminateJobObject(_handle(_jobs.pop(process, 0)), 1)
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


async def end_command(process: asyncio.subprocess.Process) -> None:
    """Ends a command as `kill_command` does, closes its pipes, and waits for it."""
    running = process.returncode is None
    kill_command(process)
    # asyncio waits for a process until its pipes are closed, and what the command leaves running
    # (ssh does, to share a connection) may hold them open.
    transport = process._transport  # type: ignore[attr-defined]
    for number in range(3):
        pipe = transport.get_pipe_transport(number)
        if pipe:
            pipe.close()
    if running:
        await process.wait()
    # Not before: it takes the ended process from asyncio's watcher, which complains.
    transport.close()


def _resumed_in_job(pid: int) -> int:
    """The handle of a new job that has this process, which has started nothing yet and now runs."""
    kernel32 = _windll().kernel32
    job: int = kernel32.CreateJobObjectW(None, None)
    process = _handle(kernel32.OpenProcess(_RIGHTS, False, pid))
    kernel32.AssignProcessToJobObject(_handle(job), process)
    _windll().ntdll.NtResumeProcess(process)
    kernel32.CloseHandle(process)
    return job


def _windll() -> Any:
    import ctypes  # 3.7 ms

    return getattr(ctypes, "windll", None)


def _handle(number: int) -> Any:
    import ctypes  # 3.7 ms

    return ctypes.c_void_p(number)
