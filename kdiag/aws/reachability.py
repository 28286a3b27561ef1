"""The reachability of a port in AWS: applies security groups, network ACLs and routes as AWS does.

The analysis applies every step to every address that the client may have: one network, or the
whole internet if the source is not known. A verdict is certain if it holds for all of these
addresses; otherwise it is partial or UNKNOWN. kdiag does not guess.

Source: the Amazon VPC user guide on security group rules, network ACL rules and route priority.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kdiag.aws.client_source import ClientSource, broker_source, client_source, same_or_peered
from kdiag.aws.facts import (
    AclEntry,
    ClientAddress,
    NetworkAcl,
    NetworkInterface,
    Route,
    RouteTable,
    SecurityGroupRule,
    Snapshot,
)
from kdiag.aws.ranges import (
    TCP_PROTOCOLS,
    Range,
    address_ranges,
    format_ports,
    is_prefix_list,
    ports_of,
    within,
)
from kdiag.aws.verdict import PathStep, PathVerdict, Reachability

# The source ports of Linux clients. AWS recommends to allow responses to 1024-65535, because NAT
# devices and load balancers use these ports, so kdiag proposes that range. A network ACL with
# fewer ports is a finding only if it blocks the ports of a Linux client.
EPHEMERAL_PORTS = (32768, 60999)
RECOMMENDED_PORTS = (1024, 65535)

MAX_SIMILAR_RULES = 3  # rules with the right port or the right peer, for comparison

# Prefixes of route targets that lead a response back to a client, or that never do. Other targets
# are appliances or gateways that kdiag cannot analyze.
_INTERNET_TARGETS = ("igw-",)
_PRIVATE_TARGETS = ("local", "pcx-", "tgw-", "vgw-", "lgw-")
_KNOWN_TARGETS = ("local", "nat-", "eigw-", "igw-")


def analyze(
    snapshot: Snapshot, source: ClientAddress, interface: NetworkInterface, address: str, port: int
) -> Reachability:
    """Analyzes the path to one address of a network interface and one TCP port."""
    client = client_source(snapshot, source, interface, address)
    steps = tuple(_PathAnalysis(snapshot, interface, client, address).steps(port))
    return Reachability(address, port, interface, client.network, client.inside, steps)


def analyze_groups(
    snapshot: Snapshot, source: ClientAddress, interface: NetworkInterface, port: int
) -> PathStep:
    """Checks only the security groups of an interface, for connections through a load balancer.
    `source` is the address that the interface sees: the client's, or the load balancer's."""
    address = interface.private[0]
    client = client_source(snapshot, source, interface, address)
    return _PathAnalysis(snapshot, interface, client, address).group_step(
        interface.groups, client, port, "group"
    )


@dataclass(frozen=True)
class _PathAnalysis:
    """The analysis of the path from one client to one address of a network interface."""

    snapshot: Snapshot
    interface: NetworkInterface
    client: ClientSource
    address: str

    def steps(self, port: int) -> Iterator[PathStep]:
        """The steps for requests to the port and for responses, in the order of AWS."""
        if self.interface.instance:
            yield self.instance_step()
        address = self.address_step()
        yield address
        if address.verdict is not PathVerdict.ALLOWED:
            return  # later steps do not matter: the client cannot use this address
        own, broker = self.client.interface, broker_source(self.address)
        if own and not self.client.inside:
            yield self.route_step(own, broker, "client-route")
        yield self.route_step(self.interface, self.client, "route")
        other_subnet = own is None or own.subnet != self.interface.subnet
        if own and own.groups:
            yield self.group_step(own.groups, broker, port, "client-group")
        if own and other_subnet:
            yield from self.acl_steps(own.subnet, broker, port, "client-")
        if other_subnet:
            yield from self.acl_steps(self.interface.subnet, self.client, port)
        yield self.group_step(self.interface.groups, self.client, port, "group")

    @property
    def uses_private_address(self) -> bool:
        """Whether packets use private addresses, and no internet gateway."""
        return (
            self.client.inside
            or self.address in self.interface.private
            or (self.client.private and self.address in self.interface.ipv6)
        )

    def instance_step(self) -> PathStep:
        """Whether the instance is running."""
        found = self.snapshot.instances.get(self.interface.instance)
        if not found:
            name = self.interface.instance
            return PathStep(
                "instance", PathVerdict.UNKNOWN, name, f"the state of {name} is not known"
            )
        verdict = PathVerdict.ALLOWED if found.state == "running" else PathVerdict.BLOCKED
        return PathStep("instance", verdict, found.id, f"{found.id} is {found.state}")

    def address_step(self) -> PathStep:
        """Whether the client can use this address: a private address needs a private network."""
        interface, address = self.interface, self.address

        def step(verdict: PathVerdict, message: str) -> PathStep:
            return PathStep("address", verdict, interface.id, message)

        if address not in interface.private:
            own = next((own for own, out in interface.public.items() if out == address), address)
            named = f"{own} of {interface.id}" if own != address else f"of {interface.id}"
            return step(PathVerdict.ALLOWED, f"{address} is {named}")
        if self.client.inside or self.client.private:
            return step(
                PathVerdict.ALLOWED,
                f"{address} of {interface.id} is private, and so is this client",
            )
        inner = f"{address} is private to {interface.vpc}"
        if self.client.known:
            return step(
                PathVerdict.BLOCKED, f"{inner}: from {self.client.network} nothing leads there"
            )
        return step(
            PathVerdict.UNKNOWN, f"{inner}; whether a VPN or a peering connects you is not known"
        )

    def route_step(self, interface: NetworkInterface, peer: ClientSource, layer: str) -> PathStep:
        """Whether the route with the longest prefix leads from an interface to its peer."""
        table = _route_table(self.snapshot, interface)
        if not table:
            message = f"the routes of {interface.subnet} are not known"
            return PathStep(layer, PathVerdict.UNKNOWN, interface.subnet, message)
        routes = [
            (addresses, route) for route in table.routes for addresses in self.ranges(route.network)
        ]
        unknown_list = next(
            (r.network for r in table.routes if self.is_unknown_list(r.network)), ""
        )
        targets = _PRIVATE_TARGETS if self.uses_private_address else _INTERNET_TARGETS

        def decide(address: int) -> PathStep:
            matching = [
                (addresses, route)
                for addresses, route in routes
                if addresses[0] <= address <= addresses[1]
            ]
            if not matching and unknown_list:
                message = f"{table.id}: the networks of {unknown_list} are not known"
                return PathStep(layer, PathVerdict.UNKNOWN, f"{table.id} {unknown_list}", message)
            if not matching:
                is_main = "" if interface.subnet in table.subnets else " (the main table)"
                message = f"{table.id}{is_main} has no route to {peer.label}"
                return PathStep(layer, PathVerdict.BLOCKED, table.id, message)
            return _route_step(table, _longest_prefix(matching), targets, peer, layer)

        return self.for_all_addresses(peer, [addresses for addresses, _ in routes], decide)

    def acl_steps(
        self, subnet: str, peer: ClientSource, port: int, side: str = ""
    ) -> Iterator[PathStep]:
        """The network ACL of a subnet. A network ACL is stateless, so there is one step for
        requests and one for responses."""
        acl = next((a for a in self.snapshot.acls if subnet in a.subnets), None)
        directions = ("out", "in") if side else ("in", "out")
        for direction, ports in zip(directions, ((port, port), EPHEMERAL_PORTS), strict=True):
            layer = f"{side}acl-{direction}"
            if acl:
                yield self.acl_step(acl, peer, ports, layer)
            else:
                message = f"the network ACL of {subnet} is not known"
                yield PathStep(layer, PathVerdict.UNKNOWN, subnet, message)

    def acl_step(self, acl: NetworkAcl, peer: ClientSource, ports: Range, layer: str) -> PathStep:
        """One direction of a network ACL. The matching entry with the lowest number decides; AWS
        denies a packet without a matching entry."""
        out = layer.endswith("out")
        ordered = sorted((e for e in acl.entries if e.egress is out), key=lambda e: e.number)
        matching = [
            (addresses, entry)
            for entry in ordered
            if entry.protocol in TCP_PROTOCOLS
            for addresses in self.ranges(entry.cidr)
        ]
        # The verdict can change only at the edge of an entry, so one port of each part is enough.
        edges = {edge for _, e in matching for edge in (ports_of(e)[0], ports_of(e)[1] + 1)}
        edge_ports = sorted({ports[0], *(edge for edge in edges if ports[0] < edge <= ports[1])})
        to = "out to" if out else "in from"

        def decide(address: int) -> PathStep:
            entry_at = {port: _first_entry(matching, address, port) for port in edge_ports}
            denied = [port for port, entry in entry_at.items() if not (entry and entry.allow)]
            entry = entry_at[denied[0] if denied else ports[0]]
            decided_by = f"{acl.id} rule {entry.number if entry else '*'}"
            part = _denied_range(edge_ports, denied, ports) if denied else ports
            action = "denies" if denied else "lets"
            message = f"{decided_by} {action} TCP {format_ports(part)} {to} {peer.label}"
            verdict = PathVerdict.BLOCKED if denied else PathVerdict.ALLOWED
            return PathStep(layer, verdict, decided_by, message, 0 < len(denied) < len(entry_at))

        return self.for_all_addresses(peer, [addresses for addresses, _ in matching], decide)

    def group_step(
        self, groups: Sequence[str], peer: ClientSource, port: int, layer: str
    ) -> PathStep:
        """Whether a rule of any of the attached groups allows the connection."""
        if not groups:
            message = f"{self.interface.id} has no security group: nothing is filtered"
            return PathStep(layer, PathVerdict.ALLOWED, self.interface.id, message)
        out = layer != "group"
        known = [self.snapshot.groups[g] for g in groups if g in self.snapshot.groups]
        rules = [rule for g in known for rule in (g.outbound if out else g.inbound)]
        matching = [rule for rule in rules if _matches_port(rule, port)]
        unknown = [f"{g} is not known" for g in groups if g not in self.snapshot.groups]
        unknown += [reason for rule in matching for reason in self.unknown_peers(rule, out)]
        allowed = [
            (addresses, rule) for rule in matching for addresses in self.peer_ranges(rule, out)
        ]
        names, direction = ", ".join(groups), "out to" if out else "in from"
        similar = "".join(
            f"; {line}" for line in _similar_rules(rules, matching, self.address, peer, direction)
        )
        has = f"{names} ha{'s' if len(groups) == 1 else 've'} no rule that lets"
        blocked = PathStep(
            layer, PathVerdict.BLOCKED, names, f"{has} TCP {port} {direction} {peer.label}{similar}"
        )

        def decide(address: int) -> PathStep:
            for addresses, rule in allowed:
                if addresses[0] <= address <= addresses[1]:
                    message = f"{rule.id} of {rule.group} lets TCP {port} {direction} {rule.peer}"
                    return PathStep(layer, PathVerdict.ALLOWED, rule.id, message)
            if unknown:
                return PathStep(layer, PathVerdict.UNKNOWN, names, "; ".join(unknown))
            return blocked

        return self.for_all_addresses(peer, [addresses for addresses, _ in allowed], decide)

    def peer_ranges(self, rule: SecurityGroupRule, out: bool) -> Iterator[Range]:
        """The addresses that a rule allows. A rule that refers to a group allows the private
        addresses of its members in the same VPC or in a peered VPC."""
        if not rule.peer_group:
            yield from self.ranges(rule.prefix_list or rule.cidr)
            return
        own = self.client.interface
        member = self.interface if out else own
        if (
            own
            and member
            and self.uses_private_address
            and rule.peer_group in member.groups
            and same_or_peered(self.snapshot, own.vpc, self.interface.vpc)
        ):
            yield from (broker_source(self.address) if out else self.client).ranges

    def unknown_peers(self, rule: SecurityGroupRule, out: bool) -> Iterator[str]:
        """The reasons why the peers of a rule are not known."""
        if self.is_unknown_list(rule.prefix_list):
            yield f"{rule.id} is for {rule.prefix_list}, whose networks are not known"
        if rule.peer_group and not out and self.uses_private_address and not self.client.interface:
            yield (
                f"{rule.id} is for members of {rule.peer_group}, and whether this client is one "
                "is not known"
            )

    def is_unknown_list(self, network: str) -> bool:
        """Whether `network` is a prefix list whose networks are not known."""
        return is_prefix_list(network) and network not in self.snapshot.prefix_lists

    def ranges(self, network: str) -> Iterator[Range]:
        """The addresses of a network or a prefix list, in the IP version of the dialled address."""
        listed = (
            self.snapshot.prefix_lists.get(network, ()) if is_prefix_list(network) else (network,)
        )
        for cidr in listed:
            yield from address_ranges(cidr, self.address)

    def for_all_addresses(
        self, peer: ClientSource, rules: Iterable[Range], decide: Callable[[int], PathStep]
    ) -> PathStep:
        """One step for all addresses that a peer may have. The verdict can change only at the edge
        of a rule, so `decide` is called for one address of each part."""
        edges = {edge for low, high in rules for edge in (low, high + 1)}
        steps: list[PathStep] = []
        for low, high in peer.ranges:
            steps += [
                decide(address)
                for address in sorted({low, *(edge for edge in edges if low < edge <= high)})
            ]
        if len({step.verdict for step in steps}) == 1:
            return steps[0]
        worst = next((s for s in steps if s.verdict is PathVerdict.BLOCKED), None)
        if peer.known and worst:
            return replace(worst, message=f"{worst.message} (part of it)", partial=True)
        first = next(s for s in steps if s.verdict is not PathVerdict.BLOCKED)
        reason = next((s for s in steps if s.verdict is PathVerdict.UNKNOWN), None)
        if peer.known and reason:
            return reason
        message = f"it depends on where you come from: {first.message}"
        return PathStep(first.layer, PathVerdict.UNKNOWN, first.decided_by, message, partial=True)


def _route_table(snapshot: Snapshot, interface: NetworkInterface) -> RouteTable | None:
    """The route table of the subnet, or the main route table of its VPC."""
    tables = [table for table in snapshot.tables if table.vpc == interface.vpc]
    own = next((table for table in tables if interface.subnet in table.subnets), None)
    return own or next((table for table in tables if table.main), None)


def _longest_prefix(matching: Sequence[tuple[Range, Route]]) -> Route:
    """The route with the longest prefix. Of equal ones, AWS uses the one of a prefix list last."""
    return min(matching, key=lambda f: (f[0][1] - f[0][0], is_prefix_list(f[1].network)))[1]


def _route_step(
    table: RouteTable, route: Route, targets: tuple[str, ...], peer: ClientSource, layer: str
) -> PathStep:
    decided_by = f"{table.id} {route.network} → {route.target}"
    if route.blackhole:
        verdict, message = PathVerdict.BLOCKED, f"{decided_by} is a blackhole: its target is gone"
    elif route.target.startswith(targets):
        verdict, message = PathVerdict.ALLOWED, f"{decided_by} leads to {peer.label}"
    elif route.target.startswith(_KNOWN_TARGETS):
        verdict, message = PathVerdict.BLOCKED, f"{decided_by} does not lead to {peer.label}"
    else:
        verdict, message = PathVerdict.UNKNOWN, f"{decided_by}: kdiag cannot see what is behind it"
    return PathStep(layer, verdict, decided_by, message)


def _first_entry(
    matching: Sequence[tuple[Range, AclEntry]], address: int, port: int
) -> AclEntry | None:
    """The first entry for this address and port."""
    for addresses, entry in matching:
        low, high = ports_of(entry)
        if addresses[0] <= address <= addresses[1] and low <= port <= high:
            return entry
    return None


def _denied_range(edge_ports: Sequence[int], denied: Sequence[int], ports: Range) -> Range:
    """The first range of denied ports."""
    after = (port for port in edge_ports if port > denied[0] and port not in denied)
    return denied[0], next(after, ports[1] + 1) - 1


def _matches_port(rule: SecurityGroupRule, port: int) -> bool:
    low, high = ports_of(rule)
    return rule.protocol in TCP_PROTOCOLS and low <= port <= high


def _similar_rules(
    rules: Sequence[SecurityGroupRule],
    matching: Sequence[SecurityGroupRule],
    address: str,
    peer: ClientSource,
    direction: str,
) -> list[str]:
    """Rules that match the port but not the client, or the client but not the port."""
    lines = [f"{rule.id} lets it {direction} {rule.peer} only" for rule in matching]
    of_port = {id(rule) for rule in matching}
    for rule in rules:
        if len(lines) >= MAX_SIMILAR_RULES:
            break
        about = list(address_ranges(rule.cidr, address)) if id(rule) not in of_port else []
        if rule.protocol in TCP_PROTOCOLS and any(
            within(s, addresses) for addresses in about for s in peer.ranges
        ):
            lines.append(f"{rule.id} lets {rule.peer} in on {format_ports(ports_of(rule))} only")
    return lines[:MAX_SIMILAR_RULES]
