"""What a scenario is: a function that builds a world, and says where the walk starts in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from kdiag.api import walk
from kdiag.aws.facts import AwsClient
from kdiag.config.security import Security
from kdiag.config.settings import settings
from kdiag.demo.world import World, endpoint
from kdiag.report.model import Report
from kdiag.rules.expectations import expected
from kdiag.walk.runner import Observer


@dataclass(frozen=True)
class Start:
    """Where the walk starts in a scenario, how the client is configured, which AWS is asked, and
    what is expected."""

    bootstrap: str = endpoint()
    topic: str | None = None
    security: Security = field(default_factory=Security)
    cloud: AwsClient | None = None
    expect: Sequence[str] = ()
    answer_timeout: float | None = None


Build = Callable[[World], Awaitable[Start]]
SCENARIOS: dict[str, Build] = {}


def scenario(build: Build) -> Build:
    """Declares a scenario; its name is the function's, with dashes."""
    SCENARIOS[build.__name__.replace("_", "-")] = build
    return build


async def play(
    name: str, *, timeout: float = 1.0, deadline: float = 30.0, observe: Observer | None = None
) -> Report:
    """Builds a scenario, walks it, and takes it down again."""
    world = World()
    try:
        start = await SCENARIOS[name](world)
        asked = settings(start.bootstrap, topic=start.topic, timeout=timeout, deadline=deadline)
        asked = replace(asked, answer_timeout=start.answer_timeout or timeout)
        wanted = expected(start.expect, topic=start.topic)
        asked = replace(asked, security=start.security, expect=wanted)
        return await walk(asked, world.net, observe or (lambda hop, summary: None), start.cloud)
    finally:
        await world.end()
