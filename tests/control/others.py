"""Kafka servers that others wrote, real ones: franz-go's kfake, and librdkafka's mock cluster."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.kafka import cache
from tests.lab.needs import lacking, require
from tests.lab.processes import ROOT

BROKERS = 3
_KFAKE = Path(__file__).with_name("kfake")


@contextmanager
def kfake(topic: str) -> Iterator[str]:
    """kfake as long as it is needed; gives its bootstrap servers."""
    with _printing([str(_built()), topic]) as servers:
        yield servers


@contextmanager
def mock(topic: str) -> Iterator[str]:
    """librdkafka's mock cluster, likewise."""
    with _printing([sys.executable, "-m", "tests.control.mock", str(BROKERS), topic]) as servers:
        yield servers


@contextmanager
def _printing(command: list[str]) -> Iterator[str]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(10)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def _built() -> Path:
    """kfake's program, built once for each version of its source."""
    source = b"".join((_KFAKE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    program = cache() / f"kfake-{hashlib.sha256(source).hexdigest()[:12]}"
    if not program.exists():
        require("go")
        fresh = program.with_suffix(f".{os.getpid()}")
        build = ["go", "build", "-mod=readonly", "-o", str(fresh), "."]
        done = subprocess.run(
            build, cwd=_KFAKE, capture_output=True, text=True, timeout=400, check=False
        )
        if done.returncode:
            lacking(f"go could not build kfake: {done.stderr[-500:].strip()}")
        fresh.rename(program)
    return program


@dataclass(frozen=True)
class Other:
    """Such a server: how it is started for a topic, and how many partitions that has then. `java`
    tells whether Java's client can talk to it."""

    what: str
    start: Callable[[str], AbstractContextManager[str]]
    partitions: int
    java: bool = True


OTHERS = {
    "kfake": Other("franz-go's kfake, three brokers", kfake, 3),
    "mock": Other("librdkafka's mock cluster, three brokers", mock, 4, java=False),
}
