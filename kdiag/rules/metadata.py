"""KD201 to KD203, KD209 and KD210, metadata: what is wrong with the answer, or with the brokers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.network.attempt import Failure
from kdiag.rules import remedies
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import broker_subjects, brokers, listed, once
from kdiag.walk.facts.metadata import Metadata, MetadataAnswer

HOP = "metadata"

_TOPIC_CODES = {"UNKNOWN_TOPIC_OR_PARTITION", "TOPIC_AUTHORIZATION_FAILED"}
_TRANSIENT = "LEADER_NOT_AVAILABLE"
_OTHER_FAILURES = (Failure.NOT_KAFKA, Failure.NO_COMMON_VERSION)


@rule("KD201", "metadata-unanswered", Severity.ERROR, "No answer to the metadata request")
def metadata_unanswered(metadata: Metadata) -> Iterator[Match]:
    """The broker answers ApiVersions, but not the metadata request that follows it.

    The path and the protocol are fine, the broker is not: it is overloaded, starting, or cut off
    from the controllers. Or a proxy answers the first request by itself.

    It is a warning where kdiag itself could not ask, because the server has none of the versions of
    Metadata that kdiag has: the server's clients may well have one.

    Prove it: run it again; look into the broker's log for the same second.

    How to fix: look after the broker: wait until it has started, connect it with its controllers,
    relieve it. Where a proxy answers the first request by itself, repair what is behind it.
    """
    failed = [a for a in metadata.answers if a.failure and a.failure not in _OTHER_FAILURES]
    if failed:
        yield _unanswered(metadata, failed, "did not answer the metadata request")
    newer = [a for a in metadata.answers if a.failure is Failure.NO_COMMON_VERSION]
    if newer:
        yield Match(
            HOP,
            f"kdiag cannot ask {servers_of(newer)} for metadata: they have no version in common",
            _subjects(newer),
            tuple(f"{a.endpoint}: {a.detail}" for a in newer),
            (remedies.say("Take a newer kdiag. Nothing is proven: clients may have them."),),
            Severity.WARNING,
        )


@rule("KD202", "metadata-error", Severity.ERROR, "The metadata answer is an error or unreadable")
def metadata_error(metadata: Metadata) -> Iterator[Match]:
    """The answer to the metadata request cannot be read, or says that something is wrong.

    An answer that is no Metadata response comes from a proxy or from a server that only resembles
    Kafka. An error for the topic other than "unknown" or "not allowed" is named in the evidence,
    with what it means. LEADER_NOT_AVAILABLE is a warning: clients ask again, and a topic that was
    just created is answered so for a moment.

    Prove it: the evidence has the error's name, or the first bytes of the answer.

    How to fix: follow the error that the evidence names; `kdiag explain ERROR` says more. Where the
    answer is no Metadata response, dial the broker itself and not the proxy.
    """
    broken = [a for a in metadata.answers if a.failure is Failure.NOT_KAFKA]
    if broken:
        yield _unanswered(metadata, broken, "sent an answer that cannot be read")
    topic = metadata.topic
    if topic and topic.error not in _TOPIC_CODES | {"NONE"}:
        # 2.7 ms
        from kdiag.kafka.error_catalog import find  # loaded only where an answer has an error

        known = find(topic.error)
        meaning = (f"{known.name}: {known.means}",) if known else ()
        look_up = f"Look up {topic.error} in the broker's log for this second."
        yield Match(
            HOP,
            f"The cluster answers {topic.error} for topic {topic.name}",
            (f"topic {topic.name}",),
            (f"Metadata for topic {topic.name}: {topic.error}", *meaning),
            (remedies.say((known.fix if known else "") or look_up),),
            Severity.WARNING if topic.error == _TRANSIENT else None,
        )


@rule("KD203", "no-brokers", Severity.ERROR, "The cluster lists no brokers")
def no_brokers(metadata: Metadata) -> Iterator[Match]:
    """The metadata answer is well-formed and lists not one broker.

    A broker that is not yet registered with the controllers, or has lost them, answers so.

    Prove it: the broker's log; `kafka-metadata-quorum.sh describe --status` on the cluster's side.

    How to fix: start the brokers, and connect them with their controllers
    (`controller.quorum.voters` or `controller.quorum.bootstrap.servers`). Then dial a broker and
    not a controller.
    """
    answered = [answer for answer in metadata.answers if not answer.failure]
    if answered and not metadata.brokers:
        yield Match(
            HOP,
            "The cluster lists no brokers",
            _subjects(answered),
            tuple(f"{answer.endpoint}: 0 brokers in its metadata" for answer in answered),
            (
                remedies.say(
                    "Wait until the brokers have registered; if they do not, see their logs for "
                    "the connection to the controllers."
                ),
            ),
        )


@rule("KD209", "bootstraps-disagree", Severity.WARNING, "The bootstrap servers are of two clusters")
def bootstraps_disagree(metadata: Metadata) -> Iterator[Match]:
    """The bootstrap servers of one list lead to different clusters.

    A client takes whichever answers first, so it works with one cluster today and with another
    tomorrow. It does work, so this is a warning; what it writes is where it is not looked for.

    Prove it: the cluster ids in the evidence.

    How to fix: keep the servers of one cluster in `bootstrap.servers`, and remove the others.
    """
    answers = [answer for answer in metadata.answers if answer.cluster_id]
    if len({answer.cluster_id for answer in answers}) > 1:
        yield Match(
            HOP,
            "The bootstrap servers belong to different clusters",
            _subjects(answers),
            tuple(f"{answer.endpoint}: cluster {answer.cluster_id}" for answer in answers),
            (remedies.say("Keep the servers of one cluster only in bootstrap.servers."),),
        )


@rule("KD210", "duplicate-node-id", Severity.WARNING, "The metadata lists a node id twice")
def duplicate_node_id(metadata: Metadata) -> Iterator[Match]:
    """The metadata has two brokers under one node id. No cluster of Kafka's own answers so; a proxy
    that merges clusters, or makes up the list, may.

    Clients do not agree on it: Java's fails on such an answer (Duplicate key), librdkafka takes one
    of the two. kdiag goes on with the one that is listed first, and does not dial the other.

    Prove it: `kcat -L`, and the list in the evidence.

    How to fix: correct the configuration of the proxy that makes the list: every broker needs a
    node id of its own. In a cluster of Kafka's own, give each broker its own `node.id`.
    """
    if metadata.twice:
        first = {broker.node: broker.advertised for broker in metadata.brokers}
        nodes = once(broker.node for broker in metadata.twice)
        yield Match(
            HOP,
            f"The metadata lists {brokers(nodes)} more than once: Java's client fails on that, "
            "librdkafka takes one of them",
            broker_subjects(nodes),
            tuple(
                f"broker {broker.node}: {first[broker.node]}, and {broker.advertised} as well"
                for broker in metadata.twice
            ),
            (
                remedies.say(
                    "Give every broker a node id of its own; if a proxy makes the list, correct it "
                    "there."
                ),
            ),
        )


def _unanswered(metadata: Metadata, failed: Sequence[MetadataAnswer], what: str) -> Match:
    others = any(not answer.failure for answer in metadata.answers)
    return Match(
        HOP,
        f"{servers_of(failed)} {what}",
        _subjects(failed),
        tuple(f"{a.endpoint}: {a.failure.words if a.failure else ''} {a.detail}" for a in failed),
        (remedies.say("See the broker's log for this second: overload, or no controller."),),
        Severity.WARNING if others else None,
    )


def servers_of(answers: Sequence[MetadataAnswer]) -> str:
    """The bootstrap servers of these answers as text, each once."""
    return listed(once(str(answer.endpoint) for answer in answers))


def _subjects(answers: Sequence[MetadataAnswer]) -> tuple[str, ...]:
    return tuple(once(f"bootstrap {answer.endpoint}" for answer in answers))
