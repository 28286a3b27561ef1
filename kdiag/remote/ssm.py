"""ssm://i-… and ssm://tag:Role=app: by AWS Systems Manager's Run Command, a fleet at once.

Run Command takes a script and returns what it prints; no connection is open meanwhile. An instance
needs the SSM agent and a role for it, and no open port.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial

from kdiag.config.usage import UsageError
from kdiag.network.attempt import clean
from kdiag.network.dialer import in_thread
from kdiag.remote.engine import Engine
from kdiag.remote.payload import NO_PYTHON
from kdiag.remote.process import CommandEnded
from kdiag.remote.reply import RemoteWalk
from kdiag.remote.ssm_client import MAX_SCRIPT, RunCommand, SsmError
from kdiag.remote.unreached import NotReached
from kdiag.remote.vantage import Vantage, parse_vantage

_RUNNING = {"Pending", "InProgress", "Delayed", "Cancelling"}
_PAUSE, _LONGEST_PAUSE = 0.5, 3.0  # seconds between two calls
_TO_APPEAR = 10.0  # seconds for a command to list its instances


class RunCommandEngine(Engine):
    """Sends one command for each WHERE, to one instance or to a fleet."""

    def __init__(self, longest: float) -> None:
        super().__init__(longest)
        self._fleets: dict[str, Fleet] = {}  # by the text of a vantage point

    async def points(self, vantage: Vantage, walk: RemoteWalk) -> list[Vantage]:
        fleet = self._fleets[vantage.text] = Fleet(vantage, walk, self.longest)
        points = await fleet.points()
        self._fleets |= {point.text: fleet for point in points}
        return points

    async def answer(self, point: Vantage, walk: RemoteWalk) -> tuple[bytes, tuple[str, ...]]:
        return await self._fleets[point.text].answer(point["instance"]), ()

    async def end(self) -> None:
        await asyncio.gather(*(fleet.end() for fleet in set(self._fleets.values())))


ENGINE = RunCommandEngine


class Fleet:
    """One command, and its state on each instance."""

    def __init__(self, vantage: Vantage, walk: RemoteWalk, longest: float) -> None:
        self._vantage, self._walk, self._longest = vantage, walk, longest
        self._command = ""
        self._states: dict[str, str] = {}
        self._polling: asyncio.Task[None] | None = None

    async def points(self) -> list[Vantage]:
        """Sends the command; returns its instances. Raises NotReached."""
        script = self._walk.script
        if len(script) > MAX_SCRIPT:
            raise NotReached(
                f"what has to be sent takes {len(script)} characters, and Run Command takes "
                f"{MAX_SCRIPT}: leave out a file of authorities"
            )
        named = {part: self._vantage[part] for part in ("instance", "tag", "value")}
        try:
            self._client = await in_thread(RunCommand)
            send = partial(self._client.send, script, max(30, round(self._longest)), **named)
            self._command = await in_thread(send)
            instances = [named["instance"]] if named["instance"] else await self._appeared()
        except SsmError as error:
            raise NotReached("AWS does not run a command there", (str(error),)) from None
        if not instances:
            raise NotReached(f"no managed instance has {named['tag']}={named['value']}")
        self._polling = asyncio.ensure_future(self._follow(set(instances)))
        try:
            return [parse_vantage(f"ssm://{instance}") for instance in instances]
        except UsageError:
            raise NotReached("AWS lists what is no instance") from None

    async def answer(self, instance: str) -> bytes:
        """The facts of one instance. Raises NotReached, CommandEnded and SerializationError."""
        assert self._polling
        while self._states.get(instance, "Pending") in _RUNNING and not self._polling.done():
            await asyncio.wait([self._polling], timeout=_PAUSE)
        state = self._states.get(instance, "Pending")
        if state in _RUNNING:
            if error := self._polling.exception():
                raise NotReached("AWS does not say how it ended", (clean(str(error), 300),))
            raise NotReached(f"no answer within {self._longest:g} s: it is {state}")
        try:
            code, printed, errors = await in_thread(self._client.output, self._command, instance)
        except SsmError as error:
            raise NotReached("AWS does not say how it ended", (str(error),)) from None
        lines = tuple(clean(line, 300) for line in errors.splitlines()[-5:] if line.strip())
        if code == NO_PYTHON or (state != "Success" and code > 0):
            raise CommandEnded(code, lines)
        if state != "Success":
            raise NotReached(f"Run Command says {state}", lines)
        return self._walk.narrow(printed)

    async def end(self) -> None:
        """Cancels the command where it still runs."""
        if self._polling:
            self._polling.cancel()
        if self._command and any(state in _RUNNING for state in self._states.values()):
            with suppress(SsmError, asyncio.TimeoutError):
                await asyncio.wait_for(in_thread(self._client.cancel, self._command), 10)

    async def _appeared(self) -> list[str]:
        """The instances of a command for a tag; AWS lists them a moment later."""
        until, before = time.monotonic() + _TO_APPEAR, 0
        while True:
            found = await in_thread(self._client.states, self._command)
            if (found and len(found) == before) or time.monotonic() > until:
                return sorted(found)
            before = len(found)
            await asyncio.sleep(_PAUSE)

    async def _follow(self, instances: set[str]) -> None:
        """Reads the states, until all instances have ended or time is up."""
        until, pause = time.monotonic() + self._longest, _PAUSE
        while time.monotonic() < until:
            try:
                found = await in_thread(self._client.states, self._command)
                self._states |= {instance: found.get(instance, "Pending") for instance in instances}
            except SsmError:
                if not self._states:  # perhaps no permission to read them
                    raise
            if self._states and not _RUNNING.intersection(self._states.values()):
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 1.5 * pause)
