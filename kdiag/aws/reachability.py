"""Whether AWS lets a client reach a port, decided as AWS does, from what it told and nothing else.

Every step is asked of every address that the client may have: those of a network that was given,
or, where it is not known, the whole internet. What holds for all of them is known; what holds for
some only is blocked in part, or unknown. Nothing is guessed.

Source: the Amazon VPC user guide on security group rules, network ACL rules and route priority.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kdiag.aws.client_source import ClientSource, client_source, joined, of_address
from kdiag.aws.facts import (
    AclEntry,
    ClientAddress,
    Interface,
    NetworkAcl,
    Permission,
    Route,
    RouteTable,
    Snapshot,
)
from kdiag.aws.outcome import PathVerdict
from kdiag.aws.ranges import TCP, Span, ports_of, shown, spans, within

# The ports that Linux gives a client. AWS advises to let answers out to 1024-65535, which NAT
# devices and load balancers use, and that is what kdiag proposes; but a network ACL that opens
# less is convicted only of what it does to a client such as this one.
EPHEMERAL = (32768, 60999)
ADVISED = (1024, 65535)

MANY_NEAR = 3  # rules that almost fit, for the reader to compare

# Where a route may lead an answer back to a client. What is in none of these is an appliance or a
# gateway that is not seen from here.
_TO_THE_INTERNET = ("igw-",)
_TO_A_NETWORK = ("local", "pcx-", "tgw-", "vgw-", "lgw-")
_DEAD_ENDS = ("local", "nat-", "eigw-", "igw-")


@dataclass(frozen=True)
class PathStep:
    """One thing that AWS asks of a packet. `layer` is instance, address, route, acl-in, acl-out or
    group, with "client-" before it where it stands on the client's side; `by` is the id that
    decided; `partly` tells that it does so for some of the client's addresses or ports only."""

    layer: str
    outcome: PathVerdict
    by: str
    words: str
    partly: bool = False


@dataclass(frozen=True)
class Reachability:
    """One address and port of an interface, as a client from `source` ("" if unknown) finds it.

    `steps` are in the order in which AWS decides; `inside` tells that client and interface are in
    one VPC.
    """

    address: str
    port: int
    interface: Interface
    source: str
    inside: bool
    steps: tuple[PathStep, ...]

    @property
    def outcome(self) -> PathVerdict:
        """Blocked by one step is blocked; else what is not known of one is not known."""
        outcomes = {step.outcome for step in self.steps}
        for outcome in (PathVerdict.BLOCKED, PathVerdict.UNKNOWN):
            if outcome in outcomes:
                return outcome
        return PathVerdict.ALLOWED

    @property
    def deciding(self) -> PathStep:
        """The first step that comes to the outcome; where all allow, the last: the group's rule."""
        found = [step for step in self.steps if step.outcome is self.outcome]
        return found[-1] if self.outcome is PathVerdict.ALLOWED else found[0]

    def at(self, *layers: str) -> tuple[PathStep, ...]:
        """The steps of these layers, as far as they were asked."""
        return tuple(step for step in self.steps if step.layer in layers)


def reach(
    snapshot: Snapshot, source: ClientAddress, interface: Interface, address: str, port: int
) -> Reachability:
    """Asks every step about one address of an interface and one TCP port."""
    client = client_source(snapshot, source, interface, address)
    steps = tuple(_Judge(snapshot, interface, client, address).steps(port))
    return Reachability(address, port, interface, client.network, client.inside, steps)


def admitted(
    snapshot: Snapshot, source: ClientAddress, interface: Interface, port: int
) -> PathStep:
    """Whether an interface's groups let a client in that comes to it by way of a load balancer,
    which shows it the client's address, or its own: whatever route that takes is not asked."""
    address = interface.private[0]
    client = client_source(snapshot, source, interface, address)
    return _Judge(snapshot, interface, client, address).group(
        interface.groups, client, port, "group"
    )


@dataclass(frozen=True)
class _Judge:
    """What stands before one address of an interface, for one client."""

    snapshot: Snapshot
    interface: Interface
    client: ClientSource
    address: str

    def steps(self, port: int) -> Iterator[PathStep]:
        """In the order in which AWS decides: a packet's way there, and its answer's way back."""
        if self.interface.instance:
            yield self.instance()
        dialled = self.dialled()
        yield dialled
        if dialled.outcome is not PathVerdict.ALLOWED:
            return  # this address is not the way from there, whatever else there is
        own, broker = self.client.interface, of_address(self.address)
        if own and not self.client.inside:
            yield self.route(own, broker, "client-route")
        yield self.route(self.interface, self.client, "route")
        apart = own is None or own.subnet != self.interface.subnet
        if own and own.groups:
            yield self.group(own.groups, broker, port, "client-group")
        if own and apart:
            yield from self.acl(own.subnet, broker, port, "client-")
        if apart:
            yield from self.acl(self.interface.subnet, self.client, port)
        yield self.group(self.interface.groups, self.client, port, "group")

    @property
    def privately(self) -> bool:
        """Packets come by private addresses, not through an internet gateway."""
        return (
            self.client.inside
            or self.address in self.interface.private
            or (self.client.private and self.address in self.interface.ipv6)
        )

    def instance(self) -> PathStep:
        """Only what runs answers."""
        found = self.snapshot.instances.get(self.interface.instance)
        if not found:
            name = self.interface.instance
            return PathStep(
                "instance", PathVerdict.UNKNOWN, name, f"the state of {name} is not known"
            )
        outcome = PathVerdict.ALLOWED if found.state == "running" else PathVerdict.BLOCKED
        return PathStep("instance", outcome, found.id, f"{found.id} is {found.state}")

    def dialled(self) -> PathStep:
        """Whether this kind of address leads anywhere from where the client is."""
        interface, address = self.interface, self.address

        def ends(outcome: PathVerdict, words: str) -> PathStep:
            return PathStep("address", outcome, interface.id, words)

        if address not in interface.private:
            own = next((own for own, out in interface.public.items() if out == address), address)
            named = f"{own} of {interface.id}" if own != address else f"of {interface.id}"
            return ends(PathVerdict.ALLOWED, f"{address} is {named}")
        if self.client.inside or self.client.private:
            return ends(
                PathVerdict.ALLOWED, f"{address} of {interface.id} is private, and so are you"
            )
        inner = f"{address} is private to {interface.vpc}"
        if self.client.known:
            return ends(
                PathVerdict.BLOCKED, f"{inner}: from {self.client.network} nothing leads there"
            )
        return ends(
            PathVerdict.UNKNOWN, f"{inner}; whether a VPN or a peering leads you there is open"
        )

    def route(self, interface: Interface, peer: ClientSource, layer: str) -> PathStep:
        """The way from an interface to its peer, by the longest prefix that fits."""
        table = _table(self.snapshot, interface)
        if not table:
            words = f"the routes of {interface.subnet} are not known"
            return PathStep(layer, PathVerdict.UNKNOWN, interface.subnet, words)
        routes = [(each, route) for route in table.routes for each in self.spans(route.network)]
        lost = next((r.network for r in table.routes if self.unlisted(r.network)), "")
        good = _TO_A_NETWORK if self.privately else _TO_THE_INTERNET

        def decide(at: int) -> PathStep:
            fitting = [(each, route) for each, route in routes if each[0] <= at <= each[1]]
            if not fitting and lost:
                words = f"{table.id}: the networks of {lost} are not known"
                return PathStep(layer, PathVerdict.UNKNOWN, f"{table.id} {lost}", words)
            if not fitting:
                words = f"{_named(table, interface)} has no route to {peer.words}"
                return PathStep(layer, PathVerdict.BLOCKED, table.id, words)
            return _by_route(table, _longest(fitting), good, peer, layer)

        return self.over(peer, [each for each, _ in routes], decide)

    def acl(self, subnet: str, peer: ClientSource, port: int, side: str = "") -> Iterator[PathStep]:
        """A subnet's network ACL, which is asked both ways: of the packet, then of its answer."""
        acl = next((a for a in self.snapshot.acls if subnet in a.subnets), None)
        there = ("out", "in") if side else ("in", "out")
        for way, ports in zip(there, ((port, port), EPHEMERAL), strict=True):
            layer = f"{side}acl-{way}"
            if acl:
                yield self.entries(acl, peer, ports, layer)
            else:
                words = f"the network ACL of {subnet} is not known"
                yield PathStep(layer, PathVerdict.UNKNOWN, subnet, words)

    def entries(self, acl: NetworkAcl, peer: ClientSource, ports: Span, layer: str) -> PathStep:
        """One direction of a network ACL: the lowest number that fits decides, and none denies."""
        out = layer.endswith("out")
        ordered = sorted((e for e in acl.entries if e.egress is out), key=lambda e: e.number)
        fitting = [
            (each, entry)
            for entry in ordered
            if entry.protocol in TCP
            for each in self.spans(entry.cidr)
        ]
        # Each port where the answer may change is asked, and with it all up to the next.
        edges = {edge for _, e in fitting for edge in (ports_of(e)[0], ports_of(e)[1] + 1)}
        asked = sorted({ports[0], *(edge for edge in edges if ports[0] < edge <= ports[1])})
        to = "out to" if out else "in from"

        def decide(at: int) -> PathStep:
            told = {port: _first(fitting, at, port) for port in asked}
            denied = [port for port, entry in told.items() if not (entry and entry.allow)]
            entry = told[denied[0] if denied else ports[0]]
            by = f"{acl.id} rule {entry.number if entry else '*'}"
            part = _run(asked, denied, ports) if denied else ports
            words = f"{by} {'denies' if denied else 'lets'} TCP {shown(part)} {to} {peer.words}"
            outcome = PathVerdict.BLOCKED if denied else PathVerdict.ALLOWED
            return PathStep(layer, outcome, by, words, 0 < len(denied) < len(told))

        return self.over(peer, [each for each, _ in fitting], decide)

    def group(self, groups: Sequence[str], peer: ClientSource, port: int, layer: str) -> PathStep:
        """The rules of all attached groups, taken together: one that fits lets in."""
        if not groups:
            words = f"{self.interface.id} has no security group: nothing is filtered"
            return PathStep(layer, PathVerdict.ALLOWED, self.interface.id, words)
        out = layer != "group"
        known = [self.snapshot.groups[g] for g in groups if g in self.snapshot.groups]
        rules = [rule for g in known for rule in (g.outbound if out else g.inbound)]
        fitting = [rule for rule in rules if _is_for(rule, port)]
        doubts = [f"{g} is not known" for g in groups if g not in self.snapshot.groups]
        doubts += [doubt for rule in fitting for doubt in self.doubt(rule, out)]
        let = [(each, rule) for rule in fitting for each in self.whom(rule, out)]
        names, way = ", ".join(groups), "out to" if out else "in from"
        near = "".join(f"; {line}" for line in _near(rules, fitting, self.address, peer, way))
        has = f"{names} ha{'s' if len(groups) == 1 else 've'} no rule that lets"
        blocked = PathStep(
            layer, PathVerdict.BLOCKED, names, f"{has} TCP {port} {way} {peer.words}{near}"
        )

        def decide(at: int) -> PathStep:
            for each, rule in let:
                if each[0] <= at <= each[1]:
                    words = f"{rule.id} of {rule.group} lets TCP {port} {way} {rule.peer}"
                    return PathStep(layer, PathVerdict.ALLOWED, rule.id, words)
            if doubts:
                return PathStep(layer, PathVerdict.UNKNOWN, names, "; ".join(doubts))
            return blocked

        return self.over(peer, [each for each, _ in let], decide)

    def whom(self, rule: Permission, out: bool) -> Iterator[Span]:
        """The addresses that a rule is about. A reference to a group is about the private addresses
        of its members, in this VPC or in one that is peered."""
        if not rule.peer_group:
            yield from self.spans(rule.prefix_list or rule.cidr)
            return
        own = self.client.interface
        member = self.interface if out else own
        if own and member and self.privately and rule.peer_group in member.groups:
            met = joined(self.snapshot, own.vpc, self.interface.vpc)
            yield from (of_address(self.address) if out else self.client).spans if met else ()

    def doubt(self, rule: Permission, out: bool) -> Iterator[str]:
        """Why it is not known whom a rule lets in."""
        if self.unlisted(rule.prefix_list):
            yield f"{rule.id} is for {rule.prefix_list}, whose networks are not known"
        if rule.peer_group and not out and self.privately and not self.client.interface:
            yield f"{rule.id} is for members of {rule.peer_group}, and whether you are one is open"

    def unlisted(self, network: str) -> bool:
        """Whether this is a prefix list of which only the id is known."""
        return _is_list(network) and network not in self.snapshot.prefix_lists

    def spans(self, network: str) -> Iterator[Span]:
        """The addresses of a network or of a prefix list, in the family of what is dialled."""
        listed = self.snapshot.prefix_lists.get(network, ()) if _is_list(network) else (network,)
        for each in listed:
            yield from spans(each, self.address)

    def over(
        self, peer: ClientSource, rules: Iterable[Span], decide: Callable[[int], PathStep]
    ) -> PathStep:
        """One step for all the addresses that a peer may have: they are cut where any rule begins
        or ends, and of each piece one is asked."""
        cuts = {edge for low, high in rules for edge in (low, high + 1)}
        steps: list[PathStep] = []
        for low, high in peer.spans:
            steps += [decide(at) for at in sorted({low, *(c for c in cuts if low < c <= high)})]
        if len({step.outcome for step in steps}) == 1:
            return steps[0]
        worst = next((s for s in steps if s.outcome is PathVerdict.BLOCKED), None)
        if peer.known and worst:
            return replace(worst, words=f"{worst.words} (part of it)", partly=True)
        first = next(s for s in steps if s.outcome is not PathVerdict.BLOCKED)
        doubt = next((s for s in steps if s.outcome is PathVerdict.UNKNOWN), None)
        if peer.known and doubt:
            return doubt
        words = f"it depends on where you come from: {first.words}"
        return PathStep(first.layer, PathVerdict.UNKNOWN, first.by, words, partly=True)


def _table(snapshot: Snapshot, interface: Interface) -> RouteTable | None:
    """The subnet's own route table, the main one of its VPC where it has none."""
    tables = [table for table in snapshot.tables if table.vpc == interface.vpc]
    own = next((table for table in tables if interface.subnet in table.subnets), None)
    return own or next((table for table in tables if table.main), None)


def _named(table: RouteTable, interface: Interface) -> str:
    return table.id if interface.subnet in table.subnets else f"{table.id} (the main table)"


def _longest(fitting: Sequence[tuple[Span, Route]]) -> Route:
    """The route with the longest prefix; of equal ones, a prefix list's comes last."""
    return min(fitting, key=lambda f: (f[0][1] - f[0][0], _is_list(f[1].network)))[1]


def _by_route(
    table: RouteTable, route: Route, good: tuple[str, ...], peer: ClientSource, layer: str
) -> PathStep:
    by = f"{table.id} {route.network} → {route.target}"
    if route.blackhole:
        return PathStep(layer, PathVerdict.BLOCKED, by, f"{by} is a blackhole: its target is gone")
    if route.target.startswith(good):
        return PathStep(layer, PathVerdict.ALLOWED, by, f"{by} leads to {peer.words}")
    if route.target.startswith(_DEAD_ENDS):
        return PathStep(layer, PathVerdict.BLOCKED, by, f"{by} does not lead to {peer.words}")
    return PathStep(
        layer, PathVerdict.UNKNOWN, by, f"{by}: what is behind that is not seen from here"
    )


def _first(fitting: Sequence[tuple[Span, AclEntry]], at: int, port: int) -> AclEntry | None:
    """The first entry that is about this address and port."""
    for each, entry in fitting:
        low, high = ports_of(entry)
        if each[0] <= at <= each[1] and low <= port <= high:
            return entry
    return None


def _run(asked: Sequence[int], denied: Sequence[int], ports: Span) -> Span:
    """The first of the ranges that are denied."""
    after = (port for port in asked if port > denied[0] and port not in denied)
    return denied[0], next(after, ports[1] + 1) - 1


def _is_for(rule: Permission, port: int) -> bool:
    low, high = ports_of(rule)
    return rule.protocol in TCP and low <= port <= high


def _near(
    rules: Sequence[Permission],
    fitting: Sequence[Permission],
    address: str,
    peer: ClientSource,
    way: str,
) -> list[str]:
    """Rules that almost fit: for the port but not for the client, or the reverse."""
    lines = [f"{rule.id} lets it {way} {rule.peer} only" for rule in fitting]
    of_port = {id(rule) for rule in fitting}
    for rule in rules:
        if len(lines) >= MANY_NEAR:
            break
        about = list(spans(rule.cidr, address)) if id(rule) not in of_port else []
        if rule.protocol in TCP and any(within(s, each) for each in about for s in peer.spans):
            lines.append(f"{rule.id} lets {rule.peer} in on {shown(ports_of(rule))} only")
    return lines[:MANY_NEAR]


def _is_list(network: str) -> bool:
    return network.startswith("pl-")
