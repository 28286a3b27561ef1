"""A server in the loop of the test, on loopback, with the brokers of a test as its targets."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from kdiag.serve.server import ServeOptions, Service, listening, load


@dataclass
class Answer:
    """An answer over HTTP."""

    status: int
    text: str
    headers: Mapping[str, str]

    def metric(self, name: str) -> float:
        """The value of a metric, with its labels as they are written."""
        (found,) = [
            line.rpartition(" ")[2]
            for line in self.text.splitlines()
            if line.startswith(f"{name} ") and not line.startswith("#")
        ]
        return float(found)


@dataclass
class Served:
    """A server: where it listens, and what it has logged."""

    service: Service
    port: int
    log: list[str] = field(default_factory=list)

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """An answer to a real HTTP client, which closes its connection."""

        def ask() -> Answer:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=50)
            try:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                client.request(method, path, headers=named)
                response = client.getresponse()
                text = response.read().decode()
                return Answer(response.status, text, dict(response.getheaders()))
            finally:
                client.close()

        return await asyncio.to_thread(ask)

    async def probe(self, target: str, **headers: str) -> Answer:
        return await self.get(f"/probe?target={target}", **headers)


@asynccontextmanager
async def serving(options: ServeOptions | None = None) -> AsyncIterator[Served]:
    """A server with the targets of the kdiag.toml that the test wrote."""
    options = options or ServeOptions(("127.0.0.1", 0))
    log: list[str] = []
    with listening(options.listen) as sock:
        named = await asyncio.to_thread(load, False)
        service = Service(options, named, log.append)
        server = service.http()
        running = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.005)
        try:
            yield Served(service, sock.getsockname()[1], log)
        finally:
            server.should_exit = True
            await running


Start = Callable[..., Awaitable[Served]]


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own kdiag.toml, empty."""
    folder = tmp_path / "kdiag"
    folder.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return folder / "kdiag.toml"


@pytest_asyncio.fixture
async def start(toml: Path) -> AsyncIterator[Start]:
    """Starts a server with these targets, each TOML of its table; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def begin(options: ServeOptions | None = None, **targets: str) -> Served:
            write(toml, **targets)
            return await stack.enter_async_context(serving(options))

        yield begin


def write(toml: Path, **targets: str) -> None:
    """Writes a kdiag.toml with these targets."""
    toml.write_text("".join(f"[targets.{name}]\n{text}\n" for name, text in targets.items()))
