"""Runs kdiag as its users do, as a process, against brokers that live in a thread of the test."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.demo.logins import Logins
from tests.forked import Forks

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
FORKS = Forks()
ENOUGH = 50.0  # seconds, for a process on a machine that is busy

# What root runs with these may write to files, and give them away, as any user may.
ROOT_RIGHTS = "-dac_override,-dac_read_search,-fowner,-chown"
AS_ANYBODY = ("setpriv", "--bounding-set", ROOT_RIGHTS) if os.geteuid() == 0 else ()

_AT_START = ("PYTHON", "LC_", "LANG")  # what Python reads when it starts
_SCRUBBED = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "CI", "TERM", "TTY_COMPATIBLE")


def environment(**given: str) -> Mapping[str, str]:
    """This process's environment without what changes how a report looks, and with `given`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _SCRUBBED and not name.startswith((*_AT_START, "KDIAG_"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "TERM": "xterm", **given}


def command(*arguments: str) -> list[str]:
    """The command line of kdiag."""
    return [sys.executable, "-m", "kdiag", *arguments]


def kdiag(
    *arguments: str, stdin: str = "", cwd: Path = ROOT, **given: str
) -> subprocess.CompletedProcess[str]:
    """Runs kdiag to its end; its standard output is no terminal. It is forked from a process that
    has loaded it, unless `given` has what Python reads when it starts."""
    data, fresh = stdin.encode("utf-8", "surrogateescape"), bool(_at_start(given))
    return ended(arguments, environment(**given), cwd, ENOUGH, stdin=data, fresh=fresh)


def _at_start(given: Iterable[str]) -> list[str]:
    """Those of these variables that Python reads when it starts."""
    return [name for name in given if name.startswith(_AT_START)]


def ended(
    arguments: Sequence[str], told: Mapping[str, str], cwd: Path, timeout: float,
    *, stdin: bytes = b"", fresh: bool = False, forks: Forks = FORKS,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """kdiag (or what else `forks` runs) in this environment, when it has ended: forked, or by a
    `fresh` interpreter."""
    command = [*forks.inside, sys.executable, "-m", forks.program, *arguments]
    done = None if fresh else forks.run(arguments, stdin, cwd, told, timeout)
    if done is None:
        process = subprocess.run(
            command, input=stdin, capture_output=True, cwd=cwd, env=told, timeout=timeout
        )
        done = process.returncode, process.stdout, process.stderr
    code, *streams = done
    texts = (stream.decode("utf-8", "surrogateescape") for stream in streams)
    out, err = (text.replace("\r\n", "\n").replace("\r", "\n") for text in texts)
    return subprocess.CompletedProcess(command, code, out, err)


def on_terminal(*arguments: str, **given: str) -> tuple[str, str]:
    """What kdiag prints to standard output and to standard error, each a terminal of its own."""
    masters, slaves = zip(pty.openpty(), pty.openpty(), strict=True)
    process = subprocess.Popen(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=slaves[0],
        stderr=slaves[1],
        cwd=ROOT,
        env=environment(**given),
    )
    for slave in slaves:
        os.close(slave)
    heard = dict.fromkeys(masters, b"")
    give_up = time.monotonic() + ENOUGH
    try:
        open_ones = set(masters)
        while open_ones and time.monotonic() < give_up:
            for master in select.select(open_ones, [], [], 1.0)[0]:
                try:
                    data = os.read(master, 65536)
                except OSError:  # how Linux says that the other side is closed
                    data = b""
                heard[master] += data
                if not data:
                    open_ones.discard(master)
        process.wait(ENOUGH)
    finally:
        process.kill()
        process.wait(ENOUGH)
        for master in masters:
            os.close(master)
    out, err = (heard[master].decode("utf-8", "replace") for master in masters)
    return out, err


@contextmanager
def started(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """kdiag as a process that runs; it is killed at the end, if it is still there."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen(
        command(*arguments),
        encoding="utf-8",
        cwd=ROOT,
        env=options.pop("env", environment()),
        **options,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(ENOUGH)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


class Brokers:
    """Brokers on 127.0.0.1 that live in a loop of their own, in a thread."""

    def __init__(self) -> None:
        self.cluster = FakeCluster("loopbackCluster0000001")
        self.brokers: dict[int, FakeBroker] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []

    def three(self, *, tls: ssl.SSLContext | None = None, sasl: Logins | None = None) -> Brokers:
        """Three brokers that advertise the ports they listen on."""
        return self.many(3, tls=tls, sasl=sasl)

    def many(
        self, count: int, *, tls: ssl.SSLContext | None = None, sasl: Logins | None = None
    ) -> Brokers:
        """So many of them."""
        return self.on(["127.0.0.1"] * count, sasl=sasl, tls=tls)

    def on(
        self,
        hosts: Sequence[str],
        *,
        sasl: Logins | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Brokers:
        """A broker on each of these addresses of loopback."""
        for node, host in enumerate(hosts, 1):
            self.brokers[node] = FakeBroker(self.cluster, node, sasl=sasl)
            port = self._do(partial(self.brokers[node].start, host, tls=tls))
            self.cluster.nodes.append(FakeNode(node, host, port))
        return self

    def beside(self, broker: FakeBroker, tls: ssl.SSLContext | None = None) -> int:
        """One more broker, which the cluster does not list; gives its port."""
        self.brokers[-len(self.brokers) - 1] = broker
        return int(self._do(partial(broker.start, "127.0.0.1", tls=tls)))

    def serve(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> int:
        """A server of any other kind; gives its port."""

        async def start() -> int:
            self._servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
            return int(self._servers[-1].sockets[0].getsockname()[1])

        return self._do(start)

    @property
    def bootstrap(self) -> str:
        """Where the first broker listens."""
        return f"{self.cluster.nodes[0].host}:{self.cluster.nodes[0].port}"

    def _do(self, work: Callable[[], Awaitable[T]]) -> T:
        async def done() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(ENOUGH)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stops every listener, ends every connection, and the loop."""

        async def end() -> None:
            for server in self._servers:
                server.close()
            for broker in self.brokers.values():
                await broker.stop()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._do(end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ENOUGH)
        self._loop.close()


# Linux counts to a process what its parent had when it was started: a small one stands between.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


def measured(file: Path, command: Sequence[str]) -> list[str]:
    """A command that runs another one, and writes the most memory that it took to a file: kB, on
    macOS bytes."""
    return [sys.executable, "-c", MEASURED, str(file), *command]
