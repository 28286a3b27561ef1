"""Ways that AWS blocks, in words: whom, where, at which step, and what else was asked there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from kdiag import remedies_aws
from kdiag.hops.listeners import Listener
from kdiag.reachability import Outcome, Step
from kdiag.rule import Remedy, Severity
from kdiag.rules.place import tried
from kdiag.rules.words import brokers, listed, once
from kdiag.settings import Endpoint
from kdiag.spans import runs, shown
from kdiag.ways import Block, Way, Ways

HOP = "aws"

Public = Mapping[int, Endpoint]  # node → what it could advertise

MANY_CONTRASTS, MANY_CLEARED = 3, 6  # ways that are open, steps that let through

_PORT = "TCP {port} "
_HOW = {
    "interface": "which is its own address",
    "echo": "as a server on the internet sees it",
    "given": "as --aws-source says",
}


def subjects(hit: Sequence[Block]) -> tuple[str, ...]:
    return tuple(once(block.way.subject for block in hit))


def victims(hit: Sequence[Block]) -> str:
    """`brokers 1 and 2`, `bootstrap 3.10.139.221:9094 and broker 3`."""
    nodes = [int(name.removeprefix("broker ")) for name in subjects(hit) if "broker " in name]
    servers = [name for name in subjects(hit) if name.startswith("bootstrap ")]
    return " and ".join(
        [*([listed(servers)] if servers else []), *([brokers(nodes)] if nodes else [])]
    )


def are(hit: Sequence[Block]) -> str:
    return "is" if len(subjects(hit)) == 1 else "are"


def who(hit: Sequence[Block]) -> str:
    """The client, as far as it is known."""
    return next((b.reach.source for b in hit if b.reach.source), "anyone on the internet")


def ports(hit: Sequence[Block]) -> str:
    return listed([shown(each) for each in runs({block.reach.port for block in hit})])


def deciders(hit: Sequence[Block]) -> list[str]:
    """The ids of what decides, without the number of a rule."""
    return once(block.step.by.split()[0].strip(",") for block in hit)


def severity(ways: Ways, hit: Sequence[Block]) -> Severity | None:
    """A warning where every endpoint works all the same, by another of its addresses."""
    spared = all(block.way.contact.usable and not block.step.partly for block in hit)
    return Severity.WARNING if spared and not ways.assumed_elsewhere else None


def steps(hit: Sequence[Block]) -> tuple[str, ...]:
    """What each step says, once for all the places where it says the same but for the port."""
    told = _told((block, block.step) for block in hit)
    return tuple(f"{listed(once(b.way.where for b in there))}: {said}" for said, there in told)


def met(ways: Ways, hit: Sequence[Block]) -> Iterator[str]:
    """What the walk met at these ports, and at those that are open."""
    gone = once(block.way.where for block in hit if block.way.vanished)
    if gone:
        yield f"connection requests vanish at {listed(gone)}"
    good: dict[str, list[str]] = defaultdict(list)
    for way in ways.ways:
        if way.answered and way.judged and way.judged.outcome is Outcome.ALLOWED:
            good[way.judged.deciding.words].append(way.where)
    for words, where in list(good.items())[:MANY_CONTRASTS]:
        yield f"{listed(once(where))} answer{'s' if len(where) == 1 else ''}: {words}"


def ruled_out(hit: Sequence[Block]) -> Iterator[str]:
    """What else AWS asks there, and lets through; and what is not known."""
    layers = {block.step.layer for block in hit} | {"instance", "address"}
    others = [(b, step) for b in hit for step in b.reach.steps if step.layer not in layers]
    cleared = [said for said, _ in _told(o for o in others if o[1].outcome is Outcome.ALLOWED)]
    if cleared:
        yield f"ruled out: {'; '.join(cleared[:MANY_CLEARED])}"
    for words in once(step.words for _, step in others if step.outcome is Outcome.UNKNOWN):
        yield f"not known: {words}"


def source(ways: Ways) -> Iterator[str]:
    """Where the client is taken to be, and why."""
    where = ways.aws.source
    if where.network:
        yield f"the client is taken to be {where.network}, {_HOW.get(where.how, where.how)}"
    else:
        yield (
            "assumed: the client comes from the internet; its address there is not known, and only "
            "what holds for all of it is said"
        )


def node_of(way: Way) -> int:
    return int(way.subject.removeprefix("broker "))


def mapped(ways: Ways, way: Way) -> list[str]:
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
    elif way.instead.outcome is Outcome.BLOCKED:
        lines.append(f"{public} would not be reached yet: {way.instead.deciding.words}")
    return lines


def found_public(ways: Ways | None, hit: Sequence[Listener]) -> tuple[list[Listener], Public]:
    """These brokers with what was met at their public addresses as candidates, and for each node
    that has one its public address."""
    there = {x.broker.node: way for x in hit if ways and (way := ways.of_node(x.broker.node))}
    public = {
        node: Endpoint(way.instead.address, way.endpoint.port)
        for node, way in there.items()
        if way.instead
    }
    proofs = {node: way.proof for node, way in there.items()}
    met = [
        replace(x, candidates=(*x.candidates, proof)) if (proof := proofs.get(x.broker.node)) else x
        for x in hit
    ]
    return met, public


def where_public(ways: Ways | None, hit: Sequence[Listener]) -> tuple[str, ...]:
    """What AWS says of the private addresses that these brokers advertise."""
    there = [ways.of_node(x.broker.node) for x in hit] if ways else []
    return tuple(line for way in there if ways and way for line in mapped(ways, way)[:1])


def let_through(ways: Ways | None, names: Sequence[str]) -> tuple[str, ...]:
    """For connection requests that vanish: what EC2 asks of them, and that it lets them through."""
    found = ways.cleared(names) if ways else []
    return tuple(
        once(
            f"EC2 lets {way.where} through: {'; '.join(step.words for step in way.judged.steps)}"
            for way in found
            if way.judged
        )
    )


def on_hosts(ways: Ways | None, names: Sequence[str]) -> tuple[Remedy, ...]:
    """Where to look next when EC2 is not to blame for any of these."""
    found = ways.cleared(names) if ways else []
    if {way.subject for way in found} != set(names):
        return ()
    return (remedies_aws.look_on_hosts(sorted({way.endpoint.port for way in found})),)


def _told(found: Iterable[tuple[Block, Step]]) -> list[tuple[str, list[Block]]]:
    """What steps say, and where; those that differ in the port alone are one, with all ports."""
    alike: dict[str, list[tuple[Block, Step]]] = defaultdict(list)
    for block, step in found:
        alike[step.words.replace(f"TCP {block.reach.port} ", _PORT)].append((block, step))
    return [
        (words.replace(_PORT, f"TCP {ports([b for b, _ in there])} "), [b for b, _ in there])
        for words, there in alike.items()
    ]
