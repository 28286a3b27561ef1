"""Stand-ins for the commands that lead elsewhere, and brokers to walk to."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode

STANDINS = Path(__file__).parent / "standins"


@dataclass
class Ways:
    """The stand-ins: what they were called with, and the pods that kubectl knows."""

    folder: Path

    @property
    def called(self) -> list[str]:
        """Every command line so far."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def pods(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "pods").iterdir())

    def pod(self, *names: str) -> None:
        """Has these pods run."""
        for name in names:
            (self.folder / "pods" / name).touch()


@pytest.fixture
def ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ways:
    """The stand-ins are the only ssh, docker and kubectl; `python3` over there is this Python."""
    for name in ("pods", "bare", "bin"):
        (tmp_path / name).mkdir()
    for tool in ("sh", "sleep", "cat", "ls"):
        found = shutil.which(tool)
        assert found
        (tmp_path / "bare" / tool).symlink_to(found)
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{STANDINS}:{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("BARE_PATH", str(tmp_path / "bare"))
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PODS", str(tmp_path / "pods"))
    return Ways(tmp_path)


@pytest.fixture
def healthy() -> Iterator[str]:
    """Three healthy brokers on loopback, in a thread of their own; the first one's address."""
    ready, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    cluster = FakeCluster("healthyCluster00000001")

    async def serve() -> None:
        brokers = [FakeBroker(cluster, node) for node in (1, 2, 3)]
        for node, broker in enumerate(brokers, start=1):
            cluster.nodes.append(FakeNode(node, "127.0.0.1", await broker.start()))
        ready.set()
        await over.wait()
        for broker in brokers:
            await broker.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield f"127.0.0.1:{cluster.nodes[0].port}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
        loop.close()
