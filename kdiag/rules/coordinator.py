"""KD903 to KD906, the coordinator of a group: why its members cannot join, or do not consume."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.rules import remedies
from kdiag.rules.internal_topics import HOP, OFFSETS_TOPIC, beats, too_few
from kdiag.rules.rule import Match, Note, Severity, rule
from kdiag.rules.text import brokers, once
from kdiag.walk.facts.consume import ELSEWHERE, LOADING, REBALANCES, Consume, Group
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.facts.metadata import Metadata


@rule("KD903", "coordinator-loading", Severity.WARNING, "The group's coordinator is still loading")
def coordinator_loading(consume: Consume) -> Iterator[Match]:
    """The group's coordinator is reading the group's state, on two looks.

    A broker that has become the coordinator reads its part of __consumer_offsets first. Consumers
    wait for it and get nothing meanwhile. Minutes of it mean a topic that is not compacted.

    Prove it: run it again; the coordinator's log has "Finished loading offsets and group metadata".

    How to fix: wait until the coordinator has loaded the group. Where it takes minutes, see that
    the broker's log cleaner runs and that __consumer_offsets has cleanup.policy=compact.
    """
    node = consume.coordinator
    loading = [group for group in consume.groups if group.error == LOADING]
    if len(loading) > 1 and len(loading) == len(consume.groups):
        yield Match(
            HOP,
            f"Broker {node}, the coordinator of group {consume.group}, is still loading it",
            (f"group {consume.group}",),
            tuple(f"look {n}: {group.error}" for n, group in enumerate(consume.groups, 1)),
            (remedies.say("Wait, and run it again; look at the size of __consumer_offsets."),),
        )


@rule("KD904", "coordinator-unavailable", Severity.ERROR, "The group has no coordinator")
def coordinator_unavailable(consume: Consume) -> Iterator[Match]:
    """No broker coordinates the group: its part of __consumer_offsets has no leader, or brokers
    answer COORDINATOR_NOT_AVAILABLE on two looks.

    A consumer of the group cannot join it, nor commit.

    Prove it: `kafka-topics.sh --describe --topic __consumer_offsets --unavailable-partitions`.

    How to fix: start the brokers that have the replicas of that partition of __consumer_offsets.
    """
    unavailable = consume.unavailable
    if unavailable or (consume.owner == -1 and consume.absent):
        lines = [*beats(consume)]
        if consume.again:
            lines.append(f"broker {unavailable[0]}, a second look: {consume.again}")
        if consume.owner == -1:
            lines.append("the group's partition of __consumer_offsets has no leader")
        yield Match(
            HOP,
            f"Group {consume.group} has no coordinator",
            (f"group {consume.group}",),
            tuple(lines),
            (
                remedies.say(
                    "Bring back the brokers that hold the group's partition of __consumer_offsets."
                ),
            ),
        )


@rule("KD905", "coordinator-unreachable", Severity.ERROR, "The group's coordinator is unreachable")
def coordinator_unreachable(
    metadata: Metadata, listeners: Listeners, consume: Consume
) -> Iterator[Match | Note]:
    """The group's coordinator is a broker that hop 3 does not reach.

    Its consumers talk to that one broker to join, to stay and to commit. Whatever hop 3 says of the
    broker is the reason.

    Prove it: `kafka-consumer-groups.sh --describe --state --group NAME`.

    How to fix: repair what hop 3 finds at that broker; the group works again with it.
    """
    node, group = consume.owner, f"group {consume.group}"
    if node is not None and node in consume.unreached:
        yield Match(
            HOP,
            f"The coordinator of {group} is broker {node}, which is not reached",
            (f"broker {node}",),
            (f"broker {node} leads the group's partition of __consumer_offsets", *beats(consume)),
            (remedies.say("See why this client does not reach that broker."),),
        )
    elif consume.asks_group and consume.coordinator is None and node is None:
        answers = once(b.group for b in consume.brokers if b.group)
        topic = too_few(metadata, listeners, OFFSETS_TOPIC)
        if consume.absent and topic and topic.exists is False:
            return  # KD901
        if consume.absent:
            yield Note(
                f"not proven: the coordinator of {group}: every broker answers NOT_COORDINATOR, as "
                "where the topic of offsets is not there yet; Kafka creates it for a consumer"
            )
        elif answers == [ELSEWHERE]:
            yield Note(
                f"not proven: the coordinator of {group}: it is none of the brokers that were "
                f"reached; {brokers(consume.unreached)} may be"
            )
        elif not answers:
            why = once(b.failure for b in consume.brokers if b.failure)
            yield Note(f"not proven: the coordinator of {group}: {why[0] if why else 'not asked'}")


@rule("KD906", "group-rebalancing", Severity.WARNING, "The group does not come out of a rebalance")
def group_rebalancing(consume: Consume) -> Iterator[Match]:
    """The group is in a rebalance, and still is four seconds later.

    Until it ends no member consumes. It ends when every member has joined again, or has been given
    up after its `max.poll.interval.ms` (five minutes by default): one member that hangs in its
    processing keeps all others waiting. While an application starts or is deployed it is normal.

    Prove it: `kafka-consumer-groups.sh --describe --members --group NAME`.

    How to fix: find the member that does not join again (`--members` shows all of them) and restart
    it, or let it process less in one poll (`max.poll.records`).
    """
    group = consume.described
    if len(consume.groups) > 1 and group and all(g.state in REBALANCES for g in consume.groups):
        yield Match(
            HOP,
            f"Group {consume.group} is in a rebalance, and still is on a second look",
            (f"group {consume.group}",),
            (
                *(f"look {n}: {_state(each)}" for n, each in enumerate(consume.groups, 1)),
                *(f"member {member}" for member in group.members),
            ),
            (
                remedies.say(
                    "Find the member that does not join: its log, its stack, and how long it takes "
                    "between two polls, against max.poll.interval.ms."
                ),
            ),
        )


def _state(group: Group) -> str:
    return f"{group.state}, {len(group.members)} members"
