"""Rules KD501 to KD504 and KD506, AWS: what blocks the path from this client to a port."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from kdiag.aws import permissions, remedies
from kdiag.aws.facts import NetworkInterface, Snapshot
from kdiag.aws.paths import BlockedPath, NetworkPaths
from kdiag.aws.rules.text import (
    HOP,
    affected,
    client_name,
    cut_off,
    deciding_ids,
    is_or_are,
    observed,
    ports,
    ruled_out,
    severity,
    source,
    steps,
    subjects,
)
from kdiag.aws.verdict import PathVerdict
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import listed, once, sentence

GROUPS = ("group", "client-group")
ACLS = ("acl-in", "acl-out", "client-acl-out", "client-acl-in")
ROUTES = ("route", "client-route")


@rule("KD501", "security-group-blocks", Severity.ERROR, "A security group blocks the connection")
def security_group_blocks(paths: NetworkPaths) -> Iterator[Match]:
    """None of the security groups of a broker lets this client in on that port.

    The rules of all groups of an interface count together, and what none of them allows is dropped
    without an answer: the client times out. A reference to another group lets in the private
    addresses of its members, and nobody who dials a public address.

    Where the client's address is not known, only what holds for the whole internet is said; give
    the address with `--aws-source`.

    Prove it: `aws ec2 describe-security-group-rules --filters Name=group-id,Values=GROUP`; the
    ports that time out are the ones without a rule.

    How to fix: add an inbound rule for this client's address and the ports of all brokers; `--aws`
    prints the command.
    """
    blocked = paths.blocked(*GROUPS)
    if blocked:
        yield Match(
            HOP,
            f"{_groups_do_not(blocked)} let {client_name(blocked)} {_direction(blocked)} on TCP "
            f"{ports(blocked)}: {cut_off(blocked)}",
            subjects(blocked),
            (*steps(blocked), *observed(paths, blocked), *ruled_out(blocked), *source(paths)),
            tuple(open_groups(paths.snapshot, blocked)),
            severity(paths, blocked),
        )
    undecided = paths.undecided(*GROUPS)
    if undecided:
        yield Match(
            HOP,
            f"Whether {listed(_attached(undecided))} lets you in on TCP {ports(undecided)} depends "
            "on where you come from, which is not known: "
            f"{affected(undecided)} may be unreachable because of it",
            subjects(undecided),
            (*steps(undecided), *source(paths)),
            (remedies.give_source(), *open_groups(paths.snapshot, undecided)),
            Severity.WARNING,
        )


@rule("KD502", "network-acl-blocks", Severity.ERROR, "A network ACL blocks the connection")
def network_acl_blocks(paths: NetworkPaths) -> Iterator[Match]:
    """The network ACL of a subnet drops the requests, or the answers.

    Its entries are read by their number, the lowest first, and the first that fits decides; what
    none allows is denied. It keeps no state: the answers need an entry of their own, out to the
    ports that clients come from. Linux takes 32768 to 60999, and these are what kdiag judges by;
    NAT devices take any from 1024 to 65535, and these are what it proposes.

    Prove it: `aws ec2 describe-network-acls --filters Name=association.subnet-id,Values=SUBNET`.

    How to fix: add entries that allow the requests in and the answers out, with numbers lower than
    the entry that denies them.
    """
    blocked = paths.blocked(*ACLS)
    if blocked:
        yield Match(
            HOP,
            f"Network ACL {listed(deciding_ids(blocked))} drops {_dropped(blocked)} between "
            f"{client_name(blocked)} and TCP {ports(blocked)}: {cut_off(blocked)}",
            subjects(blocked),
            (*steps(blocked), *observed(paths, blocked), *ruled_out(blocked), *source(paths)),
            tuple(_entries(paths.snapshot, blocked)),
            severity(paths, blocked),
        )


@rule("KD503", "no-route", Severity.ERROR, "The subnet has no route back to this client")
def no_route(paths: NetworkPaths) -> Iterator[Match]:
    """The route table of a broker's subnet does not lead answers back to this client.

    A public address works only where the subnet's table (the VPC's main one, if it has none of its
    own) sends answers to an internet gateway; a NAT gateway is for outgoing connections alone. The
    longest prefix decides, and a route whose target is gone is a blackhole.

    Prove it: `aws ec2 describe-route-tables --filters Name=vpc-id,Values=VPC`.

    How to fix: associate the subnet with a route table that has a route to an internet gateway, or
    to the VPN or peering that this client uses.
    """
    blocked = paths.blocked(*ROUTES)
    if blocked:
        yield Match(
            HOP,
            f"{listed(once(block.step.message for block in blocked))}: {cut_off(blocked)}",
            subjects(blocked),
            (*steps(blocked), *ruled_out(blocked), *source(paths)),
            tuple(_routes(paths.snapshot, blocked)),
            severity(paths, blocked),
        )


@rule("KD504", "no-public-address", Severity.ERROR, "A broker has no public address")
def no_public_address(paths: NetworkPaths) -> Iterator[Match]:
    """The instance behind an advertised private address has no public one.

    Whatever it advertises, no client outside of its VPC can dial it. It needs an elastic IP in a
    subnet with an internet gateway, or a load balancer in front; or clients use a VPN or a peering.

    Prove it: `aws ec2 describe-network-interfaces --network-interface-ids ENI`, which has no
    Association.

    How to fix: associate an elastic IP, put a Network Load Balancer in front, or reach the VPC by a
    VPN or a peering; then let the broker advertise the new address.
    """
    blocked = [
        BlockedPath(path, path.reachability, step)
        for path in paths.paths
        if path.reachability and not path.public_reachability and not path.result.usable
        if path.reachability.interface.instance
        for step in path.reachability.steps_of("address")
        if step.verdict is not PathVerdict.ALLOWED
    ]
    if blocked:
        where = blocked[0].reachability.interface
        names = once(
            _instance_name(paths.snapshot, block.reachability.interface) for block in blocked
        )
        yield Match(
            HOP,
            f"{sentence(affected(blocked))} {is_or_are(blocked)} behind {listed(names)}, without a "
            "public address",
            subjects(blocked),
            (*steps(blocked), *_addresses(blocked)),
            (
                remedies.elastic_ip(where.region, [b.reachability.interface.id for b in blocked]),
                remedies.balancer_for_each("Or put"),
                remedies.come_by_vpn(where.vpc),
            ),
        )


@rule("KD506", "instance-not-running", Severity.ERROR, "The instance is not running")
def instance_not_running(paths: NetworkPaths) -> Iterator[Match]:
    """The instance behind an address is stopped, or on its way there.

    An elastic IP stays with it, so the address leads somewhere, and packets vanish; an address that
    is not an elastic IP changes when it starts again.

    Prove it: `aws ec2 describe-instance-status --include-all-instances --instance-ids INSTANCE`.

    How to fix: start the instance, and give it an elastic IP so that its address stays.
    """
    blocked = paths.blocked("instance")
    if blocked:
        region, names = (
            blocked[0].reachability.interface.region,
            once(block.step.decided_by for block in blocked),
        )
        yield Match(
            HOP,
            f"{listed(once(b.step.message for b in blocked))}: {cut_off(blocked)}",
            subjects(blocked),
            steps(blocked),
            (remedies.start_instances(region, names),),
            severity(paths, blocked),
        )


def open_groups(snapshot: Snapshot, blocked: Sequence[BlockedPath]) -> Iterator[Remedy]:
    """Remedies: a rule for each group that blocks, as an AWS command and for Terraform."""
    lacking: dict[tuple[str, str, str, int], set[int]] = defaultdict(set)
    for block in blocked:
        interface, client = block.reachability.interface, block.reachability.source
        if block.step.layer == "group":
            version = 6 if ":" in block.reachability.address else 4
            group = _group_for(snapshot, interface, block.reachability.port)
            lacking[group, interface.region, client, version].add(block.reachability.port)
    for (group, region, client, version), missing in lacking.items():
        proposal = permissions.proposal(group, region, client, sorted(missing), version)
        yield permissions.authorize(proposal)
        yield permissions.terraform(proposal)


def _group_for(snapshot: Snapshot, interface: NetworkInterface, port: int) -> str:
    """The group to change: the first that has a rule for the port, else the first."""

    def has_port(group: str) -> bool:
        found = snapshot.groups.get(group)
        return any(
            rule.from_port is not None and rule.to_port is not None
            and rule.from_port <= port <= rule.to_port
            for rule in (found.inbound if found else ())
        )  # fmt: skip

    return next(filter(has_port, interface.groups), interface.groups[0])


def _entries(snapshot: Snapshot, blocked: Sequence[BlockedPath]) -> Iterator[Remedy]:
    """Remedies: the missing entries of each network ACL. Requests go out of the client's subnet and
    into the broker's subnet."""
    for acl in snapshot.acls:
        of_acl = [block for block in blocked if block.step.decided_by.split()[0] == acl.id]
        for side, requests in (("client-", "out"), ("", "in")):
            blocks = [b for b in of_acl if b.step.layer.startswith("client-") is bool(side)]
            if blocks:
                reachability = blocks[0].reachability
                yield permissions.acl_entries(
                    acl,
                    reachability.interface.region,
                    _peer_address(blocks[0]),
                    [block.reachability.port for block in blocks],
                    once(block.step.layer.rpartition("-")[2] for block in blocks),
                    requests,
                )


def _routes(snapshot: Snapshot, blocked: Sequence[BlockedPath]) -> Iterator[Remedy]:
    """Remedies: a route for each route table, to the internet gateway of the VPC."""
    for table in deciding_ids(blocked):
        reachability = next(b.reachability for b in blocked if b.step.decided_by.startswith(table))
        gateways = [
            route.target
            for each in snapshot.tables
            if each.vpc == reachability.interface.vpc
            for route in each.routes
            if route.target.startswith("igw-") and not route.blackhole
        ]
        interface = reachability.interface
        region, private = interface.region, reachability.address in interface.private
        gateway = remedies.gateway(gateways[0]) if gateways else None
        yield remedies.add_route(
            region,
            table,
            _peer_address(blocked[0]) or permissions.UNKNOWN_ADDRESS,
            None if private else gateway or remedies.gateway_of(region, interface.vpc),
            version=6 if ":" in reachability.address else 4,
        )


def _peer_address(block: BlockedPath) -> str:
    """The peer of a step: the broker for a step on the client's side, else the client."""
    client = block.step.layer.startswith("client-")
    return block.reachability.address if client else block.reachability.source


def _groups_do_not(blocked: Sequence[BlockedPath]) -> str:
    """`Security group sg-1 does not`."""
    names = _attached(blocked)
    return f"Security group{'s' if len(names) > 1 else ''} {listed(names)} {_does(names)} not"


def _attached(blocked: Sequence[BlockedPath]) -> list[str]:
    """The groups of the brokers' interfaces, or of the client's interface."""
    client = all(block.step.layer == "client-group" for block in blocked)
    if client:
        return once(name for block in blocked for name in block.step.decided_by.split(", "))
    return once(name for block in blocked for name in block.reachability.interface.groups)


def _does(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _direction(blocked: Sequence[BlockedPath]) -> str:
    """`out` for the groups of the client, `in` for those of the brokers."""
    return "out" if all(block.step.layer == "client-group" for block in blocked) else "in"


def _dropped(blocked: Sequence[BlockedPath]) -> str:
    """`requests`, `answers`, or both: the packets that the network ACLs drop."""
    requests = {"acl-in", "client-acl-out"}
    kinds = once("requests" if b.step.layer in requests else "answers" for b in blocked)
    return " and ".join(sorted(kinds, reverse=True))


def _addresses(blocked: Sequence[BlockedPath]) -> Iterator[str]:
    """Evidence: the addresses of each interface."""
    for each in {
        block.reachability.interface.id: block.reachability.interface for block in blocked
    }.values():
        yield f"{each.id} has {listed(each.addresses)}, in {each.subnet}"


def _instance_name(snapshot: Snapshot, interface: NetworkInterface) -> str:
    found = snapshot.instances.get(interface.instance)
    return f"{interface.instance} ({found.name})" if found and found.name else interface.instance
