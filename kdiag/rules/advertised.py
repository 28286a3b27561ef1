"""Subjects, counts and evidence that the rules on advertised listeners share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from kdiag.config.settings import Endpoint, Settings
from kdiag.network.attempt import PROXY
from kdiag.rules.location import Location, evidence
from kdiag.rules.text import broker_subjects, brokers, count_of, listed, sentence
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import Produce

HOP = "listeners"


def failing_listeners(listeners: Listeners) -> list[Listener]:
    """The advertised listeners that this client cannot use. Where a proxy did not connect to one,
    that says nothing about the address."""
    return [
        x
        for x in listeners.listeners
        if not (x.contact.usable or ((failed := x.contact.failed) and failed.layer == PROXY))
    ]


def subjects(matching: Sequence[Listener]) -> tuple[str, ...]:
    """The brokers as subjects of a finding: `broker 1`, …"""
    return broker_subjects([listener.broker.node for listener in matching])


def count_and_verb(
    matching: Sequence[Listener], listeners: Listeners, singular: str, plural: str
) -> str:
    """The start of a message: `2 of 3 brokers advertise`; a single broker is named."""
    count = count_of(len(matching), len(listeners.listeners), "broker")
    if len(matching) == 1 and len(listeners.listeners) > 1:
        count += f" (broker {matching[0].broker.node})"
    return f"{sentence(count)} {singular if len(matching) == 1 else plural}"


def usable_servers(bootstrap: Bootstrap) -> str:
    """The bootstrap servers through which the client connected, as text."""
    return listed([str(contact.endpoint) for contact in bootstrap.usable])


def dial_evidence(matching: Sequence[Listener]) -> tuple[str, ...]:
    """Evidence: how each address that failed at these listeners ended."""
    return tuple(
        line
        for x in matching
        for line in evidence(Location(HOP, f"broker {x.broker.node}", x.contact))
    )


def reached_evidence(listeners: Listeners) -> tuple[str, ...]:
    """Evidence: the advertised listeners that this client reached; empty where it reached none."""
    reached = [f"{x.broker.advertised} (broker {x.broker.node})" for x in listeners.reached]
    return (f"reached all the same: {listed(reached)}",) if reached else ()


def candidate_evidence(matching: Sequence[Listener]) -> tuple[str, ...]:
    """Evidence: who answers at the addresses that the brokers could advertise instead."""
    lines: list[str] = []
    other_answers: dict[tuple[Endpoint, int | None], list[int]] = defaultdict(list)
    for listener in matching:
        node = listener.broker.node
        if listener.proven:
            answers = f"{listener.proven.endpoint} answers as broker {node}"
            lines.append(f"{answers}: advertising it would work")
            continue
        for candidate in listener.candidates:
            best = candidate.best
            if best and (candidate.usable or best.answered_as is not None):
                other_answers[candidate.endpoint, best.answered_as].append(node)
    proven = {listener.proven.endpoint for listener in matching if listener.proven}
    for (endpoint, answering), nodes in other_answers.items():
        if endpoint in proven:
            continue  # its own broker is to advertise it
        if answering is None:
            lines.append(f"{endpoint} answers, but does not say which broker it is")
        else:
            lines.append(f"{endpoint} answers as broker {answering}, not as {brokers(nodes)}")
    return tuple(lines)


def unmatched_maps(facts: Facts) -> Iterator[str]:
    """The notes on each --map of an address that no broker advertises: it is not used."""
    settings, metadata = facts.get(Settings), facts.get(Metadata)
    brokers = metadata.brokers if metadata else ()
    for mapped in settings.options.mapped if settings and brokers else ():
        if not any(mapped.apply(broker.advertised) for broker in brokers):
            port = mapped.advertised_port
            address = Endpoint(mapped.advertised, port) if port else mapped.advertised
            yield f"--map of {address} is not used: no broker advertises it"


def answering_node(listener: Listener) -> int | None:
    """The node id that answers at the advertised address; None where it is not known."""
    return listener.contact.best.answered_as if listener.contact.best else None


def acknowledged(produce: Produce | None, listener: Listener) -> bool:
    """Whether the broker acknowledged the real client's record. The acknowledgement outranks every
    result of the probe."""
    return produce is not None and produce.acknowledged(listener.broker.node)
