"""A walk among peers that mean harm, and what must hold of every report on one."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from kdiag.api import walk
from kdiag.config.properties.syntax import parse_properties
from kdiag.config.settings import Settings, settings
from kdiag.demo.world import PUBLIC, World, endpoint
from kdiag.report.model import Report
from kdiag.report.render import RENDERERS
from kdiag.rules.rule import Remedy
from tests import walks

SCHEMA = json.loads((Path(__file__).parents[2] / "kdiag" / "schema.json").read_text())
EXITS = {0, 10, 20, 30, 40}
LONGEST = 50.0  # seconds, on a machine that is busy; every wait of a walk is bounded
MEMORY_MB = 60  # of kdiag and of the peers, which are in this process too
MARK = "PWNED"  # what hostile texts try to have run, or taken for a line of its own

_VALID = jsonschema.Draft202012Validator(SCHEMA)
_QUOTED = re.compile(r"'[^']*'")


async def among(
    world: World, servers: str = endpoint(PUBLIC[0]), *, topic: str | None = None,
    timeout: float = 0.3, deadline: float = 10.0, memory_mb: int = MEMORY_MB,
) -> Report:  # fmt: skip
    """The walk in a world, which is ended; it holds to its limits."""
    asked = settings(
        servers, timeout=timeout, answer_timeout=timeout, deadline=deadline, topic=topic
    )
    return await bounded(world, asked, memory_mb)


async def bounded(world: World, asked: Settings, memory_mb: int = MEMORY_MB) -> Report:
    """The same, as these settings ask for."""
    logged: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, told: logged.append(str(told)) if _ours(told) else None)
    tracemalloc.start()
    try:
        walking = walk(asked, world.net, lambda hop, summary: None)
        report = await asyncio.wait_for(walking, LONGEST)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await world.end()
    assert peak < memory_mb << 20, f"{peak >> 20} MB"
    assert logged == [], "what asyncio would print"
    return report


def holds(report: Report) -> None:
    """What is true of every report, whoever was met."""
    broken = [finding.evidence for finding in report.findings if finding.code == "KD001"]
    assert broken == []
    assert report.exit_code in EXITS
    for form in RENDERERS:
        for encoding in ("utf-8", "ascii"):
            assert obeyed(walks.shown(report, form, encoding)) == {"\n"}, form
    text = walks.shown(report, "json")
    told = json.loads(text)
    _VALID.validate(told)
    assert text.isascii()
    for said in texts(told):
        assert obeyed(said) <= {"\n"}, said
    assert obeyed(str(report)) == set()
    assert len(walks.shown(report)) < 200_000
    for finding in report.findings:
        for line in (finding.message, *finding.evidence, *finding.subjects):
            assert obeyed(line) == set()
        for remedy in finding.remedies:
            assert obeyed(remedy.summary) == set()
            copyable(remedy)


def copyable(remedy: Remedy) -> None:
    """Whoever copies a snippet gets what it says, and nothing that a peer put into it."""
    if remedy.kind == "shell":
        bare = _QUOTED.sub("", remedy.snippet.replace("'\"'\"'", ""))
        assert MARK not in bare, remedy.snippet
        shlex.split(remedy.snippet)
        return
    assert MARK not in remedy.snippet, remedy.snippet
    if remedy.kind in ("properties", "ini"):
        for name, value in parse_properties(remedy.snippet).items():
            assert obeyed(name + value) == set()
    else:
        assert remedy.kind in ("text", "hosts", "yaml"), remedy.kind


def obeyed(text: str) -> set[str]:
    """The characters in a text that a terminal obeys, or that change how it is read."""
    return {c for c in text if not c.isprintable()}


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys as well."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _ours(told: dict[str, Any]) -> bool:
    """Whether it is not of a peer's task, which may end as it likes."""
    return "serve" not in str(told) and not isinstance(told.get("exception"), OSError)
