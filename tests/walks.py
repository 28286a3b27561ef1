"""Walks in made-up worlds, for the tests that look at whole reports."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from kdiag.api import play, walk
from kdiag.config.settings import Settings, settings
from kdiag.demo.scenarios import SCENARIOS
from kdiag.demo.world import World, endpoint
from kdiag.kafka.dialer import KafkaDialer
from kdiag.report.load import read
from kdiag.report.model import BrokerReport, Report, ServerReport
from kdiag.report.render import Detail, render

SAVED = Path(__file__).parent / "goldens" / "json"
AT_ONCE = 8
TIMEOUT = 2.0  # what a machine under load may take for an answer that does come

_MEASURED = re.compile(r"\b\d+ ms\b")
_TODAY = re.compile(r"it is \S+ by")
_VALIDITY = re.compile(r"valid \S+ to \S+")


@cache
def scenarios() -> dict[str, Report]:
    """The report of every scenario of the demo, as its golden has it: no walk has to be waited for.
    report/render/test_goldens.py holds each to its walk."""
    files = {name: SAVED / f"{name}.json" for name in SCENARIOS}
    if not all(file.exists() for file in files.values()):
        return played()
    return {name: read(file.read_bytes(), name) for name, file in files.items()}


def dated(name: str) -> Report:
    """A scenario, walked now: goldens have the same dates always."""
    return asyncio.run(play(name, timeout=TIMEOUT))


@cache
def played() -> dict[str, Report]:
    """Every scenario of the demo, walked: some at once, since silence costs a timeout; and not all,
    since on a busy machine they would keep each other from the processor for as long."""

    async def all_of_them() -> list[Report]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> Report:
            async with gate:
                return await play(name, timeout=TIMEOUT)

        return await asyncio.gather(*map(one, SCENARIOS))

    return dict(zip(SCENARIOS, asyncio.run(all_of_them()), strict=True))


def walked(
    build: Callable[[World], Any],
    *,
    interrupt: bool = False,
    bootstrap: str = endpoint(),
    **asked: Any,
) -> Report:
    """A walk in a world of one's own; `interrupt` ends it, as Ctrl-C does, in the first hop that
    takes longer than a moment."""

    async def run() -> Report:
        world = World()
        await build(world)
        try:
            walking = asyncio.create_task(
                walk(settings(bootstrap, **asked), world.net, lambda hop, summary: None)
            )
            if interrupt:
                await asyncio.wait([walking], timeout=0.3)
                walking.cancel()
            return await walking
        finally:
            await world.end()

    return asyncio.run(run())


def scrubbed(report: Report) -> Report:
    """The report with everything that differs from run to run made the same: times and version."""
    steps = [replace(step, elapsed_ms=7 if step.summary else 0) for step in report.hops]
    findings = [
        replace(
            finding,
            evidence=[_same(line) for line in finding.evidence],
        )
        for finding in report.findings
    ]
    cluster = report.cluster and replace(
        report.cluster, brokers=[_undated(broker) for broker in report.cluster.brokers]
    )
    hold = report.hold and replace(
        report.hold,
        brokers=[
            replace(
                broker, connections=[replace(each, silent_s=7.0) for each in broker.connections]
            )
            for broker in report.hold.brokers
        ],
    )
    return replace(
        report,
        hold=hold,
        cluster=cluster,
        bootstrap=[_undated(server) for server in report.bootstrap],
        kdiag_version="X.Y.Z",
        started_at="2026-11-23T11:20:00Z",
        elapsed_ms=21,
        hops=steps,
        findings=findings,
    )


def _same(line: str) -> str:
    line = _TODAY.sub("it is 2026-11-23 by", line)
    return _VALIDITY.sub("valid 2026-01-01 to 2027-01-01", _MEASURED.sub("7 ms", line))


Certified = TypeVar("Certified", BrokerReport, ServerReport)


def _undated(one: Certified) -> Certified:
    """With a certificate that is always of the same day, and always the same."""
    if one.certificate is None:
        return one
    same = replace(
        one.certificate,
        not_before="2026-01-01T00:00:00Z",
        not_after="2027-01-01T00:00:00Z",
        sha256="0" * 64,
    )
    return replace(one, certificate=same)


def shown(
    report: Report, form: str = "terminal", encoding: str = "utf-8", detail: Detail = "full"
) -> str:
    """The report as a renderer writes it to a stream of that encoding."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    render(form, report, stream, detail)
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(encoding)


def on_loopback(asked: Settings) -> KafkaDialer:
    """A dialer whose packets leave by the loopback device alone."""
    return KafkaDialer(asked.options.timeout, device="lo")
