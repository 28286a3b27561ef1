"""The rights that a role needs on a cluster, and whether the answers prove that they are there."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.config.record import NamedTuple
from kdiag.walk.facts.consume import (
    CLUSTER_DENIED,
    GROUP_DENIED,
    TOPIC_DENIED,
    TRANSACTION_DENIED,
    Consume,
)
from kdiag.walk.facts.produce import Produce

# Answers that a broker gives before it looks at rights, or that do not tell.
_TELL_NOTHING = (None, "UNKNOWN_SERVER_ERROR", "UNSUPPORTED_VERSION", "INVALID_REQUEST")


class Right(NamedTuple):
    """A right: Kafka's operation, the kind of the resource, and its name. `granted` is None where
    no answer tells; `why` is the answer that does."""

    operation: str
    resource: str
    name: str
    granted: bool | None
    why: str = ""

    @property
    def text(self) -> str:
        """The right as a reader names it."""
        return f"{self.operation} on {self.resource} {self.name}".rstrip()


def rights(consume: Consume, produce: Produce | None) -> tuple[Right, ...]:
    """The rights that the role needs, in the order in which a client needs them."""
    return tuple(_rights(consume, produce))


def missing(consume: Consume, produce: Produce | None) -> tuple[Right, ...]:
    """The rights that a broker denied."""
    return tuple(right for right in rights(consume, produce) if right.granted is False)


def _rights(consume: Consume, produce: Produce | None) -> Iterator[Right]:
    if consume.asks_group:
        answers = [broker.group for broker in consume.brokers]
        yield _right("Read", "group", consume.group or "", answers, GROUP_DENIED)
        if consume.topic:
            read = [b.read for b in consume.brokers if b.read != "UNKNOWN_TOPIC_OR_PARTITION"]
            yield _right("Read", "topic", consume.topic, read, TOPIC_DENIED)
        return
    if consume.role == "idempotent":
        answers = [consume.producer]
        yield _right("IdempotentWrite", "cluster", "", answers, CLUSTER_DENIED)
    if consume.role == "transactional":
        answers = [broker.transaction for broker in consume.brokers]
        name = consume.transactional_id or ""
        yield _right("Write", "transactional.id", name, answers, TRANSACTION_DENIED)
    if consume.topic:
        records = produce.client.deliveries if produce and produce.client else ()
        written = [
            each.error or "NONE" for each in records if not (each.error or "").startswith("_")
        ]
        yield _right("Write", "topic", consume.topic, [*written, consume.write], TOPIC_DENIED)


def _right(
    operation: str, resource: str, name: str, answers: list[str | None], denied: str
) -> Right:
    if denied in answers:
        return Right(operation, resource, name, False, denied)
    telling = [answer for answer in answers if answer and answer not in _TELL_NOTHING]
    proof = telling[0] if telling else ""
    return Right(operation, resource, name, True if telling else None, proof)
