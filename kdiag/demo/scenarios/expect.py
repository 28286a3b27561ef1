"""The scenario of a path that works to a cluster that does not meet the expectations."""

from __future__ import annotations

from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import World


@scenario
async def expectation(world: World) -> Start:
    """Somebody expects five brokers, and to find them by name."""
    await world.three()
    return Start(expect=("identity=proven", "brokers=5", "advertised=*.example.com:9094"))
