"""Scenarios of advertised addresses: a healthy cluster, and brokers that clients cannot reach."""

from __future__ import annotations

from kdiag.demo.broker import FakeBroker, FakeCluster
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import PORT, PRIVATE, PUBLIC, World, endpoint


@scenario
async def healthy(world: World) -> Start:
    """Three brokers, each at the public address that it advertises."""
    await world.three()
    return Start()


@scenario
async def private_address(world: World) -> Start:
    """Brokers on EC2 that advertise the addresses of their VPC."""
    await world.three(*((address, PORT) for address in PRIVATE))
    # Each broker's own port leads to it from outside as well, which is what the fix rests on.
    return Start(f"{endpoint()},{endpoint(PUBLIC[1])},{endpoint(PUBLIC[2])}")


@scenario
async def loopback_address(world: World) -> Start:
    """A container image's default: every broker advertises localhost."""
    await world.three(*(("localhost", PORT + node) for node in (1, 2, 3)))
    world.names["localhost"] = ["127.0.0.1"]
    for node in (1, 2, 3):
        world.closed("127.0.0.1", PORT + node)
    return Start()


@scenario
async def unusable_address(world: World) -> Start:
    """Brokers that advertise what they bind to."""
    await world.three(*(("0.0.0.0", PORT) for _ in PUBLIC))
    return Start()


@scenario
async def internal_name(world: World) -> Start:
    """Brokers on EC2 that advertise their private DNS names."""
    names = (f"ip-{address.replace('.', '-')}.eu-west-2.compute.internal" for address in PRIVATE)
    await world.three(*((name, PORT) for name in names))
    return Start()


@scenario
async def wrong_broker(world: World) -> Start:
    """Brokers 2 and 3 advertise each other's address."""
    await world.three(*((PUBLIC[index], PORT) for index in (0, 2, 1)))
    return Start()


@scenario
async def shared_address(world: World) -> Start:
    """All brokers advertise the load balancer in front of them."""
    await world.three(*((PUBLIC[0], PORT) for _ in PUBLIC))
    return Start()


@scenario
async def wrong_cluster(world: World) -> Start:
    """Broker 3's address leads to another cluster."""
    await world.three()
    other = FakeCluster("anotherCluster00000002", world.cluster.nodes)
    await world.broker(PUBLIC[2], PORT, FakeBroker(other, 3))
    return Start()


@scenario
async def port_closed(world: World) -> Start:
    """Broker 2 is down: its host answers, its port is closed."""
    await world.three()
    world.closed(PUBLIC[1], PORT)
    return Start()


@scenario
async def advertised_blocked(world: World) -> Start:
    """The security group lets the bootstrap port through, and not the brokers' own."""
    await world.three(*((PUBLIC[0], 32000 + node) for node in (1, 2, 3)))
    return Start()


@scenario
async def wrong_door(world: World) -> Start:
    """A port-forward to Strimzi's internal listener, which advertises pods."""
    pods = (f"my-cluster-broker-{node}.my-cluster-kafka-brokers.kafka.svc" for node in range(3))
    await world.three(*((pod, PORT) for pod in pods))
    return Start()


@scenario
async def odd_one_out(world: World) -> Start:
    """Broker 2 advertises port 9904, a slip for 9094."""
    await world.three((PUBLIC[0], PORT), (PUBLIC[1], 9904), (PUBLIC[2], PORT))
    world.closed(PUBLIC[1], 9904)
    return Start()
