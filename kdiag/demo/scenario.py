"""What a scenario is: a function that builds a world, and says where the walk starts in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kdiag.config.security import Security
from kdiag.config.settings import Settings, settings
from kdiag.demo.world import World, endpoint
from kdiag.rules.expectations import expected
from kdiag.walk.runner import MakeDialer

if TYPE_CHECKING:
    from kdiag.aws.facts import AwsClient


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


@asynccontextmanager
async def built(
    name: str, timeout: float, deadline: float
) -> AsyncIterator[tuple[Settings, MakeDialer, AwsClient | None]]:
    """A scenario that is built, for as long as the context lasts: the settings of its walk, its
    network, and the AWS that is asked, if any."""
    world = World()
    try:
        start = await SCENARIOS[name](world)
        asked = settings(start.bootstrap, topic=start.topic, timeout=timeout, deadline=deadline)
        asked = replace(asked, answer_timeout=start.answer_timeout or timeout)
        wanted = expected(start.expect, topic=start.topic)
        yield replace(asked, security=start.security, expect=wanted), world.net, start.cloud
    finally:
        await world.end()
