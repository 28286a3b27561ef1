"""KD510 and KD511, AWS: load balancers before the brokers, and brokers that AWS runs (MSK)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdiag.aws import permissions, remedies
from kdiag.aws.facts import (
    ClientAddress,
    Interface,
    LoadBalancer,
    LoadBalancerListener,
    MskCluster,
    Snapshot,
)
from kdiag.aws.outcome import PathVerdict
from kdiag.aws.paths import NetworkPath, NetworkPaths
from kdiag.aws.reachability import PathStep, Reachability, admitted
from kdiag.aws.rules.blocks import HOP
from kdiag.rules.location import Location, evidence
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import listed, once
from kdiag.walk.bootstrap import Bootstrap

# What MSK has on which port. Source: the MSK developer guide, port information.
MSK_PORTS = {
    9092: "plaintext",
    9094: "TLS",
    9096: "SASL/SCRAM",
    9098: "IAM",
    9194: "TLS, public",
    9196: "SASL/SCRAM, public",
    9198: "IAM, public",
}
_PUBLIC_PORTS = (9194, 9196, 9198)
IAM_PORT = 9098
_SERVERLESS = ".kafka-serverless."


@dataclass(frozen=True)
class _Fault:
    """What is wrong with one way: words, and what to do about it."""

    way: NetworkPath
    words: str
    remedies: tuple[Remedy, ...] = ()


@rule("KD510", "load-balancer", Severity.ERROR, "The load balancer does not pass it on")
def load_balancer(ways: NetworkPaths) -> Iterator[Match]:
    """A load balancer before the brokers has no listener there, or nothing healthy behind it.

    Only a Network Load Balancer passes Kafka on: an Application Load Balancer speaks HTTP. What is
    behind a Classic Load Balancer kdiag does not read, and says so.

    Its targets have security groups of their own. With client-IP preservation they see the client's
    address and must let it in; without, the load balancer's. With preservation, a target that dials
    itself through its own load balancer never gets an answer: its packets come back to it as if
    from itself.

    Prove it: `aws elbv2 describe-target-health --target-group-arn GROUP`.
    """
    faults = [
        fault
        for way in ways.ways
        if not way.contact.usable or ways.assumed_elsewhere
        for balancer in _balancers(ways.snapshot, way)
        for fault in _passing(ways, way, balancer)
    ]
    yield from _match(faults)
    classic = [w for w in ways.ways if not w.contact.usable and _classic(w)]
    if classic:
        names = once(_classic(way) for way in classic)
        yield Match(
            HOP,
            f"{listed(names)} {'is a' if len(names) == 1 else 'are'} Classic Load Balancer"
            f"{'' if len(names) == 1 else 's'}: what {'is' if len(names) == 1 else 'are'} behind "
            "was not asked for",
            tuple(once(way.subject for way in classic)),
            tuple(f"{way.where}: load balancer {_classic(way)}" for way in classic),
            tuple(
                dict.fromkeys(
                    remedies.look_at_classic(way.reach.interface.region, _classic(way))
                    for way in classic
                    if way.reach
                )
            ),
            Severity.WARNING,
        )


@rule("KD511", "msk-access", Severity.ERROR, "MSK does not offer this way in")
def msk_access(bootstrap: Bootstrap, ways: NetworkPaths) -> Iterator[Match]:
    """An MSK cluster is asked for what it does not offer: from outside, or with another login.

    Without public access its brokers have private addresses only. Each authentication has a port
    of its own: 9092 plaintext, 9094 TLS, 9096 SASL/SCRAM, 9098 IAM, and 9194, 9196, 9198 for
    clients outside. MSK Serverless has IAM on 9098 alone, and for clients in its VPCs.

    Prove it: `aws kafka get-bootstrap-brokers --cluster-arn ARN`, which has a line for every way
    in.
    """
    faults = [
        fault
        for way in ways.ways
        if not way.contact.usable
        for cluster in ways.snapshot.clusters
        if _is_of(way, cluster)
        for fault in _offered(way, cluster)
    ]
    yield from _match(faults)
    met = [
        contact
        for contact in bootstrap.contacts
        if not contact.usable and _SERVERLESS in contact.endpoint.host.lower()
    ]
    if met:
        hit = [contact.endpoint for contact in met]
        other = [at for at in hit if at.port != IAM_PORT]
        asked = f"MSK Serverless offers TCP {IAM_PORT} (IAM) alone, and no TCP "
        inner = f"MSK Serverless is for clients in its own VPCs: {hit[0]} is not reached from here"
        yield Match(
            HOP,
            f"{asked}{listed(once(str(at.port) for at in other))}" if other else inner,
            tuple(f"bootstrap {at}" for at in hit),
            tuple(line for each in met for line in evidence(Location("bootstrap", "", each))),
            (remedies.msk_serverless(),),
        )


def _match(faults: Sequence[_Fault]) -> Iterator[Match]:
    if faults:
        subjects = once(fault.way.subject for fault in faults)
        words = once(fault.words for fault in faults)
        more = f", and {len(words) - 1} more: see the evidence" if len(words) > 1 else ""
        lines = [
            f"{listed(once(f.way.where for f in faults if f.words == said))}: {said}"
            for said in words
        ]
        remedies = dict.fromkeys(r for fault in faults for r in fault.remedies)
        yield Match(HOP, f"{words[0]}{more}", tuple(subjects), tuple(lines), tuple(remedies))


def _balancers(snapshot: Snapshot, way: NetworkPath) -> list[LoadBalancer]:
    """The load balancer that this is: by its name, or by what its interface is described as."""
    host = way.endpoint.host.rstrip(".").lower()
    described = way.reach.interface.description if way.reach else ""
    name = described.removeprefix("ELB ")
    return [
        balancer
        for balancer in snapshot.balancers
        if balancer.dns_name.lower() == host or (name and balancer.arn.endswith(f"/{name}"))
    ]


def _classic(way: NetworkPath) -> str:
    """The name of the Classic Load Balancer that this way leads to, "" if it leads to none: others
    have a slash in what their interfaces are described as."""
    described = way.reach.interface.description if way.reach else ""
    name = described.removeprefix("ELB ") if described.startswith("ELB ") else ""
    return "" if "/" in name else name


def _passing(ways: NetworkPaths, way: NetworkPath, balancer: LoadBalancer) -> Iterator[_Fault]:
    """What keeps a load balancer from passing this way on."""
    region = balancer.arn.split(":")[3] if balancer.arn.count(":") > 3 else ""
    port = way.endpoint.port
    if balancer.kind == "application":
        words = f"{balancer.name} is an Application Load Balancer: it speaks HTTP, and not Kafka"
        yield _Fault(way, words, (remedies.balancer_for_each(),))
        return
    dead_end = way.reach and any(s.outcome is PathVerdict.BLOCKED for s in way.reach.at("address"))
    if balancer.scheme == "internal" and dead_end:
        words = f"load balancer {balancer.name} is internal: it has no public address"
        yield _Fault(way, words, (remedies.balancer_for_each(),))
    there = [each for each in balancer.listeners if each.port == port]
    if not there:
        has = listed([str(each.port) for each in balancer.listeners]) or "no port"
        words = f"load balancer {balancer.name} has no listener on TCP {port}; it listens on {has}"
        yield _Fault(way, words, (remedies.add_listener(region, balancer.arn, port),))
    for listener in there:
        yield from _behind(ways, way, balancer, listener, region)


def _behind(
    ways: NetworkPaths,
    way: NetworkPath,
    balancer: LoadBalancer,
    listener: LoadBalancerListener,
    region: str,
) -> Iterator[_Fault]:
    """What is wrong with the targets of a listener."""
    where = f"{balancer.name}:{listener.port}"
    ill = [target for target in listener.targets if target.state != "healthy"]
    if not listener.targets:
        words = f"{where} has no targets"
        yield _Fault(way, words, (remedies.describe_targets(region, listener.target_group),))
    elif ill:
        said = [f"{t.target} is {t.state}{f' ({t.reason})' if t.reason else ''}" for t in ill]
        count = (
            "none of its targets is" if len(ill) == len(listener.targets) else "not all targets are"
        )
        helped = balancer.cross_zone or len(ill) == len(listener.targets)
        alone = "" if helped else "; its zones do not stand in for each other"
        words = f"{where}: {count} healthy: {listed(said)}{alone}"
        yield _Fault(way, words, (remedies.describe_targets(region, listener.target_group),))
    if not listener.preserves_client_ip and not (way.reach and way.reach.interface.private):
        return
    for target in listener.targets:
        for interface in _interfaces(ways.snapshot, target.target):
            source = ways.aws.source
            if listener.preserves_client_ip and source.network in interface.addresses:
                words = f"{where} hands this client's own packets back to it: it is a target itself"
                yield _Fault(way, words, (remedies.no_hairpin(region, listener.target_group),))
                continue
            step, seen = _let_in(ways, way, listener, interface, target.port)
            if step.outcome is PathVerdict.BLOCKED:
                wanted = permissions.proposal(
                    interface.groups[0], interface.region, seen, [target.port], 4
                )
                words = f"behind {where}, {target.target}: {step.words}"
                yield _Fault(way, words, (permissions.authorize(wanted),))


def _let_in(
    ways: NetworkPaths,
    way: NetworkPath,
    listener: LoadBalancerListener,
    interface: Interface,
    port: int,
) -> tuple[PathStep, str]:
    """What a target's groups say to what comes by the load balancer, and whom they see.

    A reference to the load balancer's own group lets in what it passes on, in either case.
    """
    balancer = way.reach.interface.private if way.reach else ()
    own = [ClientAddress(address, "interface") for address in balancer]
    client = ways.aws.source
    seen = [client] if listener.preserves_client_ip else own
    steps = [(admitted(ways.snapshot, each, interface, port), each.network) for each in seen]
    if listener.preserves_client_ip:
        by_group = _refers(ways, way, interface, port)
        if by_group:
            return by_group, client.network
    return max(steps, key=lambda told: told[0].outcome is PathVerdict.BLOCKED)


def _refers(
    ways: NetworkPaths, way: NetworkPath, interface: Interface, port: int
) -> PathStep | None:
    """The rule of a target that lets in members of the load balancer's group."""
    groups = way.reach.interface.groups if way.reach else ()
    for name in interface.groups:
        found = ways.snapshot.groups.get(name)
        for each in found.inbound if found else ():
            low, high = each.from_port or 0, 65535 if each.to_port is None else each.to_port
            if each.peer_group in groups and each.peer_group and low <= port <= high:
                return PathStep(
                    "group", PathVerdict.ALLOWED, each.id, f"{each.id} lets {each.peer} in"
                )
    return None


def _interfaces(snapshot: Snapshot, target: str) -> list[Interface]:
    """The interfaces of a target: an instance's, or those with its address."""
    return [i for i in snapshot.interfaces if target == i.instance or target in i.private]


def _is_of(way: NetworkPath, cluster: MskCluster) -> bool:
    """Whether an endpoint is of this MSK cluster: its brokers' names, in any of their forms."""
    host = way.endpoint.host.lower()
    if host in (name.lower() for name in cluster.brokers):
        return True
    label, _, domain = host.partition(".")
    plain = f"{label.removesuffix('-public')}.{domain}"
    return plain in (name.lower() for name in cluster.brokers)


def _offered(way: NetworkPath, cluster: MskCluster) -> Iterator[_Fault]:
    """What an MSK cluster does not offer to this client."""
    region = cluster.arn.split(":")[3] if cluster.arn.count(":") > 3 else ""
    port, name = way.endpoint.port, f"MSK cluster {cluster.name}"
    offered = {number: MSK_PORTS.get(number, key) for key, number in cluster.ports.items()}
    shown = [f"{number} {kind}" for number, kind in sorted(offered.items())]
    bootstrap = remedies.msk_bootstrap(region, cluster.arn, shown)
    outside = _outside(way.reach)
    closed = cluster.public in ("", "DISABLED")
    if cluster.state not in ("ACTIVE", ""):
        yield _Fault(way, f"{name} is {cluster.state}")
    if outside and closed:
        words = f"{name} has public access switched off: clients outside of its VPC cannot connect"
        yield _Fault(way, words, (remedies.msk_public(region, cluster.arn), bootstrap))
    elif outside and port in MSK_PORTS and port not in _PUBLIC_PORTS:
        words = f"{name} has TCP {port} ({MSK_PORTS[port]}) for clients inside of its VPC only"
        yield _Fault(way, words, (bootstrap,))
    if offered and port not in offered:
        kind = f" ({MSK_PORTS[port]})" if port in MSK_PORTS else ""
        words = f"{name} does not offer TCP {port}{kind}; it offers {listed(shown)}"
        yield _Fault(way, words, (bootstrap,))


def _outside(reach: Reachability | None) -> bool:
    """Whether the client comes from the internet, as far as it can be told."""
    if reach is None or reach.inside:
        return reach is None
    private = reach.address in reach.interface.private
    return not private or any(s.outcome is not PathVerdict.ALLOWED for s in reach.at("address"))
