"""Scenarios of metadata: wrong or missing brokers, and topics that a client cannot use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdiag.demo.broker import SILENCE, FakeBroker, FakeCluster, FakeNode
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import CLUSTER_ID, PORT, PUBLIC, World, endpoint
from kdiag.kafka.messages import METADATA, Request

LEADER_NOT_AVAILABLE, TOPIC_DENIED, LISTENER_NOT_FOUND = 5, 29, 72


@scenario
async def metadata_unanswered(world: World) -> Start:
    """The broker hangs on the metadata request."""
    await world.three()
    world.brokers[1].control = lambda request: SILENCE if request.api is METADATA else None
    return Start()


@scenario
async def metadata_error(world: World) -> Start:
    """The answer to the metadata request is cut short."""
    await world.three()
    world.brokers[1].control = lambda request: (
        b"\0\0\0\x08" + request.correlation.to_bytes(4, "big") + b"\xff\xff\xff\xff"
        if request.api is METADATA
        else None
    )
    return Start()


@scenario
async def duplicate_node_id(world: World) -> Start:
    """A proxy lists one node id for two brokers."""
    await world.three()
    world.cluster.nodes.append(FakeNode(1, PUBLIC[1], PORT))
    return Start()


@scenario
async def no_brokers(world: World) -> Start:
    """A broker that has not found its cluster yet."""
    await world.broker(PUBLIC[0], PORT, FakeBroker(world.cluster, 1))
    return Start()


@scenario
async def unknown_topic(world: World) -> Start:
    """The topic does not exist, one of nearly the same name does."""
    await world.three()
    world.cluster.topics["orders"] = [1, 2, 3]
    return Start(topic="ordres")


@scenario
async def topic_denied(world: World) -> Start:
    """The client may not see the topic."""
    return await _topic(world, {"error_code": TOPIC_DENIED, "partitions": []})


@scenario
async def no_leader(world: World) -> Start:
    """Both replicas of partition 1 are down."""
    leaderless = _partition(1, -1, (4, 5), (), LEADER_NOT_AVAILABLE)
    return await _topic(world, {"error_code": 0, "partitions": [_partition(0, 1), leaderless]})


@scenario
async def listener_missing_on_leader(world: World) -> Start:
    """Partition 1's leader has no listener of the name that the client connected to."""
    unlisted = _partition(1, -1, error=LISTENER_NOT_FOUND)
    return await _topic(world, {"error_code": 0, "partitions": [_partition(0, 1), unlisted]})


@scenario
async def under_replicated(world: World) -> Start:
    """Broker 3 is behind."""
    behind = _partition(0, 1, isr=(1, 2))
    return await _topic(world, {"error_code": 0, "partitions": [behind]})


@scenario
async def bootstraps_disagree(world: World) -> Start:
    """The list names servers of two clusters."""
    await world.three()
    other = FakeCluster("anotherCluster00000002", [FakeNode(1, "3.10.139.230", PORT)])
    await world.broker("3.10.139.230", PORT, FakeBroker(other, 1))
    return Start(f"{endpoint()},{endpoint('3.10.139.230')}")


async def _topic(world: World, state: Mapping[str, Any]) -> Start:
    """Three brokers, of which the first answers Metadata for topic orders with `state`."""
    await world.three()
    nodes = [{"node_id": n.node, "host": n.host, "port": n.port, "rack": None}
             for n in world.cluster.nodes]  # fmt: skip

    def answer(request: Request) -> Any:
        if request.api is not METADATA or not request.body["topics"]:
            return None
        return {
            "throttle_time_ms": 0,
            "brokers": nodes,
            "cluster_id": CLUSTER_ID,
            "controller_id": 3,
            "topics": [{"name": "orders", "is_internal": False, **state}],
        }

    world.brokers[1].control = answer
    return Start(topic="orders")


def _partition(
    index: int,
    leader: int,
    replicas: tuple[int, ...] = (1, 2, 3),
    isr: tuple[int, ...] = (1, 2, 3),
    error: int = 0,
) -> dict[str, Any]:
    return {
        "error_code": error,
        "partition_index": index,
        "leader_id": leader,
        "leader_epoch": 0,
        "replica_nodes": list(replicas),
        "isr_nodes": list(isr),
        "offline_replicas": [],
    }
