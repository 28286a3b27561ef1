"""KD307, KD308 and KD310: another broker or cluster answers than the metadata says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from kdiag.config.settings import Endpoint
from kdiag.network.attempt import AddressResult, Failure
from kdiag.network.certificate import read, recognise
from kdiag.rules import remedies
from kdiag.rules.advertised import HOP, acknowledged, answering_node, count_and_verb, subjects
from kdiag.rules.advertising import advertise, advertised, advertising, better, with_its_own_port
from kdiag.rules.platform import Platform
from kdiag.rules.rule import Match, Note, Severity, rule
from kdiag.rules.text import brokers, listed
from kdiag.walk.facts.listeners import Listener, Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import Produce


@rule("KD307", "wrong-broker", Severity.ERROR, "Another broker answers at the advertised address")
def wrong_broker(
    listeners: Listeners, produce: Produce | None, platform: Platform
) -> Iterator[Match | Note]:
    """The advertised address of one broker leads to another broker of the same cluster.

    Clients send to it what only the first may take, and get NOT_LEADER_OR_FOLLOWER again and again.
    Two addresses are swapped, a port mapping points at the wrong pod, or a load balancer spreads
    over all brokers.

    A proxy may know which broker a request is for: where requests for the first broker's partitions
    are served there, or the real client's record was acknowledged, today's clients get through.
    Those of Kafka 4.4 and newer compare the node id first (KIP-1242) and drop the connection: where
    the broker is of that generation and says that it is another one, that is a warning. So is a
    certificate of another broker's pod where nothing else tells who answers.

    Prove it: the broker was asked for the configuration of the id that the metadata gives, and
    answered which id it expected instead; or it does not lead that broker's partitions.

    How to fix: give each broker an address or a port of its own, and correct the swapped entries of
    `advertised.listeners`, port mappings or targets.
    """
    for listener, pod in _certified(listeners):
        if not acknowledged(produce, listener):
            yield _of_another_pod(listener, pod)
    matching = _failing_with(listeners, Failure.WRONG_NODE)
    wrong = [x for x in matching if not acknowledged(produce, x)]
    if wrong:
        yield _wrong_node(wrong, platform)
    for listener in matching:
        if acknowledged(produce, listener):
            yield Note(f"{_who(listener)}; it acknowledged the record for broker {_id(listener)}")
    routed = [x for x in listeners.reached if _is_routed(x)]
    dropped = [x for x in routed if _best(x).recognised is False]
    if dropped:
        yield _next_upgrade(dropped)
    sharing = Counter(x.broker.advertised for x in listeners.listeners)
    for listener in routed:
        alone = sharing[listener.broker.advertised] == 1  # else KD308 speaks for all of them
        if alone and _best(listener).recognised is not False:
            yield Note(f"{_who(listener)}, and serves the partitions of broker {_id(listener)}")


def _of_another_pod(listener: Listener, pod: str) -> Match:
    node = listener.broker.node
    return Match(
        HOP,
        f"{listener.broker.advertised} is advertised by broker {node}, but the certificate shown "
        f"there is that of pod {pod}",
        subjects([listener]),
        (f"nothing else tells whether broker {node} answers there",),
        (remedies.say("Let every broker advertise an address that leads to itself alone."),),
        Severity.WARNING,
    )


def _wrong_node(matching: Sequence[Listener], platform: Platform) -> Match:
    return Match(
        HOP,
        "; ".join(_who(x) for x in matching[:3])
        + (f"; and {len(matching) - 3} more" if matching[3:] else ""),
        subjects(matching),
        tuple(line for x in matching for line in _proofs(x)),
        advertising(
            _right_way_round(matching),
            "let every broker advertise an address that leads to itself alone",
            platform,
        ),
    )


def _next_upgrade(matching: Sequence[Listener]) -> Match:
    return Match(
        HOP,
        f"{'; '.join(_who(x) for x in matching[:3])}: it serves today's clients, and those of "
        "Kafka 4.4 and newer drop the connection",
        subjects(matching),
        tuple(line for x in matching for line in _proofs(x)),
        (
            remedies.say(
                "Before clients are upgraded, let the proxy send ApiVersions to the broker that it "
                "is for; or let clients set metadata.recovery.strategy=none."
            ),
        ),
        Severity.WARNING,
    )


def _who(listener: Listener) -> str:
    other = answering_node(listener)
    name = f"broker {other}" if other not in (None, listener.broker.node) else "another broker"
    return (
        f"{listener.broker.advertised} is advertised by broker {listener.broker.node}, but {name} "
        "answers there"
    )


def _proofs(listener: Listener) -> Iterator[str]:
    """Evidence: which broker answers, and whether it serves the advertised broker's partitions."""
    dial, node = _best(listener), listener.broker.node
    lead = f"broker {node} at {listener.broker.advertised}"
    if dial.answered_as not in (None, node):
        yield f"{lead}: answered as broker {dial.answered_as}"
    if dial.recognised is False:
        yield f"{lead}: says that it is not broker {node} of this cluster (ApiVersions 5)"
    if node in dial.serves:
        yield f"{lead}: serves the partitions that broker {node} leads (ListOffsets)"
    if node in dial.refuses:
        yield f"{lead}: NOT_LEADER_OR_FOLLOWER for the partitions of broker {node} (ListOffsets)"


def _is_routed(listener: Listener) -> bool:
    """Whether the server serves the partitions of the broker, and answers as another broker or
    denies being that one."""
    dial = _best(listener)
    other = dial.answered_as not in (None, listener.broker.node)
    return listener.broker.node in dial.serves and (other or dial.recognised is False)


@rule("KD308", "shared-address", Severity.ERROR, "Several brokers advertise the same address")
def shared_address(
    listeners: Listeners, produce: Produce | None, platform: Platform
) -> Iterator[Match | Note]:
    """Several brokers advertise one host and port, and not all of them can be found there.

    A client must reach each broker by itself: the leader of a partition is one broker, and no load
    balancer knows which. One load balancer or one NodePort Service in front of all brokers is good
    for the bootstrap only.

    Where requests for every broker's partitions are served at that address, it is none: some
    servers (Bufstream, WarpStream, AutoMQ) and proxies that route are made like that. It is an
    error where requests for some broker fail there, or nobody can be reached, and a warning where
    nothing tells. Clients of
    Kafka 4.4 and newer compare the node id too (KIP-1242): KD307 tells where they will fail.

    Prove it: the same address stands in the metadata more than once; the answers to requests for
    partitions of each broker are in the evidence.

    How to fix: advertise a different host or port for each broker, and forward each of them to that
    broker only. Keep the shared address for the bootstrap.
    """
    by_address: dict[Endpoint, list[Listener]] = defaultdict(list)
    for listener in listeners.listeners:
        by_address[listener.broker.advertised].append(listener)
    shared = [group for group in by_address.values() if len(group) > 1]
    failing, unproven = [], []
    for group in shared:
        left = [x for x in group if not acknowledged(produce, x)]
        if _lost_there(group, left) or (left and not any(x.contact.usable for x in group)):
            failing.append(left)
        elif all(x.contact.usable and _id(x) in _best(x).serves for x in left):
            those = brokers([_id(x) for x in group])
            yield Note(
                f"{group[0].broker.advertised} is advertised by {those}, and serves each of them"
            )
        else:
            unproven.append(left)
    if failing:
        yield _sharing(failing, listeners, platform)
    if unproven:
        yield _sharing(unproven, listeners, platform, Severity.WARNING)


def _lost_there(group: Sequence[Listener], left: Sequence[Listener]) -> bool:
    """Whether it is proven that clients do not reach one of the `left` brokers at the address."""
    lost = {node for x in group if x.contact.best for node in x.contact.best.refuses}
    lost |= {_id(x) for x in group if (f := x.contact.failed) and f.failure is Failure.WRONG_NODE}
    return any(_id(x) in lost for x in left)


def _sharing(
    shared: Sequence[Sequence[Listener]],
    listeners: Listeners,
    platform: Platform,
    severity: Severity | None = None,
) -> Match:
    matching = [listener for group in shared for listener in group]
    message = f"{count_and_verb(matching, listeners, 'shares', 'share')} an advertised address: "
    message += str(shared[0][0].broker.advertised)
    if severity:
        message += "; whether all of them can be found there is not proven"
    return Match(
        HOP,
        message,
        subjects(matching),
        tuple(
            f"{group[0].broker.advertised} is advertised by brokers "
            f"{listed([str(x.broker.node) for x in group])}"
            for group in shared
        )
        + tuple(
            f"asked for broker {x.broker.node} there, broker {answering_node(x)} answered"
            for x in matching
            if answering_node(x) is not None
        )
        + tuple(line for x in matching for line in _refusals(x)),
        advertising(
            {_id(x): with_its_own_port(x) for x in matching},
            "give every broker an address or a port of its own beside the one for bootstrap (a "
            "load balancer port or NodePort each), and advertise it",
            platform,
        ),
        severity,
    )


def _refusals(listener: Listener) -> Iterator[str]:
    dial = listener.contact.best
    if dial and dial.refuses:
        yield (
            f"asked for broker {listener.broker.node} there: NOT_LEADER_OR_FOLLOWER for the "
            f"partitions of {brokers(list(dial.refuses))}"
        )


@rule("KD310", "wrong-cluster", Severity.ERROR, "Another cluster answers at the advertised address")
def wrong_cluster(metadata: Metadata, listeners: Listeners, platform: Platform) -> Iterator[Match]:
    """A broker of another cluster answers at the advertised address.

    A private or loopback address that exists in your network too leads to your own Kafka; or a
    NAT, tunnel or DNS entry points at the wrong place. Clients of Kafka 4.4 and newer notice it
    (KIP-1242) and drop the connection; older ones ask the other cluster, and may write to it.

    Prove it: the two cluster ids in the evidence.

    How to fix: correct the address in `advertised.listeners`, or the NAT, tunnel or DNS entry that
    leads to the other cluster.
    """
    matching = _failing_with(listeners, Failure.WRONG_CLUSTER)
    if matching:
        yield Match(
            HOP,
            f"{listed([str(x.broker.advertised) for x in matching])} leads to another cluster than "
            f"{metadata.cluster_id}",
            subjects(matching),
            tuple(
                f"broker {x.broker.node} at {x.broker.advertised}: cluster {_cluster(x)}, "
                f"the metadata is of cluster {metadata.cluster_id}"
                for x in matching
            ),
            (
                remedies.say(
                    "Find out what else has that address: a Kafka on this machine or in this "
                    "network, a tunnel, a stale DNS entry."
                ),
                *advertise(matching, platform),
            ),
        )


def _id(listener: Listener) -> int:
    return listener.broker.node


def _best(listener: Listener) -> AddressResult:
    best = listener.contact.best
    assert best is not None
    return best


def _certified(listeners: Listeners) -> Iterator[tuple[Listener, str]]:
    """Listeners whose node id is not known and that show the certificate of another broker's pod;
    each with the pod's name."""
    for listener in listeners.listeners:
        best = listener.contact.best
        if not best or not best.handshake or best.failed or best.answered_as is not None:
            continue
        origin = recognise([read(der) for der in best.handshake.chain])
        if origin and origin.node is not None and origin.node != listener.broker.node:
            yield listener, origin.pod


def _failing_with(listeners: Listeners, failure: Failure) -> list[Listener]:
    return [
        listener
        for listener in listeners.listeners
        if (failed := listener.contact.failed) and failed.failure is failure
    ]


def _cluster(listener: Listener) -> str | None:
    return listener.contact.best.cluster_id if listener.contact.best else None


def _right_way_round(matching: Sequence[Listener]) -> dict[int, str]:
    """An address for each of these brokers: the one of another of them where it answers, else a
    placeholder."""
    answering = {answering_node(x): advertised(x) for x in matching}
    return {_id(x): answering.get(_id(x)) or better(x) for x in sorted(matching, key=_id)}
