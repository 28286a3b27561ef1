"""KD505 and KD507 to KD509, AWS: open to the world, the public addresses, and what is not told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kdiag.address import is_loopback
from kdiag.aws import permissions, remedies
from kdiag.aws.beside import mapped, node_of
from kdiag.aws.facts import Permission, Unavailable
from kdiag.aws.outcome import PathVerdict
from kdiag.aws.paths import NetworkPath, NetworkPaths
from kdiag.aws.ranges import TCP, ports_of, runs, shown, spans
from kdiag.aws.reachability import reach
from kdiag.aws.rules.blocks import HOP
from kdiag.config.settings import Endpoint
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import brokers, listed, once

# What a call tells, and so what is not known without it.
_TELLS = {
    "ec2:DescribeNetworkInterfaces": "which interface has which address, so nothing else either",
    "ec2:DescribeAddresses": "which elastic IP belongs to what",
    "ec2:DescribeInstances": "which instance has which public address, and whether it runs",
    "ec2:DescribeSecurityGroups": "which security groups there are, and what they let in",
    "ec2:DescribeSecurityGroupRules": "what security groups let in, and the ids of their rules",
    "ec2:DescribeNetworkAcls": "what network ACLs let through",
    "ec2:DescribeRouteTables": "where subnets send their answers",
    "ec2:DescribeSubnets": "the networks of subnets",
    "ec2:DescribeVpcs": "the networks of VPCs",
    "ec2:DescribeVpcPeeringConnections": "which VPCs are peered",
    "ec2:DescribeManagedPrefixLists": "which prefix lists there are",
    "ec2:GetManagedPrefixListEntries": "the networks of prefix lists",
    "ec2:DescribeRegions": "which regions there are to look in",
    "elasticloadbalancing:DescribeLoadBalancers": "which load balancers there are",
    "elasticloadbalancing:DescribeListeners": "where load balancers listen",
    "elasticloadbalancing:DescribeLoadBalancerAttributes": "how load balancers pass on",
    "elasticloadbalancing:DescribeTargetGroupAttributes": "whose address targets see",
    "elasticloadbalancing:DescribeTargetHealth": "whether targets are healthy",
    "kafka:ListClustersV2": "which MSK clusters there are, and their ports and public access",
    "kafka:ListNodes": "the brokers of MSK clusters",
    "kafka:GetBootstrapBrokers": "the addresses of MSK clusters",
}
_NOBODY = ("credentials", "expired")
_EVERYTHING = ("credentials", "expired", "unreachable", "region")
_REASONS = {
    "credentials": "there are no credentials",
    "expired": "the credentials have expired",
    "denied": "this identity lacks the permission",
    "region": "no such region, or it is not enabled",
    "throttled": "AWS asks to slow down",
    "unreachable": "the API cannot be reached",
    "failed": "the call failed",
    "skipped": "there are too many to ask about",
}


@rule("KD505", "open-to-the-world", Severity.WARNING, "The whole internet may connect to Kafka")
def open_to_the_world(ways: NetworkPaths) -> Iterator[Match]:
    """A security group lets 0.0.0.0/0 or ::/0 in on the ports of brokers with a public address.

    Many a tutorial advises this. A listener without TLS and authentication is then anybody's;
    one with them still is everybody's to try.

    To narrow it, add the rule for your own clients first and take the open one away after; the
    other way round cuts everybody off in between.

    Prove it: `aws ec2 describe-security-group-rules --filters Name=group-id,Values=GROUP`.
    """
    open_ways: dict[str, list[NetworkPath]] = defaultdict(list)
    rules: dict[str, Permission] = {}
    for way in ways.ways:
        for permission in _open_rules(ways, way):
            rules[permission.id] = permission
            open_ways[permission.id].append(way)
    for group in once(rules[name].group for name in rules):
        names = [name for name in rules if rules[name].group == group]
        hit = list({id(way): way for name in names for way in open_ways[name]}.values())
        ports = runs({way.endpoint.port for way in hit})
        yield Match(
            HOP,
            f"{group} lets the whole internet in on TCP {listed([shown(p) for p in ports])}, where "
            f"{_kafka(hit)} can be reached by public addresses",
            tuple(once(way.subject for way in hit)),
            tuple(
                f"{name} lets {rules[name].peer} in on {_whole(rules[name])}: "
                f"{listed(once(way.where for way in open_ways[name]))}"
                for name in names
            ),
            tuple(_narrow(ways, group, [rules[name] for name in names], hit)),
        )


@rule(
    "KD507",
    "public-address-found",
    Severity.WARNING,
    "The private address that is advertised has a public one",
)
def public_address_found(ways: NetworkPaths) -> Iterator[Match]:
    """A private address that a broker advertises belongs to an interface with a public one.

    Clients in the VPC use the first, clients out here the second: a listener for them should
    advertise it. Where kdiag can, it has dialled the public address, and says which broker answers.

    Prove it: `aws ec2 describe-network-interfaces --filters
    Name=addresses.private-ip-address,Values=ADDRESS`.
    """
    hit = [way for way in ways.ways if way.hop == "listeners" and way.instead]
    if hit:
        some = [f"{way.address} is {way.instead.address}" for way in hit if way.instead]
        yield Match(
            HOP,
            f"The addresses that {brokers([node_of(way) for way in hit])} "
            f"advertise{'s' if len(hit) == 1 else ''} have public ones: {listed(some)}",
            tuple(once(way.subject for way in hit)),
            tuple(line for way in hit for line in mapped(ways, way)),
            (
                remedies.advertise_public(
                    [(node_of(w), Endpoint(w.instead.address, w.endpoint.port))
                     for w in hit if w.instead]
                ),
            ),
        )  # fmt: skip


@rule("KD508", "aws-unavailable", Severity.WARNING, "AWS did not tell everything")
def aws_unavailable(ways: NetworkPaths) -> Iterator[Match]:
    """Credentials, permissions, the region or the network kept kdiag from asking AWS.

    What is unknown by that is said; it is never taken for allowed or blocked. The verdict of the
    walk itself does not rest on AWS, and stands.

    Prove it: the call that is named, with `aws` on the command line.
    """
    gaps = ways.snapshot.gaps
    if gaps:
        reasons = once(_REASONS.get(gap.reason, gap.reason) for gap in gaps)
        told = "did not tell everything" if ways.snapshot.interfaces else "told nothing"
        yield Match(
            HOP,
            f"AWS {told}: {listed(reasons)}. The verdict of the walk stands",
            tuple(once(gap.call for gap in gaps)),
            tuple(once(_told(gap) for gap in gaps)),
            tuple(_access(gaps)),
        )


@rule("KD509", "address-not-in-account", Severity.WARNING, "An address is not in this account")
def address_not_in_account(ways: NetworkPaths) -> Iterator[Match]:
    """No network interface in this account and these regions has an address of the cluster.

    The brokers are in another account or region than these credentials are for, or outside of AWS;
    or the address was given back, and belongs to nobody, or to somebody else, by now.

    Prove it: `aws ec2 describe-addresses --public-ips ADDRESS`, in the account that should have it.
    """
    blind = any("DescribeNetworkInterfaces" in gap.call for gap in ways.snapshot.gaps)
    if blind or any(gap.reason in _EVERYTHING for gap in ways.snapshot.gaps):
        return  # nothing can be said of what was not asked
    none = not any(way.reach for way in ways.ways)
    hit = [
        way
        for way in ways.ways
        if not way.reach and not is_loopback(way.address) and (none or not way.contact.usable)
    ]
    if hit:
        regions = listed(ways.snapshot.regions) or "no region"
        several = [way for way in hit if ways.snapshot.behind(way.address)]
        which = listed(once(way.address for way in hit))
        yield Match(
            HOP,
            f"No interface in {regions} that these credentials can see has {which}"
            if not several
            else f"Which interface has {which} is not clear",
            tuple(once(way.subject for way in hit)),
            tuple(_nowhere(ways, hit)),
            (remedies.whose_account(),),
        )


def _open_rules(ways: NetworkPaths, way: NetworkPath) -> Iterator[Permission]:
    """The rules that let everybody come to this way by a public address."""
    if way.judged is None or way.judged.address in way.judged.interface.private:
        return
    for group in way.judged.interface.groups:
        found = ways.snapshot.groups.get(group)
        for permission in found.inbound if found else ():
            low, high = ports_of(permission)
            fits = permission.protocol in TCP and low <= way.endpoint.port <= high
            everybody = [n for n in _peers(ways, permission) if n.endswith("/0")]
            if fits and any(list(spans(n, way.judged.address)) for n in everybody):
                yield permission


def _peers(ways: NetworkPaths, permission: Permission) -> Sequence[str]:
    networks = ways.snapshot.prefix_lists.get(permission.prefix_list, ())
    return networks if permission.prefix_list else (permission.cidr,)


def _narrow(
    ways: NetworkPaths, group: str, rules: Sequence[Permission], hit: Sequence[NetworkPath]
) -> Iterator[Remedy]:
    """First what this client needs, where no other rule gives it; then the open rules go."""
    without = replace(ways.snapshot, groups={
        name: replace(each, inbound=tuple(r for r in each.inbound if r not in rules))
        for name, each in ways.snapshot.groups.items()
    })  # fmt: skip
    wanted: dict[tuple[str, int], set[int]] = defaultdict(set)
    region = ""
    for way in hit:
        if way.judged:
            region = way.judged.interface.region
            now = reach(without, ways.aws.source, way.judged.interface, way.judged.address,
                        way.endpoint.port)  # fmt: skip
            if any(step.outcome is not PathVerdict.ALLOWED for step in now.at("group")):
                version = 6 if ":" in now.address else 4
                wanted[now.source, version].add(way.endpoint.port)
    for (source, version), ports in wanted.items():
        narrowed = permissions.proposal(group, region, source, sorted(ports), version)
        yield permissions.authorize(narrowed)
    yield permissions.revoke(region, group, [each.id for each in rules])


def _whole(permission: Permission) -> str:
    low, high = ports_of(permission)
    if permission.protocol == "-1":
        return "everything, of all protocols"
    return "all TCP ports" if (low, high) == (0, 65535) else f"TCP {shown((low, high))}"


def _kafka(hit: Sequence[NetworkPath]) -> str:
    nodes = sorted({node_of(way) for way in hit if way.hop == "listeners"})
    return brokers(nodes) if nodes else "the bootstrap server"


def _told(gap: Unavailable) -> str:
    where = f" in {gap.region}" if gap.region else ""
    said = f" ({gap.words})" if gap.words else ""
    why = _REASONS.get(gap.reason, gap.reason)
    if gap.reason in _NOBODY:
        unknown = "anything that AWS could tell"
    else:
        unknown = _TELLS.get(gap.call, "what it tells")
    return f"{gap.call}{where}: {why}{said}; not known: {unknown}"


def _access(gaps: Sequence[Unavailable]) -> Iterator[Remedy]:
    reasons: Mapping[str, list[Unavailable]] = {g.reason: [] for g in gaps}
    for gap in gaps:
        reasons[gap.reason].append(gap)
    if {"credentials", "expired", "region"} & reasons.keys():
        yield remedies.log_in()
    if "denied" in reasons:
        yield remedies.allow_reading([gap.call for gap in reasons["denied"]])
    if "throttled" in reasons:
        yield Remedy("Wait a minute, and check again.")
    if {"unreachable", "failed"} & reasons.keys():
        yield Remedy(
            "Check the way to AWS's API from here: proxy (HTTPS_PROXY), VPC endpoints, the name "
            "of the region."
        )


def _nowhere(ways: NetworkPaths, hit: Sequence[NetworkPath]) -> Iterator[str]:
    """Those of no interface, then those of several."""
    gone = once(way.where for way in hit if not ways.snapshot.behind(way.address))
    if gone:
        which = "this" if len(gone) == 1 else "these"
        yield f"{listed(gone)}: no interface that was told of has {which}"
    for way in hit:
        if found := ways.snapshot.behind(way.address):
            there = listed([f"{one.id} in {one.vpc}" for one in found])
            yield f"{way.where} is {there}, and nothing tells which of them"
