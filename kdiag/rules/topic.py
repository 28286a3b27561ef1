"""KD204 to KD208, the topic of --topic: why clients cannot use it, or only some of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from kdiag.config.settings import Settings
from kdiag.rules import acls, remedies
from kdiag.rules.metadata import HOP, servers_of
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import brokers, count_of, listed, sentence
from kdiag.walk.facts.metadata import Metadata, Partition, Topic

_FALSE = ("false", "f", "0")  # as librdkafka reads a boolean


@rule("KD204", "unknown-topic", Severity.ERROR, "The topic does not exist")
def unknown_topic(metadata: Metadata, settings: Settings) -> Iterator[Match]:
    """The cluster has no topic of that name, or does not show it to this client.

    Where the broker says that it has auto.create.topics.enable=true this is a warning: a producer
    creates the topic as it writes to it, unless the client's own allow.auto.create.topics=false
    forbids that, or it lacks the right (Create). Where the broker does not say, that is not proven
    and the evidence tells why. kdiag never creates a topic.

    With authorization on, a topic that this client may not describe
    looks the same on some clusters. Names that are much like it are found among the topics that the
    cluster lists for this client, which it is asked for in this case alone.

    An answer that leaves the topic out altogether is a proxy's: a broker names each topic that it
    is asked for. Envoy's mesh filter answers so for a topic that none of its rules routes. Clients
    ask again until their time is over.

    Prove it: `kafka-topics.sh --list`, as a user who may see all.

    How to fix: correct the name, or create the topic: `kafka-topics.sh --create --topic NAME`.
    Where it exists, allow this client to describe it. At a proxy, add a rule for the topic.
    """
    topic = metadata.topic
    if topic and topic.error == "UNKNOWN_TOPIC_OR_PARTITION":
        allows = settings.client.get("allow.auto.create.topics", "").lower() not in _FALSE
        created = metadata.creates == "true" and allows
        similar = " or ".join(metadata.alike or ())
        rename = (remedies.say(f"Use {similar}, if that is meant."),) if similar else ()
        if topic.left_out:
            yield _left_out(metadata, topic)
            return
        where = f" on cluster {metadata.cluster_id}" if metadata.cluster_id else ""
        yield Match(
            HOP,
            f"Topic {topic.name} does not exist{where}"
            + (" yet: the first write creates it" if created else ""),
            (f"topic {topic.name}",),
            (
                f"Metadata for topic {topic.name}: {topic.error}",
                *_similar_names(metadata.alike),
                _auto_creation(metadata.creates, client_allows=allows),
            ),
            (
                *rename,
                remedies.say(
                    "Check the name, upper and lower case included, and the cluster; or create it:",
                    "{tool} --create --topic {topic}",
                    tool=remedies.tool("kafka-topics.sh", metadata.answers[0].endpoint, False),
                    topic=topic.name,
                ),
            ),
            Severity.WARNING if created else None,
        )


@rule("KD205", "topic-denied", Severity.ERROR, "This client may not see the topic")
def topic_denied(metadata: Metadata, settings: Settings) -> Iterator[Match]:
    """The cluster refuses to describe the topic to this client.

    The connection and the login are fine; an access rule (ACL) is missing: Describe on the topic,
    which Read and Write include.

    Prove it: `kafka-acls.sh --list --topic NAME`.

    How to fix: grant the right: `kafka-acls.sh --add --allow-principal User:NAME --operation
    Describe --topic TOPIC`.
    """
    topic = metadata.topic
    if topic and topic.error == "TOPIC_AUTHORIZATION_FAILED":
        yield Match(
            HOP,
            f"This client is not allowed to describe topic {topic.name}",
            (f"topic {topic.name}",),
            (f"Metadata for topic {topic.name}: {topic.error}",),
            (acls.allow_writing(metadata.answers[0].endpoint, topic.name, settings.security),),
        )


@rule("KD206", "no-leader", Severity.ERROR, "Partitions have no leader")
def no_leader(metadata: Metadata) -> Iterator[Match]:
    """Partitions of the topic have no leader: nobody can write to or read from them.

    All of their in-sync replicas are down or fenced. Producers retry until they give up with
    LEADER_NOT_AVAILABLE or a time-out. Other partitions of the topic work.

    Where the cluster lists a broker that holds an in-sync replica, one can be elected at any
    moment: that is a warning. It is an election, which clients wait for, or the cluster has no
    controller to hold one, which does not pass.

    Prove it: `kafka-topics.sh --describe --unavailable-partitions`, twice; for the controllers
    `kafka-metadata-quorum.sh describe --status`.

    How to fix: start the brokers that have the in-sync replicas. Where they are lost, an unclean
    election (`kafka-leader-election.sh --election-type unclean`) makes the partition available, and
    loses records.
    """
    topic = metadata.topic
    known = {broker.node for broker in metadata.brokers}
    leaderless = [p for p in _partitions(topic) if p.leader < 0 and p.error != "LISTENER_NOT_FOUND"]
    for electing in (False, True):
        some = [p for p in leaderless if bool(known & set(p.isr)) is electing]
        if topic and some:
            yield _leaderless(topic, some, known, electing=electing)


@rule(
    "KD207",
    "listener-missing-on-leader",
    Severity.ERROR,
    "A partition leader lacks this listener",
)
def listener_missing_on_leader(metadata: Metadata) -> Iterator[Match]:
    """A partition's leader exists, but has no listener of the name that the client connected to.

    Brokers hand out addresses of the listener that was asked. When a leader's configuration lacks a
    listener of that name, clients get error 72, LISTENER_NOT_FOUND, and see no leader.

    Prove it: compare `listeners` and `advertised.listeners` of all brokers.

    How to fix: add the listener to `listeners` and `advertised.listeners` of the leader, under the
    same name and with the same settings, and restart it.
    """
    topic = metadata.topic
    affected = [p for p in _partitions(topic) if p.error == "LISTENER_NOT_FOUND"]
    if topic and affected:
        message = f"of topic {topic.name} led by a broker without this listener"
        yield Match(
            HOP,
            f"{_count(affected, topic)} {message}",
            _names(topic, affected),
            tuple(f"{topic.name}-{p.number}: {p.error}" for p in affected),
            (
                remedies.say(
                    "Give every broker a listener of that name in `listeners`, "
                    "`advertised.listeners` and `listener.security.protocol.map`."
                ),
            ),
        )


@rule("KD208", "under-replicated", Severity.WARNING, "Partitions have replicas out of sync")
def under_replicated(metadata: Metadata) -> Iterator[Match]:
    """Fewer replicas are in sync than the topic is meant to have.

    Writes still work, unless fewer than `min.insync.replicas` are left (KD404). A broker is down,
    behind, or cut off from the others.

    Prove it: `kafka-topics.sh --describe --under-replicated-partitions`.

    How to fix: start the broker whose replica is out of sync, or repair its network and disks; it
    catches up by itself.
    """
    topic = metadata.topic
    behind = [p for p in _partitions(topic) if p.leader >= 0 and set(p.replicas) - set(p.isr)]
    if topic and behind:
        nodes = sorted({node for p in behind for node in set(p.replicas) - set(p.isr)})
        yield Match(
            HOP,
            f"{_count(behind, topic)} of topic {topic.name} with replicas out of sync, "
            f"on {brokers(nodes)}",
            _names(topic, behind),
            tuple(
                f"{topic.name}-{p.number}: replicas {_nodes(p.replicas)}, "
                f"in sync {_nodes(sorted(p.isr))}"
                for p in behind
            ),
            (remedies.say(f"See why {brokers(nodes)} cannot follow the leaders."),),
        )


def _left_out(metadata: Metadata, topic: Topic) -> Match:
    """The match for a topic that the metadata answer leaves out: the server does not know it."""
    servers = servers_of([answer for answer in metadata.answers if not answer.failure])
    return Match(
        HOP,
        f"{servers} does not know topic {topic.name}: its metadata answer leaves it out",
        (f"topic {topic.name}",),
        (
            f"Metadata for topic {topic.name}: {brokers([b.node for b in metadata.brokers])}, "
            "without the topic; Kafka's own broker would list it, with an error",
        ),
        (
            remedies.say(
                "Check the name; if it is right, see that the proxy routes it (in Envoy's mesh "
                "filter a rule whose topic prefix fits), or take the address of the brokers."
            ),
        ),
    )


def _similar_names(names: Sequence[str] | None) -> Iterator[str]:
    """Evidence: topics whose names are similar to the missing one; None where nobody looked."""
    if names:
        yield f"the cluster has {listed(names)}"
    elif names is not None:
        yield "none of the topics that it lists for this client has a name like that"


def _auto_creation(value: str | None, *, client_allows: bool) -> str:
    """Evidence: whether a producer's first write creates the topic, from the broker's `value` of
    auto.create.topics.enable: "true", "false", or why it is not known."""
    if value == "true" and client_allows:
        return (
            "the broker has auto.create.topics.enable=true: a producer that may (Create on the "
            "topic or the cluster) creates it, with the broker's default partitions and replicas"
        )
    if value == "true":
        return (
            "the broker has auto.create.topics.enable=true, but this client has "
            "allow.auto.create.topics=false"
        )
    if value == "false":
        return "the broker has auto.create.topics.enable=false: no producer creates it"
    why = f" ({value})" if value else ""
    return (
        f"not proven, as the broker does not tell{why}: with auto.create.topics.enable=true a "
        "producer's first write creates it"
    )


def _leaderless(
    topic: Topic, partitions: Sequence[Partition], known: Set[int], *, electing: bool
) -> Match:
    missing = sorted({node for p in partitions for node in p.replicas} - known)
    fix = (
        "Run it again: an election has ended by then. If it stays, see that the cluster has a "
        "controller."
        if electing
        else f"Bring back {brokers(missing)}, which the cluster does not list."
        if missing
        else "Bring back a broker that holds an in-sync replica."
    )
    return Match(
        HOP,
        f"{_count(partitions, topic)} of topic {topic.name} without a leader"
        + (" just now, though an in-sync replica is up" if electing else ""),
        _names(topic, partitions),
        tuple(
            f"{topic.name}-{p.number}: {p.error}, replicas {_nodes(p.replicas)}, "
            f"in sync {_nodes(sorted(p.isr))}"
            for p in partitions
        ),
        (remedies.say(fix),),
        Severity.WARNING if electing else None,
    )


def _partitions(topic: Topic | None) -> tuple[Partition, ...]:
    return topic.partitions if topic else ()


def _names(topic: Topic, partitions: Sequence[Partition]) -> tuple[str, ...]:
    return tuple(f"partition {topic.name}-{p.number}" for p in partitions)


def _count(some: Sequence[Partition], topic: Topic) -> str:
    return sentence(count_of(len(some), len(topic.partitions), "partition"))


def _nodes(nodes: Sequence[int]) -> str:
    return ", ".join(map(str, nodes)) or "none"
