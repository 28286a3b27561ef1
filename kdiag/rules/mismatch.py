"""KD309, KD311 and KD312: the way in, one address or one protocol does not match the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kdiag.address import is_loopback, parse
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
from kdiag.rules.entry_listener import EntryListener
from kdiag.rules.location import evidence, locations
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.listeners import Listener, Listeners, suspect

_OTHER_PROTOCOL = (
    Failure.TLS_REQUIRED,
    Failure.TLS_NOT_OFFERED,
    Failure.SASL_REQUIRED,
    Failure.SASL_NOT_OFFERED,
)

# Ports that Strimzi keeps for itself: between brokers and controllers, and its agent's.
_STRIMZI_PORTS = {
    9090: "the control plane",
    9091: "replication between brokers",
    8443: "Strimzi's own agent",
}
_INSIDE_PORT = (Failure.CLIENT_CERTIFICATE, Failure.UNTRUSTED, Failure.NOT_KAFKA)

# The Services that give every pod a name, as Strimzi and the Helm charts call them; a listener that
# is meant for clients outside never advertises their names.
_POD_SERVICES = ("-kafka-brokers", "-headless", "-controller-headless", "-broker-headless")


@rule("KD309", "wrong-door", Severity.ERROR, "This listener is not meant for clients out here")
def wrong_door(
    bootstrap: Bootstrap, listeners: Listeners | None, there: EntryListener | None
) -> Iterator[Match]:
    """You came in, or tried to, by a listener that is for the inside of the cluster only.

    Strimzi's ports 9090, 9091 and 8443 are between its own parts. And a listener whose advertised
    addresses are the names of pods (`….my-cluster-kafka-brokers.kafka.svc`) is the one for clients
    inside Kubernetes, reached by a port-forward or a load balancer: its first answer arrives, its
    brokers never can. With `--config` or `--strimzi` kdiag names the listener that you came in by,
    and those that are for clients outside.

    Prove it: `kubectl get kafka NAME -o jsonpath='{.status.listeners}'` lists the doors.
    """
    for place in locations(bootstrap, listeners):
        failed, inside = place.contact.failed, _STRIMZI_PORTS.get(place.endpoint.port)
        if inside and failed and failed.failure in _INSIDE_PORT:
            yield Match(
                place.hop,
                f"{place.where} is a port that Strimzi keeps for {inside}",
                (place.subject,),
                tuple(evidence(place)),
                remedies.other_door(),
                Severity.WARNING if place.hop == "bootstrap" and bootstrap.usable else None,
            )
    forwarded = any(is_loopback(contact.endpoint.host) for contact in bootstrap.usable)
    met = broken(listeners) if listeners else []
    inner = there if there and there.inside else None
    hit = [x for x in met if inner or _names_a_pod(x.broker.advertised.host, forwarded)]
    if listeners and hit and all(suspect(x.broker.advertised, bootstrap) for x in hit):
        yield Match(
            HOP,
            _through(inner, bootstrap)
            if inner
            else f"{entrance(bootstrap)} leads to a listener for clients inside Kubernetes: "
            f"{how_many(hit, listeners, 'advertises', 'advertise').lower()} the "
            f"{'name of its pod' if len(hit) == 1 else 'names of their pods'}",
            subjects(hit),
            (*dialled(hit), *candidates(hit)),
            remedies.other_door(inner.others if inner else ()),
        )


def _through(there: EntryListener, bootstrap: Bootstrap) -> str:
    """Which listener that is, and by which others to come in."""
    said = f"{entrance(bootstrap)} leads to listener {there.name} ({there.place}), which is for "
    said += "clients inside"
    others = f"; for those outside there is {listed(there.others)}" if there.others else ""
    return said + others


@rule("KD311", "odd-one-out", Severity.ERROR, "One broker's address breaks the pattern")
def odd_one_out(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Match]:
    """One broker advertises another port or another kind of host than all others, and fails there.

    A typing error, one forgotten node, or a broker that was set up by another hand. Brokers behind
    one address with a port each are no such case: there every port differs.

    Prove it: compare the advertised addresses in the evidence.
    """
    for odd, what in _odd(listeners.listeners):
        others = [x for x in listeners.listeners if x is not odd]
        if odd.contact.usable or not all(x.contact.usable for x in others):
            continue
        if suspect(odd.broker.advertised, bootstrap):
            continue  # the address itself says why
        usual = listed([str(x.broker.advertised) for x in others])
        yield Match(
            HOP,
            f"Broker {odd.broker.node} advertises {odd.broker.advertised}: another {what} than the "
            f"other {len(others)} brokers, and it fails",
            subjects([odd]),
            (*dialled([odd]), f"the others advertise {usual}", *still_up(listeners)),
            remedies.advertise([odd]),
        )


@rule("KD312", "protocol-differs", Severity.ERROR, "The advertised port speaks another protocol")
def protocol_differs(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Match]:
    """A broker answers at its advertised address, but in another security protocol than the one
    that you came in by.

    A client uses one security.protocol for bootstrap and brokers alike. The listener you came in by
    advertises the port of another listener, or a proxy in front of it ends TLS for the bootstrap
    address only.

    Prove it: what each address speaks is in the evidence; compare the ports in `listeners` and
    `advertised.listeners`.
    """
    hit = [
        x
        for x in broken(listeners)
        if (failed := x.contact.failed) and failed.failure in _OTHER_PROTOCOL
    ]
    came_by = [d.protocol for c in bootstrap.usable for d in c.dials if d.protocol and not d.failed]
    if hit and came_by:
        spoken = [x.contact.best.protocol if x.contact.best else "" for x in hit]
        yield Match(
            HOP,
            f"{how_many(hit, listeners, 'speaks', 'speak')} {listed(list(dict.fromkeys(spoken)))} "
            f"at the advertised address; you came in by {came_by[0]} at {entrance(bootstrap)}",
            subjects(hit),
            dialled(hit),
            (
                remedies.say(
                    "Let every listener advertise its own port: in advertised.listeners the entry "
                    "of the listener that you came in by must name the port that leads to that "
                    "same listener. A proxy that ends TLS must do so for every broker's address."
                ),
            ),
        )


def _names_a_pod(host: str, forwarded: bool) -> bool:
    """The name of a pod in full; cut short it may be a slip, unless one came by a port-forward."""
    _, service, *rest = [*host.split("."), ""]
    return service.endswith(_POD_SERVICES) and (forwarded or "svc" in rest)


def _odd(all_: Sequence[Listener]) -> Iterator[tuple[Listener, str]]:
    """The one broker of three or more whose port, host or kind of host no other shares."""
    if len(all_) < 3:
        return
    for what, trait in (("port", _port), ("kind of host", _family)):
        counted = Counter(trait(listener) for listener in all_)
        if len(counted) == 2 and min(counted.values()) == 1:
            rare = min(counted, key=lambda value: counted[value])
            yield next(x for x in all_ if trait(x) == rare), what
            return


def _port(listener: Listener) -> str:
    return str(listener.broker.advertised.port)


def _family(listener: Listener) -> str:
    """The domain of a name, or the network of an address, as far as brokers usually share it."""
    host = listener.broker.advertised.host.lower()
    if parse(host) is None:
        return host.partition(".")[2]
    return "IPv6" if ":" in host else "IPv4"
