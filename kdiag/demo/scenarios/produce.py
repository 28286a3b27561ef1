"""Scenarios of produce requests that fail or are throttled."""

from __future__ import annotations

from typing import Any

from kdiag.demo.broker import SILENCE
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import PUBLIC, World
from kdiag.kafka.messages import PRODUCE, Request


@scenario
async def path_mtu(world: World) -> Start:
    """Broker 1 is behind a tunnel that drops large packets."""
    await world.three()
    world.narrow.add(PUBLIC[0])
    return Start()


@scenario
async def produce_unanswered(world: World) -> Start:
    """Broker 3 hangs on produce requests, for the topic that is named as well."""
    await world.three()
    world.cluster.topics["orders"] = [1, 2, 3]
    world.brokers[3].control = lambda request: SILENCE if request.api is PRODUCE else None
    return Start(topic="orders")


@scenario
async def throttled(world: World) -> Start:
    """This client's quota is used up."""
    await world.three()

    def slow(request: Request) -> Any:
        return {"topics": [], "throttle_time_ms": 700} if request.api is PRODUCE else None

    world.brokers[2].control = slow
    return Start()
