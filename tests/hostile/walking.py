"""A walk among peers that mean harm, and what must hold of every report on one."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
import unicodedata
from pathlib import Path

import jsonschema

from kdiag.demo.broker import Control
from kdiag.demo.world import PUBLIC, World, endpoint
from kdiag.report import Report
from kdiag.settings import settings
from kdiag.walk import walk
from tests import walks

SCHEMA = json.loads((Path(__file__).parents[2] / "kdiag" / "schema.json").read_text())
EXITS = {0, 10, 20, 30, 40}
LONGEST = 20.0  # seconds; every wait of a walk is bounded by its timeout, of 0.3 s here
MEMORY_MB = 60  # of kdiag and of the peers, which are in this process too


def walked(control: Control | None, topic: str | None = None, timeout: float = 0.3) -> Report:
    """Three brokers that all answer like this; the walk among them, within time and memory."""

    async def run() -> Report:
        world = World()
        await world.three()
        for broker in world.brokers.values():
            if control:
                broker.control = control
        return await among(world, topic=topic, timeout=timeout)

    return asyncio.run(run())


async def among(
    world: World, servers: str = endpoint(PUBLIC[0]), *, topic: str | None = None,
    timeout: float = 0.3,
    memory_mb: int = MEMORY_MB,
) -> Report:  # fmt: skip
    """The walk in a world, which is ended; it holds to its limits."""
    asked = settings(servers, timeout=timeout, deadline=10.0, topic=topic)
    tracemalloc.start()
    try:
        walking = walk(asked, world.net, lambda hop, summary: None)
        report = await asyncio.wait_for(walking, LONGEST)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await world.end()
    assert peak < memory_mb << 20, f"{peak >> 20} MB"
    return report


def holds(report: Report) -> None:
    """What is true of every report, whoever was met."""
    assert report.root_cause != "KD001", walks.shown(report)
    assert "KD001" not in {finding.code for finding in report.findings}
    assert report.exit_code in EXITS
    text = walks.shown(report, "json")
    jsonschema.validate(json.loads(text), SCHEMA)
    assert text.isascii()
    shown = walks.shown(report)
    odd = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co")} - {"\n"}
    assert odd == set()
    assert walks.shown(report, encoding="ascii").isascii()
    assert len(shown) < 200_000
