"""Produce requests that do not get through."""

from __future__ import annotations

from typing import Any

from kdiag.clients.wire import PRODUCE, Request
from kdiag.demo.broker import SILENCE
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import World


@scenario
async def path_mtu(world: World) -> Start:
    """Broker 1 is behind a tunnel that drops large packets."""
    await world.three()

    def drop_large(request: Request) -> Any:
        large = request.api is PRODUCE and len(str(request.body)) > 4096
        return SILENCE if large else None

    world.brokers[1].control = drop_large
    return Start()


@scenario
async def produce_unanswered(world: World) -> Start:
    """Broker 3 hangs on produce requests."""
    await world.three()
    world.brokers[3].control = lambda request: SILENCE if request.api is PRODUCE else None
    return Start()


@scenario
async def throttled(world: World) -> Start:
    """This client's quota is used up."""
    await world.three()

    def slow(request: Request) -> Any:
        return {"topics": [], "throttle_time_ms": 700} if request.api is PRODUCE else None

    world.brokers[2].control = slow
    return Start()
