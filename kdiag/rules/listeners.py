"""KD301 to KD306, advertised listeners: why an address that a broker hands out fails from here."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.address import ec2_address, internal_name, is_loopback, is_private, is_unusable
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import Failure
from kdiag.rules import remedies
from kdiag.rules.advertised import (
    HOP,
    broken,
    candidates,
    dialled,
    entrance,
    how_many,
    still_up,
    subjects,
)
from kdiag.rules.cloud import CloudView, found_public, let_through, on_hosts, refusing, where_public
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.listeners import Listener, Listeners, suspect


@rule(
    "KD301",
    "private-address",
    Severity.ERROR,
    "Brokers advertise an address from inside their network",
)
def private_address(
    bootstrap: Bootstrap, listeners: Listeners, cloud: CloudView | None
) -> Iterator[Match]:
    """A broker advertises a private address to a client that came in by another way.

    Clients bootstrap, receive this address in the metadata response, then fail to connect to it,
    or reach a machine of their own network that happens to have it. Private means RFC 1918, CGNAT,
    link-local and unique local IPv6; for a client inside that network it is no finding.

    Prove it: kdiag dials the same port on the address that you came in by; where the very broker
    answers there, the report says so, and advertising that address is the fix.
    """
    hit = [
        listener
        for listener in broken(listeners)
        if _leads_to_private(listener) and _foreign(listener, bootstrap)
    ]
    if hit:
        example = hit[0].broker.advertised.host
        addresses = [d.address for d in hit[0].contact.dials]
        shown = example if example in addresses or not addresses else f"{example} ({addresses[0]})"
        met, public = found_public(cloud, hit)
        yield Match(
            HOP,
            f"{how_many(hit, listeners, 'advertises', 'advertise')} "
            f"{'a private address' if len(hit) == 1 else 'private addresses'}. You came in by "
            f"{entrance(bootstrap)}; from here, {shown} leads nowhere",
            subjects(hit),
            dialled(hit) + _ways(bootstrap) + where_public(cloud, hit) + candidates(met),
            (*remedies.advertise(met, public), remedies.join_the_network(hit)),
        )


@rule("KD302", "loopback-address", Severity.ERROR, "Brokers advertise localhost")
def loopback_address(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Match]:
    """A broker advertises localhost, or another loopback address, to a client on another machine.

    The client then dials itself: it is refused, or finds a server of its own there. This is the
    default of many images and of a `server.properties` without `advertised.listeners`.

    Prove it: the client's machine has nothing on that port, or something else.
    """
    hit = [
        listener
        for listener in broken(listeners)
        if is_loopback(listener.broker.advertised.host) and suspect(
            listener.broker.advertised, bootstrap
        )
    ]  # fmt: skip
    if hit:
        yield Match(
            HOP,
            f"{how_many(hit, listeners, 'advertises', 'advertise')} "
            f"{hit[0].broker.advertised.host}, which is this machine for every client. You came in "
            f"by {entrance(bootstrap)}",
            subjects(hit),
            dialled(hit) + candidates(hit),
            (*remedies.advertise(hit), remedies.publish_two_listeners(hit)),
        )


@rule("KD303", "unusable-address", Severity.ERROR, "Brokers advertise an address nobody can dial")
def unusable_address(listeners: Listeners) -> Iterator[Match]:
    """A broker advertises 0.0.0.0, ::, an empty host or port 0: a place to listen, not to dial.

    It happens when `advertised.listeners` is left out and `listeners` binds to all interfaces, or
    when a template left the host empty. kdiag does not dial such an address.

    Prove it: the metadata answer, as quoted in the evidence.
    """
    hit = [x for x in listeners.listeners if is_unusable(*_pair(x.broker.advertised))]
    if hit:
        yield Match(
            HOP,
            f"{how_many(hit, listeners, 'advertises', 'advertise')} "
            f"{str(hit[0].broker.advertised)!r}, which cannot be dialled",
            subjects(hit),
            tuple(f"broker {x.broker.node} advertises {str(x.broker.advertised)!r}" for x in hit)
            + candidates(hit),
            remedies.advertise(hit),
        )


@rule("KD304", "internal-name", Severity.ERROR, "Brokers advertise a name only their network knows")
def internal_name_advertised(
    bootstrap: Bootstrap, listeners: Listeners, cloud: CloudView | None
) -> Iterator[Match]:
    """A broker advertises a name that does not resolve here, and looks like one that never will.

    EC2's private names (`ip-10-0-1-11.….compute.internal`), Kubernetes services (`….svc`),
    container ids and bare host names are known to the DNS of their own network only.

    Prove it: `getent ahosts NAME` here and on a machine inside.
    """
    hit = [
        x
        for x in listeners.listeners
        if x.contact.dns and x.contact.dns.failure and internal_name(x.broker.advertised.host)
    ]
    if hit:
        met, public = found_public(cloud, hit)
        host = hit[0].broker.advertised.host
        decoded = tuple(
            f"{x.broker.advertised.host} stands for the private address "
            f"{ec2_address(x.broker.advertised.host)}"
            for x in hit
            if ec2_address(x.broker.advertised.host)
        )
        yield Match(
            HOP,
            f"{how_many(hit, listeners, 'advertises', 'advertise')} "
            f"{'a name' if len(hit) == 1 else 'names'} that only the cluster's own network knows: "
            f"{host} is {internal_name(host)}",
            subjects(hit),
            dialled(hit) + decoded + _ways(bootstrap) + where_public(cloud, hit) + candidates(met),
            (
                *remedies.advertise(met, public),
                *remedies.hosts_file(met),
                remedies.join_the_network(hit),
            ),
        )


@rule("KD305", "advertised-port-closed", Severity.ERROR, "The advertised port is closed")
def advertised_port_closed(
    bootstrap: Bootstrap, listeners: Listeners, cloud: CloudView | None
) -> Iterator[Match]:
    """The advertised host answers that nobody listens on the advertised port.

    The broker is down, or it advertises another port than the one that leads to it: a container
    published under another number, a Service's target port, a tunnel on a random local port.

    Prove it: `ss -ltn` on that host. A security group would be silent, so it is not the cause.
    """
    hit = _failed_with(listeners, Failure.REFUSED, bootstrap)
    if hit:
        yield Match(
            HOP,
            f"{how_many(hit, listeners, 'advertises', 'advertise')} a port that nobody listens "
            f"on: {listed([str(x.broker.advertised) for x in hit])}",
            subjects(hit),
            dialled(hit) + still_up(listeners) + refusing(cloud, subjects(hit)),
            (remedies.start_or_map([x.broker.advertised for x in hit]),),
        )


@rule("KD306", "advertised-blocked", Severity.ERROR, "The advertised port is blocked on the way")
def advertised_blocked(
    bootstrap: Bootstrap, listeners: Listeners, cloud: CloudView | None
) -> Iterator[Match]:
    """Connection requests to the advertised address vanish, though you could come in elsewhere.

    The address is one that could work from here, but a security group, a network ACL or a firewall
    drops this port, or the machine is off. Typical: the bootstrap port is open, the brokers' own
    ports or NodePorts are not.

    Prove it: compare the ports that work with those that do not; look for their rule.
    """
    hit = _failed_with(listeners, Failure.TIMEOUT, bootstrap)
    if hit:
        source = next((d.source for c in bootstrap.usable for d in c.dials if d.source), "")
        yield Match(
            HOP,
            f"{how_many(hit, listeners, 'is', 'are')} cut off: connection requests to "
            f"{listed([str(x.broker.advertised) for x in hit])} vanish, while "
            f"{entrance(bootstrap)} answers",
            subjects(hit),
            dialled(hit) + still_up(listeners) + let_through(cloud, subjects(hit)),
            on_hosts(cloud, subjects(hit))
            or (remedies.open_port([x.broker.advertised for x in hit], source),),
        )


def _pair(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.host, endpoint.port


def _leads_to_private(listener: Listener) -> bool:
    addresses = [d.address for d in listener.contact.dials] or [listener.broker.advertised.host]
    return all(is_private(address) for address in addresses)


def _foreign(listener: Listener, bootstrap: Bootstrap) -> bool:
    """True when none of its addresses is of a network that this client came in by."""
    port = listener.broker.advertised.port
    return all(suspect(Endpoint(dial.address, port), bootstrap) for dial in listener.contact.dials)


def _failed_with(listeners: Listeners, failure: Failure, bootstrap: Bootstrap) -> list[Listener]:
    """Listeners that failed at TCP like this, at an address that could have worked from here."""
    return [
        listener
        for listener in broken(listeners)
        if (failed := listener.contact.failed)
        and failed.layer == "tcp"
        and failed.failure is failure
        and not _foreign(listener, bootstrap)
    ]


def _ways(bootstrap: Bootstrap) -> tuple[str, ...]:
    """How this client came in, for the reader to compare."""
    dials = [dial for contact in bootstrap.usable for dial in contact.dials if dial.source]
    sources = listed(list(dict.fromkeys(dial.source for dial in dials)))
    doors = listed(list(dict.fromkeys(dial.address for dial in dials)))
    return (f"this client is {sources} and came in by {doors}",)
