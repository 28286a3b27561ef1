"""Commands of this machine that kdiag runs, ssh and kubectl. One that hangs is ended together with
the processes that it has started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

_SUSPENDED_IN_NEW_GROUP = 0x204
_RIGHTS = 0x901  # PROCESS_SUSPEND_RESUME, PROCESS_SET_QUOTA, PROCESS_TERMINATE

# Windows alone has them: what a process starts belongs to its job.
_jobs: WeakKeyDictionary[asyncio.subprocess.Process, int] = WeakKeyDictionary()


class CommandOutput(NamedTuple):
    """The end of a command: its exit code, and all that it wrote."""

    code: int
    stdout: bytes
    stderr: bytes


class OutputTooLarge(Exception):
    """A command writes more than is read."""


async def run_command(command: Sequence[str], seconds: float, most: int) -> CommandOutput:
    """Runs a command without input to its end, or ends it after `seconds`. Raises OSError where it
    does not start, TimeoutError, and OutputTooLarge for more than `most` bytes of one stream."""
    pipe = asyncio.subprocess.PIPE
    process = await start_command(
        command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    try:
        stdout, stderr = await asyncio.wait_for(_output(process, most), seconds)
    finally:
        await end_command(process)
    return CommandOutput(process.returncode or 0, stdout, stderr)


async def _output(process: asyncio.subprocess.Process, most: int) -> tuple[bytes, bytes]:
    """Standard output and error of a process, once it has ended."""
    streams = await asyncio.gather(_read(process.stdout, most), _read(process.stderr, most))
    await process.wait()
    return streams


async def _read(stream: asyncio.StreamReader | None, most: int) -> bytes:
    found = bytearray()
    while stream and (part := await stream.read(1 << 16)):
        found += part
        if len(found) > most:
            raise OutputTooLarge
    return bytes(found)


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
