"""KD3xx, advertised listeners: why an address that a broker hands out does not work from here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from kdiag import remedies
from kdiag.address import ec2_address, internal_name, is_loopback, is_private, is_unusable
from kdiag.attempt import Failure
from kdiag.hops.bootstrap import Bootstrap
from kdiag.hops.listeners import Listener, Listeners, suspect
from kdiag.hops.metadata import Metadata
from kdiag.rule import Match, Severity, rule
from kdiag.rules.connection import Place, evidence
from kdiag.rules.words import brokers, count_of, listed, sentence
from kdiag.settings import Endpoint

HOP = "listeners"


@rule(
    "KD301",
    "private-address",
    Severity.ERROR,
    "Brokers advertise an address from inside their network",
)
def private_address(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Match]:
    """A broker advertises a private address to a client that came in by another way.

    Clients bootstrap, receive this address in the metadata response, then fail to connect to it,
    or reach a machine of their own network that happens to have it. Private means RFC 1918, CGNAT,
    link-local and unique local IPv6; for a client inside that network it is no finding.

    Prove it: kdiag dials the same port on the address that you came in by; where the very broker
    answers there, the report says so, and advertising that address is the fix.
    """
    hit = [
        listener
        for listener in _broken(listeners)
        if _leads_to_private(listener) and _foreign(listener, bootstrap)
    ]
    if hit:
        example = hit[0].broker.advertised.host
        addresses = [d.address for d in hit[0].contact.dials]
        shown = example if example in addresses or not addresses else f"{example} ({addresses[0]})"
        yield Match(
            HOP,
            f"{_how_many(hit, listeners, 'advertises', 'advertise')} "
            f"{'a private address' if len(hit) == 1 else 'private addresses'}. You came in by "
            f"{_entrance(bootstrap)}; from here, {shown} leads nowhere",
            _subjects(hit),
            _advertised(hit) + _ways(bootstrap) + _candidates(hit),
            (*remedies.advertise(hit), remedies.join_the_network(hit)),
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
        for listener in _broken(listeners)
        if is_loopback(listener.broker.advertised.host) and suspect(
            listener.broker.advertised, bootstrap
        )
    ]  # fmt: skip
    if hit:
        yield Match(
            HOP,
            f"{_how_many(hit, listeners, 'advertises', 'advertise')} "
            f"{hit[0].broker.advertised.host}, which is this machine for every client. You came in "
            f"by {_entrance(bootstrap)}",
            _subjects(hit),
            _advertised(hit) + _candidates(hit),
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
            f"{_how_many(hit, listeners, 'advertises', 'advertise')} "
            f"{str(hit[0].broker.advertised)!r}, which cannot be dialled",
            _subjects(hit),
            tuple(f"broker {x.broker.node} advertises {str(x.broker.advertised)!r}" for x in hit)
            + _candidates(hit),
            remedies.advertise(hit),
        )


@rule("KD304", "internal-name", Severity.ERROR, "Brokers advertise a name only their network knows")
def internal_name_advertised(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Match]:
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
        host = hit[0].broker.advertised.host
        decoded = tuple(
            f"{x.broker.advertised.host} stands for the private address "
            f"{ec2_address(x.broker.advertised.host)}"
            for x in hit
            if ec2_address(x.broker.advertised.host)
        )
        yield Match(
            HOP,
            f"{_how_many(hit, listeners, 'advertises', 'advertise')} "
            f"{'a name' if len(hit) == 1 else 'names'} that only the cluster's own network knows: "
            f"{host} is {internal_name(host)}",
            _subjects(hit),
            _advertised(hit) + decoded + _ways(bootstrap) + _candidates(hit),
            (*remedies.advertise(hit), *remedies.hosts_file(hit), remedies.join_the_network(hit)),
        )


@rule("KD305", "advertised-port-closed", Severity.ERROR, "The advertised port is closed")
def advertised_port_closed(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Match]:
    """The advertised host answers that nobody listens on the advertised port.

    The broker is down, or it advertises another port than the one that leads to it: a container
    published under another number, a Service's target port, a tunnel on a random local port.

    Prove it: `ss -ltn` on that host. A security group would be silent, so it is not the cause.
    """
    hit = _failed_with(listeners, Failure.REFUSED, bootstrap)
    if hit:
        yield Match(
            HOP,
            f"{_how_many(hit, listeners, 'advertises', 'advertise')} a port that nobody listens "
            f"on: {listed([str(x.broker.advertised) for x in hit])}",
            _subjects(hit),
            _advertised(hit) + _still_up(listeners),
            (remedies.start_or_map([x.broker.advertised for x in hit]),),
        )


@rule("KD306", "advertised-blocked", Severity.ERROR, "The advertised port is blocked on the way")
def advertised_blocked(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Match]:
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
            f"{_how_many(hit, listeners, 'is', 'are')} cut off: connection requests to "
            f"{listed([str(x.broker.advertised) for x in hit])} vanish, while "
            f"{_entrance(bootstrap)} answers",
            _subjects(hit),
            _advertised(hit) + _still_up(listeners),
            (remedies.open_port([x.broker.advertised for x in hit], source),),
        )


@rule("KD307", "wrong-broker", Severity.ERROR, "Another broker answers at the advertised address")
def wrong_broker(listeners: Listeners) -> Iterator[Match]:
    """The advertised address of one broker leads to another broker of the same cluster.

    Clients send to it what only the first may take, and get NOT_LEADER_OR_FOLLOWER again and again.
    Two addresses are swapped, a port mapping points at the wrong pod, or a load balancer spreads
    over all brokers.

    Prove it: the broker was asked for the configuration of the id that the metadata gives, and
    answered which id it expected instead.
    """
    hit = _identity(listeners, Failure.WRONG_NODE)
    if hit:
        yield Match(
            HOP,
            "; ".join(
                f"{x.broker.advertised} is advertised by broker {x.broker.node}, but broker "
                f"{_answered(x)} answers there"
                for x in hit[:3]
            )
            + (f"; and {len(hit) - 3} more" if len(hit) > 3 else ""),
            _subjects(hit),
            tuple(
                f"broker {x.broker.node} at {x.broker.advertised}: answered as broker "
                f"{_answered(x)}"
                for x in hit
            ),
            (
                remedies.say(
                    "Let every broker advertise an address that leads to itself alone:",
                    "\n".join(_right_way_round(hit)),
                    "properties",
                ),
            ),
        )


@rule("KD308", "shared-address", Severity.ERROR, "Several brokers advertise the same address")
def shared_address(listeners: Listeners) -> Iterator[Match]:
    """Several brokers advertise one host and port, so all but one of them cannot be found.

    A client must reach each broker by itself: the leader of a partition is one broker, and no load
    balancer knows which. One load balancer or one NodePort Service in front of all brokers is good
    for the bootstrap only.

    Prove it: the same address stands in the metadata more than once.
    """
    by_address: dict[Endpoint, list[Listener]] = defaultdict(list)
    for listener in listeners.listeners:
        by_address[listener.broker.advertised].append(listener)
    shared = [group for group in by_address.values() if len(group) > 1]
    if shared:
        hit = [listener for group in shared for listener in group]
        address = shared[0][0].broker.advertised
        yield Match(
            HOP,
            f"{_how_many(hit, listeners, 'shares', 'share')} an advertised address: {address}",
            _subjects(hit),
            tuple(
                f"{group[0].broker.advertised} is advertised by brokers "
                f"{listed([str(x.broker.node) for x in group])}"
                for group in shared
            )
            + tuple(
                f"asked for broker {x.broker.node} there, broker {_answered(x)} answered"
                for x in hit
                if _answered(x) is not None
            ),
            (remedies.ports_of_their_own(hit),),
        )


@rule("KD310", "wrong-cluster", Severity.ERROR, "Another cluster answers at the advertised address")
def wrong_cluster(metadata: Metadata, listeners: Listeners) -> Iterator[Match]:
    """A broker of another cluster answers at the advertised address.

    A private or loopback address that exists in your network too leads to your own Kafka; or a
    NAT, tunnel or DNS entry points at the wrong place.

    Prove it: the two cluster ids in the evidence.
    """
    hit = _identity(listeners, Failure.WRONG_CLUSTER)
    if hit:
        yield Match(
            HOP,
            f"{listed([str(x.broker.advertised) for x in hit])} leads to another cluster than "
            f"{metadata.cluster_id}",
            _subjects(hit),
            tuple(
                f"broker {x.broker.node} at {x.broker.advertised}: cluster {_cluster(x)}, "
                f"the metadata is of cluster {metadata.cluster_id}"
                for x in hit
            ),
            (
                remedies.say(
                    "Find out what else has that address: a Kafka on this machine or in this "
                    "network, a tunnel, a stale DNS entry."
                ),
                *remedies.advertise(hit),
            ),
        )


def _broken(listeners: Listeners) -> list[Listener]:
    return [listener for listener in listeners.listeners if not listener.contact.usable]


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
        for listener in _broken(listeners)
        if (failed := listener.contact.failed)
        and failed.layer == "tcp"
        and failed.failure is failure
        and not _foreign(listener, bootstrap)
    ]


def _identity(listeners: Listeners, failure: Failure) -> list[Listener]:
    return [
        listener
        for listener in listeners.listeners
        if (failed := listener.contact.failed) and failed.failure is failure
    ]


def _answered(listener: Listener) -> int | None:
    return listener.contact.best.answered_as if listener.contact.best else None


def _cluster(listener: Listener) -> str | None:
    return listener.contact.best.cluster_id if listener.contact.best else None


def _right_way_round(hit: Sequence[Listener]) -> Iterator[str]:
    """advertised.listeners lines for the brokers that were met at each other's address."""
    for listener in hit:
        yield f"# broker {_answered(listener)}"
        yield f"advertised.listeners=EXTERNAL://{listener.broker.advertised}"


def _subjects(hit: Sequence[Listener]) -> tuple[str, ...]:
    return tuple(f"broker {listener.broker.node}" for listener in hit)


def _how_many(hit: Sequence[Listener], all_: Listeners, one: str, many: str) -> str:
    count = count_of(len(hit), len(all_.listeners), "broker")
    if len(hit) == 1 and len(all_.listeners) > 1:
        count += f" (broker {hit[0].broker.node})"
    return f"{sentence(count)} {one if len(hit) == 1 else many}"


def _entrance(bootstrap: Bootstrap) -> str:
    return listed([str(contact.endpoint) for contact in bootstrap.usable])


def _advertised(hit: Sequence[Listener]) -> tuple[str, ...]:
    return tuple(
        line for x in hit for line in evidence(Place(HOP, f"broker {x.broker.node}", x.contact))
    )


def _still_up(listeners: Listeners) -> tuple[str, ...]:
    up = [f"{x.broker.advertised} (broker {x.broker.node})" for x in listeners.reached]
    return (f"reached all the same: {listed(up)}",) if up else ()


def _ways(bootstrap: Bootstrap) -> tuple[str, ...]:
    """How this client came in, for the reader to compare."""
    dials = [dial for contact in bootstrap.usable for dial in contact.dials if dial.source]
    sources = listed(list(dict.fromkeys(dial.source for dial in dials)))
    doors = listed(list(dict.fromkeys(dial.address for dial in dials)))
    return (f"this client is {sources} and came in by {doors}",)


def _candidates(hit: Sequence[Listener]) -> tuple[str, ...]:
    """What was found at the addresses that could be advertised instead."""
    lines: list[str] = []
    strangers: dict[tuple[Endpoint, int | None], list[int]] = defaultdict(list)
    for listener in hit:
        node = listener.broker.node
        if listener.proven:
            answers = f"{listener.proven.endpoint} answers as broker {node}"
            lines.append(f"{answers}: advertising it would work")
            continue
        for candidate in listener.candidates:
            best = candidate.best
            if best and (candidate.usable or best.answered_as is not None):
                strangers[candidate.endpoint, best.answered_as].append(node)
    for (endpoint, answered), nodes in strangers.items():
        if answered is None:
            lines.append(f"{endpoint} answers, but does not say which broker it is")
        else:
            lines.append(f"{endpoint} answers as broker {answered}, not as {brokers(nodes)}")
    return tuple(lines)
