"""Scenarios of groups, readers and producers by their role."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from kdiag.demo.groups import LOADING, UNAVAILABLE, FakeGroup
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import PRIVATE, PUBLIC, World

GROUP = "billing"
MEMBERS = [("billing-1", "/10.0.2.21"), ("billing-2", "/10.0.2.22")]


async def _cluster(world: World, **group: Any) -> Start:
    """Three brokers, and the group with two partitions of a topic, read to the end."""
    await world.three()
    world.cluster.topics["orders"] = [1, 2]
    offsets = {("orders", 0): (0, 120, 120), ("orders", 1): (0, 80, 80)}
    world.cluster.roles.offsets.update(offsets)
    given = {"members": MEMBERS, "committed": {("orders", 0): 120, ("orders", 1): 75}, **group}
    world.cluster.roles.groups[GROUP] = FakeGroup(**given)
    return Start(group=GROUP)


@scenario
async def healthy_group(world: World) -> Start:
    """A group that reads: its coordinator, its members and its lag."""
    return await _cluster(world)


@scenario
async def offsets_topic(world: World) -> Start:
    """One broker, and a topic of offsets that takes three replicas."""
    start = await _cluster(world)
    del world.cluster.nodes[1:]
    world.cluster.topics.clear()
    world.cluster.roles.coordinator, world.cluster.offsets_factor = None, 3
    return start


@scenario
async def group_denied(world: World) -> Start:
    """A client that may not use its group."""
    start = await _cluster(world)
    world.cluster.roles.denied.add("group")
    return start


@scenario
async def coordinator_loading(world: World) -> Start:
    """A coordinator that is still reading the group's state."""
    return await _cluster(world, error=LOADING)


@scenario
async def coordinator_unavailable(world: World) -> Start:
    """A group whose coordinator is not available."""
    return await _cluster(world, error=UNAVAILABLE)


@scenario
async def group_rebalancing(world: World) -> Start:
    """A group with a member that never joins again."""
    return await _cluster(world, state="PreparingRebalance")


@scenario
async def offset_out_of_range(world: World) -> Start:
    """A committed offset whose records retention has deleted."""
    start = await _cluster(world)
    world.cluster.roles.offsets["orders", 1] = (78, 80, 80)
    return start


@scenario
async def open_transaction(world: World) -> Start:
    """A producer that was killed within a transaction, and its readers."""
    start = await _cluster(world)
    world.cluster.roles.offsets["orders", 0] = (0, 130, 120)
    world.cluster.roles.open["orders", 0] = (7, 120, int(time.time() - 630) * 1000)
    return start


@scenario
async def read_denied(world: World) -> Start:
    """A client that may use its group, and not read the topic."""
    start = await _cluster(world)
    world.cluster.roles.denied.add("topic")
    return replace(start, topic="orders")


@scenario
async def transactional_id_denied(world: World) -> Start:
    """A producer that may not use its transactional.id."""
    await world.three()
    world.cluster.roles.denied.add("transactional.id")
    return Start(role="transactional", properties={"transactional.id": "billing-tx"})


@scenario
async def idempotence_denied(world: World) -> Start:
    """A producer that gets no producer id."""
    await world.three()
    world.cluster.roles.denied.add("cluster")
    return Start(role="idempotent")


@scenario
async def unknown_rack(world: World) -> Start:
    """A consumer in a rack that no broker is in."""
    start = await _cluster(world)
    world.cluster.racks.update({1: "euw2-az1", 2: "euw2-az2", 3: "euw2-az3"})
    return replace(start, properties={"client.rack": "eu-west-2a"})


@scenario
async def coordinator_unreachable(world: World) -> Start:
    """The group's coordinator is a broker that advertises a private address."""
    start = await _cluster(world)
    world.cluster.nodes[2].host = PRIVATE[2]
    world.cluster.topics["__consumer_offsets"] = [3]
    world.cluster.roles.coordinator = 3
    return start


@scenario
async def replica_unreachable(world: World) -> Start:
    """Readers are sent to a replica in their rack, on a broker out of reach."""
    start = await _cluster(world)
    world.cluster.nodes[2].host = PRIVATE[2]
    world.cluster.racks.update({1: "a", 2: "b", 3: "c"})
    world.cluster.roles.preferred["c"] = 3
    return replace(start, topic="orders", properties={"client.rack": "c"})


@scenario
async def large_answers(world: World) -> Start:
    """The path from broker 1 to the consumer drops large packets."""
    start = await _cluster(world)
    world.deaf.add(PUBLIC[0])
    return start


@scenario
async def state_topic(world: World) -> Start:
    """One broker, and a topic of transactions whose writes need two replicas."""
    await world.three()
    del world.cluster.nodes[1:]
    world.cluster.configs.update(
        {"transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "2"}
    )
    world.cluster.roles.coordinator = None
    return Start(role="transactional", properties={"transactional.id": "billing-tx"})
