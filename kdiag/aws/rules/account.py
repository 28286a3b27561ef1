"""Rules KD505 and KD507 to KD509, AWS: open groups, public addresses, failed calls, accounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kdiag.address import is_loopback
from kdiag.aws import permissions, remedies
from kdiag.aws.cloud_view import node_of, public_address_evidence
from kdiag.aws.facts import SecurityGroupRule, UnavailableCall
from kdiag.aws.paths import NetworkPath, NetworkPaths
from kdiag.aws.ranges import TCP_PROTOCOLS, address_ranges, format_ports, port_ranges, ports_of
from kdiag.aws.reachability import analyze
from kdiag.aws.rules.text import HOP
from kdiag.aws.verdict import PathVerdict
from kdiag.config.settings import Endpoint
from kdiag.rules.advertising import advertising
from kdiag.rules.platform import Platform
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import brokers, listed, once

# API call → the facts that are not known without the call.
_PURPOSES = {
    "ec2:DescribeNetworkInterfaces": "which interface has which address, so nothing else either",
    "ec2:DescribeInstances": "which instance has which public address, and whether it runs",
    "ec2:DescribeSecurityGroupRules": "what security groups let in, and the ids of their rules",
    "ec2:DescribeNetworkAcls": "what network ACLs let through",
    "ec2:DescribeRouteTables": "where subnets send their answers",
    "ec2:DescribeVpcPeeringConnections": "which VPCs are peered",
    "ec2:GetManagedPrefixListEntries": "the networks of prefix lists",
    "ec2:DescribeRegions": "which regions there are to look in",
    "elasticloadbalancing:DescribeLoadBalancers": "which load balancers there are",
    "elasticloadbalancing:DescribeListeners": "where load balancers listen",
    "elasticloadbalancing:DescribeLoadBalancerAttributes": "how load balancers pass on",
    "elasticloadbalancing:DescribeTargetGroupAttributes": "whose address targets see",
    "elasticloadbalancing:DescribeTargetHealth": "whether targets are healthy",
    "kafka:ListClustersV2": "which MSK clusters there are, and their ports and public access",
    "kafka:ListNodes": "the brokers of MSK clusters",
}
_NO_LOGIN = ("credentials", "expired")
_NO_ANSWER = ("credentials", "expired", "unreachable", "region")
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


@rule("KD505", "open-to-the-world", Severity.WARNING, "The whole internet can connect to Kafka")
def open_to_the_world(paths: NetworkPaths) -> Iterator[Match]:
    """A security group lets 0.0.0.0/0 or ::/0 in on the ports of brokers with a public address.

    Many a tutorial advises this. A listener without TLS and authentication is then open to anyone;
    with them, anyone can still try to log in.

    To narrow it, add the rule for your own clients first and take the open one away after; the
    other order disconnects all clients for a time.

    Prove it: `aws ec2 describe-security-group-rules --filters Name=group-id,Values=GROUP`.

    How to fix: add a rule for your own clients, then remove the open one. Give the listener TLS and
    authentication.
    """
    open_paths: dict[str, list[NetworkPath]] = defaultdict(list)
    rules: dict[str, SecurityGroupRule] = {}
    for path in paths.paths:
        for open_rule in _open_rules(paths, path):
            rules[open_rule.id] = open_rule
            open_paths[open_rule.id].append(path)
    for group in once(rules[name].group for name in rules):
        names = [name for name in rules if rules[name].group == group]
        matching = list({id(path): path for name in names for path in open_paths[name]}.values())
        ports = port_ranges({path.endpoint.port for path in matching})
        yield Match(
            HOP,
            f"{group} lets the whole internet in on TCP "
            f"{listed([format_ports(p) for p in ports])}, where {_targets(matching)} can be "
            "reached by public addresses",
            tuple(once(path.subject for path in matching)),
            tuple(
                f"{name} lets {rules[name].peer} in on {_rule_ports(rules[name])}: "
                f"{listed(once(path.label for path in open_paths[name]))}"
                for name in names
            ),
            tuple(_narrower_rules(paths, group, [rules[name] for name in names], matching)),
        )


@rule(
    "KD507",
    "public-address-found",
    Severity.WARNING,
    "The advertised private address has a public one",
)
def public_address_found(paths: NetworkPaths, platform: Platform) -> Iterator[Match]:
    """A private address that a broker advertises belongs to an interface with a public one.

    Clients in the VPC use the first, clients outside the second: a listener for them should
    advertise it. Where kdiag can, it has dialled the public address, and says which broker answers.

    Prove it: `aws ec2 describe-network-interfaces --filters
    Name=addresses.private-ip-address,Values=ADDRESS`.

    How to fix: let the listener for clients outside advertise the public address, or a name that
    resolves to it.
    """
    matching = [
        path for path in paths.paths if path.hop == "listeners" and path.public_reachability
    ]
    if matching:
        addresses = [
            f"{path.address} is {public.address}"
            for path in matching
            if (public := path.public_reachability)
        ]
        yield Match(
            HOP,
            f"The addresses that {brokers([node_of(path) for path in matching])} "
            f"advertise{'s' if len(matching) == 1 else ''} have public ones: {listed(addresses)}",
            tuple(once(path.subject for path in matching)),
            tuple(line for path in matching for line in public_address_evidence(paths, path)),
            advertising(
                {
                    node_of(path): str(Endpoint(public.address, path.endpoint.port))
                    for path in matching
                    if (public := path.public_reachability)
                },
                "advertise the public addresses to clients outside (elastic IPs: others change "
                "when the instance stops)",
                platform,
            ),
        )


@rule("KD508", "aws-unavailable", Severity.WARNING, "AWS did not answer everything")
def aws_unavailable(paths: NetworkPaths) -> Iterator[Match]:
    """Credentials, permissions, the region or the network kept kdiag from asking AWS.

    What is unknown by that is said; it is never taken for allowed or blocked. The verdict of the
    walk itself does not rest on AWS, and stands.

    Prove it: the call that is named, with `aws` on the command line.

    How to fix: give kdiag credentials with the Describe permissions of docs/aws.md, or the region:
    `--aws-profile`, `--aws-region`.
    """
    unavailable = paths.snapshot.unavailable
    if unavailable:
        reasons = once(_REASONS.get(call.reason, call.reason) for call in unavailable)
        answer = "did not answer everything" if paths.snapshot.interfaces else "answered nothing"
        yield Match(
            HOP,
            f"AWS {answer}: {listed(reasons)}. The verdict of the walk stands",
            tuple(once(call.call for call in unavailable)),
            tuple(once(_unknown_evidence(call) for call in unavailable)),
            tuple(_access_remedies(unavailable)),
        )


@rule("KD509", "address-not-in-account", Severity.WARNING, "An address is not in this account")
def address_not_in_account(paths: NetworkPaths) -> Iterator[Match]:
    """No network interface in this account and these regions has an address of the cluster.

    The brokers are in another account or region than these credentials are for, or outside of AWS;
    or the address was given back, and belongs to nobody, or to somebody else, by now.

    Prove it: `aws ec2 describe-addresses --public-ips ADDRESS`, in the account that should have it.

    How to fix: give the credentials of the account and the region that have the brokers:
    `--aws-profile`, `--aws-region`. Where the address was given back, advertise the new one.
    """
    unknown = any("DescribeNetworkInterfaces" in call.call for call in paths.snapshot.unavailable)
    if unknown or any(call.reason in _NO_ANSWER for call in paths.snapshot.unavailable):
        return  # an address may exist that kdiag could not look for
    no_interface = not any(path.reachability for path in paths.paths)
    matching = [
        path
        for path in paths.paths
        if not path.reachability
        and not is_loopback(path.address)
        and (no_interface or not path.result.usable)
    ]
    if matching:
        regions = listed(paths.snapshot.regions) or "no region"
        ambiguous = [path for path in matching if paths.snapshot.interfaces_with(path.address)]
        which = listed(once(path.address for path in matching))
        yield Match(
            HOP,
            f"No interface in {regions} that these credentials can see has {which}"
            if not ambiguous
            else f"Which interface has {which} is not clear",
            tuple(once(path.subject for path in matching)),
            tuple(_address_evidence(paths, matching)),
            (remedies.whose_account(),),
        )


def _open_rules(paths: NetworkPaths, path: NetworkPath) -> Iterator[SecurityGroupRule]:
    """The rules that allow the whole internet to connect to the public address of a path."""
    if path.effective is None or path.effective.address in path.effective.interface.private:
        return
    for group in path.effective.interface.groups:
        found = paths.snapshot.groups.get(group)
        for open_rule in found.inbound if found else ():
            low, high = ports_of(open_rule)
            matches = open_rule.protocol in TCP_PROTOCOLS and low <= path.endpoint.port <= high
            internet = [n for n in _networks(paths, open_rule) if n.endswith("/0")]
            if matches and any(list(address_ranges(n, path.effective.address)) for n in internet):
                yield open_rule


def _networks(paths: NetworkPaths, open_rule: SecurityGroupRule) -> Sequence[str]:
    """The networks that a rule allows."""
    networks = paths.snapshot.prefix_lists.get(open_rule.prefix_list, ())
    return networks if open_rule.prefix_list else (open_rule.cidr,)


def _narrower_rules(
    paths: NetworkPaths,
    group: str,
    rules: Sequence[SecurityGroupRule],
    matching: Sequence[NetworkPath],
) -> Iterator[Remedy]:
    """Remedies: first a rule for this client, if no other rule allows it; then the removal of the
    open rules."""
    closed_groups = {
        name: replace(each, inbound=tuple(r for r in each.inbound if r not in rules))
        for name, each in paths.snapshot.groups.items()
    }
    closed = replace(paths.snapshot, groups=closed_groups)
    missing: dict[tuple[str, int], set[int]] = defaultdict(set)
    region = ""
    for path in matching:
        if path.effective:
            region = path.effective.interface.region
            reachability = analyze(
                closed,
                paths.aws.source,
                path.effective.interface,
                path.effective.address,
                path.endpoint.port,
            )
            if any(
                step.verdict is not PathVerdict.ALLOWED for step in reachability.steps_of("group")
            ):
                version = 6 if ":" in reachability.address else 4
                missing[reachability.source, version].add(path.endpoint.port)
    for (source, version), ports in missing.items():
        proposal = permissions.proposal(group, region, source, sorted(ports), version)
        yield permissions.authorize(proposal)
    yield permissions.revoke(region, group, [each.id for each in rules])


def _rule_ports(open_rule: SecurityGroupRule) -> str:
    """The protocol and ports of a rule as text."""
    low, high = ports_of(open_rule)
    if open_rule.protocol == "-1":
        return "everything, of all protocols"
    return "all TCP ports" if (low, high) == (0, 65535) else f"TCP {format_ports((low, high))}"


def _targets(matching: Sequence[NetworkPath]) -> str:
    """The brokers that these paths lead to, or the bootstrap server."""
    nodes = sorted({node_of(path) for path in matching if path.hop == "listeners"})
    return brokers(nodes) if nodes else "the bootstrap server"


def _unknown_evidence(call: UnavailableCall) -> str:
    """Evidence: a failed call, the reason, and the facts that are not known without the call."""
    where = f" in {call.region}" if call.region else ""
    message = f" ({call.message})" if call.message else ""
    why = _REASONS.get(call.reason, call.reason)
    if call.reason in _NO_LOGIN:
        unknown = "anything that AWS could tell"
    else:
        unknown = _PURPOSES.get(call.call, "what it tells")
    return f"{call.call}{where}: {why}{message}; not known: {unknown}"


def _access_remedies(unavailable: Sequence[UnavailableCall]) -> Iterator[Remedy]:
    """One remedy for each kind of reason."""
    reasons: Mapping[str, list[UnavailableCall]] = {call.reason: [] for call in unavailable}
    for call in unavailable:
        reasons[call.reason].append(call)
    if {"credentials", "expired", "region"} & reasons.keys():
        yield remedies.log_in()
    if "denied" in reasons:
        yield remedies.allow_reading([call.call for call in reasons["denied"]])
    if "throttled" in reasons:
        yield Remedy("Wait a minute, and check again.")
    if {"unreachable", "failed"} & reasons.keys():
        yield Remedy(
            "Check the path to AWS's API from here: proxy (HTTPS_PROXY), VPC endpoints, the name "
            "of the region."
        )


def _address_evidence(paths: NetworkPaths, matching: Sequence[NetworkPath]) -> Iterator[str]:
    """Evidence: the addresses that no interface has, then those that several interfaces have."""
    absent = once(
        path.label for path in matching if not paths.snapshot.interfaces_with(path.address)
    )
    if absent:
        which = "this" if len(absent) == 1 else "these"
        yield f"{listed(absent)}: no interface that AWS lists has {which}"
    for path in matching:
        if found := paths.snapshot.interfaces_with(path.address):
            owners = listed([f"{one.id} in {one.vpc}" for one in found])
            yield f"{path.label} is {owners}, and nothing tells which of them"
