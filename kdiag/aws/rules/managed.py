"""Rules KD510 and KD511, AWS: load balancers in front of the brokers, and MSK clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdiag.aws import permissions, remedies
from kdiag.aws.facts import (
    MSK_PORTS,
    ClientAddress,
    LoadBalancer,
    LoadBalancerListener,
    MskCluster,
    NetworkInterface,
    Snapshot,
)
from kdiag.aws.paths import NetworkPath, NetworkPaths
from kdiag.aws.reachability import analyze_groups
from kdiag.aws.rules.text import HOP
from kdiag.aws.verdict import PathStep, PathVerdict, Reachability
from kdiag.rules.location import Location, evidence
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import listed, once
from kdiag.walk.facts.bootstrap import Bootstrap

_AUTHENTICATION = {port: name for name, port in MSK_PORTS.items()}
_IAM_PORT = MSK_PORTS["IAM"]
_SERVERLESS = ".kafka-serverless."


@dataclass(frozen=True)
class _Fault:
    """A fault of a load balancer or MSK cluster on one path, and the remedies."""

    path: NetworkPath
    message: str
    remedies: tuple[Remedy, ...] = ()


@rule("KD510", "load-balancer", Severity.ERROR, "The load balancer does not forward to the broker")
def load_balancer(paths: NetworkPaths) -> Iterator[Match]:
    """A load balancer before the brokers has no listener there, or nothing healthy behind it.

    Only a Network Load Balancer passes Kafka on: an Application Load Balancer speaks HTTP. What is
    behind a Classic Load Balancer kdiag does not read, and says so.

    Its targets have security groups of their own. With client-IP preservation they see the client's
    address and must let it in; without, the load balancer's. With preservation, a target that dials
    itself through its own load balancer never gets an answer: its packets come back to it as if
    from itself.

    Prove it: `aws elbv2 describe-target-health --target-group-arn GROUP`.

    How to fix: add the listener, register the brokers as targets of a Network Load Balancer, and
    make its health check pass; open the targets' security groups to clients or to the load
    balancer.
    """
    faults = [
        fault
        for path in paths.paths
        if not path.result.usable or paths.for_other_client
        for balancer in _balancers(paths.snapshot, path)
        for fault in _balancer_faults(paths, path, balancer)
    ]
    yield from _findings(faults)
    classic = [w for w in paths.paths if not w.result.usable and _classic_balancer(w)]
    if classic:
        names = once(_classic_balancer(path) for path in classic)
        yield Match(
            HOP,
            f"{listed(names)} {'is a' if len(names) == 1 else 'are'} Classic Load Balancer"
            f"{'' if len(names) == 1 else 's'}: what {'is' if len(names) == 1 else 'are'} behind "
            "was not asked for",
            tuple(once(path.subject for path in classic)),
            tuple(f"{path.label}: load balancer {_classic_balancer(path)}" for path in classic),
            tuple(
                dict.fromkeys(
                    remedies.look_at_classic(
                        path.reachability.interface.region, _classic_balancer(path)
                    )
                    for path in classic
                    if path.reachability
                )
            ),
            Severity.WARNING,
        )


@rule("KD511", "msk-access", Severity.ERROR, "MSK does not offer this access")
def msk_access(bootstrap: Bootstrap, paths: NetworkPaths) -> Iterator[Match]:
    """An MSK cluster is asked for what it does not offer: from outside, or with another login.

    Without public access its brokers have private addresses only. Each authentication has a port
    of its own: 9092 plaintext, 9094 TLS, 9096 SASL/SCRAM, 9098 IAM, and 9194, 9196, 9198 for
    clients outside. MSK Serverless has IAM on 9098 alone, and for clients in its VPCs.

    Prove it: `aws kafka get-bootstrap-brokers --cluster-arn ARN`, which has a line for each
    authentication.

    How to fix: use a bootstrap string that `aws kafka get-bootstrap-brokers` prints, with the login
    of its port; or turn on that authentication or public access for the cluster.
    """
    faults = [
        fault
        for path in paths.paths
        if not path.result.usable
        for cluster in paths.snapshot.clusters
        if _is_broker_of(path, cluster)
        for fault in _msk_faults(path, cluster)
    ]
    yield from _findings(faults)
    contacts = [
        contact
        for contact in bootstrap.contacts
        if not contact.usable and _SERVERLESS in contact.endpoint.host.lower()
    ]
    if contacts:
        endpoints = [contact.endpoint for contact in contacts]
        other_ports = once(str(at.port) for at in endpoints if at.port != _IAM_PORT)
        message = (
            "MSK Serverless is for clients in its own VPCs: "
            f"{endpoints[0]} is not reached from here"
        )
        if other_ports:
            message = (
                f"MSK Serverless offers TCP {_IAM_PORT} (IAM) alone, "
                f"and no TCP {listed(other_ports)}"
            )
        yield Match(
            HOP,
            message,
            tuple(f"bootstrap {at}" for at in endpoints),
            tuple(line for each in contacts for line in evidence(Location("bootstrap", "", each))),
            (remedies.msk_serverless(),),
        )


def _findings(faults: Sequence[_Fault]) -> Iterator[Match]:
    """One finding for all faults."""
    if faults:
        subjects = once(fault.path.subject for fault in faults)
        messages = once(fault.message for fault in faults)
        more = f", and {len(messages) - 1} more: see the evidence" if len(messages) > 1 else ""
        lines = [
            f"{listed(once(f.path.label for f in faults if f.message == message))}: {message}"
            for message in messages
        ]
        remedies = dict.fromkeys(r for fault in faults for r in fault.remedies)
        yield Match(HOP, f"{messages[0]}{more}", tuple(subjects), tuple(lines), tuple(remedies))


def _balancers(snapshot: Snapshot, path: NetworkPath) -> list[LoadBalancer]:
    """The load balancers of a path: by the DNS name, or by the description of the interface."""
    host = path.endpoint.host.rstrip(".").lower()
    description = path.reachability.interface.description if path.reachability else ""
    name = description.removeprefix("ELB ")
    return [
        balancer
        for balancer in snapshot.balancers
        if balancer.dns_name.lower() == host or (name and balancer.arn.endswith(f"/{name}"))
    ]


def _classic_balancer(path: NetworkPath) -> str:
    """The name of the Classic Load Balancer that a path leads to, else "". The interfaces of other
    load balancers have a description with a slash."""
    description = path.reachability.interface.description if path.reachability else ""
    name = description.removeprefix("ELB ") if description.startswith("ELB ") else ""
    return "" if "/" in name else name


def _balancer_faults(
    paths: NetworkPaths, path: NetworkPath, balancer: LoadBalancer
) -> Iterator[_Fault]:
    """The faults of a load balancer on a path: its type, its scheme, its listeners and targets."""
    region = balancer.arn.split(":")[3] if balancer.arn.count(":") > 3 else ""
    port = path.endpoint.port
    if balancer.kind == "application":
        message = f"{balancer.name} is an Application Load Balancer: it speaks HTTP, and not Kafka"
        yield _Fault(path, message, (remedies.balancer_for_each(),))
        return
    private = path.reachability and any(
        s.verdict is PathVerdict.BLOCKED for s in path.reachability.steps_of("address")
    )
    if balancer.scheme == "internal" and private:
        message = f"load balancer {balancer.name} is internal: it has no public address"
        yield _Fault(path, message, (remedies.balancer_for_each(),))
    listening = [listener for listener in balancer.listeners if listener.port == port]
    if not listening:
        ports = listed([str(listener.port) for listener in balancer.listeners]) or "no port"
        message = (
            f"load balancer {balancer.name} has no listener on TCP {port}; it listens on {ports}"
        )
        yield _Fault(path, message, (remedies.add_listener(region, balancer.arn, port),))
    for listener in listening:
        yield from _target_faults(paths, path, balancer, listener, region)


def _target_faults(
    paths: NetworkPaths,
    path: NetworkPath,
    balancer: LoadBalancer,
    listener: LoadBalancerListener,
    region: str,
) -> Iterator[_Fault]:
    """The faults of the targets of a listener: none, unhealthy, or blocked by a group."""
    where = f"{balancer.name}:{listener.port}"
    unhealthy = [target for target in listener.targets if target.state != "healthy"]
    if not listener.targets:
        message = f"{where} has no targets"
        yield _Fault(path, message, (remedies.describe_targets(region, listener.target_group),))
    elif unhealthy:
        states = [
            f"{t.target} is {t.state}{f' ({t.reason})' if t.reason else ''}" for t in unhealthy
        ]
        count = (
            "none of its targets is"
            if len(unhealthy) == len(listener.targets)
            else "not all targets are"
        )
        zones_matter = not balancer.cross_zone and len(unhealthy) < len(listener.targets)
        zones = "; cross-zone load balancing is off" if zones_matter else ""
        message = f"{where}: {count} healthy: {listed(states)}{zones}"
        yield _Fault(path, message, (remedies.describe_targets(region, listener.target_group),))
    if not listener.preserves_client_ip and not (
        path.reachability and path.reachability.interface.private
    ):
        return
    for target in listener.targets:
        for interface in _interfaces(paths.snapshot, target.target):
            source = paths.aws.source
            if listener.preserves_client_ip and source.network in interface.addresses:
                message = (
                    f"{where} sends this client's packets back to the client, which is a target "
                    "itself"
                )
                yield _Fault(path, message, (remedies.no_hairpin(region, listener.target_group),))
                continue
            step, source_address = _group_step(paths, path, listener, interface, target.port)
            if step.verdict is PathVerdict.BLOCKED:
                proposal = permissions.proposal(
                    interface.groups[0], interface.region, source_address, [target.port], 4
                )
                message = f"behind {where}, {target.target}: {step.message}"
                yield _Fault(path, message, (permissions.authorize(proposal),))


def _group_step(
    paths: NetworkPaths,
    path: NetworkPath,
    listener: LoadBalancerListener,
    interface: NetworkInterface,
    port: int,
) -> tuple[PathStep, str]:
    """Whether the groups of a target allow connections through the load balancer, and the source
    address that the target sees.

    A rule that refers to the group of the load balancer allows its connections, with and without
    client-IP preservation.
    """
    balancer = path.reachability.interface.private if path.reachability else ()
    own = [ClientAddress(address, "interface") for address in balancer]
    client = paths.aws.source
    sources = [client] if listener.preserves_client_ip else own
    steps = [
        (analyze_groups(paths.snapshot, source, interface, port), source.network)
        for source in sources
    ]
    if listener.preserves_client_ip:
        reference = _group_reference(paths, path, interface, port)
        if reference:
            return reference, client.network
    return max(steps, key=lambda result: result[0].verdict is PathVerdict.BLOCKED)


def _group_reference(
    paths: NetworkPaths, path: NetworkPath, interface: NetworkInterface, port: int
) -> PathStep | None:
    """The step of a target's rule that refers to a group of the load balancer, None without one."""
    groups = path.reachability.interface.groups if path.reachability else ()
    for name in interface.groups:
        group = paths.snapshot.groups.get(name)
        for group_rule in group.inbound if group else ():
            low = group_rule.from_port or 0
            high = 65535 if group_rule.to_port is None else group_rule.to_port
            if group_rule.peer_group in groups and group_rule.peer_group and low <= port <= high:
                message = f"{group_rule.id} lets {group_rule.peer} in"
                return PathStep("group", PathVerdict.ALLOWED, group_rule.id, message)
    return None


def _interfaces(snapshot: Snapshot, target: str) -> list[NetworkInterface]:
    """The interfaces of a target, which is an instance id or an IP address."""
    return [i for i in snapshot.interfaces if target == i.instance or target in i.private]


def _is_broker_of(path: NetworkPath, cluster: MskCluster) -> bool:
    """Whether the host of a path is a broker of an MSK cluster, by its private or public name."""
    host = path.endpoint.host.lower()
    if host in (name.lower() for name in cluster.brokers):
        return True
    label, _, domain = host.partition(".")
    private_name = f"{label.removesuffix('-public')}.{domain}"
    return private_name in (name.lower() for name in cluster.brokers)


def _msk_faults(path: NetworkPath, cluster: MskCluster) -> Iterator[_Fault]:
    """The faults of a path to an MSK cluster: its state, its public access, its ports."""
    region = cluster.arn.split(":")[3] if cluster.arn.count(":") > 3 else ""
    port, name = path.endpoint.port, f"MSK cluster {cluster.name}"
    offered = cluster.ports.values()
    ports = [f"{number} {_AUTHENTICATION[number]}" for number in sorted(offered)]
    bootstrap = remedies.msk_bootstrap(region, cluster.arn, ports)
    outside = _from_internet(path.reachability)
    closed = cluster.public in ("", "DISABLED")
    if cluster.state not in ("ACTIVE", ""):
        yield _Fault(path, f"{name} is {cluster.state}")
    if outside and closed:
        message = (
            f"{name} has public access switched off: clients outside of its VPC cannot connect"
        )
        yield _Fault(path, message, (remedies.msk_public(region, cluster.arn), bootstrap))
    elif outside and port in _AUTHENTICATION and "public" not in _AUTHENTICATION[port]:
        message = (
            f"{name} has TCP {port} ({_AUTHENTICATION[port]}) for clients inside of its VPC only"
        )
        yield _Fault(path, message, (bootstrap,))
    if offered and port not in offered:
        kind = f" ({_AUTHENTICATION[port]})" if port in _AUTHENTICATION else ""
        message = f"{name} does not offer TCP {port}{kind}; it offers {listed(ports)}"
        yield _Fault(path, message, (bootstrap,))


def _from_internet(reachability: Reachability | None) -> bool:
    """Whether the client is outside of the VPC, or its place is not known."""
    if reachability is None or reachability.inside:
        return reachability is None
    private = reachability.address in reachability.interface.private
    return not private or any(
        s.verdict is not PathVerdict.ALLOWED for s in reachability.steps_of("address")
    )
