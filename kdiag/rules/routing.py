"""A proxy in front of the brokers: it has no route for a name (KD313), or listens on another port
than the advertised one (part of KD305)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.network.attempt import Failure, TlsHandshake
from kdiag.network.certificate import read
from kdiag.rules import remedies
from kdiag.rules.advertised import (
    HOP,
    candidate_evidence,
    count_and_verb,
    dial_evidence,
    failing_listeners,
    reached_evidence,
    subjects,
)
from kdiag.rules.advertising import advertise
from kdiag.rules.handshake import names_of
from kdiag.rules.platform import Platform
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import brokers, listed, once
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners


@rule("KD313", "no-sni-route", Severity.ERROR, "The TLS server has no route for this name")
def no_sni_route(listeners: Listeners) -> Iterator[Match]:
    """The server at a broker's advertised address completes TLS handshakes under another name, or
    under none, and ends each one under the name that the broker advertises.

    A proxy that routes by the name in the handshake (SNI) does that to a name that none of its
    rules has: HAProxy (`req.ssl_sni`), Envoy, Kroxylicious, an OpenShift or Kubernetes ingress with
    TLS passthrough. An IP address is never sent as a name, so such a proxy cannot route it.

    After such a failure kdiag dials the address without a name, and with one that works elsewhere
    in the cluster; then once more with its own. At most eight addresses are dialled so.

    Prove it: `openssl s_client -connect HOST:PORT -servername NAME`, with both names.

    How to fix: add a route for every advertised name to the proxy, or let the brokers advertise the
    names that it has routes for.
    """
    matching = [(x, other) for x in failing_listeners(listeners) if (other := _other(x))]
    if matching:
        hosts = once(x.broker.advertised.host for x, _ in matching)
        of = [x for x, _ in matching]
        yield Match(
            HOP,
            f"{count_and_verb(of, listeners, 'advertises', 'advertise')} a host that the server "
            f"there has no route for: {listed(hosts)}",
            subjects(of),
            (
                *dial_evidence(of),
                *once(line for _, other in matching for line in _shown(other)),
                *reached_evidence(listeners),
            ),
            (remedies.route_by_name(hosts),),
        )


def _other(listener: Listener) -> TlsHandshake | None:
    return next((dial.other_name for dial in listener.contact.dials if dial.other_name), None)


def _shown(other: TlsHandshake) -> Iterator[str]:
    """Evidence: the certificate under the other name."""
    leaf = read(other.chain[0]) if other.chain else None
    if leaf:
        named = f"for {other.name}" if other.name else "without a name"
        yield f"{named}, it shows a certificate of {names_of(leaf)}"


def behind_another_port(
    bootstrap: Bootstrap, listeners: Listeners, closed: Sequence[Listener], platform: Platform
) -> tuple[str, Sequence[str], tuple[Remedy, ...]] | None:
    """What dials of the advertised hosts at the port of the bootstrap server prove about closed
    advertised ports: text, evidence and fixes. None where nothing is proven."""
    ports = {contact.endpoint.port for contact in bootstrap.usable}
    matching = [x for x in closed if _behind(x, ports)]
    proven = [x for x in matching if x.proven]
    if not proven or listeners.reached:
        return None
    alone = len(matching) == len(proven)
    fixes = advertise(proven, platform) if alone else (_own_ports(matching),)
    endpoints = once(str(x.proven.endpoint) for x in proven if x.proven)
    text = (
        f". The port through which you connected leads to "
        f"{brokers([x.broker.node for x in proven])}: {listed(endpoints)}"
    )
    return text, candidate_evidence(matching), (*fixes, _ADVERTISED_PORT)


_ADVERTISED_PORT = remedies.say(
    "Or have the advertised port lead to the broker: let the proxy, the port forward or the "
    "container's published port have the same number, or correct the target port of the Service."
)


def _behind(listener: Listener, ports: set[int]) -> bool:
    """Whether a broker of the cluster answers on the advertised host at one of these ports."""
    host = listener.broker.advertised.host
    return any(
        each.endpoint.host == host
        and each.endpoint.port in ports
        and (best := each.best) is not None
        and best.answered_as is not None
        and not (best.failed and best.failed.failure is not Failure.WRONG_NODE)
        for each in listener.candidates
    )


def _own_ports(listeners: Sequence[Listener]) -> Remedy:
    nodes = [x.broker.node for x in listeners]
    return remedies.say(
        f"Give each of {brokers(nodes)} a port of its own at the proxy, or a name where it routes "
        "by name, and let each broker advertise that one: behind a single port clients reach one "
        "broker only."
    )
