"""What a scenario is: a function that builds a World and returns how the walk starts in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdiag.config.security import Security
from kdiag.config.settings import Settings, settings
from kdiag.demo.world import World, endpoint
from kdiag.rules.expectations import parse_expectations
from kdiag.walk.runner import MakeDialer

if TYPE_CHECKING:
    from kdiag.aws.facts import AwsClient


@dataclass(frozen=True)
class Start:
    """How the walk of a scenario starts: the bootstrap servers, the topic, the client's security
    settings, the AWS client (`cloud`), the expectations, the answer timeout in seconds, the group,
    the role, further client properties, the URL of a proxy, for how long connections are held, and
    the URLs of `--http`."""

    bootstrap: str = endpoint()
    topic: str | None = None
    security: Security = field(default_factory=Security)
    cloud: AwsClient | None = None
    expect: Sequence[str] = ()
    answer_timeout: float | None = None
    group: str | None = None
    role: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    proxy: str | None = None
    hold: float | None = None
    http: Sequence[str] = ()


Build = Callable[[World], Awaitable[Start]]
SCENARIOS: dict[str, Build] = {}


def scenario(build: Build) -> Build:
    """Declares a scenario. Its name is the function's, with dashes in place of underscores."""
    SCENARIOS[build.__name__.replace("_", "-")] = build
    return build


@asynccontextmanager
async def built(
    name: str, timeout: float, deadline: float
) -> AsyncIterator[tuple[Settings, MakeDialer, AwsClient | None]]:
    """Builds a scenario and stops its servers at the end of the context. Yields the settings of the
    walk, the function that makes its dialer, and the AWS client, if any. `timeout` and `deadline`
    are in seconds."""
    world = World()
    try:
        start = await SCENARIOS[name](world)
        made = settings(
            start.bootstrap,
            topic=start.topic,
            group=start.group,
            role=start.role,
            properties=start.properties,
            proxy=start.proxy,
            http=start.http,
            timeout=timeout,
            answer_timeout=start.answer_timeout or timeout,
            deadline=deadline,
            hold=start.hold,
            expect=parse_expectations(start.expect, topic=start.topic),
        )
        yield made._replace(security=start.security), world.net, start.cloud
    finally:
        await world.end()
