"""What can be expected of a cluster, one function each; and what became of what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdiag.config.expectation import (
    EXPECTABLES,
    Expectation,
    Reading,
    address,
    expectable,
    number,
    one_of,
    parse,
    pattern,
)
from kdiag.config.properties.names import PROTOCOLS
from kdiag.config.usage import UsageError
from kdiag.network.attempt import EndpointResult
from kdiag.network.certificate import read
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.hops import HOPS
from kdiag.walk.listeners import Listeners
from kdiag.walk.metadata import Metadata
from kdiag.walk.produce import Produce

_DAY = 86400


@dataclass(frozen=True)
class CheckedExpectation:
    """One expectation, held to the facts: what was read, and of whom it is not so. `unknown` says
    why it is not known whether it holds, "" where it is."""

    expectation: Expectation
    readings: tuple[Reading, ...] = ()
    broken: tuple[Reading, ...] = ()
    unknown: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is known to hold."""
        return not self.broken and not self.unknown


@dataclass(frozen=True)
class CheckedExpectations:
    """Every expectation that a user had, held to the facts, in the order of the user."""

    held: tuple[CheckedExpectation, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Those of which it is not known, as findings name them."""
        return tuple(f"expectation {one.expectation}" for one in self.held if one.unknown)

    @property
    def summary(self) -> str:
        """How many hold, in one line."""
        count = len(self.held)
        well = sum(one.holds for one in self.held)
        unknown = sum(bool(one.unknown) for one in self.held)
        line = f"{well} of {count} expectations met"
        return f"{line}, {unknown} not known" if unknown else line


def expected(
    texts: Sequence[str], *, topic: str | None, place: str = "--expect"
) -> tuple[Expectation, ...]:
    """Expectations from what a user wrote, each once. Raises UsageError."""
    found = tuple(dict.fromkeys(parse(text, place) for text in texts))
    for one in found:
        if one.name == "topic-partitions" and topic is None:
            raise UsageError(f"{place} {one}: of which topic? Add --topic NAME")
    return found


def held(
    wanted: Sequence[Expectation], facts: Mapping[type, Any], because: str
) -> CheckedExpectations:
    """The expectations, held to what is known; `because` says why no more is."""
    return CheckedExpectations(tuple(_held(one, facts, because) for one in wanted))


def _held(wanted: Expectation, facts: Mapping[type, Any], because: str) -> CheckedExpectation:
    known = EXPECTABLES[wanted.name]
    missing = [need for need in known.needs if need not in facts]
    if missing:
        why = because or f"hop {_hop(missing[0])} told nothing"
        return CheckedExpectation(wanted, unknown=f"not known, {why}")
    readings = tuple(known.readings(facts))
    broken = tuple(
        (whose, value)
        for whose, value in readings
        if value is not None and not known.form.holds(value, wanted.operator, wanted.value)
    )
    silent = [whose for whose, value in readings if value is None]
    if broken or (readings and not silent):
        return CheckedExpectation(wanted, readings, broken)
    return CheckedExpectation(wanted, readings, unknown=_not_told(wanted.name, silent))


def _not_told(name: str, silent: Sequence[str]) -> str:
    if not any(silent):
        return f"not known, nothing told its {name}"
    more = f" and {len(silent) - 3} more" if len(silent) > 3 else ""
    return f"not known of {', '.join(silent[:3])}{more}"


def _hop(kind: type) -> str:
    return next(hop.id for hop in HOPS if hop.gives is kind)


@expectable("brokers", number("of brokers"), "brokers=3")
def brokers(metadata: Metadata) -> Iterator[Reading]:
    """How many brokers the cluster lists."""
    yield "", len(metadata.brokers)


@expectable("advertised", address(), "advertised=*.example.com:9094")
def advertised(metadata: Metadata) -> Iterator[Reading]:
    """Every broker's advertised address: its host, or host and port; `*` stands for anything."""
    for broker in metadata.brokers:
        yield f"broker {broker.node}", str(broker.advertised)


@expectable("protocol", one_of(*PROTOCOLS), "protocol=SASL_SSL")
def protocol(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Reading]:
    """The security.protocol that the bootstrap server and every broker's listener speak."""
    for whose, contact in _contacts(bootstrap, listeners):
        yield whose, (contact.best.protocol or None) if contact.best else None


@expectable("certificate-days", number("of days"), "certificate-days>=30")
def certificate_days(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Reading]:
    """For how many days every certificate that was shown is still valid."""
    for whose, contact in _contacts(bootstrap, listeners):
        shown = contact.best.handshake if contact.best else None
        end = read(shown.chain[0]).not_after if shown and shown.chain else None
        if shown and end is not None:
            yield whose, int((end - shown.at) // _DAY)
        else:
            yield whose, "no certificate" if contact.usable and shown is None else None


@expectable("identity", one_of("proven"), "identity=proven")
def identity(listeners: Listeners) -> Iterator[Reading]:
    """Whether every advertised address was proven to lead to the very broker that it names."""
    for listener in listeners.listeners:
        best = listener.contact.best
        proven = bool(best and best.answered_as == listener.broker.node)
        unmet = best is None or best.failed is not None
        yield f"broker {listener.broker.node}", "proven" if proven else None if unmet else "unknown"


@expectable("cluster-id", pattern("the id of a cluster"), "cluster-id=MkU3OEVBNTcwNTJENDM2Qg")
def cluster_id(metadata: Metadata) -> Iterator[Reading]:
    """The cluster's id."""
    yield "", metadata.cluster_id


@expectable("topic-partitions", number("of partitions"), "topic-partitions>=6")
def topic_partitions(metadata: Metadata) -> Iterator[Reading]:
    """How many partitions the topic of `--topic` has."""
    exists = metadata.topic and metadata.topic.error == "NONE"
    yield "", len(metadata.topic.partitions) if metadata.topic and exists else None


@expectable("acks-ms", number("of milliseconds"), "acks-ms<200")
def acks_ms(produce: Produce) -> Iterator[Reading]:
    """How many milliseconds each broker took to answer a produce request; with `--topic`, from the
    start of the real client to the acknowledgement of each leader's record."""
    if produce.client:
        for record in produce.client.deliveries:
            took = None if record.error else _ms(record.elapsed)
            yield f"the leader on broker {record.node}", took
    else:
        for one in produce.produced:
            took = None if one.small.failure else _ms(one.small.elapsed)
            yield f"broker {one.node}", took
    yield from ((f"broker {node}", None) for node in produce.unreached)


def _contacts(bootstrap: Bootstrap, listeners: Listeners) -> Iterable[tuple[str, EndpointResult]]:
    yield from ((f"bootstrap {contact.endpoint}", contact) for contact in bootstrap.usable)
    yield from ((f"broker {one.broker.node}", one.contact) for one in listeners.listeners)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
