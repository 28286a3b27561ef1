"""KD301 to KD306: why a client cannot connect to an advertised address."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.address import ec2_address, internal_name, is_loopback, is_private, is_unusable
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import Failure
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
from kdiag.rules.client import ClientSystem
from kdiag.rules.cloud import CloudView
from kdiag.rules.platform import Platform
from kdiag.rules.routing import behind_another_port
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed, once
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners, suspect

_WARNING = Severity.WARNING


@rule(
    "KD301",
    "private-address",
    Severity.ERROR,
    "Brokers advertise private addresses",
)
def private_address(
    bootstrap: Bootstrap, listeners: Listeners, cloud: CloudView, platform: Platform
) -> Iterator[Match]:
    """A broker advertises a private address to a client that connected to another address.

    Clients bootstrap, receive this address in the metadata response, then fail to connect to it,
    or reach a machine of their own network that happens to have it. Private means RFC 1918, CGNAT,
    link-local and unique local IPv6; for a client inside that network it is no finding.

    Prove it: kdiag dials the same port on the address that you connected to; if that broker answers
    there, the report says so, and advertising that address is the fix.

    How to fix: let the brokers advertise an address that is reachable from here, best in a listener
    of its own for clients outside:
    `advertised.listeners=INTERNAL://10.0.1.11:9092,EXTERNAL://PUBLIC:9094`. In Strimzi that is
    `advertisedHost` of each broker. Or run the client inside that network, or connect the networks
    by a VPN or a peering.
    """
    matching = [
        listener
        for listener in failing_listeners(listeners)
        if _leads_to_private(listener) and _foreign(listener, bootstrap)
    ]
    if matching:
        example = matching[0].broker.advertised.host
        addresses = [d.address for d in matching[0].contact.dials]
        shown = example if example in addresses or not addresses else f"{example} ({addresses[0]})"
        with_public, public = cloud.found_public(matching)
        yield Match(
            HOP,
            f"{count_and_verb(matching, listeners, 'advertises', 'advertise')} "
            f"{'a private address' if len(matching) == 1 else 'private addresses'}. You "
            f"connected via {usable_servers(bootstrap)}; {shown} is not reachable from here",
            subjects(matching),
            dial_evidence(matching)
            + _client_path(bootstrap)
            + cloud.where_public(matching)
            + candidate_evidence(with_public),
            (
                *advertise(with_public, platform, public, bootstrap.protocol),
                remedies.join_the_network(matching),
            ),
        )


@rule("KD302", "loopback-address", Severity.ERROR, "Brokers advertise localhost")
def loopback_address(
    bootstrap: Bootstrap, listeners: Listeners, platform: Platform
) -> Iterator[Match]:
    """A broker advertises localhost, or another loopback address, to a client on another machine.

    The client then dials itself: it is refused, or finds a server of its own there. This is the
    default of many images and of a `server.properties` without `advertised.listeners`.

    Prove it: the client's machine has nothing on that port, or something else.

    How to fix: set `advertised.listeners` to a name or an address of the broker that its clients
    can reach; in Compose, one listener for other containers and one for the host.
    """
    matching = [
        listener
        for listener in failing_listeners(listeners)
        if is_loopback(listener.broker.advertised.host) and suspect(
            listener.broker.advertised, bootstrap
        )
    ]  # fmt: skip
    if matching:
        yield Match(
            HOP,
            f"{count_and_verb(matching, listeners, 'advertises', 'advertise')} "
            f"{matching[0].broker.advertised.host}, which is this machine for every client. You "
            f"connected via {usable_servers(bootstrap)}",
            subjects(matching),
            dial_evidence(matching) + candidate_evidence(matching),
            advertise(matching, platform),
        )


@rule("KD303", "unusable-address", Severity.ERROR, "Brokers advertise an unusable address")
def unusable_address(listeners: Listeners, platform: Platform) -> Iterator[Match]:
    """A broker advertises 0.0.0.0, ::, an empty host or port 0: a place to listen, not to dial.

    It happens when `advertised.listeners` is left out and `listeners` binds to all interfaces, or
    when a template left the host empty. On Linux and macOS 0.0.0.0 and :: lead to the client's own
    machine: where the broker runs there and answers, this is a warning, since clients on other
    machines fail.

    Prove it: the metadata answer, as quoted in the evidence.

    How to fix: set `advertised.listeners` with a host and a port. `0.0.0.0` is for `listeners`
    only.
    """
    matching = [x for x in listeners.listeners if is_unusable(*_pair(x.broker.advertised))]
    local = [x for x in matching if x.contact.usable]
    for found, why, severity in (
        ([x for x in matching if x not in local], "which cannot be dialled", None),
        (local, "which leads each client to its own machine: it works on this one", _WARNING),
    ):
        if found:
            yield Match(
                HOP,
                f"{count_and_verb(found, listeners, 'advertises', 'advertise')} "
                f"{str(found[0].broker.advertised)!r}, {why}",
                subjects(found),
                tuple(
                    f"broker {x.broker.node} advertises {str(x.broker.advertised)!r}" for x in found
                )
                + candidate_evidence(found),
                advertise(found, platform),
                severity,
            )


@rule(
    "KD304",
    "internal-name",
    Severity.ERROR,
    "Brokers advertise names that only their network knows",
)
def internal_name_advertised(
    bootstrap: Bootstrap,
    listeners: Listeners,
    cloud: CloudView,
    platform: Platform,
    client: ClientSystem,
) -> Iterator[Match]:
    """A broker advertises a name that does not resolve here, and looks like one that never will.

    EC2's private names (`ip-10-0-1-11.….compute.internal`), Kubernetes services (`….svc`),
    container ids and bare host names are known to the DNS of their own network only.

    Prove it: `getent ahosts NAME` here and on a machine inside.

    How to fix: advertise a name that clients can resolve, in a listener of its own for clients
    outside; or let this client use the DNS server of that network.
    """
    matching = [
        x
        for x in listeners.listeners
        if x.contact.dns and x.contact.dns.failure and internal_name(x.broker.advertised.host)
    ]
    if matching:
        with_public, public = cloud.found_public(matching)
        host = matching[0].broker.advertised.host
        decoded = tuple(
            f"{x.broker.advertised.host} stands for the private address "
            f"{ec2_address(x.broker.advertised.host)}"
            for x in matching
            if ec2_address(x.broker.advertised.host)
        )
        yield Match(
            HOP,
            f"{count_and_verb(matching, listeners, 'advertises', 'advertise')} "
            f"{'a name' if len(matching) == 1 else 'names'} that only the cluster's own network "
            f"knows: {host} is {internal_name(host)}",
            subjects(matching),
            dial_evidence(matching)
            + decoded
            + _client_path(bootstrap)
            + cloud.where_public(matching)
            + candidate_evidence(with_public),
            (
                *advertise(with_public, platform, public, bootstrap.protocol),
                *remedies.hosts_file(with_public, client),
                remedies.join_the_network(matching),
            ),
        )


@rule("KD305", "advertised-port-closed", Severity.ERROR, "The advertised port is closed")
def advertised_port_closed(
    bootstrap: Bootstrap, listeners: Listeners, cloud: CloudView, platform: Platform
) -> Iterator[Match]:
    """The advertised host answers that nobody listens on the advertised port.

    The broker is down, or it advertises another port than the one that leads to it: a container
    published under another number, a Service's target port, a tunnel on a random local port, a
    proxy such as HAProxy on 1038 in front of brokers on 9092. Where no advertised address works,
    kdiag also dials the advertised hosts at the port through which you connected, and says which
    broker answers there.

    Prove it: `ss -ltn` on that host. A security group would be silent, so it is not the cause.

    How to fix: start the broker, or advertise the port under which it is reached: the published
    port of the container, the NodePort, the load balancer's or the proxy's port. One port leads to
    one broker: give each broker a port of its own at a proxy.
    """
    matching = _failed_with(listeners, Failure.REFUSED, bootstrap)
    if matching:
        text, evidence, fixes = behind_another_port(bootstrap, listeners, matching, platform) or (
            "",
            (),
            (remedies.start_or_map([x.broker.advertised for x in matching]),),
        )
        yield Match(
            HOP,
            f"{count_and_verb(matching, listeners, 'advertises', 'advertise')} a closed port: "
            f"{listed([str(x.broker.advertised) for x in matching])}{text}",
            subjects(matching),
            (
                *dial_evidence(matching),
                *evidence,
                *reached_evidence(listeners),
                *cloud.refusing(subjects(matching)),
            ),
            fixes,
        )


@rule("KD306", "advertised-blocked", Severity.ERROR, "The advertised port is blocked on the path")
def advertised_blocked(
    bootstrap: Bootstrap, listeners: Listeners, cloud: CloudView
) -> Iterator[Match]:
    """Connection requests to the advertised address vanish, although another address of the cluster
    answers.

    The address is one that could work from here, but a security group, a network ACL or a firewall
    drops this port, or the machine is off. Typical: the bootstrap port is open, the brokers' own
    ports or NodePorts are not.

    Prove it: compare the ports that work with those that do not; look for their rule.

    How to fix: allow the port of every broker, and not that of the bootstrap alone, in the security
    group, network ACL or firewall (`--aws` names it).
    """
    matching = _failed_with(listeners, Failure.TIMEOUT, bootstrap)
    if matching:
        source = next((d.source for c in bootstrap.usable for d in c.dials if d.source), "")
        yield Match(
            HOP,
            f"{count_and_verb(matching, listeners, 'is', 'are')} not reachable: connection "
            f"requests to {listed([str(x.broker.advertised) for x in matching])} get no answer, "
            f"while {usable_servers(bootstrap)} answers",
            subjects(matching),
            dial_evidence(matching)
            + reached_evidence(listeners)
            + cloud.let_through(subjects(matching)),
            cloud.on_hosts(subjects(matching))
            or (remedies.open_port([x.broker.advertised for x in matching], source),),
        )


def _pair(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.host, endpoint.port


def _leads_to_private(listener: Listener) -> bool:
    addresses = [d.address for d in listener.contact.dials] or [listener.broker.advertised.host]
    return all(is_private(address) for address in addresses)


def _foreign(listener: Listener, bootstrap: Bootstrap) -> bool:
    """Whether no address of the listener is of a network through which this client connected."""
    port = listener.broker.advertised.port
    return all(suspect(Endpoint(dial.address, port), bootstrap) for dial in listener.contact.dials)


def _failed_with(listeners: Listeners, failure: Failure, bootstrap: Bootstrap) -> list[Listener]:
    """Listeners whose TCP connection ended with `failure`, at an address of a network through which
    this client connected."""
    return [
        listener
        for listener in failing_listeners(listeners)
        if (failed := listener.contact.failed)
        and failed.layer == "tcp"
        and failed.failure is failure
        and not _foreign(listener, bootstrap)
    ]


def _client_path(bootstrap: Bootstrap) -> tuple[str, ...]:
    """Evidence: the client's source address and the bootstrap address that it reached."""
    dials = [dial for contact in bootstrap.usable for dial in contact.dials if dial.source]
    if not dials:  # through a proxy
        return ()
    sources = listed(once(dial.source for dial in dials))
    addresses = listed(once(dial.address for dial in dials))
    return (f"this client is {sources} and connected via {addresses}",)
