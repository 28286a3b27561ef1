"""Scenarios of connections that are silent for a while."""

from __future__ import annotations

import asyncio
from typing import Any

from kdiag.demo.broker import RESET, FakeBroker
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import World
from kdiag.kafka.messages import Request

# A connection counts as silent by the requests that its broker got on others meanwhile, not by the
# clock: the scenario ends in the same way on a machine that is busy. Between two gaps of `--hold`
# there are 8 at least.
FORGOTTEN = 24


@scenario
async def idle_connection_dropped(world: World) -> Start:
    """A load balancer forgets connections that are silent for a while."""
    await world.three()
    for broker in world.brokers.values():
        forgets(broker, RESET)
    return Start(hold=1.0)


def forgets(broker: FakeBroker, answer: object) -> None:
    """Gives a broker a control that answers so on a connection that was silent for long."""
    last: dict[object, int] = {}

    def control(_: Request) -> Any:
        connection = asyncio.current_task()  # the broker serves each in one
        count = len(broker.requests)
        silent, last[connection] = count - last.get(connection, count), count
        return answer if silent > FORGOTTEN else None

    broker.control = control
