"""Every address that the walk was given or told, as AWS sees it, and how the walk fared there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kdiag.aws.hop import AwsFacts
from kdiag.aws.outcome import PathVerdict
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import AddressResult, EndpointResult, Failure
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.listeners import Listeners

if TYPE_CHECKING:  # judging loads when there is something to judge
    from kdiag.aws.facts import Interface, Snapshot
    from kdiag.aws.reachability import PathStep, Reachability

_NOBODY = (Failure.TIMEOUT, Failure.UNREACHABLE)


class NetworkPath(NamedTuple):
    """One address of an endpoint. `reach` is AWS's verdict on it, None where no interface that is
    known has it. `instead` is the verdict on the public address of the same interface, for a
    private one that is not the way from here, and `proof` what was met when that was dialled."""

    hop: str
    subject: str
    endpoint: Endpoint
    address: str
    contact: EndpointResult
    reach: Reachability | None = None
    instead: Reachability | None = None
    proof: EndpointResult | None = None

    @property
    def judged(self) -> Reachability | None:
        """The verdict that counts: on the public address, where the private one is not the way."""
        return self.instead or self.reach

    @property
    def dial(self) -> AddressResult | None:
        """How the walk fared at the address that counts, None where it did not dial it."""
        met = self.proof if self.instead else self.contact
        at = self.instead.address if self.instead else self.address
        return next((dial for dial in (met.dials if met else ()) if dial.address == at), None)

    @property
    def vanished(self) -> bool:
        """Connection requests got no answer at all."""
        failed = self.dial.failed if self.dial else None
        return failed is not None and failed.layer == "tcp" and failed.failure is Failure.TIMEOUT

    @property
    def answered(self) -> bool:
        """Something answered there, were it a refusal: no group and no network ACL is in the way,
        for they drop."""
        tcp = next((a for a in self.dial.attempts if a.layer == "tcp"), None) if self.dial else None
        return tcp is not None and tcp.failure not in _NOBODY

    @property
    def refused(self) -> bool:
        """The host says that nobody listens there."""
        tcp = next((a for a in self.dial.attempts if a.layer == "tcp"), None) if self.dial else None
        return tcp is not None and tcp.failure is Failure.REFUSED

    @property
    def where(self) -> str:
        """`3.10.139.221:9094 (broker 1)`; the address that counts."""
        address = self.judged.address if self.judged else self.address
        return f"{Endpoint(address, self.endpoint.port)} ({self.name})"

    @property
    def name(self) -> str:
        return "bootstrap" if self.hop == "bootstrap" else self.subject


class BlockedPath(NamedTuple):
    """A way that one step blocks, or may block."""

    way: NetworkPath
    reach: Reachability
    step: PathStep


class NetworkPaths(NamedTuple):
    """All of them: the bootstrap servers', then the brokers'."""

    aws: AwsFacts
    ways: tuple[NetworkPath, ...]

    @property
    def snapshot(self) -> Snapshot:
        return self.aws.snapshot

    @property
    def assumed_elsewhere(self) -> bool:
        """The client to judge for is not this one: what the walk met says nothing of it."""
        return self.aws.source.how == "given"

    def contradicted(self, way: NetworkPath) -> bool:
        """The walk got an answer where a verdict says that it cannot, for this very client: then
        the client is not who it seems to be, and the verdict is worth nothing."""
        blocked = way.judged is not None and way.judged.outcome is PathVerdict.BLOCKED
        return blocked and way.answered and not self.assumed_elsewhere

    def blocked(self, *layers: str) -> list[BlockedPath]:
        """What steps of these layers block, as far as the walk does not say otherwise; where only
        some of a client's ports are blocked, one answer says nothing."""
        return [
            BlockedPath(way, way.judged, step)
            for way in self.ways
            if way.judged
            for step in way.judged.at(*layers)
            if step.outcome is PathVerdict.BLOCKED and (step.partly or not self.contradicted(way))
        ]

    def doubtful(self, *layers: str) -> list[BlockedPath]:
        """What steps of these layers may block, where connection requests vanish."""
        return [
            BlockedPath(way, way.judged, step)
            for way in self.ways
            if way.judged and way.vanished and way.judged.outcome is PathVerdict.UNKNOWN
            for step in way.judged.at(*layers)
            if step.outcome is PathVerdict.UNKNOWN and step.partly
        ]

    def cleared(self, subjects: Sequence[str]) -> list[NetworkPath]:
        """The ways of these subjects that AWS lets through, while connection requests vanish."""
        return [
            way
            for way in self.ways
            if way.subject in subjects
            and way.vanished
            and way.judged
            and way.judged.outcome is PathVerdict.ALLOWED
        ]

    def of_node(self, node: int) -> NetworkPath | None:
        """A broker's first way that has a public address in its place."""
        return next((w for w in self.ways if w.subject == f"broker {node}" and w.instead), None)


def derived(facts: Mapping[type, Any]) -> dict[type, Any]:
    """What follows from facts without asking anybody: the ways, once AWS was asked."""
    if AwsFacts not in facts or Bootstrap not in facts:
        return {}
    return {NetworkPaths: network_paths(facts[AwsFacts], facts[Bootstrap], facts.get(Listeners))}


def network_paths(aws: AwsFacts, bootstrap: Bootstrap, listeners: Listeners | None) -> NetworkPaths:
    """Asks about every address of every endpoint that the walk was given or told."""
    met = [("bootstrap", f"bootstrap {c.endpoint}", c, None) for c in bootstrap.contacts]
    told = [
        ("listeners", f"broker {x.broker.node}", x.contact, aws.proofs.get(x.broker.node))
        for x in (listeners.listeners if listeners else ())
    ]
    home = frozenset(
        found.vpc
        for contact in bootstrap.contacts
        for address in aws.addresses.get(contact.endpoint.host, ())
        for found in aws.snapshot.behind(address)
        if address not in found.private
    )
    found = [
        _way(aws, home, NetworkPath(hop, subject, contact.endpoint, address, contact, proof=proof))
        for hop, subject, contact, proof in (*met, *told)
        for address in aws.addresses.get(contact.endpoint.host, ())
        if 0 < contact.endpoint.port < 65536
    ]
    return NetworkPaths(aws, tuple(found))


def _way(aws: AwsFacts, home: frozenset[str], way: NetworkPath) -> NetworkPath:
    from kdiag.aws.reachability import reach

    interface = _behind(aws.snapshot, home, way.address)
    if not interface:
        return way

    def asked(address: str) -> Reachability:
        return reach(aws.snapshot, aws.source, interface, address, way.endpoint.port)

    verdict = asked(way.address)
    public = interface.public.get(way.address, "")
    dead_end = any(step.outcome is not PathVerdict.ALLOWED for step in verdict.at("address"))
    instead = asked(public) if public and dead_end and not way.contact.usable else None
    return NetworkPath(
        way.hop, way.subject, way.endpoint, way.address, way.contact, verdict, instead, way.proof
    )


def _behind(snapshot: Snapshot, home: frozenset[str], address: str) -> Interface | None:
    """The interface that an address is: of several, that in the VPC that the client came in by."""
    found = snapshot.behind(address)
    near = [one for one in found if one.vpc in home]
    only = near if len(found) > 1 else found
    return only[0] if len(only) == 1 else None
