"""What AWS adds to what the walk found: the public addresses, and that EC2 is not to blame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kdiag.aws import remedies
from kdiag.aws.outcome import PathVerdict
from kdiag.aws.paths import NetworkPath, NetworkPaths
from kdiag.config.settings import Endpoint
from kdiag.rules.cloud import Public
from kdiag.rules.location import tried
from kdiag.rules.rule import Remedy
from kdiag.rules.text import listed, once
from kdiag.walk.listeners import Listener


def node_of(way: NetworkPath) -> int:
    return int(way.subject.removeprefix("broker "))


def mapped(ways: NetworkPaths, way: NetworkPath) -> list[str]:
    """Which interface it is, and what was met at its public address."""
    if not way.instead:
        return []
    interface = way.instead.interface
    instance = ways.snapshot.instances.get(interface.instance)
    named = f" of {interface.instance}" if interface.instance else ""
    named += f" ({instance.name})" if instance and instance.name else ""
    host = way.endpoint.host
    stands = f"{host} ({way.address})" if host != way.address else host
    is_ = f"{way.instead.address}: {interface.id}{named}"
    lines = [f"{way.subject} advertises {stands}, which is {is_}"]
    public = Endpoint(way.instead.address, way.endpoint.port)
    best = way.proof.best if way.proof else None
    if best and best.failed and best.answered_as is None:
        lines.append(tried(public, best, best.failed))
    elif best and best.answered_as is not None:
        lines.append(f"{public} answers as broker {best.answered_as}")
    elif way.instead.outcome is PathVerdict.BLOCKED:
        lines.append(f"{public} would not be reached yet: {way.instead.deciding.words}")
    return lines


class AwsView(NamedTuple):
    """What AWS adds to the findings on connections (CloudView)."""

    ways: NetworkPaths

    def found_public(self, hit: Sequence[Listener]) -> tuple[list[Listener], Public]:
        """See CloudView: the public addresses replace candidates that were guesses."""
        there = {x.broker.node: way for x in hit if (way := self.ways.of_node(x.broker.node))}
        public = {
            node: Endpoint(way.instead.address, way.endpoint.port)
            for node, way in there.items()
            if way.instead
        }
        proofs = {node: way.proof for node, way in there.items()}
        met = [
            x._replace(candidates=(*([x.proven] if x.proven else []), proof))
            if (proof := proofs.get(x.broker.node))
            else x
            for x in hit
        ]
        return met, public

    def where_public(self, hit: Sequence[Listener]) -> tuple[str, ...]:
        """See CloudView."""
        there = [self.ways.of_node(x.broker.node) for x in hit]
        return tuple(line for way in there if way for line in _where(self.ways, way))

    def let_through(self, names: Sequence[str]) -> tuple[str, ...]:
        """See CloudView."""
        return tuple(
            once(
                f"EC2 lets {way.where} through: "
                + "; ".join(step.words for step in way.judged.steps)
                for way in self.ways.cleared(names)
                if way.judged
            )
        )

    def refusing(self, names: Sequence[str]) -> tuple[str, ...]:
        """See CloudView."""
        hit = [w for w in self.ways.ways if w.subject in names and w.refused and w.judged]
        if not hit:
            return ()
        return (
            f"{listed(once(way.where for way in hit))} refuse{'s' if len(hit) == 1 else ''}, so no "
            "security group and no network ACL of EC2 is in the way: these drop, and never refuse",
        )

    def on_hosts(self, names: Sequence[str]) -> tuple[Remedy, ...]:
        """See CloudView."""
        found = self.ways.cleared(names)
        if {way.subject for way in found} != set(names):
            return ()
        return (remedies.look_on_hosts(sorted({way.endpoint.port for way in found})),)


def _where(ways: NetworkPaths, way: NetworkPath) -> list[str]:
    best = way.proof.best if way.proof else None
    answered = best is not None and best.answered_as is not None  # candidates tell who it was
    return mapped(ways, way)[: 1 if answered else None]
