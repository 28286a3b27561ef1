"""KD1xx, one connection: what happened to it, at a bootstrap server or at an advertised address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kdiag.address import is_loopback
from kdiag.config.settings import Settings
from kdiag.network.attempt import Failure
from kdiag.network.fingerprint import ServiceFingerprint, recognise
from kdiag.rules import remedies
from kdiag.rules.client import ClientSystem
from kdiag.rules.cloud import CloudView
from kdiag.rules.interception import ended_in_tls, exempt, resolved_inside
from kdiag.rules.location import (
    DIALLING_HOPS,
    Location,
    evidence,
    failing,
    judge,
    judge_others,
    locations,
    match,
    split_by_family,
)
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import escaped, listed, once, sentence
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners


@rule("KD101", "name-not-found", Severity.ERROR, "The host name does not exist")
def name_not_found(
    bootstrap: Bootstrap, listeners: Listeners | None, client: ClientSystem
) -> Iterator[Match]:
    """The resolver says that the name has no address.

    The operating system's resolver, the one that clients use, answers that there is no such name,
    or none with an address of the requested family. The name is misspelt, or it lives in a zone
    that only another network's DNS server knows: a cluster's, a VPC's, a company's.

    Prove it: `getent ahosts NAME` here, and the same on a machine where the client works.

    How to fix: correct the name in `bootstrap.servers`, or in `advertised.listeners` of the broker
    that advertises it. Where the name is right, give this machine a DNS server that knows the zone
    (a VPN's, the VPC's), or run the client inside that network.
    """
    yield from judge(
        {Failure.NOT_FOUND},
        bootstrap,
        listeners,
        "{who} {verb} not resolve: no such name for {resolver}",
        lambda hit: (remedies.check_name(hit[0].endpoint.host, client),),
    )


@rule("KD102", "resolver-failed", Severity.ERROR, "The name could not be looked up")
def resolver_failed(
    bootstrap: Bootstrap, listeners: Listeners | None, client: ClientSystem
) -> Iterator[Match]:
    """The resolver did not answer, or answered that it failed: nothing is known about the name.

    Unlike KD101 this says nothing about the name. A DNS server is down, cut off by a VPN, or
    refuses; SERVFAIL and time-outs look alike from here.

    Prove it: look up a name that surely exists. If that fails too, it is the resolver.

    How to fix: repair the DNS server or the path to it: `/etc/resolv.conf`, the VPN's DNS settings,
    a firewall that blocks port 53. The cluster needs no change.
    """
    yield from judge(
        {Failure.RESOLVER_FAILED},
        bootstrap,
        listeners,
        "{who} could not be looked up: the resolver failed or did not answer",
        lambda hit: (remedies.check_resolver(hit[0].endpoint.host, client),),
    )


@rule("KD103", "refused", Severity.ERROR, "The port is closed: connection refused")
def refused(bootstrap: Bootstrap, listeners: Listeners | None, cloud: CloudView) -> Iterator[Match]:
    """The host answered the connection request with a reset: nobody listens on that port.

    The address leads to a running machine, and packets come back. A security group or a firewall
    that drops would be silent (KD104), so it is not what stops you. The broker is down, listens on
    another port or on another interface, or a container's port is not published.

    Prove it: `ss -ltn` on that host.

    How to fix: start the broker, or dial the port on which it listens. For a container, publish the
    port; for a broker that listens on one interface only, set `listeners` to all of them
    (`PLAINTEXT://:9092`).
    """
    for found in judge(
        {Failure.REFUSED},
        bootstrap,
        listeners,
        "{who} refuse{s} the connection: the host answers, but the port is closed",
        lambda hit: (remedies.start_or_map([place.endpoint for place in hit]),),
    ):
        yield replace(found, evidence=(*found.evidence, *cloud.refusing(found.subjects)))


@rule("KD104", "timeout", Severity.ERROR, "No answer to the connection request")
def timeout(bootstrap: Bootstrap, listeners: Listeners | None, cloud: CloudView) -> Iterator[Match]:
    """The connection request vanished: neither accepted nor refused within `--timeout`.

    Something on the path drops packets (a security group, a network ACL, a firewall), or the
    address is not reachable from here (a private address of another network, a machine that is
    off). A slow network is the rarest cause; `--timeout 10` tells.

    Prove it: dial the same address from a machine where it works.

    How to fix: allow this client's address and this port in the security group, network ACL or
    firewall that drops the packets (on AWS, `--aws` names it). Where the address belongs to another
    network, use an address that is reachable from here, or connect the networks.
    """
    for found in judge(
        {Failure.TIMEOUT},
        bootstrap,
        listeners,
        "{who} {verb} not answer the connection request: a firewall drops it, or no host is there",
        lambda hit: (remedies.open_port([place.endpoint for place in hit], _source(hit)),),
    ):
        yield replace(
            found,
            evidence=(*found.evidence, *cloud.let_through(found.subjects)),
            remedies=cloud.on_hosts(found.subjects) or found.remedies,
        )


@rule("KD105", "unreachable", Severity.ERROR, "There is no route to the address")
def unreachable(
    bootstrap: Bootstrap, listeners: Listeners | None, client: ClientSystem
) -> Iterator[Match]:
    """This machine, or a router on the path, says that there is no route to that address.

    No route, no IPv6, the host does not answer its neighbours (ARP), or a firewall that rejects
    with an ICMP message.

    Prove it: `ip route get ADDRESS`, then the same one hop further.

    How to fix: add the missing route (VPN, peering, default gateway), or use an address that this
    machine can route to: an IPv4 address where there is no IPv6.
    """
    yield from judge(
        {Failure.UNREACHABLE},
        bootstrap,
        listeners,
        "{who} cannot be reached: there is no route, or a router rejects",
        lambda hit: (
            client.remedy(
                "Check the route, the VPN, and firewalls that reject.",
                "route",
                address=_address(hit[0]),
            ),
        ),
    )


@rule("KD106", "address-family", Severity.WARNING, "Only one of IPv4 and IPv6 works")
def address_family(
    bootstrap: Bootstrap, listeners: Listeners | None, settings: Settings
) -> Iterator[Match]:
    """The name has addresses of both families, and only those of one family work.

    Looked at are the addresses that a client on this machine tries: a machine without an IPv6
    address of its own, loopback aside, gets no IPv6 address from the resolver (AI_ADDRCONFIG).
    librdkafka tries all of them in any order, and gets through after a delay or an error line.
    Java's client tries those of one family only, IPv4 where there is any, unless
    `java.net.preferIPv6Addresses` says otherwise; so for the properties of a Java client a dead
    IPv6 address beside an IPv4 address that works is no finding. A client that takes the first
    address only (Java's before 2.6, with `client.dns.lookup=default`) fails where that one does.

    Prove it: `getent ahosts NAME` shows the order; dial each address by itself.

    How to fix: make the broker listen at the addresses of both families, or remove the DNS record
    of the family that does not work. A client can avoid it: `broker.address.family=v4` for
    librdkafka, `java.net.preferIPv6Addresses` for Java.
    """
    for hop in DIALLING_HOPS:
        here = [place for place in locations(bootstrap, listeners) if place.hop == hop]
        for family in ("v4", "v6"):
            if settings.dialect == "java" and family == "v4":
                continue  # it tries no IPv6 address then
            hit = [p for p in here if p.contact.usable and split_by_family(p.contact) == family]
            if hit:
                dead = "IPv6" if family == "v4" else "IPv4"
                fix = (remedies.pick_family(family),)
                who = listed([place.where for place in hit])
                yield Match(
                    hop,
                    f"{who}: the IP{family} address works, the {dead} address does not",
                    tuple(place.subject for place in hit),
                    tuple(x for place in hit for x in _by_client(place, settings.dialect)),
                    fix,
                )


@rule("KD107", "silent-peer", Severity.ERROR, "Connected, but no answer")
def silent_peer(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The connection is accepted, and then nothing comes: no answer to the first Kafka request
    within `--answer-timeout`.

    An idle proxy or load balancer accepts for a broker that is not behind it, a tunnel is half
    open, a broker hangs, or the port belongs to a server that waits for its own protocol.

    Where the login gets no answer, what the broker asks about users may hang. The try may have been
    counted, so kdiag takes the same credentials to no other server until one has accepted them.

    librdkafka gives up after 10 seconds as well; Java waits 30. A peer that needs longer than kdiag
    waited is not told from one that never answers.

    Prove it: look who owns the port on that host; ask the load balancer for its healthy targets;
    `--answer-timeout 30` shows an answer that is only late.

    How to fix: repair what is behind the port: register healthy brokers with the load balancer,
    restart the tunnel or the broker that hangs. Where the port is another service's, use Kafka's
    port.
    """
    silent = "{who} accept{s} the connection and then stay{s} silent"
    for hop, hit, severity in failing({Failure.SILENT}, bootstrap, listeners):
        logins = [p for p in hit if p.contact.failed and p.contact.failed.layer == "sasl"]
        others = [place for place in hit if place not in logins]
        if others:
            more = [x for p in others if ended_in_tls(p) for x in resolved_inside(p)]
            yield match(hop, others, silent, _WHO_ACCEPTS, severity, more)
        if logins:
            unanswered = "No answer to the login at {who}"
            if len(logins) > 1:
                unanswered = "No login to {who}: the one that was tried got no answer"
            yield match(hop, logins, unanswered, _who_knows_users, severity)
    yield from judge_others({Failure.SILENT}, bootstrap, listeners, silent, _WHO_ACCEPTS)


_WHO_ACCEPTS = remedies.say(
    "Find out which server accepts there: a broker that hangs (its log, its garbage collection, "
    "its disks), a proxy, load balancer or tunnel without a working broker behind it, or a server "
    "of another protocol."
)


def _who_knows_users(hit: Sequence[Location]) -> tuple[Remedy, ...]:
    fix = remedies.say(
        "Find out what the broker waits for: which service it asks about users (LDAP, an OAuth "
        "endpoint, a callback handler of its own), its log, its threads."
    )
    if len(hit) == 1:
        return (fix,)
    return fix, remedies.say("To try the login at another server, check that one alone.")


@rule("KD108", "not-kafka", Severity.ERROR, "The server on this port is not Kafka")
def not_kafka(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The peer answers, but not in Kafka's protocol.

    The first bytes of its answer are in the evidence: `HTTP/1.1 400` is a web server, `SSH-2.0` a
    login. Of a host that you did not name they are shown with `--verbose` only: a bootstrap server
    may send a client to hosts whose replies are not for every reader of the report.

    The port is that of another service, or a proxy answers for the broker.

    Prove it: read the banner; look who owns the port on that host.

    How to fix: use the port of a Kafka listener. Where a proxy or a load balancer answers, set it
    to forward TCP and not HTTP.
    """
    for hop, hit, severity in failing({Failure.NOT_KAFKA}, bootstrap, listeners):
        for name in dict.fromkeys(_service(place).name for place in hit):
            these = [place for place in hit if _service(place).name == name]
            what = f": this is {escaped(name)}" if name else ""
            yield match(
                hop,
                these,
                f"{{who}} answer{{s}}, but not as a Kafka broker{what}",
                remedies.say(sentence(_service(these[0]).hint)),
                severity,
                [f"its own words: {banner}" for banner in _banners(these)],
            )


@rule("KD109", "controller-port", Severity.ERROR, "This is the port of a KRaft controller")
def controller_port(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """A KRaft controller answers, not a broker: it knows neither Metadata nor Produce.

    The controllers' listener is for the cluster itself. Clients that dial it get an unsupported
    version error, or an end of file. On brokers that advertise it, `advertised.listeners` names the
    controller's port.

    Prove it: compare the port with `controller.listener.names` and `listeners` on that node.

    How to fix: use the port of a listener for clients; on brokers that advertise the controller's
    port, correct `advertised.listeners`.
    """
    yield from judge(
        {Failure.CONTROLLER},
        bootstrap,
        listeners,
        "{who} answer{s} as a KRaft controller, not as a broker",
        remedies.BROKER_PORT,
    )


_AGAIN = "the first connection ended without an answer, the second one was answered"


@rule("KD121", "closed-early", Severity.ERROR, "The connection is closed without an answer")
def closed_early(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
    """The connection is accepted and then closed or reset, without one byte of an answer.

    A load balancer without a healthy target does that, a proxy that refuses this client, a port
    forward to a port that is closed, a TLS listener that dislikes plaintext, or a broker that is
    shutting down. Clients connect again, and so does kdiag, once: where a broker answers then, this
    is a warning. Where other connections of the same walk stand, it may also be a broker at its
    limit of connections: `max.connections`, `max.connections.per.ip` or its rate of new ones. All
    of them look alike from here.

    To a client that begins with TLS, a proxy that routes by name (SNI) does it too, and TLS
    inspection that does not let Kafka pass; that is not proven (KD128 is). The evidence says where
    a public name resolves to a private address here.

    Prove it: the same dial past the load balancer or proxy, straight to the broker. A broker at its
    limit logs "Rejected connection from", with the limit; and closing other clients helps.

    How to fix: repair what closes the connection: a load balancer without healthy targets, a
    proxy's access list, a port forward to a closed port. For a limit of connections, raise it or
    close idle clients.
    """
    others_stand = any(
        dial.failed is None for place in locations(bootstrap, listeners) for dial in place.dials
    )
    limits = remedies.say(
        "Other connections stand, so it may be the broker's limit: look for \"Rejected connection "
        'from" in its log, and at max.connections, max.connections.per.ip and '
        "max.connection.creation.rate."
    )
    closed = "{who} accept{s} the connection and close{s} it without an answer"
    in_tls = "{who} accept{s} the connection and end{s} the TLS handshake without an alert"

    def fix(hit: Sequence[Location]) -> tuple[Remedy, ...]:
        return (_who_closes(hit), *((limits,) if others_stand else ()))

    for hop, hit, severity in failing({Failure.CLOSED, Failure.RESET}, bootstrap, listeners):
        tls = [place for place in hit if ended_in_tls(place)]
        others = [place for place in hit if place not in tls]
        if tls:
            more = [line for place in tls for line in resolved_inside(place)]
            yield match(hop, tls, in_tls, fix, severity, more)
        if others:
            yield match(hop, others, closed, fix, severity)
    yield from judge_others({Failure.CLOSED, Failure.RESET}, bootstrap, listeners, closed, fix)
    dropped = [p for p in locations(bootstrap, listeners) if any(d.dropped for d in p.dials)]
    for hop in DIALLING_HOPS:
        if hit := [place for place in dropped if place.hop == hop and place.contact.usable]:
            once_closed = "{who} closed a connection without an answer, and answered on the next"
            yield match(hop, hit, once_closed, fix, Severity.WARNING, [_AGAIN])


def _who_closes(hit: Sequence[Location]) -> Remedy:
    """The fix for a connection that is closed; a client that spoke TLS learns nothing of
    plaintext."""
    front = (
        "Check what is in front of the broker: healthy targets of the load balancer, the allow "
        "list of the proxy, the target of the port forward."
    )
    if not any(ended_in_tls(place) for place in hit):
        return remedies.say(f"{front} Some TLS listeners end plaintext like this too.")
    return remedies.say(
        f"{front} A proxy that routes by name (SNI) ends handshakes for names that it does not "
        f"know. If this network inspects TLS: {exempt(hit)}"
    )


def _by_client(place: Location, dialect: str) -> Iterator[str]:
    """Evidence: how clients of a dialect ("" for any) fare at a name with addresses of both
    families."""
    yield from evidence(place)
    first, *_ = place.dials
    order = ", then ".join(dial.address for dial in place.dials)
    yield f"{place.endpoint.host} resolves to {order}"
    good = next(dial for dial in place.dials if not dial.failed)
    works = "works" if not first.failed else "fails"
    if dialect == "librdkafka":
        yield f"librdkafka, whose properties these are, tries all: it connects via {good.address}"
        return
    if not dialect:
        yield (
            f"a client that takes the first address only {works}; one that tries all, as "
            f"librdkafka does, connects via {good.address}"
        )
    java = "works" if ":" not in good.address else "fails"
    yield (
        f"Java's client {java}: it tries the IPv4 addresses alone, unless "
        "java.net.preferIPv6Addresses is set"
    )


_UNKNOWN_SERVICE = ServiceFingerprint(
    "", "", "Use the port of a Kafka listener; the answer in the evidence tells what this one is."
)


def _service(place: Location) -> ServiceFingerprint:
    """The service that answers there, by the last answer that tells; over TLS it is the same one,
    encrypted."""
    best = place.contact.best
    answers = best.received if best else ()
    found = next(filter(None, map(recognise, reversed(answers))), None)
    if not best or not found:
        return _UNKNOWN_SERVICE
    if best.handshake and found.name == "an HTTP server":
        found = found._replace(name="an HTTPS server")
    return found if best.quotable else found._replace(banner="")


def _banners(hit: Sequence[Location]) -> list[str]:
    """The banners of the services that are not in the evidence yet."""
    known = "\n".join(line for place in hit for line in evidence(place))
    return once(b for place in hit if (b := _service(place).banner) and b not in known)


def _address(place: Location) -> str:
    dials = [dial.address for dial in place.contact.dials if not is_loopback(dial.address)]
    return dials[0] if dials else place.endpoint.host


def _source(hit: Sequence[Location]) -> str:
    """The address that this client dials from."""
    return next((dial.source for place in hit for dial in place.dials if dial.source), "")
