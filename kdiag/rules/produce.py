"""KD401 and KD402, produce: what became of the probe's requests that write nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.attempt import Failure
from kdiag.hops.produce import LARGE, Outcome, Produce
from kdiag.remedies import kafka as remedies
from kdiag.rule import Match, Severity, rule
from kdiag.rules.words import brokers, sentence

HOP = "produce"


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


def _brokers(nodes: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"broker {node}" for node in nodes)


def _ended(outcome: Outcome) -> str:
    failure = outcome.failure.value if outcome.failure else "answered"
    return f"{failure}, {outcome.detail}" if outcome.detail else failure
