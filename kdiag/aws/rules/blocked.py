"""KD501 to KD504 and KD506, AWS: what in EC2 stands between this client and a port."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from kdiag.aws import permissions, remedies
from kdiag.aws.facts import Interface, Snapshot
from kdiag.aws.outcome import PathVerdict
from kdiag.aws.paths import BlockedPath, NetworkPaths
from kdiag.aws.rules.blocks import (
    HOP,
    are,
    deciders,
    met,
    ports,
    ruled_out,
    severity,
    source,
    steps,
    subjects,
    victims,
    who,
)
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import listed, once, sentence

GROUPS = ("group", "client-group")
ACLS = ("acl-in", "acl-out", "client-acl-out", "client-acl-in")
ROUTES = ("route", "client-route")


@rule("KD501", "security-group-blocks", Severity.ERROR, "A security group does not let this in")
def security_group_blocks(ways: NetworkPaths) -> Iterator[Match]:
    """None of the security groups of a broker lets this client in on that port.

    The rules of all groups of an interface count together, and what none of them allows is dropped
    without an answer: the client times out. A reference to another group lets in the private
    addresses of its members, and nobody who dials a public address.

    Where the client's address is not known, only what holds for the whole internet is said; give
    the address with `--aws-source`.

    Prove it: `aws ec2 describe-security-group-rules --filters Name=group-id,Values=GROUP`; the
    ports that time out are the ones without a rule.
    """
    hit = ways.blocked(*GROUPS)
    if hit:
        yield Match(
            HOP,
            f"{_groups(hit)} let {who(hit)} {_way(hit)} on TCP {ports(hit)}: {victims(hit)} "
            f"{are(hit)} cut off",
            subjects(hit),
            (*steps(hit), *met(ways, hit), *ruled_out(hit), *source(ways)),
            tuple(open_groups(ways.snapshot, hit)),
            severity(ways, hit),
        )
    doubtful = ways.doubtful(*GROUPS)
    if doubtful:
        yield Match(
            HOP,
            f"Whether {listed(_attached(doubtful))} lets you in on TCP {ports(doubtful)} depends "
            f"on where you come from, which is not known: {victims(doubtful)} may be cut off by it",
            subjects(doubtful),
            (*steps(doubtful), *source(ways)),
            (remedies.give_source(), *open_groups(ways.snapshot, doubtful)),
            Severity.WARNING,
        )


@rule("KD502", "network-acl-blocks", Severity.ERROR, "A network ACL does not let this through")
def network_acl_blocks(ways: NetworkPaths) -> Iterator[Match]:
    """The network ACL of a subnet drops the requests, or the answers.

    Its entries are read by their number, the lowest first, and the first that fits decides; what
    none allows is denied. It keeps no state: the answers need an entry of their own, out to the
    ports that clients come from. Linux takes 32768 to 60999, and these are what kdiag judges by;
    NAT devices take any from 1024 to 65535, and these are what it proposes.

    Prove it: `aws ec2 describe-network-acls --filters Name=association.subnet-id,Values=SUBNET`.
    """
    hit = ways.blocked(*ACLS)
    if hit:
        yield Match(
            HOP,
            f"Network ACL {listed(deciders(hit))} drops {_what(hit)} between {who(hit)} and TCP "
            f"{ports(hit)}: {victims(hit)} {are(hit)} cut off",
            subjects(hit),
            (*steps(hit), *met(ways, hit), *ruled_out(hit), *source(ways)),
            tuple(_entries(ways.snapshot, hit)),
            severity(ways, hit),
        )


@rule("KD503", "no-route", Severity.ERROR, "The subnet has no route back to this client")
def no_route(ways: NetworkPaths) -> Iterator[Match]:
    """The route table of a broker's subnet does not lead answers back to this client.

    A public address works only where the subnet's table (the VPC's main one, if it has none of its
    own) sends answers to an internet gateway; a NAT gateway is for the way out alone. The longest
    prefix decides, and a route whose target is gone is a blackhole.

    Prove it: `aws ec2 describe-route-tables --filters Name=vpc-id,Values=VPC`.
    """
    hit = ways.blocked(*ROUTES)
    if hit:
        yield Match(
            HOP,
            f"{listed(once(block.step.words for block in hit))}: {victims(hit)} {are(hit)} cut off",
            subjects(hit),
            (*steps(hit), *ruled_out(hit), *source(ways)),
            tuple(_routes(ways.snapshot, hit)),
            severity(ways, hit),
        )


@rule("KD504", "no-public-address", Severity.ERROR, "A broker has no public address")
def no_public_address(ways: NetworkPaths) -> Iterator[Match]:
    """The instance behind an advertised private address has no public one.

    Whatever it advertises, no client outside of its VPC can dial it. It needs an elastic IP in a
    subnet with an internet gateway, or a load balancer in front; or clients have to come by a VPN
    or a peering.

    Prove it: `aws ec2 describe-network-interfaces --network-interface-ids ENI`, which has no
    Association.
    """
    hit = [
        BlockedPath(way, way.reach, step)
        for way in ways.ways
        if way.reach and not way.instead and not way.contact.usable
        if way.reach.interface.instance
        for step in way.reach.at("address")
        if step.outcome is not PathVerdict.ALLOWED
    ]
    if hit:
        where = hit[0].reach.interface
        names = once(_instance(ways.snapshot, block.reach.interface) for block in hit)
        yield Match(
            HOP,
            f"{sentence(victims(hit))} {are(hit)} behind {listed(names)}, without a public address",
            subjects(hit),
            (*steps(hit), *_addresses(hit)),
            (
                remedies.elastic_ip(where.region, [b.reach.interface.id for b in hit]),
                remedies.balancer_for_each("2. Or put"),
                remedies.come_by_vpn(where.vpc),
            ),
        )


@rule("KD506", "instance-not-running", Severity.ERROR, "The instance does not run")
def instance_not_running(ways: NetworkPaths) -> Iterator[Match]:
    """The instance behind an address is stopped, or on its way there.

    An elastic IP stays with it, so the address leads somewhere, and packets vanish; an address that
    was given by chance changes when it starts again.

    Prove it: `aws ec2 describe-instance-status --include-all-instances --instance-ids INSTANCE`.
    """
    hit = ways.blocked("instance")
    if hit:
        region, names = hit[0].reach.interface.region, once(block.step.by for block in hit)
        yield Match(
            HOP,
            f"{listed(once(b.step.words for b in hit))}: {victims(hit)} {are(hit)} cut off",
            subjects(hit),
            steps(hit),
            (remedies.start_instances(region, names),),
            severity(ways, hit),
        )


def open_groups(snapshot: Snapshot, hit: Sequence[BlockedPath]) -> Iterator[Remedy]:
    """A rule for each group that lacks one, and the same for Terraform."""
    lacking: dict[tuple[str, str, str, int], set[int]] = defaultdict(set)
    for block in hit:
        interface, client = block.reach.interface, block.reach.source
        if block.step.layer == "group":
            version = 6 if ":" in block.reach.address else 4
            group = _group_for(snapshot, interface, block.reach.port)
            lacking[group, interface.region, client, version].add(block.reach.port)
    for (group, region, client, version), missing in lacking.items():
        wanted = permissions.proposal(group, region, client, sorted(missing), version)
        yield permissions.authorize(wanted)
        yield permissions.terraform(wanted)


def _group_for(snapshot: Snapshot, interface: Interface, port: int) -> str:
    """Of several groups the one that knows the port already, else the first."""

    def knows(group: str) -> bool:
        there = snapshot.groups.get(group)
        return any(
            rule.from_port is not None and rule.to_port is not None
            and rule.from_port <= port <= rule.to_port
            for rule in (there.inbound if there else ())
        )  # fmt: skip

    return next(filter(knows, interface.groups), interface.groups[0])


def _entries(snapshot: Snapshot, hit: Sequence[BlockedPath]) -> Iterator[Remedy]:
    """What each network ACL lacks: on the client's side requests go out, on the broker's in."""
    for acl in snapshot.acls:
        here = [block for block in hit if block.step.by.split()[0] == acl.id]
        for side, requests in (("client-", "out"), ("", "in")):
            blocks = [b for b in here if b.step.layer.startswith("client-") is bool(side)]
            if blocks:
                reach = blocks[0].reach
                yield permissions.acl_entries(
                    acl,
                    reach.interface.region,
                    _peer(blocks[0]),
                    [block.reach.port for block in blocks],
                    once(block.step.layer.rpartition("-")[2] for block in blocks),
                    requests,
                )


def _routes(snapshot: Snapshot, hit: Sequence[BlockedPath]) -> Iterator[Remedy]:
    """A route for each table, to the internet gateway of its VPC if one is known."""
    for table in deciders(hit):
        reach = next(b.reach for b in hit if b.step.by.startswith(table))
        gateways = [
            route.target
            for each in snapshot.tables
            if each.vpc == reach.interface.vpc
            for route in each.routes
            if route.target.startswith("igw-") and not route.blackhole
        ]
        region, private = reach.interface.region, reach.address in reach.interface.private
        gateway = remedies.gateway(gateways[0]) if gateways else None
        yield remedies.add_route(
            region,
            table,
            _peer(hit[0]) or permissions.YOU,
            None if private else gateway or remedies.gateway_of(region, reach.interface.vpc),
            version=6 if ":" in reach.address else 4,
        )


def _peer(block: BlockedPath) -> str:
    """Whom a step is about, from where it stands."""
    client = block.step.layer.startswith("client-")
    return block.reach.address if client else block.reach.source


def _groups(hit: Sequence[BlockedPath]) -> str:
    names = _attached(hit)
    return f"Security group{'s' if len(names) > 1 else ''} {listed(names)} {_does(names)} not"


def _attached(hit: Sequence[BlockedPath]) -> list[str]:
    """The groups of the interfaces, or the client's."""
    client = all(block.step.layer == "client-group" for block in hit)
    if client:
        return once(name for block in hit for name in block.step.by.split(", "))
    return once(name for block in hit for name in block.reach.interface.groups)


def _does(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _way(hit: Sequence[BlockedPath]) -> str:
    return "out" if all(block.step.layer == "client-group" for block in hit) else "in"


def _what(hit: Sequence[BlockedPath]) -> str:
    """Requests go in to the broker and out of the client's subnet; answers go the other way."""
    requests = {"acl-in", "client-acl-out"}
    kinds = once("requests" if b.step.layer in requests else "answers" for b in hit)
    return " and ".join(sorted(kinds, reverse=True))


def _addresses(hit: Sequence[BlockedPath]) -> Iterator[str]:
    """Which addresses each of these interfaces has."""
    for each in {block.reach.interface.id: block.reach.interface for block in hit}.values():
        yield f"{each.id} has {listed(each.addresses)}, in {each.subnet}"


def _instance(snapshot: Snapshot, interface: Interface) -> str:
    found = snapshot.instances.get(interface.instance)
    return f"{interface.instance} ({found.name})" if found and found.name else interface.instance
