"""KD4xx, produce: what became of the produce requests, and of the real client's records."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from kdiag.attempt import ClientRun, Delivery, Failure
from kdiag.hops.bootstrap import Bootstrap
from kdiag.hops.produce import LARGE, Outcome, Produce
from kdiag.remedies import kafka as remedies
from kdiag.rule import Match, Remedy, Severity, rule
from kdiag.rules.principal import principal, secured
from kdiag.rules.words import brokers, listed, sentence
from kdiag.settings import Endpoint, Settings

HOP = "produce"

DENIED = frozenset(
    {
        "TOPIC_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    }
)
REPLICAS = frozenset({"NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND"})
LEADER = frozenset(
    {
        "NOT_LEADER_FOR_PARTITION",
        "LEADER_NOT_AVAILABLE",
        "REPLICA_NOT_AVAILABLE",
        "FENCED_LEADER_EPOCH",
        "UNKNOWN_LEADER_EPOCH",
        "NEW_LEADER_ELECTED",
        "UNKNOWN_TOPIC_OR_PART",
    }
)
REJECTED = frozenset(
    {
        "MSG_SIZE_TOO_LARGE",
        "RECORD_LIST_TOO_LARGE",
        "INVALID_MSG",
        "INVALID_MSG_SIZE",
        "INVALID_RECORD",
        "INVALID_TIMESTAMP",
        "POLICY_VIOLATION",
        "UNSUPPORTED_COMPRESSION_TYPE",
        "UNSUPPORTED_FOR_MESSAGE_FORMAT",
        "INVALID_REQUIRED_ACKS",
        "TOPIC_EXCEPTION",
    }
)
THROTTLED = frozenset({"THROTTLING_QUOTA_EXCEEDED"})


@rule("KD401", "produce-unanswered", Severity.ERROR, "A broker does not answer produce requests")
def produce_unanswered(produce: Produce) -> Iterator[Match]:
    """The broker was reached and proved itself, but a produce request gets no answer.

    The request writes nothing and a healthy broker refuses it within milliseconds. The broker
    hangs, its disks or request handlers are stuck, or something on the way lets small talk through
    and ends produce requests.

    Prove it: the broker's log and its request queue metrics for this second.
    """
    lost = [
        (produced.node, outcome, size)
        for produced in produce.produced
        for outcome, size in ((produced.small, "small"), (produced.large, "16 kB"))
        if outcome.failure and (size == "small" or outcome.failure is not Failure.SILENT)
    ]
    if lost:
        nodes = list(dict.fromkeys(node for node, _, _ in lost))
        yield Match(
            HOP,
            f"{sentence(brokers(nodes))} did not answer a produce request",
            _brokers(nodes),
            tuple(f"broker {node}, {size} produce request: {_ended(o)}" for node, o, size in lost),
            (
                remedies.say(
                    "Look at the broker's log, its request handler idle ratio and its disks; and "
                    "at proxies on the way."
                ),
            ),
        )


@rule("KD402", "path-mtu", Severity.ERROR, "Small requests pass, large ones vanish")
def path_mtu(produce: Produce) -> Iterator[Match]:
    """The broker answers a produce request of one packet, and never one of 16 kB.

    Somewhere on the path packets of full size are dropped, and the message that should tell the
    sender to make them smaller is filtered. VPNs, tunnels, overlays and jumbo frames do that; the
    client hangs as soon as it sends real data, while every check with small packets passes.

    Prove it: `ping -M do -s 1472 HOST`, then smaller sizes until it passes.
    """
    hit = [
        produced
        for produced in produce.produced
        if produced.small.failure is None and produced.large.failure is Failure.SILENT
    ]
    if hit:
        nodes = [produced.node for produced in hit]
        yield Match(
            HOP,
            f"{sentence(brokers(nodes))} {'answers' if len(nodes) == 1 else 'answer'} small "
            f"requests and never those of {LARGE // 1024} kB: large packets vanish on the way",
            _brokers(nodes),
            tuple(
                f"broker {p.node}: 1-byte record answered in {p.small.elapsed * 1000:.0f} ms, "
                f"{LARGE // 1024} kB record: {_ended(p.large)}"
                for p in hit
            ),
            (
                remedies.say(
                    "Let ICMP 'fragmentation needed' (IPv6: 'packet too big') through, or make the "
                    "packets smaller: lower the MTU of the interface or tunnel, or clamp TCP's MSS "
                    "on the router:",
                    "iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN "
                    "-j TCPMSS --clamp-mss-to-pmtu",
                ),
            ),
        )


@rule("KD403", "produce-denied", Severity.ERROR, "This client may not write to the topic")
def produce_denied(bootstrap: Bootstrap, produce: Produce, settings: Settings) -> Iterator[Match]:
    """The broker refuses the record: this client has no permission to write to the topic.

    The whole path works. An access rule (ACL) for Write on the topic is missing.

    Prove it: `kafka-acls.sh --list --topic NAME`.
    """
    grant = remedies.allow_writing(
        _server(bootstrap),
        _topic(produce),
        principal(settings.security),
        secured(settings.security),
    )
    yield from _rejections(produce, DENIED, "may not be written to by this client", grant)


@rule("KD404", "not-enough-replicas", Severity.ERROR, "Too few replicas are in sync to write")
def not_enough_replicas(produce: Produce) -> Iterator[Match]:
    """The leader refuses to write: fewer replicas are in sync than `min.insync.replicas` asks for.

    With acks=all nothing is accepted until the followers are back. Connectivity from this client is
    fine.

    Prove it: `kafka-topics.sh --describe --under-min-isr-partitions`.
    """
    fix = remedies.say("Bring the missing replicas back; see which brokers are down or behind.")
    yield from _rejections(produce, REPLICAS, "has too few replicas in sync to be written to", fix)


@rule("KD405", "not-leader", Severity.ERROR, "The broker is not the leader it was taken for")
def not_leader(produce: Produce) -> Iterator[Match]:
    """The broker that the metadata calls leader says that it is not.

    Once, it is an election in this very second. Again and again, the address leads to another
    broker: a load balancer, swapped ports (KD307).

    Prove it: run it again; see whether identity was proven at hop 3.
    """
    fix = remedies.say("Run it again. If it stays, see that each address leads to its own broker.")
    yield from _rejections(produce, LEADER, "was refused by a broker that is not its leader", fix)


@rule("KD406", "record-rejected", Severity.ERROR, "The broker rejects the record itself")
def record_rejected(bootstrap: Bootstrap, produce: Produce) -> Iterator[Match]:
    """The broker took the request and rejected the record: its size, form, time or compression.

    The path works. The topic's configuration asks for something that a small plain record does not
    meet, for example a compacted topic, a size limit, or a policy.

    Prove it: `kafka-configs.sh --describe --entity-type topics --entity-name NAME`.
    """
    fix = remedies.say(
        "Compare the topic's configuration with the error in the evidence:",
        f"{remedies.tool('kafka-configs.sh', _server(bootstrap), False)} --describe --all "
        f"--entity-type topics --entity-name {shlex.quote(_topic(produce))}",
    )
    yield from _rejections(produce, REJECTED, "does not accept the record", fix)


@rule("KD407", "client-disagrees", Severity.ERROR, "The wire works, the real client does not")
def client_disagrees(produce: Produce) -> Iterator[Match]:
    """Every step works for kdiag's own probe, but the real client could not deliver its record.

    The client's own words are in the evidence. A setting of the client, its own idea of names and
    addresses, or an error that comes up only with real records makes the difference.

    Prove it: run the client with `debug=broker,protocol`.
    """
    known = DENIED | REPLICAS | LEADER | REJECTED | THROTTLED
    failed = [d for d in _deliveries(produce) if d.error and d.error not in known]
    if produce.client and failed:
        yield Match(
            HOP,
            f"The real client could not write to {_partitions(produce.client, failed)}"
            + (", though every broker answers the probe" if produce.produced else ""),
            _brokers([delivery.node for delivery in failed]),
            _lines(produce.client, failed)
            + tuple(f"the client says: {words}" for words in produce.client.words),
            (
                remedies.say(
                    "Read the client's own words in the evidence; compare its properties and the "
                    "names it resolves with those of kdiag."
                ),
            ),
        )


@rule("KD408", "throttled", Severity.WARNING, "The broker slows this client down")
def throttled(produce: Produce) -> Iterator[Match]:
    """The broker says that it delays this client, because a quota is used up.

    Producers see growing latency and, in the end, time-outs.

    Prove it: `kafka-configs.sh --describe --entity-type clients`.
    """
    slow = [
        (p.node, max(p.small.throttle_ms, p.large.throttle_ms))
        for p in produce.produced
        if max(p.small.throttle_ms, p.large.throttle_ms) > 0
    ]
    lines = [f"broker {node}: throttled by {ms} ms" for node, ms in slow]
    nodes = [node for node, _ in slow]
    refused = [d for d in _deliveries(produce) if d.error in THROTTLED]
    if produce.client and (refused or produce.client.throttle_ms):
        lines.append(f"the real client was throttled by {produce.client.throttle_ms} ms")
        lines += _lines(produce.client, refused)
        nodes += [delivery.node for delivery in refused]
    if lines:
        yield Match(
            HOP,
            "The cluster throttles this client",
            _brokers(list(dict.fromkeys(nodes))),
            tuple(lines),
            (remedies.say("Raise the quota of this client id or user, or send less."),),
            Severity.ERROR if refused else None,
        )


def _rejections(
    produce: Produce, errors: frozenset[str], what: str, fix: Remedy
) -> Iterator[Match]:
    failed = [delivery for delivery in _deliveries(produce) if delivery.error in errors]
    if produce.client and failed:
        names = _partitions(produce.client, failed)
        yield Match(
            HOP,
            f"Topic {produce.client.topic} {what}: {names}",
            _brokers([delivery.node for delivery in failed]),
            _lines(produce.client, failed),
            (fix,),
        )


def _server(bootstrap: Bootstrap) -> Endpoint:
    return (bootstrap.usable or bootstrap.contacts)[0].endpoint


def _topic(produce: Produce) -> str:
    return produce.client.topic if produce.client else ""


def _deliveries(produce: Produce) -> Sequence[Delivery]:
    return produce.client.deliveries if produce.client else ()


def _partitions(client: ClientRun, failed: Sequence[Delivery]) -> str:
    return listed([f"{client.topic}-{delivery.partition}" for delivery in failed])


def _lines(client: ClientRun, failed: Sequence[Delivery]) -> tuple[str, ...]:
    return tuple(
        f"broker {d.node}, {client.topic}-{d.partition}: {d.error} {d.detail}" for d in failed
    )


def _brokers(nodes: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"broker {node}" for node in nodes)


def _ended(outcome: Outcome) -> str:
    failure = outcome.failure.value if outcome.failure else "answered"
    return f"{failure}, {outcome.detail}" if outcome.detail else failure
