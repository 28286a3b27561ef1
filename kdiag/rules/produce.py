"""KD401 and KD402, produce: a broker does not answer the probe's produce requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.network.attempt import Sent
from kdiag.rules import remedies
from kdiag.rules.rule import Match, Note, Severity, rule
from kdiag.rules.text import broker_subjects, brokers, sentence
from kdiag.walk.facts.produce import LARGE, BrokerProduce, Produce, ProduceResult

HOP = "produce"
SIZE = f"{LARGE // 1024} kB"


@rule("KD401", "produce-unanswered", Severity.ERROR, "A broker does not answer produce requests")
def produce_unanswered(produce: Produce) -> Iterator[Match | Note]:
    """The broker was reached, and a produce request gets no answer, on a second connection neither.

    The request writes nothing: it names a topic that does not exist, and Kafka refuses it within
    milliseconds. A proxy that serves only topics it has a rule for may hang up instead. So this is
    an error where `--topic` names a topic and a request for that very topic, or the real client's
    record, stays unanswered too; where a connection cannot be made any more; and where small
    requests are answered and the connection ends on large ones. Otherwise it is a warning: that no
    client can write there is not proven. A record that the broker acknowledged disproves it.

    Prove it: `kdiag check --topic NAME`, then the broker's log and its request queue metrics for
    this second.

    How to fix: look into the broker's log and request queue for that second. At a proxy, add a rule
    for the topic. Where large requests alone get lost, see KD402.
    """
    lost = [p for p in produce.produced if p.lost]
    left = [p for p in lost if not produce.client_answered(p.node)]
    for severity in (None, Severity.WARNING):
        found = [p for p in left if _fails(produce, p) == (severity is None)]
        if found:
            yield _unanswered(found, severity)
    yield from _answered_client([p for p in lost if produce.client_answered(p.node)])


def _fails(produce: Produce, produced: BrokerProduce) -> bool:
    """Whether it is proven that a client cannot write to this broker: the real client tried and
    failed, a request for the user's topic has no answer, large requests end the connection while
    small ones are answered, or no new connection can be made."""
    client_failed = produce.client_tried(produced.node)
    topic_unanswered = produced.own and produced.small.unanswered
    ends_on_large = bool(produced.first) and produced.ends_large
    return client_failed or topic_unanswered or ends_on_large or produced.unreachable


def _unanswered(found: Sequence[BrokerProduce], severity: Severity | None) -> Match:
    nodes = [p.node for p in found]
    message = f"{sentence(brokers(nodes))} did not answer a produce request"
    fix = "Look at the broker's log, its request handler idle ratio and its disks; and at proxies "
    fix += "on the path."
    if severity:
        message += " for a topic that does not exist; whether clients can write is not proven"
        fix = "Name a topic with --topic: then one record to each leader tells whether clients can "
        fix += "write. A proxy that serves only topics it knows may hang up on any other."
    lines = tuple(line for p in found for line in _tries(p))
    return Match(HOP, message, broker_subjects(nodes), lines, (remedies.say(fix),), severity)


def _tries(produced: BrokerProduce) -> Iterator[str]:
    """Evidence: a line for each request without an answer, on the first and the second connection.
    A small and a large one of the same connection share a line."""
    node = produced.node
    last = " for the topic that was named" if produced.own else ""
    for pair, what in ((produced.first, ""), ((produced.small, produced.large), last)):
        by_size = zip(("small", SIZE), pair, strict=False)
        unanswered = {size: outcome for size, outcome in by_size if outcome.unanswered}
        if len(unanswered) == 2:
            unanswered = {f"small and {SIZE}": pair[0]._replace(sent=pair[1].sent)}
        for size, outcome in unanswered.items():
            line = f"broker {node}, {size} produce request{what}: {_ended(outcome)}"
            yield line + (f"; {_arrival(outcome.sent)}" if outcome.sent else "")


def _answered_client(found: Sequence[BrokerProduce]) -> Iterator[Note]:
    """A note for each broker that answered the real client and not the probe: the real client's
    result outranks the probe's."""
    for produced in found:
        small = produced.small.unanswered
        name, lost = ("small", produced.small) if small else (SIZE, produced.large)
        yield Note(
            f"broker {produced.node} answered the real client's record, but not the probe's {name} "
            f"produce request: {_ended(lost)}"
        )


@rule("KD402", "path-mtu", Severity.ERROR, "Small requests pass, large ones get lost")
def path_mtu(produce: Produce) -> Iterator[Match | Note]:
    """The broker answers a produce request of one packet; one of 9 kB never arrives.

    Somewhere on the path packets of full size are dropped, and the message that should tell the
    sender to make them smaller is filtered. VPNs, tunnels, overlays and jumbo frames do that; the
    client hangs as soon as it sends real data, while every check with small packets passes.

    It is an error where the operating system says so: on two connections the small request was
    answered, and the bytes of the large one were sent again and again and never acknowledged. Where
    the system does not tell (Windows), it is a warning: a broker that is slow with large requests
    looks the same.

    Prove it: `ping -M do -s 1472 HOST`, then smaller sizes until it passes.

    How to fix: let ICMP "fragmentation needed" (IPv6: packet too big) pass on the path, or set a
    smaller MTU on the client's interface or the tunnel, or clamp the MSS on the router.
    """
    vanished = [p for p in produce.produced if p.vanished]
    left = [p for p in vanished if not produce.client_answered(p.node)]
    for severity in (None, Severity.WARNING):
        found = [p for p in left if (p.large.sent is None) == (severity is not None)]
        if found:
            yield _path_mtu(found, severity)
    yield from _answered_client([p for p in vanished if produce.client_answered(p.node)])


def _path_mtu(found: Sequence[BrokerProduce], severity: Severity | None) -> Match:
    nodes = [produced.node for produced in found]
    end = "large packets are lost on the path"
    if severity:
        end = "that packets are dropped on the path is not proven"
    return Match(
        HOP,
        f"{sentence(brokers(nodes))} {'answers' if len(nodes) == 1 else 'answer'} small "
        f"requests and never those of {SIZE}: {end}",
        broker_subjects(nodes),
        tuple(
            f"broker {p.node}: 1-byte record answered in {p.small.elapsed * 1000:.0f} ms, "
            f"{SIZE} record: {_ended(p.large)}; "
            f"{_arrival(p.large.sent)}; the same on a second connection"
            for p in found
        ),
        (remedies.PACKETS,),
        severity,
    )


def _arrival(sent: Sent | None) -> str:
    """What the operating system knows of the delivery of a request's bytes, as text."""
    if sent is None:
        return "this system does not say whether its bytes arrived"
    if sent.lost:
        return "its bytes were sent again and again, and never acknowledged"
    if sent.arrived:
        return "its bytes arrived and were acknowledged"
    return "the peer does not read all of its bytes"


def _ended(outcome: ProduceResult) -> str:
    failure = outcome.failure.words if outcome.failure else "answered"
    return f"{failure}, {outcome.detail}" if outcome.detail else failure
