"""KD901 and KD916: an internal topic that Kafka cannot create, or cannot write to."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.config.snippet import Snippet
from kdiag.rules import remedies
from kdiag.rules.rule import Match, Note, Remedy, Severity, rule
from kdiag.text import plural
from kdiag.walk.facts.consume import ELSEWHERE, Consume
from kdiag.walk.facts.listeners import InternalTopic, Listeners
from kdiag.walk.facts.metadata import Metadata

HOP = "consume"
FACTOR = "offsets.topic.replication.factor"
OFFSETS_TOPIC = "__consumer_offsets"
# Topic → what it is for, and the settings of its replication factor and min.insync.replicas.
_STATE = {
    "__transaction_state": (
        "transactions", "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
    ),
    "__share_group_state": (
        "share groups", "share.coordinator.state.topic.replication.factor",
        "share.coordinator.state.topic.min.isr",
    ),
}  # fmt: skip


@rule("KD901", "offsets-topic", Severity.ERROR, "The topic of offsets cannot be created")
def offsets_topic(
    metadata: Metadata, listeners: Listeners, consume: Consume | None
) -> Iterator[Match | Note]:
    """`offsets.topic.replication.factor` is larger than the number of brokers, and the topic is not
    there yet.

    Kafka creates the topic __consumer_offsets when the first consumer of a group asks for its
    coordinator, and cannot create it with more replicas than there are brokers. Consumers then poll
    for ever, without an error. The usual case is one broker with the default of 3.

    It is an error where a group was named and every broker answers that it is not the coordinator.
    Without a group it is a warning, in every walk that may read the broker's configuration. With
    KRaft, a broker that is down counts too, and only brokers since Kafka 4.0 tell of it: before, it
    is a warning in any case. Nothing is said where the topic exists, from when there were more
    brokers.

    Prove it: `kafka-topics.sh --describe --topic __consumer_offsets`.

    How to fix: set `offsets.topic.replication.factor` to at most the number of brokers (1 for a
    single broker) and restart them, or add brokers.
    """
    topic = too_few(metadata, listeners, OFFSETS_TOPIC)
    if topic is None or (consume and consume.coordinator is not None):
        return
    count = listeners.room or len(metadata.brokers)
    there = plural(count, "broker")
    if topic.exists is None:
        yield Note(
            f"not proven: whether consumer groups can work: {FACTOR} is {topic.factor}, with "
            f"{there}, and this client may not see whether {OFFSETS_TOPIC} exists"
        )
        return
    proven = bool(consume and consume.absent and listeners.room is not None)
    message = f"The topic of offsets takes {topic.factor} replicas, and the cluster has {there}"
    message += ": no consumer group can work"
    if listeners.room is None:
        message += ", unless it has more brokers that are down"
    yield Match(
        HOP,
        message,
        (f"group {consume.group}",) if consume and proven else ("cluster",),
        (
            f"{FACTOR} is {topic.factor}; {registered(listeners, count)}",
            f"{OFFSETS_TOPIC} does not exist",
            *(beats(consume) if consume and proven else ()),
        ),
        (_fewer(count, FACTOR),),
        None if proven else Severity.WARNING,
    )


@rule("KD916", "state-topic", Severity.ERROR, "Transactions or share groups cannot work")
def state_topic(
    metadata: Metadata, listeners: Listeners, consume: Consume
) -> Iterator[Match | Note]:
    """The topic that keeps the state of transactions, or of share groups, is not there yet, and the
    cluster cannot create it, or could not write to it.

    Kafka creates __transaction_state for the first transactional producer, and
    __share_group_state for the first share group. Both take three replicas by default, of which two
    must be in sync. With fewer brokers the topic cannot be created; with fewer replicas than
    `min.isr` it takes no write. A transactional producer then waits in `initTransactions` until its
    time is over. The usual case is one broker where one of the two settings was left out.

    It is a warning where brokers before Kafka 4.0, with KRaft, do not tell of those that are down.
    Only `--as transactional` and `--as share` ask.

    Prove it: `kafka-topics.sh --describe --topic __transaction_state`.

    How to fix: set both on every broker (1 for a single broker) and restart them:
    `transaction.state.log.replication.factor` and `transaction.state.log.min.isr`, or
    `share.coordinator.state.topic.replication.factor` and `share.coordinator.state.topic.min.isr`.
    """
    room = len(metadata.brokers) if listeners.room is None else listeners.room
    for topic in listeners.internal:
        what, factor, min_isr = _STATE.get(topic.name, ("", "", ""))
        too_many = topic.factor > room
        if not what or topic.exists or not (too_many or topic.min_isr > topic.factor):
            continue
        given = f"{factor} is {topic.factor}", f"{min_isr} is {topic.min_isr}"
        if topic.exists is None:
            yield Note(
                f"not proven: whether {what} can work: {', '.join(given)}, and this client may not "
                f"see whether {topic.name} exists"
            )
            continue
        sure = (listeners.room is not None or not too_many) and _nowhere(consume)
        effect = f"takes {topic.factor} replicas, and the cluster has {plural(room, 'broker')}"
        if not too_many:
            effect = f"gets {plural(topic.factor, 'replica')}, and a write needs {topic.min_isr}"
        unless = "" if sure else ", unless it has more brokers that are down"
        yield Match(
            HOP,
            f"The topic of {what} {effect}: {what} cannot work{unless}",
            _subjects(consume),
            (*given, registered(listeners, room), f"{topic.name} does not exist"),
            (_fewer(room, factor, min_isr),),
            None if sure else Severity.WARNING,
        )


def _nowhere(consume: Consume) -> bool:
    """Whether no broker coordinates the transactional.id, for a role that has one."""
    answers = {broker.transaction for broker in consume.brokers}
    return consume.role != "transactional" or (answers == {ELSEWHERE} and not consume.unreached)


def _subjects(consume: Consume) -> tuple[str, ...]:
    if consume.asks_group:
        return (f"group {consume.group}",) if consume.group else ("cluster",)
    return (f"transactional.id {consume.transactional_id}",)


def _fewer(count: int, *settings: str) -> Remedy:
    return remedies.say(
        f"Set {'both' if len(settings) > 1 else 'it'} to the number of brokers at most, on every "
        "broker, and restart them; or start the brokers that are missing.",
        "{lines}",
        "properties",
        lines=Snippet("\n".join(f"{name}={count}" for name in settings)),
    )


def too_few(metadata: Metadata, listeners: Listeners, name: str) -> InternalTopic | None:
    """The internal topic of this name where it is not known to exist, and takes more replicas than
    a new topic can have; None otherwise."""
    room = len(metadata.brokers) if listeners.room is None else listeners.room
    found = (topic for topic in listeners.internal if topic.name == name and not topic.exists)
    return next((topic for topic in found if topic.factor > room), None)


def registered(listeners: Listeners, count: int) -> str:
    """Evidence: the number of brokers, and whence it is known."""
    if listeners.room is None:
        return f"the metadata lists {plural(count, 'broker')}"
    return f"the cluster has {plural(count, 'broker')} to place replicas on"


def beats(consume: Consume) -> tuple[str, ...]:
    """Evidence: each broker's answer to the heartbeat."""
    return tuple(
        f"broker {broker.node}: Heartbeat for group {consume.group}: {broker.group}"
        for broker in consume.brokers
        if broker.group
    )
