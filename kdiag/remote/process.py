"""Runs a command of the user's own that leads to another machine, and reads the reply."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from kdiag.network.attempt import clean
from kdiag.network.child_process import (
    OutputTooLarge,
    end_command,
    run_command,
    start_command,
)
from kdiag.remote.reply import RemoteWalk
from kdiag.remote.serialization import SerializationError
from kdiag.remote.unreached import NotReached

MAX_OUTPUT = 1 << 20  # bytes
MAX_ERRORS = 8192  # bytes of what a command says on standard error
MAX_LINES = 5
_READ = 1 << 16
_TO_END = 2.0  # seconds for a command to end by itself


class CommandEnded(Exception):
    """The command ended without a reply: its exit code, and the last lines of standard error."""

    def __init__(self, code: int, lines: tuple[str, ...]) -> None:
        super().__init__(code)
        self.code, self.lines = code, lines
        self.begun = False  # whether the remote walk had begun a login


async def run_walk(command: Sequence[str], walk: RemoteWalk, longest: float) -> bytes:
    """Runs a command, sends it the walk, and returns the reply, at most `longest` seconds later.

    Standard input stays open meanwhile; closing it ends what runs on the other machine. Raises
    CommandEnded, and NotReached for a command that this machine does not have, for a reply that is
    none, and after `longest` seconds.
    """
    received = bytearray(b"\n")
    try:
        return await _reply(command, walk, longest, received)
    except (CommandEnded, NotReached) as error:
        error.begun = walk.begun(bytes(received))
        raise


async def _reply(
    command: Sequence[str], walk: RemoteWalk, longest: float, received: bytearray
) -> bytes:
    process = await _started(command)
    errors = bytearray()
    reading = asyncio.ensure_future(_read_errors(process, errors))
    try:
        return await asyncio.wait_for(_exchange(process, walk, received), longest)
    except TimeoutError:
        raise NotReached(
            f"no answer within {longest:g} s",
            _lines(errors),
            "Check that the vantage point can be reached.",
        ) from None
    except SerializationError as error:
        raise NotReached(f"the reply is not an answer of kdiag: {error}", _lines(errors)) from None
    except EOFError:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(reading), _TO_END)
        code = await _ended(process)
        raise CommandEnded(code, _lines(errors)) from None
    finally:
        await _ended(process)
        reading.cancel()


async def output(command: Sequence[str], longest: float) -> str:
    """The output of a command without input. Raises CommandEnded where it fails, and NotReached."""
    try:
        result = await run_command(command, longest, MAX_OUTPUT)
    except TimeoutError:
        raise NotReached(f"{command[0]} did not answer within {longest:g} s") from None
    except OutputTooLarge:
        raise NotReached(f"{command[0]} shows more than {MAX_OUTPUT >> 20} MiB") from None
    except OSError as error:
        raise _not_run(command[0], error) from None
    if result.code:
        raise CommandEnded(result.code, _lines(result.stderr))
    return result.stdout.decode("utf-8", "replace")


async def _started(command: Sequence[str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    try:
        return await start_command(command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise _not_run(command[0], error) from None


def _not_run(program: str, error: OSError) -> NotReached:
    if isinstance(error, FileNotFoundError):
        return NotReached(f"there is no {program} on this machine", (), f"Install {program}.")
    return NotReached(f"{program} cannot be run: {error.strerror}")


async def _exchange(
    process: asyncio.subprocess.Process, walk: RemoteWalk, received: bytearray
) -> bytes:
    assert process.stdin and process.stdout
    process.stdin.write(walk.sent)
    sending = asyncio.ensure_future(process.stdin.drain())
    span: slice | None = None
    try:
        while span is None or len(received) < span.stop:
            more = await process.stdout.read(_READ)
            if not more:
                raise EOFError
            received += more
            span = span or walk.span(bytes(received))
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await sending
    return bytes(received[span])


async def _read_errors(process: asyncio.subprocess.Process, errors: bytearray) -> None:
    """Keeps the end of standard error; reads all of it, so that the command never waits."""
    assert process.stderr
    while more := await process.stderr.read(4096):
        errors += more
        del errors[:-MAX_ERRORS]


async def _ended(process: asyncio.subprocess.Process) -> int:
    """Closes standard input, ends the command and its children after _TO_END; its exit code."""
    assert process.stdin
    process.stdin.close()
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _TO_END)
    finally:
        await end_command(process)
    return process.returncode or 0


def _lines(errors: bytes | bytearray) -> tuple[str, ...]:
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines()]
    return tuple(clean(line, 300) for line in lines if line)[-MAX_LINES:]
