"""What AWS adds to what the walk found: the public addresses, and that EC2 is not to blame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdiag.aws import remedies
from kdiag.aws.outcome import PathVerdict
from kdiag.aws.paths import NetworkPath, NetworkPaths
from kdiag.config.settings import Endpoint
from kdiag.rules.location import tried
from kdiag.rules.rule import Remedy
from kdiag.rules.text import listed, once
from kdiag.walk.listeners import Listener

Public = Mapping[int, Endpoint]  # node → what it could advertise


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


def found_public(
    ways: NetworkPaths | None, hit: Sequence[Listener]
) -> tuple[list[Listener], Public]:
    """These brokers with what was met at their public addresses as candidates, instead of guesses
    that were not theirs, and for each node that has one its public address."""
    there = {x.broker.node: way for x in hit if ways and (way := ways.of_node(x.broker.node))}
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


def where_public(ways: NetworkPaths | None, hit: Sequence[Listener]) -> tuple[str, ...]:
    """What AWS says of the private addresses that these brokers advertise, and of their public ones
    where nobody answers."""
    there = [ways.of_node(x.broker.node) for x in hit] if ways else []
    return tuple(line for way in there if ways and way for line in _where(ways, way))


def _where(ways: NetworkPaths, way: NetworkPath) -> list[str]:
    best = way.proof.best if way.proof else None
    answered = best is not None and best.answered_as is not None  # candidates tell who it was
    return mapped(ways, way)[: 1 if answered else None]


def let_through(ways: NetworkPaths | None, names: Sequence[str]) -> tuple[str, ...]:
    """For connection requests that vanish: what EC2 asks of them, and that it lets them through."""
    found = ways.cleared(names) if ways else []
    return tuple(
        once(
            f"EC2 lets {way.where} through: {'; '.join(step.words for step in way.judged.steps)}"
            for way in found
            if way.judged
        )
    )


def refusing(ways: NetworkPaths | None, names: Sequence[str]) -> tuple[str, ...]:
    """For connections that are refused at an interface in AWS: what that rules out."""
    hit = [w for w in (ways.ways if ways else ()) if w.subject in names and w.refused and w.judged]
    if not hit:
        return ()
    return (
        f"{listed(once(way.where for way in hit))} refuse{'s' if len(hit) == 1 else ''}, so no "
        "security group and no network ACL of EC2 is in the way: these drop, and never refuse",
    )


def on_hosts(ways: NetworkPaths | None, names: Sequence[str]) -> tuple[Remedy, ...]:
    """Where to look next when EC2 is not to blame for any of these."""
    found = ways.cleared(names) if ways else []
    if {way.subject for way in found} != set(names):
        return ()
    return (remedies.look_on_hosts(sorted({way.endpoint.port for way in found})),)
