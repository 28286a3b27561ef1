"""ssm://i-… and ssm://tag:Role=app: by AWS Systems Manager's Run Command, a fleet at once.

The script is all that is sent, and what it prints all that comes back: no connection is open
meanwhile. An instance needs the SSM agent and a role for it, and no port is open to it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from kdiag.config.usage import UsageError
from kdiag.network.attempt import clean
from kdiag.network.dialer import in_thread
from kdiag.remote.payload import NO_PYTHON
from kdiag.remote.process import CommandEnded
from kdiag.remote.reply import RemoteWalk
from kdiag.remote.ssm_client import MAX_SCRIPT, RunCommand, SsmError
from kdiag.remote.unreached import NotReached
from kdiag.remote.vantage import Vantage, parse_vantage

_WAITING = {"Pending", "InProgress", "Delayed", "Cancelling"}
_PAUSE, _LONGEST_PAUSE = 0.5, 3.0  # seconds between two questions
_TO_APPEAR = 10.0  # seconds for a command to list the instances that it is for


class Fleet:
    """One command, and what has come of it on each instance."""

    def __init__(self, where: Vantage, question: RemoteWalk, longest: float) -> None:
        self._where, self._question, self._longest = where, question, longest
        self._command = ""
        self._states: dict[str, str] = {}
        self._asking: asyncio.Task[None] | None = None

    async def points(self) -> list[Vantage]:
        """Sends the command; the instances that it is for. Raises NotReached."""
        script = self._question.script
        if len(script) > MAX_SCRIPT:
            raise NotReached(
                f"what has to be sent takes {len(script)} characters, and Run Command takes "
                f"{MAX_SCRIPT}: leave out a file of authorities"
            )
        named = {part: self._where[part] for part in ("instance", "tag", "value")}
        try:
            self._door = await in_thread(RunCommand)
            self._command = await in_thread(self._send, script, named)
            instances = [named["instance"]] if named["instance"] else await self._appeared()
        except SsmError as error:
            raise NotReached("AWS does not run a command there", (str(error),)) from None
        if not instances:
            raise NotReached(f"no managed instance has {named['tag']}={named['value']}")
        self._asking = asyncio.ensure_future(self._follow(set(instances)))
        try:
            return [parse_vantage(f"ssm://{one}") for one in instances]
        except UsageError:
            raise NotReached("AWS lists what is no instance") from None

    async def answer(self, instance: str) -> bytes:
        """The facts of one instance. Raises NotReached, CommandEnded and SerializationError."""
        assert self._asking
        while self._states.get(instance, "Pending") in _WAITING and not self._asking.done():
            await asyncio.wait([self._asking], timeout=_PAUSE)
        state = self._states.get(instance, "Pending")
        if state in _WAITING:
            if error := self._asking.exception():
                raise NotReached("AWS does not tell what became of it", (clean(str(error), 300),))
            raise NotReached(f"no answer within {self._longest:g} s: it is {state}")
        try:
            code, said, words = await in_thread(self._door.output, self._command, instance)
        except SsmError as error:
            raise NotReached("AWS does not tell what came of it", (str(error),)) from None
        lines = tuple(clean(line, 300) for line in words.splitlines()[-5:] if line.strip())
        if code == NO_PYTHON or (state != "Success" and code > 0):
            raise CommandEnded(code, lines)
        if state != "Success":
            raise NotReached(f"Run Command says {state}", lines)
        return self._question.narrow(said)

    async def end(self) -> None:
        """Has all of it stopped that still goes on."""
        if self._asking:
            self._asking.cancel()
        if self._command and any(state in _WAITING for state in self._states.values()):
            with suppress(SsmError, asyncio.TimeoutError):
                await asyncio.wait_for(in_thread(self._door.cancel, self._command), 10)

    def _send(self, script: str, named: dict[str, str]) -> str:
        return self._door.send(script, max(30, round(self._longest)), **named)

    async def _appeared(self) -> list[str]:
        """The instances of a command for a tag, which it lists a moment later."""
        until, before = time.monotonic() + _TO_APPEAR, 0
        while True:
            found = await in_thread(self._door.states, self._command)
            if (found and len(found) == before) or time.monotonic() > until:
                return sorted(found)
            before = len(found)
            await asyncio.sleep(_PAUSE)

    async def _follow(self, instances: set[str]) -> None:
        """Asks how far they are, until all have ended or time is up."""
        until, pause = time.monotonic() + self._longest, _PAUSE
        while time.monotonic() < until:
            try:
                found = await in_thread(self._door.states, self._command)
                self._states |= {one: found.get(one, "Pending") for one in instances}
            except SsmError:
                if not self._states:  # it was never told: it may not be asked at all
                    raise
            if self._states and not _WAITING.intersection(self._states.values()):
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 1.5 * pause)
