"""KD410: what silence does to connections."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kdiag.config.settings import IDLE, Settings
from kdiag.config.snippet import fill
from kdiag.hold.facts import HeldBroker, Hold, Outcome, Silent, seconds
from kdiag.rules import remedies
from kdiag.rules.rule import Match, Note, Remedy, Rule, Severity, declared, rule
from kdiag.rules.text import broker_subjects, brokers, sentence
from kdiag.text import whole_number

KAFKA_DEFAULT, ABOUT = 600.0, 15.0  # seconds

_ASKED = (Outcome.UNANSWERED, Outcome.RESET_WHEN_ASKED, Outcome.CLOSED_WHEN_ASKED)
# Limits that networks have by default: seconds, whose, and how to raise it.
KNOWN = (
    (
        240.0,
        "Azure's load balancers and NAT gateways (4 minutes)",
        "In Azure: raise the idle timeout of the load balancer's rule or of the NAT gateway, or "
        "let the rule send TCP resets.",
    ),
    (
        350.0,
        "AWS's network load balancers and NAT gateways",
        "In AWS: raise tcp.idle_timeout.seconds of the load balancer's TCP listener (60 to 6000); "
        "a TLS listener and a NAT gateway have 350 s for good.",
    ),
)


@rule("KD410", "idle-connection-dropped", Severity.WARNING, "Silent connections are dropped")
def idle_connection_dropped(hold: Hold, settings: Settings) -> Iterator[Match | Note]:
    """With `--hold`: a connection that was silent for some time is dead, and one that was not
    silent lives.

    Load balancers, NAT gateways and firewalls remember each connection, and forget one that is
    silent for too long: AWS's network load balancers after 350 seconds, Azure's after 240. Many do
    so silently: the client learns of it by its next request, which gets no answer until
    `request.timeout.ms` is over. Others answer that request with a TCP reset (RST), or end the
    connection at once; the client connects again then. A proxy closes with FIN.

    The message gives a range: silent for so long a connection still answered, and for so long it
    did not. The evidence has what the client saw at the end; which device ended it is not
    proven. A broker that closes idle connections itself, after its own `connections.max.idle.ms`
    and with FIN, is as it should be and no finding. It is a warning: clients connect again.

    Prove it: `kdiag check --hold 6m`, and the same from a machine beside the brokers, where it does
    not happen. `tcpdump` beside the brokers shows that the request after the silence never arrives.

    How to fix: let clients close idle connections before that: `connections.max.idle.ms` (Java: 9
    minutes by default; librdkafka: never, by default). Or let them send TCP keepalives more often:
    Java's clients turn these on by themselves, librdkafka with `socket.keepalive.enable=true`;
    both take the times from the operating system (`net.ipv4.tcp_keepalive_time`, two hours by
    default). Go's clients send one every 15 seconds. A proxy that ends TCP does not count
    keepalives. Or raise the limit of the device.
    """
    yield from _notes(hold)
    groups: dict[tuple[object, ...], list[HeldBroker]] = defaultdict(list)
    for broker in hold.brokers:
        dead = broker.dead
        if dead is None or not broker.by_idleness:
            continue
        if broker.by_broker or _by_default(broker, dead):
            yield Note(_own_limit(broker, dead))
        elif (own := _client_limit(settings)) and own < dead.silent:
            yield Note(
                f"broker {broker.node}: a connection that is silent for {_when(dead)} is dead; the "
                f"client's {IDLE}={round(own * 1000)} closes it before that"
            )
        else:
            alive = broker.alive
            groups[dead.outcome, alive and alive.gap, _when(dead)].append(broker)
    for found in groups.values():
        yield _dropped(found)


def _notes(hold: Hold) -> Iterator[Note]:
    """What `--hold` does not prove, and why."""
    if hold.because:
        yield Note(f"--hold: no connection was held: {hold.because}")
    if hold.left_out:
        yield Note(f"--hold: {hold.left_out} more brokers were not held: they are too many")
    for broker in hold.brokers:
        who, dead, alive = f"--hold: broker {broker.node}", broker.dead, broker.alive
        if broker.unwatched:
            often = f"asked every {seconds(broker.interval)} " if broker.interval else ""
            yield Note(
                f"{who}: whether silence ends connections is not proven, as the connection "
                f"{often}that is never silent: {broker.unwatched}"
            )
        elif dead and alive and not broker.by_idleness:
            yield Note(
                f"{who}: a connection that was silent for {seconds(dead.silent)} is dead, and one "
                f"that was silent for {seconds(alive.silent)} answered: silence is not the reason"
            )
        if any(each.outcome is Outcome.SESSION_ENDS for each in broker.connections):
            yield Note(
                f"{who}: its sessions end {seconds(broker.session)} after the login "
                "(connections.max.reauth.ms, or the token's expiry): no longer silence was asked"
            )


def _by_default(broker: HeldBroker, dead: Silent) -> bool:
    """Whether it is closed as Kafka's brokers do by default, and the broker's limit is unknown."""
    near = abs(dead.silent - KAFKA_DEFAULT) <= ABOUT
    return broker.limit is None and dead.outcome is Outcome.CLOSED and near


def _own_limit(broker: HeldBroker, dead: Silent) -> str:
    limit = broker.limit
    whose = f"as its own {IDLE}={round(limit * 1000)} has it" if limit else "as Kafka's by default"
    return (
        f"broker {broker.node} closes connections that are silent for {seconds(dead.silent)}, "
        f"{whose}: clients notice it, and connect again"
    )


def _client_limit(settings: Settings) -> float | None:
    """The client's own connections.max.idle.ms in seconds, None where it has none."""
    milliseconds = whole_number(settings.client.get(IDLE, ""))
    return milliseconds / 1000 if milliseconds else None


def _when(dead: Silent) -> str:
    return seconds(dead.gap if dead.outcome in _ASKED else round(dead.silent, 1))


_MESSAGES: Mapping[Outcome, str] = {
    Outcome.UNANSWERED: "after {} of silence a request to {} gets no answer, and nothing says that "
    "the connection is dead",
    Outcome.RESET_WHEN_ASKED: "after {} of silence a request to {} is answered with a TCP reset "
    "(RST)",
    Outcome.CLOSED_WHEN_ASKED: "after {} of silence a request to {} ends the connection (FIN)",
    Outcome.RESET: "after {} of silence a connection to {} is reset (RST)",
    Outcome.CLOSED: "after {} of silence a connection to {} is closed (FIN)",
}


def _dropped(found: Sequence[HeldBroker]) -> Match:
    first = found[0]
    alive, dead = first.alive, first.dead
    assert dead is not None
    nodes = [broker.node for broker in found]
    message = _MESSAGES[dead.outcome].format(_when(dead), brokers(nodes))
    lived = f"; after {seconds(alive.gap)} one still answered" if alive else ""
    return Match(
        "produce",
        f"{sentence(message)}{lived}",
        broker_subjects(nodes),
        tuple(_evidence(found)),
        tuple(_remedies(alive, dead)),
    )


def _evidence(found: Sequence[HeldBroker]) -> Iterator[str]:
    """Each line once, with the brokers that it is about."""
    lines: dict[str, list[int]] = defaultdict(list)
    for broker in found:
        for line in _lines(broker):
            lines[line].append(broker.node)
    yield from (f"{brokers(nodes)}: {line}" for line, nodes in lines.items())


def _lines(broker: HeldBroker) -> Iterator[str]:
    dead, alive = broker.dead, broker.alive
    assert dead is not None
    yield (
        f"another connection, asked every {seconds(broker.interval)}, answered {broker.answers} "
        "times: it is silence that ends connections"
    )
    if broker.limit is None:
        yield f"the broker's own {IDLE} is not known"
    else:
        later = ": it is not what ends them" if broker.limit > dead.silent else ""
        yield f"the broker's own {IDLE} is {round(broker.limit * 1000)}{later}"
    yield _who(dead, known=broker.limit is not None)
    for known, whose, _ in _limits(alive, dead):
        yield f"{known:g} s is what {whose} have; that it is one of these is not proven"


def _limits(alive: Silent | None, dead: Silent) -> list[tuple[float, str, str]]:
    """The limits of KNOWN that lie between the silences."""
    least, most = alive.gap if alive else 0.0, dead.gap if dead.outcome in _ASKED else dead.silent
    return [known for known in KNOWN if least < known[0] <= most < 2 * known[0]]


def _who(dead: Silent, *, known: bool) -> str:
    """Who ended the connection, as far as it is proven."""
    if dead.outcome is Outcome.UNANSWERED and dead.arrived:
        return "the request was acknowledged and not answered: something before the broker ends TCP"
    if dead.outcome is Outcome.UNANSWERED and dead.arrived is False:
        return (
            "the request was sent again and again and never acknowledged, while requests on the "
            "other connection were: a device on the path (load balancer, NAT, firewall) has "
            "forgotten the connection"
        )
    if dead.outcome is Outcome.UNANSWERED:
        return "this system does not say whether the request arrived"
    if dead.outcome is Outcome.RESET_WHEN_ASKED:
        return (
            "a reset on the next packet is what a load balancer or a firewall sends that has "
            "forgotten the connection; Kafka's limit ends it with FIN"
        )
    if dead.outcome is Outcome.RESET:
        return (
            "a reset at the end of the silence is what a firewall or a load balancer sends; "
            "Kafka's limit ends it with FIN"
        )
    whose = "a proxy" if known else "a proxy or the broker itself"
    return f"FIN is what {whose} sends that closes idle connections"


def _remedies(alive: Silent | None, dead: Silent) -> Iterator[Remedy]:
    most = alive.gap if alive else dead.silent / 2
    line = fill("properties", f"{IDLE}={{milliseconds}}", milliseconds=int(most * 1000))
    yield remedies.say(
        "Let clients close a connection that is idle for less than that (without the line: Java's "
        "after 9 minutes, librdkafka's never):",
        line,
        "properties",
    )
    if dead.outcome in (Outcome.CLOSED, Outcome.CLOSED_WHEN_ASKED):
        return  # by something that ends TCP: it does not count keepalives
    yield remedies.say(
        "Or let clients send TCP keepalives. librdkafka needs this line; Java's clients always do, "
        "and have no option for the times; Go's send one every 15 s:",
        "socket.keepalive.enable=true",
        "properties",
    )
    time = max(1, int(most / 2))
    yield remedies.say(
        "The first keepalive is sent after two hours unless the client's machine (Linux) says "
        "otherwise:",
        fill("shell", "sysctl -w net.ipv4.tcp_keepalive_time={time}", time=time),
        "shell",
    )
    yield from (remedies.say(text) for _, _, text in _limits(alive, dead))


def feature_rules() -> Mapping[str, Rule]:
    """The rule KD410, by code. Only a walk with `--hold` applies it."""
    return declared(sys.modules[__name__])
