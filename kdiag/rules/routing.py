"""KD313 and KD314, a proxy in front of the brokers: it has no route for a name, or another port."""

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
    usable_servers,
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


@rule(
    "KD314",
    "proxy-port-not-advertised",
    Severity.ERROR,
    "The port that leads to the brokers is not advertised",
)
def proxy_port_not_advertised(
    bootstrap: Bootstrap, listeners: Listeners, platform: Platform
) -> Iterator[Match]:
    """The advertised port is closed, and the same host has a broker of this cluster at the port
    through which you connected.

    A proxy, a port forward or a container's published port listens on another port than the brokers
    advertise: HAProxy on 1038 in front of brokers on 9092, `docker run -p 29092:9092`, an ssh
    tunnel. The bootstrap server answers, and clients then go to the port that nobody listens on.

    kdiag dials the advertised host at that port only where no advertised address works.

    Prove it: the evidence says which broker answers there.

    How to fix: advertise the proxy's port. One port leads to one broker: with several, give each a
    port of its own at the proxy (or a name of its own, where the proxy routes by name), and let
    each broker advertise that one. Or have the advertised port lead to the broker: publish it under
    the same number, correct the target port of the Service.
    """
    ports = {contact.endpoint.port for contact in bootstrap.usable}
    matching = [x for x in failing_listeners(listeners) if _behind(x, ports)]
    proven = [x for x in matching if x.proven]
    if not proven or listeners.reached:
        return
    others = [x.broker.node for x in matching if not x.proven]
    fixes = (_own_ports(matching),) if others else advertise(proven, platform)
    endpoints = once(str(x.proven.endpoint) for x in proven if x.proven)
    yield Match(
        HOP,
        f"{count_and_verb(matching, listeners, 'advertises', 'advertise')} a closed port. You "
        f"connected via {usable_servers(bootstrap)}, and {listed(endpoints)} "
        f"lead{'s' if len(endpoints) == 1 else ''} to {brokers([x.broker.node for x in proven])}",
        subjects(matching),
        (*dial_evidence(matching), *candidate_evidence(matching)),
        (*fixes, _ADVERTISED_PORT),
    )


_ADVERTISED_PORT = remedies.say(
    "Or have the advertised port lead to the broker: let the proxy, the port forward or the "
    "container's published port have the same number, or correct the target port of the Service."
)


def _behind(listener: Listener, ports: set[int]) -> bool:
    """Whether the advertised port is closed, and a broker of the cluster answers on the same host
    at one of these ports."""
    failed, host = listener.contact.failed, listener.broker.advertised.host
    if not failed or failed.layer != "tcp" or failed.failure is not Failure.REFUSED:
        return False
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
