"""Parses the user's expectations and compares them with the facts of a walk. Each quantity that a
user can expect has one function here, which reads it from the facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.consume import Consume
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import Produce
from kdiag.walk.facts.table import HOP_FACTS

_DAY = 86400


@dataclass(frozen=True)
class CheckedExpectation:
    """One expectation, compared with the facts. `readings` are the values found, `broken` those
    that do not meet it; `unknown` says why it is not known whether it holds, "" where it is."""

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
    """Every expectation of the user, compared with the facts, in the user's order."""

    results: tuple[CheckedExpectation, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """The subjects of the expectations that are not known to hold or to fail."""
        return tuple(f"expectation {one.expectation}" for one in self.results if one.unknown)

    @property
    def summary(self) -> str:
        """How many expectations hold, and how many are not known, in one line."""
        count = len(self.results)
        met = sum(one.holds for one in self.results)
        unknown = sum(bool(one.unknown) for one in self.results)
        line = f"{met} of {count} expectations met"
        return f"{line}, {unknown} not known" if unknown else line


def parse_expectations(
    texts: Sequence[str], *, topic: str | None, place: str = "--expect"
) -> tuple[Expectation, ...]:
    """The expectations that a user wrote, each once; `place` names the option in an error. Raises
    UsageError."""
    found = tuple(dict.fromkeys(parse(text, place) for text in texts))
    for expectation in found:
        if expectation.name == "topic-partitions" and topic is None:
            raise UsageError(f"{place} {expectation}: of which topic? Add --topic NAME")
    return found


def check_expectations(
    wanted: Sequence[Expectation], facts: Facts, because: str
) -> CheckedExpectations:
    """Compares the expectations with the facts, by type; `because` says why facts are missing, ""
    where the walk was complete."""
    return CheckedExpectations(tuple(_check(one, facts, because) for one in wanted))


def _check(wanted: Expectation, facts: Facts, because: str) -> CheckedExpectation:
    quantity = EXPECTABLES[wanted.name]
    missing = [need for need in quantity.needs if need not in facts]
    if missing:
        nobody = missing == [Consume]
        why = because or ("no --group" if nobody else f"hop {_hop(missing[0])} has no answer")
        return CheckedExpectation(wanted, unknown=f"not known, {why}")
    readings = tuple(quantity.read(*(facts[need] for need in quantity.needs)))
    broken = tuple(
        (whose, value)
        for whose, value in readings
        if value is not None and not quantity.form.holds(value, wanted.operator, wanted.value)
    )
    without_value = [whose for whose, value in readings if value is None]
    if broken or (readings and not without_value):
        return CheckedExpectation(wanted, readings, broken)
    return CheckedExpectation(wanted, readings, unknown=_not_told(wanted.name, without_value))


def _not_told(name: str, without_value: Sequence[str]) -> str:
    if not any(without_value):
        return f"not known, the walk does not know its {name}"
    more = f" and {len(without_value) - 3} more" if len(without_value) > 3 else ""
    return f"not known of {', '.join(without_value[:3])}{more}"


def _hop(kind: type) -> str:
    return next(hop for hop, facts in HOP_FACTS.items() if facts is kind)


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
        failed = best is None or best.failed is not None
        reading = "proven" if proven else None if failed else "unknown"
        yield f"broker {listener.broker.node}", reading


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
        for produced in produce.produced:
            took = None if produced.small.failure else _ms(produced.small.elapsed)
            yield f"broker {produced.node}", took
    yield from ((f"broker {node}", None) for node in produce.unreached)


@expectable("coordinator", one_of("proven"), "coordinator=proven")
def coordinator(consume: Consume) -> Iterator[Reading]:
    """Whether a broker answers as the coordinator of the group of `--group`."""
    yield "", "proven" if consume.coordinator is not None else None


@expectable("group-state", one_of("stable", "empty"), "group-state=stable")
def group_state(consume: Consume) -> Iterator[Reading]:
    """The state of the group of `--group`, as its coordinator names it, in small letters."""
    yield "", consume.described.state.lower() if consume.described else None


@expectable("lag", number("of records"), "lag<1000")
def lag(consume: Consume) -> Iterator[Reading]:
    """How many records the group of `--group` has not committed, partition by partition."""
    counted = [p for p in consume.partitions if p.committed >= 0]
    yield from ((f"partition {p.name}", p.lag) for p in counted)
    if not counted:
        yield "", None


def _contacts(bootstrap: Bootstrap, listeners: Listeners) -> Iterable[tuple[str, EndpointResult]]:
    yield from ((f"bootstrap {contact.endpoint}", contact) for contact in bootstrap.usable)
    yield from ((f"broker {x.broker.node}", x.contact) for x in listeners.listeners)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
