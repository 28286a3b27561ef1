"""KD124, slow answers: answers that take two seconds or more, and that clients still wait for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.config.record import NamedTuple
from kdiag.config.snippet import unknown
from kdiag.rules import remedies
from kdiag.rules.location import locations
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import listed, once
from kdiag.walk.areas import HOP_IDS
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import Produce

SLOW = 2.0  # seconds; a healthy broker answers in milliseconds
_LOOKUP = "the lookup of its name"
_LAYERS = {
    "tls": "the TLS handshake",
    "kafka": "ApiVersions",
    "sasl": "the login",
    "identity": "the questions of hop 3",
}


class LateAnswer(NamedTuple):
    """One answer that came late. `server` names the server in a text; `request` is what it
    answers; `seconds` is how long it took; `address` is the dialled IP address, "" if not known."""

    hop: str
    subject: str
    server: str
    request: str
    seconds: float
    address: str = ""


@rule("KD124", "slow-answer", Severity.WARNING, "A broker answers late")
def slow_answer(
    bootstrap: Bootstrap,
    metadata: Metadata | None,
    listeners: Listeners | None,
    produce: Produce | None,
) -> Iterator[Match]:
    """An answer came after two seconds or more. Clients wait for it; each new connection takes as
    long, and a client with a shorter time-out fails.

    A late lookup is this machine's resolver: its first DNS server is down, or it waits for an IPv6
    address that never comes.

    A late login is most often the broker's own reverse DNS: at each login a broker looks its own
    address up by name, and where its resolver does not answer, this takes 5 seconds and more. A
    login service behind the broker (LDAP, an OAuth endpoint) is the next candidate. Where
    everything is late, the broker is busy (request handlers, disks, garbage collection) or
    something on the path is. Which of them it is, kdiag cannot see from here.

    librdkafka waits 10 seconds for ApiVersions and `kcat -L` 5 for the whole; Java waits 30 for
    each answer.

    Prove it: on the broker's host, `time getent hosts ADDRESS` with the broker's own address; then
    the broker's RequestHandlerAvgIdlePercent and its garbage collection log for this minute.

    How to fix: repair the broker's reverse DNS, or add its own address and name to its hosts file;
    repair the login service or the overloaded broker. Until then give clients longer time-outs:
    `request.timeout.ms` in Java, `socket.timeout.ms` in librdkafka.
    """
    late = late_answers(bootstrap, metadata, listeners, produce)
    for hop in HOP_IDS:
        of_hop = [answer for answer in late if answer.hop == hop]
        if of_hop:
            subjects = tuple(once(answer.subject for answer in of_hop))
            servers = once(answer.server for answer in of_hop)
            slowest = max(answer.seconds for answer in of_hop)
            yield Match(
                hop,
                f"{listed(servers)}: answers come late, after up to {slowest:.0f} s",
                subjects,
                tuple(f"{a.server}: {a.request} took {a.seconds:.0f} s" for a in of_hop),
                _fixes(of_hop),
            )


def late_answers(
    bootstrap: Bootstrap,
    metadata: Metadata | None,
    listeners: Listeners | None = None,
    produce: Produce | None = None,
) -> list[LateAnswer]:
    """Every answer that took SLOW seconds or more, in the order of the hops."""
    return [*_connections(bootstrap, listeners), *_metadata(metadata), *_produced(produce)]


def _connections(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[LateAnswer]:
    for place in locations(bootstrap, listeners):
        dns = place.contact.dns
        if dns and dns.elapsed >= SLOW and not dns.failure:
            yield LateAnswer(place.hop, place.subject, place.where, _LOOKUP, dns.elapsed)
        for dial in place.dials:
            for attempt in dial.attempts:
                if attempt.layer in _LAYERS and attempt.elapsed >= SLOW and not attempt.failure:
                    request, seconds = _LAYERS[attempt.layer], attempt.elapsed
                    yield LateAnswer(
                        place.hop, place.subject, place.where, request, seconds, dial.address
                    )


def _metadata(metadata: Metadata | None) -> Iterator[LateAnswer]:
    for answer in metadata.answers if metadata else ():
        if answer.elapsed >= SLOW and not answer.failure:
            server = str(answer.endpoint)
            yield LateAnswer("metadata", f"bootstrap {server}", server, "Metadata", answer.elapsed)


def _produced(produce: Produce | None) -> Iterator[LateAnswer]:
    for produced in produce.produced if produce else ():
        slowest = max((produced.small, produced.large), key=lambda outcome: outcome.elapsed)
        if slowest.elapsed >= SLOW and not slowest.failure:
            broker = f"broker {produced.node}"
            yield LateAnswer("produce", broker, broker, "a produce request", slowest.elapsed)


def _fixes(late: Sequence[LateAnswer]) -> tuple[Remedy, ...]:
    logins = [answer for answer in late if answer.request == _LAYERS["sasl"]]
    fixes = []
    if logins:
        known = (answer.address for answer in logins if answer.address)
        address = next(known, unknown("address of the broker"))
        fixes.append(
            remedies.say(
                "Measure on the broker's host how long it takes to look up its own address; if it "
                "takes seconds, add the address to its /etc/hosts or repair its resolver:",
                "time getent hosts {address}",
                address=address,
            )
        )
        fixes.append(
            remedies.say(
                "If that is fast, check what the broker asks about users (LDAP, an OAuth endpoint, "
                "a callback handler of its own)."
            )
        )
    lookups = [answer for answer in late if answer.request == _LOOKUP]
    if lookups:
        fixes.append(
            remedies.say(
                "Check the DNS servers of this machine: the first of them may be down, or one "
                "drops queries for IPv6 addresses; a search domain or mDNS (.local) costs time too."
            )
        )
    if len(logins) + len(lookups) < len(late):
        fixes.append(
            remedies.say(
                "Check whether the broker is busy: RequestHandlerAvgIdlePercent, disks, garbage "
                "collection; and proxies on the path."
            )
        )
    return tuple(fixes)
