"""Demo scenarios with AWS: groups, network ACLs, routes and addresses. They do not call AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kdiag.aws.facts import (
    AclEntry,
    ClientAddress,
    Instance,
    LoadBalancer,
    LoadBalancerListener,
    MskCluster,
    NetworkAcl,
    NetworkInterface,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Snapshot,
    TargetHealth,
    UnavailableCall,
)
from kdiag.demo.scenario import Start, scenario
from kdiag.demo.world import CLIENT, PORT, PRIVATE, PUBLIC, World

REGION, VPC = "eu-west-2", "vpc-0f1e2d3c4b5a69788"
SUBNETS = tuple(f"subnet-0a0b0c0d0e0f000{n}1" for n in (1, 2, 3))
GROUP = "sg-07c1a2b3d4e5f6071"
BALANCER = "kafka-8f1c2d3e4a5b6c7d.elb.eu-west-2.amazonaws.com"
MSK = "demo.a1b2c3.c2.kafka.eu-west-2.amazonaws.com"

_ARN = f"arn:aws:elasticloadbalancing:{REGION}:123456789012"
_IGW, _NAT = "igw-0123456789abcdef0", "nat-0123456789abcdef0"
_TABLE, _PRIVATE_TABLE = "rtb-0a1b2c3d4e5f60001", "rtb-0a1b2c3d4e5f60002"
_EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class StaticAwsClient:
    """A client of the AWS API that always returns the same facts."""

    snapshot: Snapshot
    source: ClientAddress = field(default_factory=lambda: ClientAddress(CLIENT, "interface"))

    async def describe(
        self, addresses: Mapping[str, tuple[str, ...]]
    ) -> tuple[Snapshot, ClientAddress]:
        return self.snapshot, self.source


def group_rule(number: int, ports: tuple[int, int], cidr: str) -> SecurityGroupRule:
    """One inbound rule of the brokers' security group."""
    return SecurityGroupRule(f"sgr-0{number}a2b3c4d5e6f7081", GROUP, "tcp", *ports, cidr)


def broker_interface(node: int, *, public: bool = True) -> NetworkInterface:
    """The network interface of a broker, in its own subnet."""
    private = PRIVATE[node - 1]
    return NetworkInterface(
        id=f"eni-0{node}b2c3d4e5f607182",
        region=REGION,
        vpc=VPC,
        subnet=SUBNETS[node - 1],
        private=(private,),
        public={private: PUBLIC[node - 1]} if public else {},
        groups=(GROUP,),
        instance=_instance(node),
        kind="interface",
    )


def brokers_snapshot(
    *rules: SecurityGroupRule,
    interfaces: Sequence[NetworkInterface] | None = None,
    state: str = "running",
) -> Snapshot:
    """Three brokers in three public subnets, with these security group rules. `state` is the state
    of the instance of broker 3."""
    if interfaces is None:
        interfaces = [broker_interface(node) for node in (1, 2, 3)]
    states = {1: "running", 2: "running", 3: state}
    acl = tuple(AclEntry(100, egress, True, "-1", _EVERYWHERE) for egress in (False, True))
    routes = (Route("10.0.0.0/16", "local"), Route(_EVERYWHERE, _IGW))
    return Snapshot(
        regions=(REGION,),
        interfaces=tuple(interfaces),
        instances={
            _instance(n): Instance(_instance(n), instance_state, f"kafka-{n}")
            for n, instance_state in states.items()
        },
        groups={GROUP: SecurityGroup(GROUP, "kafka", VPC, rules)},
        acls=(NetworkAcl("acl-0d1e2f3a4b5c60001", VPC, SUBNETS, acl),),
        tables=(RouteTable(_TABLE, VPC, SUBNETS, True, routes),),
        calls=6,
    )


@scenario
async def security_group_blocks(world: World) -> Start:
    """The security group lets the bootstrap port in, and not the brokers' NodePorts."""
    await world.three(*((address, 32001 + n) for n, address in enumerate(PUBLIC)))
    return Start(
        cloud=StaticAwsClient(brokers_snapshot(group_rule(1, (PORT, PORT), f"{CLIENT}/32")))
    )


@scenario
async def network_acl_blocks(world: World) -> Start:
    """Broker 3's subnet lets requests in, and its answers not out."""
    await _silent(world, 3)
    snapshot = brokers_snapshot(group_rule(1, (PORT, PORT), f"{CLIENT}/32"))
    one_way = (
        AclEntry(100, False, True, "6", _EVERYWHERE, PORT, PORT),
        AclEntry(100, True, True, "6", _EVERYWHERE, 443, 443),
    )
    acls = (
        replace(snapshot.acls[0], subnets=SUBNETS[:2]),
        NetworkAcl("acl-0d1e2f3a4b5c60002", VPC, SUBNETS[2:], one_way),
    )
    return Start(cloud=StaticAwsClient(replace(snapshot, acls=acls)))


@scenario
async def no_route(world: World) -> Start:
    """Broker 3 has a public address in a subnet whose answers leave by a NAT gateway."""
    await _silent(world, 3)
    snapshot = brokers_snapshot(group_rule(1, (PORT, PORT), f"{CLIENT}/32"))
    behind_nat = (Route("10.0.0.0/16", "local"), Route(_EVERYWHERE, _NAT))
    tables = (
        replace(snapshot.tables[0], subnets=SUBNETS[:2]),
        RouteTable(_PRIVATE_TABLE, VPC, SUBNETS[2:], False, behind_nat),
    )
    return Start(cloud=StaticAwsClient(replace(snapshot, tables=tables)))


@scenario
async def no_public_address(world: World) -> Start:
    """The load balancer is public, the brokers behind it are not."""
    await world.three(*((address, PORT) for address in PRIVATE))
    balancer_interface = replace(
        broker_interface(1),
        id="eni-09b2c3d4e5f607182",
        private=("10.0.1.99",),
        public={"10.0.1.99": PUBLIC[0]},
        instance="",
        kind="network_load_balancer",
    )
    brokers = [broker_interface(node, public=False) for node in (1, 2, 3)]
    rule = group_rule(1, (PORT, PORT), f"{CLIENT}/32")
    return Start(
        cloud=StaticAwsClient(brokers_snapshot(rule, interfaces=[balancer_interface, *brokers]))
    )


@scenario
async def open_to_the_world(world: World) -> Start:
    """The path works, for any client: all TCP ports are open to the whole internet."""
    await world.three()
    return Start(cloud=StaticAwsClient(brokers_snapshot(group_rule(1, (0, 65535), _EVERYWHERE))))


@scenario
async def instance_not_running(world: World) -> Start:
    """Broker 3's instance is stopped; its elastic IP still leads to it."""
    await _silent(world, 3)
    rule = group_rule(1, (PORT, PORT), f"{CLIENT}/32")
    return Start(cloud=StaticAwsClient(brokers_snapshot(rule, state="stopped")))


@scenario
async def public_address_found(world: World) -> Start:
    """Brokers advertise private addresses; AWS knows the public ones, and they work."""
    await world.three(*((address, PORT) for address in PRIVATE))
    return Start(
        cloud=StaticAwsClient(brokers_snapshot(group_rule(1, (PORT, PORT), f"{CLIENT}/32")))
    )


@scenario
async def aws_unavailable(world: World) -> Start:
    """All is well for the walk; there are no credentials to ask AWS with."""
    await world.three()
    unavailable = UnavailableCall(
        "sts:GetCallerIdentity", REGION, "credentials", "Unable to locate credentials"
    )
    return Start(cloud=StaticAwsClient(Snapshot(unavailable=(unavailable,))))


@scenario
async def address_not_in_account(world: World) -> Start:
    """All is well, and these credentials are for another account."""
    await world.three()
    return Start(cloud=StaticAwsClient(brokers_snapshot(interfaces=())))


@scenario
async def load_balancer(world: World) -> Start:
    """A load balancer before all brokers; nothing healthy is behind broker 2's port."""
    ports = {1: 9095, 2: 9096, 3: 9097}
    await world.three(*((BALANCER, port) for port in ports.values()))
    world.names[BALANCER] = [PUBLIC[0]]
    for node in (1, 3):
        world.nat[PUBLIC[0], ports[node]] = world.nat[PUBLIC[node - 1], PORT]
    balancer_interface = replace(
        broker_interface(1),
        id="eni-09b2c3d4e5f607182",
        private=("10.0.1.99",),
        public={"10.0.1.99": PUBLIC[0]},
        groups=(),
        instance="",
        kind="network_load_balancer",
        description="ELB net/kafka/8f1c2d3e4a5b6c7d",
    )
    listeners = tuple(_listener(node, port) for node, port in ((1, PORT), *ports.items()))
    balancer = LoadBalancer(
        f"{_ARN}:loadbalancer/net/kafka/8f1c2d3e4a5b6c7d",
        "kafka",
        BALANCER,
        "internet-facing",
        "network",
        VPC,
        listeners=listeners,
    )
    brokers = [broker_interface(node, public=False) for node in (1, 2, 3)]
    snapshot = brokers_snapshot(
        group_rule(1, (PORT, PORT), f"{CLIENT}/32"), interfaces=[balancer_interface, *brokers]
    )
    return Start(cloud=StaticAwsClient(replace(snapshot, balancers=(balancer,))))


@scenario
async def msk_access(world: World) -> Start:
    """An MSK cluster without public access, asked from outside of its VPC."""
    for node, address in enumerate(PRIVATE, 1):
        world.names[f"b-{node}.{MSK}"] = [address]
    brokers = [
        replace(broker_interface(node, public=False), instance="", description="MSK broker")
        for node in (1, 2, 3)
    ]
    cluster = MskCluster(
        f"arn:aws:kafka:{REGION}:123456789012:cluster/demo/a1b2c3",
        "demo",
        "ACTIVE",
        "DISABLED",
        {"SASL/SCRAM": 9096, "IAM": 9098},
        (GROUP,),
        SUBNETS,
        tuple(f"b-{node}.{MSK}" for node in (1, 2, 3)),
    )
    snapshot = brokers_snapshot(group_rule(1, (9096, 9098), "10.0.0.0/16"), interfaces=brokers)
    bootstrap = ",".join(f"b-{node}.{MSK}:9096" for node in (1, 2, 3))
    return Start(bootstrap, cloud=StaticAwsClient(replace(snapshot, clusters=(cluster,))))


def _listener(node: int, port: int) -> LoadBalancerListener:
    unhealthy = node == 2
    state, reason = ("unhealthy", "Target.FailedHealthChecks") if unhealthy else ("healthy", "")
    return LoadBalancerListener(
        port,
        "TCP",
        f"{_ARN}:targetgroup/kafka-{node}/1a2b3c4d5e6f708{node}",
        preserves_client_ip=True,
        targets=(TargetHealth(_instance(node), PORT, state, reason),),
    )


def _instance(node: int) -> str:
    return f"i-0{node}c3d4e5f60718293"


async def _silent(world: World, node: int) -> None:
    """Starts three brokers; the public address of one broker does not answer."""
    await world.three()
    del world.nat[PUBLIC[node - 1], PORT]
