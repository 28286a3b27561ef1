"""What the rules on advertised listeners share: which brokers, how they were met, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from kdiag.config.settings import Endpoint
from kdiag.rules.location import Location, evidence
from kdiag.rules.text import brokers, count_of, listed, sentence
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.listeners import Listener, Listeners
from kdiag.walk.produce import Produce

HOP = "listeners"


def broken(listeners: Listeners) -> list[Listener]:
    return [listener for listener in listeners.listeners if not listener.contact.usable]


def subjects(hit: Sequence[Listener]) -> tuple[str, ...]:
    return tuple(f"broker {listener.broker.node}" for listener in hit)


def how_many(hit: Sequence[Listener], all_: Listeners, one: str, many: str) -> str:
    count = count_of(len(hit), len(all_.listeners), "broker")
    if len(hit) == 1 and len(all_.listeners) > 1:
        count += f" (broker {hit[0].broker.node})"
    return f"{sentence(count)} {one if len(hit) == 1 else many}"


def entrance(bootstrap: Bootstrap) -> str:
    return listed([str(contact.endpoint) for contact in bootstrap.usable])


def dialled(hit: Sequence[Listener]) -> tuple[str, ...]:
    return tuple(
        line for x in hit for line in evidence(Location(HOP, f"broker {x.broker.node}", x.contact))
    )


def still_up(listeners: Listeners) -> tuple[str, ...]:
    up = [f"{x.broker.advertised} (broker {x.broker.node})" for x in listeners.reached]
    return (f"reached all the same: {listed(up)}",) if up else ()


def candidates(hit: Sequence[Listener]) -> tuple[str, ...]:
    """What was found at the addresses that could be advertised instead."""
    lines: list[str] = []
    strangers: dict[tuple[Endpoint, int | None], list[int]] = defaultdict(list)
    for listener in hit:
        node = listener.broker.node
        if listener.proven:
            answers = f"{listener.proven.endpoint} answers as broker {node}"
            lines.append(f"{answers}: advertising it would work")
            continue
        for candidate in listener.candidates:
            best = candidate.best
            if best and (candidate.usable or best.answered_as is not None):
                strangers[candidate.endpoint, best.answered_as].append(node)
    for (endpoint, answered), nodes in strangers.items():
        if answered is None:
            lines.append(f"{endpoint} answers, but does not say which broker it is")
        else:
            lines.append(f"{endpoint} answers as broker {answered}, not as {brokers(nodes)}")
    return tuple(lines)


def answered(listener: Listener) -> int | None:
    return listener.contact.best.answered_as if listener.contact.best else None


def acknowledged(produce: Produce | None, listener: Listener) -> bool:
    """Whether the broker took the real client's record there, which outranks all that the probe
    met."""
    return produce is not None and produce.acknowledged(listener.broker.node)
