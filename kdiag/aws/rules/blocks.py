"""Ways that AWS blocks, in words: whom, where, at which step, and what else was asked there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kdiag.aws.outcome import PathVerdict
from kdiag.aws.paths import BlockedPath, NetworkPaths
from kdiag.aws.ranges import runs, shown
from kdiag.aws.reachability import PathStep
from kdiag.config.settings import Endpoint
from kdiag.rules.rule import Severity
from kdiag.rules.text import brokers, listed, once

HOP = "aws"

Public = Mapping[int, Endpoint]  # node → what it could advertise

MANY_CONTRASTS, MANY_CLEARED = 3, 6  # ways that are open, steps that let through

_PORT = "TCP {port} "
_HOW = {
    "interface": "which is its own address",
    "echo": "as a server on the internet sees it",
    "given": "as --aws-source says",
}


def subjects(hit: Sequence[BlockedPath]) -> tuple[str, ...]:
    return tuple(once(block.way.subject for block in hit))


def victims(hit: Sequence[BlockedPath]) -> str:
    """`brokers 1 and 2`, `bootstrap 3.10.139.221:9094 and broker 3`."""
    nodes = [int(name.removeprefix("broker ")) for name in subjects(hit) if "broker " in name]
    servers = [name for name in subjects(hit) if name.startswith("bootstrap ")]
    return " and ".join(
        [*([listed(servers)] if servers else []), *([brokers(nodes)] if nodes else [])]
    )


def are(hit: Sequence[BlockedPath]) -> str:
    return "is" if len(subjects(hit)) == 1 else "are"


def who(hit: Sequence[BlockedPath]) -> str:
    """The client, as far as it is known."""
    return next((b.reach.source for b in hit if b.reach.source), "anyone on the internet")


def ports(hit: Sequence[BlockedPath]) -> str:
    return listed([shown(each) for each in runs({block.reach.port for block in hit})])


def deciders(hit: Sequence[BlockedPath]) -> list[str]:
    """The ids of what decides, without the number of a rule."""
    return once(block.step.by.split()[0].strip(",") for block in hit)


def severity(ways: NetworkPaths, hit: Sequence[BlockedPath]) -> Severity | None:
    """A warning where every endpoint works all the same, by another of its addresses."""
    spared = all(block.way.contact.usable and not block.step.partly for block in hit)
    return Severity.WARNING if spared and not ways.assumed_elsewhere else None


def steps(hit: Sequence[BlockedPath]) -> tuple[str, ...]:
    """What each step says, once for all the places where it says the same but for the port."""
    told = _told((block, block.step) for block in hit)
    return tuple(f"{listed(once(b.way.where for b in there))}: {said}" for said, there in told)


def met(ways: NetworkPaths, hit: Sequence[BlockedPath]) -> Iterator[str]:
    """What the walk met at these ports, and at those that are open."""
    gone = once(block.way.where for block in hit if block.way.vanished)
    if gone:
        yield f"connection requests vanish at {listed(gone)}"
    good = [
        BlockedPath(way, way.judged, way.judged.deciding)
        for way in ways.ways
        if way.answered and way.judged and way.judged.outcome is PathVerdict.ALLOWED
    ]
    for words, there in _told((one, one.step) for one in good)[:MANY_CONTRASTS]:
        where = once(one.way.where for one in there)
        yield f"{listed(where)} answer{'s' if len(where) == 1 else ''}: {words}"


def ruled_out(hit: Sequence[BlockedPath]) -> Iterator[str]:
    """What else AWS asks there, and lets through; and what is not known."""
    layers = {block.step.layer for block in hit} | {"instance", "address"}
    others = [(b, step) for b in hit for step in b.reach.steps if step.layer not in layers]
    cleared = [said for said, _ in _told(o for o in others if o[1].outcome is PathVerdict.ALLOWED)]
    if cleared:
        yield f"ruled out: {'; '.join(cleared[:MANY_CLEARED])}"
    for words in once(step.words for _, step in others if step.outcome is PathVerdict.UNKNOWN):
        yield f"not known: {words}"


def source(ways: NetworkPaths) -> Iterator[str]:
    """Where the client is taken to be, and why."""
    where = ways.aws.source
    if where.network:
        yield f"the client is taken to be {where.network}, {_HOW.get(where.how, where.how)}"
    else:
        yield (
            "assumed: the client comes from the internet; its address there is not known, and only "
            "what holds for all of it is said"
        )


def _told(found: Iterable[tuple[BlockedPath, PathStep]]) -> list[tuple[str, list[BlockedPath]]]:
    """What steps say, and where; those that differ in the port alone are one, with all ports."""
    alike: dict[str, list[tuple[BlockedPath, PathStep]]] = defaultdict(list)
    for block, step in found:
        alike[step.words.replace(f"TCP {block.reach.port} ", _PORT)].append((block, step))
    return [
        (words.replace(_PORT, f"TCP {ports([b for b, _ in there])} "), [b for b, _ in there])
        for words, there in alike.items()
    ]
