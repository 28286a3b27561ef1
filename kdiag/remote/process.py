"""A command of the user's own that leads elsewhere: bytes go in, and an answer comes out."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kdiag.network.attempt import clean
from kdiag.remote.reply import RemoteWalk
from kdiag.remote.serialization import SerializationError
from kdiag.remote.unreached import NotReached

MAX_WORDS = 8192  # bytes of what a command says on standard error
MAX_LINES = 5
_READ = 1 << 16
# A session or a process group of its own: what is typed on this terminal, Ctrl-C too, is for kdiag
# alone, and nothing over there can ask for a password on it.
_OF_ITS_OWN: dict[str, Any] = (
    {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
    if sys.platform == "win32"
    else {"start_new_session": True}
)
_GOODBYE = 2.0  # seconds for a command to end by itself


class CommandEnded(Exception):
    """The command ended without an answer: its exit code, and its last words."""

    def __init__(self, code: int, words: tuple[str, ...]) -> None:
        super().__init__(code)
        self.code, self.words = code, words
        self.begun = False  # whether a walk with a login had begun over there


async def ask(command: Sequence[str], question: RemoteWalk, longest: float) -> bytes:
    """Runs a command, sends it the question, and gives the answer, at most `longest` seconds later.

    Standard input stays open meanwhile, and closing it ends what runs there. Raises
    CommandEnded; NotReached for a command that is not here, for no answer, and when time is up.
    """
    heard = bytearray(b"\n")
    try:
        return await _answer(command, question, longest, heard)
    except (CommandEnded, NotReached) as error:
        error.begun = question.begun(bytes(heard))
        raise


async def _answer(
    command: Sequence[str], question: RemoteWalk, longest: float, heard: bytearray
) -> bytes:
    process = await _started(command)
    words = bytearray()
    listening = asyncio.ensure_future(_listen(process, words))
    try:
        return await asyncio.wait_for(_exchange(process, question, heard), longest)
    except TimeoutError:
        raise NotReached(
            f"no answer within {longest:g} s", _lines(words), "See that the way there is open."
        ) from None
    except SerializationError as error:
        raise NotReached(f"what came back is no answer: {error}", _lines(words)) from None
    except EOFError:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(listening), _GOODBYE)
        code = await _ended(process)
        raise CommandEnded(code, _lines(words)) from None
    finally:
        await _ended(process)
        listening.cancel()


async def said(command: Sequence[str], longest: float, most: int = 1 << 20) -> str:
    """The output of a command without input. Raises CommandEnded where it fails, and NotReached."""
    process = await _started(command)
    words = bytearray()
    assert process.stdin and process.stdout
    process.stdin.close()
    listening = asyncio.ensure_future(_listen(process, words))
    try:
        heard = await asyncio.wait_for(process.stdout.read(most), longest)
        code = await asyncio.wait_for(process.wait(), longest)
        await asyncio.wait_for(asyncio.shield(listening), _GOODBYE)
    except TimeoutError:
        raise NotReached(f"{command[0]} did not answer within {longest:g} s") from None
    finally:
        await _ended(process)
        listening.cancel()
    if code:
        raise CommandEnded(code, _lines(words))
    return heard.decode("utf-8", "replace")


async def _started(command: Sequence[str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, **_OF_ITS_OWN
        )
    except FileNotFoundError:
        raise NotReached(
            f"there is no {command[0]} on this machine", (), f"Install {command[0]}."
        ) from None
    except OSError as error:
        raise NotReached(f"{command[0]} cannot be run: {error.strerror}") from None


async def _exchange(
    process: asyncio.subprocess.Process, question: RemoteWalk, heard: bytearray
) -> bytes:
    assert process.stdin and process.stdout
    process.stdin.write(question.sent)
    sending = asyncio.ensure_future(process.stdin.drain())
    span: slice | None = None
    try:
        while span is None or len(heard) < span.stop:
            more = await process.stdout.read(_READ)
            if not more:
                raise EOFError
            heard += more
            span = span or question.span(bytes(heard))
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await sending
    return bytes(heard[span])


async def _listen(process: asyncio.subprocess.Process, words: bytearray) -> None:
    """Keeps the last of what the command says on standard error, so that it is never in its way."""
    assert process.stderr
    while more := await process.stderr.read(4096):
        words += more
        del words[:-MAX_WORDS]


async def _ended(process: asyncio.subprocess.Process) -> int:
    """Ends the command and all that it started, by itself if it can; its exit code."""
    assert process.stdin
    process.stdin.close()
    try:
        return await asyncio.wait_for(process.wait(), _GOODBYE)
    except TimeoutError:
        _kill(process)
        return await process.wait()
    except asyncio.CancelledError:
        _kill(process)
        await process.wait()
        raise
    finally:
        _let_go(process)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(OSError):
            if sys.platform == "win32":  # a process there does not end those that it started
                tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
                subprocess.run(tree, capture_output=True, timeout=_GOODBYE, check=False)
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
    _let_go(process)


def _let_go(process: asyncio.subprocess.Process) -> None:
    """Closes its pipes: nobody reads on, and what it has left running, as ssh does to share a
    connection, may hold them for long."""
    process._transport.close()  # type: ignore[attr-defined]


def _lines(words: bytearray) -> tuple[str, ...]:
    lines = [line.strip() for line in words.decode("utf-8", "replace").splitlines()]
    return tuple(clean(line, 300) for line in lines if line)[-MAX_LINES:]
