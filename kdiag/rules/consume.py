"""KD907, KD909 and KD912 to KD915, readers: why a consumer does not get records, or not all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from kdiag.config.settings import Settings
from kdiag.config.snippet import Snippet, fill
from kdiag.rules import remedies
from kdiag.rules.internal_topics import HOP
from kdiag.rules.principal import secured
from kdiag.rules.rule import Match, Note, Severity, rule
from kdiag.rules.text import broker_subjects, brokers, listed, once
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.consume import (
    Consume,
    LargeAnswer,
    PartitionOffsets,
)
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import LARGE

LONG_OPEN = 60  # seconds: the default of transaction.timeout.ms in Java and librdkafka


@rule("KD907", "offset-out-of-range", Severity.WARNING, "A committed offset is out of range")
def offset_out_of_range(
    bootstrap: Bootstrap, consume: Consume, settings: Settings
) -> Iterator[Match]:
    """The group's committed offset is not in the partition: retention deleted those records, or the
    topic was made anew.

    A consumer that starts there does what `auto.offset.reset` says: `latest`, the default, skips to
    the end and loses what lies before; `earliest` reads from the first record that is left; `none`
    ends in an error, and so does this finding.

    Prove it: `kafka-consumer-groups.sh --describe --group NAME`, against
    `kafka-get-offsets.sh --topic NAME --time earliest`.

    How to fix: reset the offsets where the consumers shall continue: `kafka-consumer-groups.sh
    --reset-offsets --group NAME --topic TOPIC --to-earliest --execute`, while no consumer of the
    group runs.
    """
    lost = [partition for partition in consume.partitions if partition.lost]
    if lost:
        reset = settings.of_role.get("auto.offset.reset", "")
        ends = reset in ("none", "error")
        first = reset in ("earliest", "smallest", "beginning")
        effect = "the consumer ends in an error" if ends else "it skips to the end"
        effect = "it reads from the first record that is left" if first else effect
        yield Match(
            HOP,
            f"Group {consume.group} has committed offsets that are not there: {_names(lost)}",
            tuple(f"partition {partition.name}" for partition in lost),
            (
                *(
                    f"{p.name}: committed {p.committed}, there is {p.start} to {p.end}"
                    for p in lost
                ),
                f"auto.offset.reset={reset or 'latest, the default'}: {effect}",
            ),
            (
                remedies.say(
                    "Set the group's offsets, while no member runs, or choose auto.offset.reset:",
                    "{tool} --reset-offsets --to-earliest --execute --group {group} {partitions}",
                    tool=_tool("kafka-consumer-groups.sh", bootstrap, settings),
                    group=consume.group or "",
                    partitions=_of_topics(lost),
                ),
            ),
            Severity.ERROR if ends else None,
        )


@rule("KD909", "open-transaction", Severity.WARNING, "A transaction holds back its readers")
def open_transaction(
    bootstrap: Bootstrap, consume: Consume, settings: Settings
) -> Iterator[Match | Note]:
    """A transaction has been open for longer than a minute after its last record, and readers with
    `isolation.level=read_committed` get nothing behind its first one.

    The last stable offset stays where that transaction began, on two looks. A producer that was
    killed leaves such a transaction until `transaction.timeout.ms` ends it, a minute by default;
    one that Kafka lost track of stays. `read_committed` is the default of librdkafka, not of Java.

    Prove it: `kafka-transactions.sh --bootstrap-server HOST:PORT find-hanging --broker-id ID`.

    How to fix: stop or repair the producer that has it open. Where no producer has, abort it:
    `kafka-transactions.sh abort`.
    """
    default = "read_uncommitted" if settings.dialect == "java" else "read_committed"
    if settings.of_role.get("isolation.level", default) != "read_committed":
        return
    behind = [p for p in consume.partitions if p.later is not None and p.later == p.stable]
    old = [p for p in behind if any(consume.at - each.last > LONG_OPEN for each in p.open)]
    if old:
        yield Match(
            HOP,
            f"An open transaction holds back what is read from {_names(old)}",
            tuple(f"partition {partition.name}" for partition in old),
            tuple(
                f"{p.name}: last stable offset {p.later}, end {p.end}; producer id "
                f"{each.producer_id}, epoch {each.epoch}: open from offset {each.start}, last "
                f"record {(consume.at - each.last) // 60} min ago"
                for p in old
                for each in p.open
            ),
            (
                remedies.say(
                    "Restart that producer: it ends its transaction. One that is unknown ends by:",
                    "{tool} abort --topic {topic} --partition {number} --start-offset {start}",
                    tool=_tool("kafka-transactions.sh", bootstrap, settings),
                    topic=old[0].topic,
                    number=old[0].number,
                    start=old[0].open[0].start,
                ),
            ),
        )
    unknown = [partition for partition in behind if not partition.open]
    if unknown:
        yield Note(
            f"the last stable offset of {_names(unknown)} is behind the end, on two looks: a "
            "transaction is open; whose, and since when, is not known"
        )


@rule("KD912", "unknown-rack", Severity.WARNING, "No broker is in the client's rack")
def unknown_rack(metadata: Metadata, consume: Consume, settings: Settings) -> Iterator[Match]:
    """The consumer has a `client.rack` that no broker has as its `broker.rack`.

    It reads from the leaders then, wherever they are, instead of from a replica nearby. A letter or
    a zone's id in place of its name is enough.

    Prove it: `kafka-configs.sh --describe --all --entity-type brokers --entity-name ID`.

    How to fix: set `client.rack` to the value that the brokers near the client have as
    `broker.rack`.
    """
    wanted = settings.of_role.get("client.rack")
    racks = once(broker.rack for broker in metadata.brokers if broker.rack)
    if wanted and consume.role == "consumer" and wanted not in racks:
        yield Match(
            HOP,
            f"No broker is in rack {wanted}",
            (f"rack {wanted}",),
            (f"the brokers are in {listed(racks)}" if racks else "no broker has a rack",),
            (remedies.say("Give the client the name of a rack that the brokers have."),),
        )


@rule("KD913", "reader-disagrees", Severity.ERROR, "The probe may read, the real client fails")
def reader_disagrees(consume: Consume) -> Iterator[Match]:
    """The leaders answer kdiag's own Fetch, and the real client reads neither a record nor the end
    of a partition.

    It is librdkafka with the client's properties; the partitions are assigned to it, so it joins no
    group and commits nothing. A setting of the client, its own idea of names and addresses, or a
    record that it cannot read makes the difference. It is a warning where only time ran out.

    Prove it: run the client with `debug=fetch,broker,protocol`.

    How to fix: change the property or the environment of the client that its message names; where
    the message says nothing, compare the client's settings with those of kdiag.
    """
    client, sent = consume.client, {p.number for p in _sent_away(consume)}
    failed = [d for d in client.deliveries if d.error and d.partition not in sent] if client else []
    if client and failed:
        names = listed([f"{client.topic}-{each.partition}" for each in failed])
        late = all(each.error == "_TIMED_OUT" for each in failed)
        yield Match(
            HOP,
            f"The real client could not read {names}, though the leader answers the probe",
            tuple(f"partition {client.topic}-{each.partition}" for each in failed),
            (
                *(f"{client.topic}-{d.partition}: {d.error} {d.detail}" for d in failed),
                *(f"the client says: {words}" for words in client.words),
            ),
            (
                remedies.say(
                    "Compare the client's properties, and the names that it resolves, with those "
                    "of kdiag."
                ),
            ),
            Severity.WARNING if late and client.short_of else None,
        )


@rule("KD915", "large-answers", Severity.ERROR, "Small answers arrive, large ones get lost")
def large_answers(consume: Consume) -> Iterator[Match]:
    """The broker's small answers arrive here; one of 9 kB never does, on a second connection
    neither.

    It is KD402 in the other direction: somewhere on the path from the broker to the client packets
    of full size are dropped, and the message that should tell the broker to make them smaller is
    filtered. A consumer connects, joins its group, and then hangs at its first fetch. With a group
    each broker is asked for the offsets of a topic that does not exist: it answers with an error
    for each of many partitions, whatever this client may do.

    It is an error where the operating system says so: on both connections the end of the answer
    arrived, and what precedes it never did. Where the system does not tell (Windows, Linux before
    5.4), or no end arrived, it is a warning: a broker that is slow with such requests looks the
    same.

    Prove it: on the broker, `ping -M do -s 1472 CLIENT`, then smaller sizes until it passes.

    How to fix: let ICMP "fragmentation needed" (IPv6: packet too big) pass to the broker, or set a
    smaller MTU on the broker's interface or the tunnel, or clamp the MSS on the router.
    """
    vanished = [each for each in consume.large if each.vanished]
    for proven in (True, False):
        found = [each for each in vanished if each.proven is proven]
        if found:
            nodes = [each.node for each in found]
            end = "get lost on the path" if proven else "do not arrive; why is not proven"
            yield Match(
                HOP,
                f"Small answers of {brokers(nodes)} arrive, and those of {LARGE // 1024} kB {end}",
                broker_subjects(nodes),
                tuple(_vanished(each) for each in found),
                (remedies.PACKETS,),
                None if proven else Severity.WARNING,
            )


def _vanished(answer: LargeAnswer) -> str:
    first, second = answer.tries[:2]
    gap = "its end arrived, and what precedes it did not"
    unknown = "this system does not say whether parts of it arrived"
    seen = {True: gap, False: "no part of it arrived out of order", None: unknown}[second.gap]
    return (
        f"broker {answer.node}: ListOffsets of one partition is answered, of many not within "
        f"{first.elapsed:g} s: {seen}; the same on a second connection"
    )


@rule("KD914", "replica-unreachable", Severity.WARNING, "The replica in the rack is unreachable")
def replica_unreachable(consume: Consume) -> Iterator[Match]:
    """The leader sends a client of this `client.rack` to a replica on a broker that hop 3 does not
    reach.

    A consumer reads from that replica, and not from the leader. While it cannot connect there it
    asks the leader again, and is sent there again. Whatever hop 3 says of the broker is the reason.
    It is an error where the real client, with this `client.rack`, reads nothing from those
    partitions.

    Prove it: run the consumer without `client.rack`.

    How to fix: do what the finding of hop 3 about that broker says, or leave out `client.rack`
    where this client should read from the leaders.
    """
    run = consume.client
    failed = {d.partition: d.error for d in run.deliveries if d.error} if run else {}
    for node in consume.unreached:
        sent = [partition for partition in _sent_away(consume) if partition.preferred == node]
        lost = [partition for partition in sent if partition.number in failed]
        if sent:
            yield Match(
                HOP,
                f"Readers in this rack are sent to broker {node}, which is not reached",
                (f"broker {node}",),
                (
                    *(f"{p.name}: broker {p.node} prefers the replica on {node}" for p in sent),
                    *(f"the real client, {p.name}: {failed[p.number]}" for p in lost),
                ),
                (remedies.say("See why this client does not reach that broker."),),
                Severity.ERROR if lost else None,
            )


def _sent_away(consume: Consume) -> list[PartitionOffsets]:
    """The partitions of the topic whose leaders send this client to a broker out of reach."""
    return [p for p in consume.partitions if p.preferred in consume.unreached]


def _tool(name: str, bootstrap: Bootstrap, settings: Settings) -> Snippet:
    return remedies.tool(name, bootstrap.first_server, secured(settings.security))


def _of_topics(partitions: Sequence[PartitionOffsets]) -> Snippet:
    """The --topic options for these partitions alone: the others of a topic keep their offsets."""
    numbers: dict[str, list[str]] = defaultdict(list)
    for each in partitions:
        numbers[each.topic].append(str(each.number))
    options = (f"{topic}:{','.join(those)}" for topic, those in numbers.items())
    return Snippet(" ".join(fill("shell", "--topic {option}", option=each) for each in options))


def _names(partitions: Sequence[PartitionOffsets]) -> str:
    return listed([partition.name for partition in partitions])
