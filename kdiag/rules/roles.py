"""KD902, KD908, KD910 and KD911, rights: what a role needs, and a broker denies."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.config.settings import Settings
from kdiag.rules import acls, remedies
from kdiag.rules.internal_topics import HOP, beats
from kdiag.rules.rights import missing, rights
from kdiag.rules.rule import Match, Note, Remedy, Severity, rule
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.consume import GROUP_DENIED, TOPIC_DENIED, Consume
from kdiag.walk.facts.produce import Produce


@rule("KD902", "group-denied", Severity.ERROR, "This client may not use the group")
def group_denied(
    bootstrap: Bootstrap, consume: Consume, produce: Produce | None, settings: Settings
) -> Iterator[Match | Note]:
    """The brokers refuse this client's requests for the group: it lacks Read on it.

    A consumer with this principal cannot join the group, and cannot commit. The name may differ
    from what the rule allows by a letter, or the rule may be for a prefix.

    Prove it: `kafka-acls.sh --list --group NAME`.

    How to fix: grant the right: `kafka-acls.sh --add --allow-principal User:NAME --operation Read
    --group GROUP`.
    """
    if any(broker.group == GROUP_DENIED for broker in consume.brokers):
        yield Match(
            HOP,
            f"This client may not use group {consume.group}",
            (f"group {consume.group}",),
            beats(consume),
            (_grant(bootstrap, consume, produce, settings),),
        )
    for right in rights(consume, produce):
        if right.granted is None:
            yield Note(f"not proven: {right.text}: no answer tells")
    if not consume.topic:
        operation = "Read" if consume.asks_group else "Write"
        yield Note(f"not asked: {operation} on a topic, as --topic names none")


@rule("KD908", "read-denied", Severity.ERROR, "This client may not read the topic")
def read_denied(
    bootstrap: Bootstrap, consume: Consume, produce: Produce | None, settings: Settings
) -> Iterator[Match]:
    """A leader refuses this client's Fetch: it lacks Read on the topic.

    Prove it: `kafka-acls.sh --list --topic NAME`.

    How to fix: grant the right: `kafka-acls.sh --add --allow-principal User:NAME --operation Read
    --topic TOPIC`.
    """
    refused = [broker.node for broker in consume.brokers if broker.read == TOPIC_DENIED]
    if refused and consume.topic:
        yield Match(
            HOP,
            f"This client may not read topic {consume.topic}",
            (f"topic {consume.topic}",),
            tuple(f"broker {node}: Fetch: {TOPIC_DENIED}" for node in refused),
            (_grant(bootstrap, consume, produce, settings),),
        )


@rule("KD910", "transactional-id-denied", Severity.ERROR, "The transactional.id is denied")
def transactional_id_denied(
    bootstrap: Bootstrap, consume: Consume, produce: Produce | None, settings: Settings
) -> Iterator[Match]:
    """The brokers refuse this client the use of its `transactional.id`: it lacks Write on it.

    The request ends a transaction that does not exist: nobody's transaction ends, and no producer
    is fenced.

    Prove it: `kafka-acls.sh --list --transactional-id NAME`.

    How to fix: grant the right: `kafka-acls.sh --add --allow-principal User:NAME --operation Write
    --transactional-id ID`.
    """
    name = f"transactional.id {consume.transactional_id}"
    refused = [b for b in consume.brokers if b.transaction and name in consume.failed]
    if refused:
        yield Match(
            HOP,
            f"This client may not use its {name}",
            (name,),
            tuple(f"broker {b.node}: EndTxn: {b.transaction}" for b in refused),
            (_grant(bootstrap, consume, produce, settings),),
        )


@rule("KD911", "idempotence-denied", Severity.ERROR, "This client may not write idempotently")
def idempotence_denied(
    bootstrap: Bootstrap, consume: Consume, produce: Produce | None, settings: Settings
) -> Iterator[Match]:
    """The broker gives this client no producer id, which an idempotent producer begins with.

    Brokers before Kafka 2.8 ask for IdempotentWrite on the cluster; later ones also take Write on
    any topic. `enable.idempotence` is true by default in Java's producers since 3.0, and false in
    librdkafka's.

    Prove it: `kafka-acls.sh --list --cluster`.

    How to fix: grant IdempotentWrite on the cluster (`kafka-acls.sh --add --operation
    IdempotentWrite --cluster`), or set `enable.idempotence=false`.
    """
    if "cluster" in consume.failed:
        yield Match(
            HOP,
            "This client may not be an idempotent producer",
            ("cluster",),
            (f"InitProducerId without a transactional.id: {consume.producer}",),
            (
                _grant(bootstrap, consume, produce, settings),
                remedies.say("Or let the client write without: enable.idempotence=false."),
            ),
        )


def _grant(
    bootstrap: Bootstrap, consume: Consume, produce: Produce | None, settings: Settings
) -> Remedy:
    """The commands that grant all rights which the role lacks."""
    return acls.allow_all(bootstrap.first_server, missing(consume, produce), settings.security)
