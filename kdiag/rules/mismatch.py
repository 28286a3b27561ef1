"""KD309, KD311 and KD312: the listener, an address or a protocol does not match the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdiag.address import is_loopback, parse
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
from kdiag.rules.advertising import advertise, advertising, with_its_own_port
from kdiag.rules.entry_listener import EntryListener
from kdiag.rules.location import evidence, locations
from kdiag.rules.platform import Kind, Platform
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import listed, once
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners, outlier, suspect

_OTHER_PROTOCOL = (
    Failure.TLS_REQUIRED,
    Failure.TLS_NOT_OFFERED,
    Failure.SASL_REQUIRED,
    Failure.SASL_NOT_OFFERED,
)

# Ports that Strimzi uses internally: between brokers and controllers, and for its agent.
_STRIMZI_PORTS = {
    9090: "the control plane",
    9091: "replication between brokers",
    8443: "Strimzi's own agent",
}
_INSIDE_PORT = (Failure.CLIENT_CERTIFICATE, Failure.UNTRUSTED, Failure.NOT_KAFKA)

# Headless Services that give every pod a DNS name, by the names that Strimzi and the Helm charts
# use. A listener for clients outside Kubernetes never advertises such a name.
_POD_SERVICES = ("-kafka-brokers", "-headless", "-controller-headless", "-broker-headless")


@rule("KD309", "wrong-door", Severity.ERROR, "This listener is not meant for clients outside")
def wrong_door(
    bootstrap: Bootstrap,
    listeners: Listeners | None,
    entry: EntryListener | None,
    platform: Platform,
) -> Iterator[Match]:
    """You connected, or tried to, to a listener that is only for clients inside the cluster's
    network.

    Strimzi's ports 9090, 9091 and 8443 are between its own parts. And a listener whose advertised
    addresses are the names of pods (`….my-cluster-kafka-brokers.kafka.svc`) is the one for clients
    inside Kubernetes, reached by a port-forward or a load balancer: its first answer arrives, its
    brokers never can. With `--config` or `--strimzi` kdiag names the listener that you connected
    to, and those that are for clients outside.

    Prove it: `kubectl get kafka NAME -o jsonpath='{.status.listeners}'` lists the listeners.

    How to fix: use the listener for clients outside: in Strimzi, one of type loadbalancer,
    nodeport, ingress or route, at its own bootstrap address. A port-forward to the internal
    listener cannot work for more than the bootstrap.
    """
    for place in locations(bootstrap, listeners):
        failed, inside = place.contact.failed, _STRIMZI_PORTS.get(place.endpoint.port)
        if inside and failed and failed.failure in _INSIDE_PORT:
            yield Match(
                place.hop,
                f"{place.where} is a port that Strimzi keeps for {inside}",
                (place.subject,),
                tuple(evidence(place)),
                remedies.use_outside_listener((), platform._replace(kind=Kind.STRIMZI)),
                Severity.WARNING if place.hop == "bootstrap" and bootstrap.usable else None,
            )
    forwarded = any(is_loopback(contact.endpoint.host) for contact in bootstrap.usable)
    failing = failing_listeners(listeners) if listeners else []
    inner = entry if entry and entry.inside else None
    matching = [x for x in failing if inner or _names_a_pod(x.broker.advertised.host, forwarded)]
    if listeners and matching and all(suspect(x.broker.advertised, bootstrap) for x in matching):
        yield Match(
            HOP,
            _inside_listener(inner, bootstrap)
            if inner
            else f"{usable_servers(bootstrap)} leads to a listener for clients inside Kubernetes: "
            f"{count_and_verb(matching, listeners, 'advertises', 'advertise').lower()} the "
            f"{'name of its pod' if len(matching) == 1 else 'names of their pods'}",
            subjects(matching),
            dial_evidence(matching),
            remedies.use_outside_listener(inner.others if inner else (), platform),
        )


def _inside_listener(entry: EntryListener, bootstrap: Bootstrap) -> str:
    """The message on a listener for clients inside: its name, and the listeners for outside."""
    message = (
        f"{usable_servers(bootstrap)} leads to listener {entry.name} ({entry.place}), which is for "
    )
    message += "clients inside"
    others = f"; for those outside there is {listed(entry.others)}" if entry.others else ""
    return message + others


@rule("KD311", "odd-one-out", Severity.ERROR, "One broker's address breaks the pattern")
def odd_one_out(bootstrap: Bootstrap, listeners: Listeners, platform: Platform) -> Iterator[Match]:
    """One broker advertises another port or another kind of host than all others, and fails there.

    A typing error, one forgotten node, or a broker that was set up by another hand. Brokers behind
    one address with a port each are no such case: there every port differs.

    Prove it: compare the advertised addresses in the evidence.

    How to fix: correct `advertised.listeners` of the one broker after the pattern of the others,
    and restart it.
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
            (
                *dial_evidence([odd]),
                f"the others advertise {usual}",
                *candidate_evidence([odd]),
                *(
                    f"{x.endpoint}, the port of the others: no broker answers there"
                    for x in odd.candidates
                    if x.failed
                ),
                *reached_evidence(listeners),
            ),
            _as_the_others(odd, others[0], what, platform),
        )


def _as_the_others(
    odd: Listener, other: Listener, what: str, platform: Platform
) -> tuple[Remedy, ...]:
    """The fix for the odd one; its port is never repeated where another one is needed."""
    if odd.proven or what != "port":
        return advertise([odd], platform)
    how = f"advertise the port that leads to it; the others have {other.broker.advertised.port}"
    node = odd.broker.node
    return advertising({node: with_its_own_port(odd)}, f"let broker {node} {how}", platform)


@rule("KD312", "protocol-differs", Severity.ERROR, "The advertised port speaks another protocol")
def protocol_differs(bootstrap: Bootstrap, listeners: Listeners) -> Iterator[Match]:
    """A broker answers at its advertised address, but in another security protocol than the one
    that you connected with.

    A client uses one security.protocol for bootstrap and brokers alike. The listener you connected
    to advertises the port of another listener, or a proxy in front of it ends TLS for the bootstrap
    address only.

    Prove it: what each address speaks is in the evidence; compare the ports in `listeners` and
    `advertised.listeners`.

    How to fix: advertise the port of the listener that clients bootstrap at, so that both speak the
    same protocol; where a proxy ends TLS, let it do so for every broker.
    """
    matching = [
        x
        for x in failing_listeners(listeners)
        if (failed := x.contact.failed) and failed.failure in _OTHER_PROTOCOL
    ]
    used = [d.protocol for c in bootstrap.usable for d in c.dials if d.protocol and not d.failed]
    if matching and used:
        spoken = [x.contact.best.protocol if x.contact.best else "" for x in matching]
        yield Match(
            HOP,
            f"{count_and_verb(matching, listeners, 'speaks', 'speak')} "
            f"{listed(once(spoken))} at the advertised address; "
            f"you connected to {used[0]} via {usable_servers(bootstrap)}",
            subjects(matching),
            dial_evidence(matching),
            (
                remedies.say(
                    "Let every listener advertise its own port: in advertised.listeners the entry "
                    "of the listener that you connected to must name the port that leads to that "
                    "same listener. A proxy that ends TLS must do so for every broker's address."
                ),
            ),
        )


def _names_a_pod(host: str, forwarded: bool) -> bool:
    """Whether a host is the DNS name of a pod. Without "svc" it may be a typing error, so it counts
    only where the client uses a port-forward (`forwarded`)."""
    _, service, *rest = [*host.split("."), ""]
    return service.endswith(_POD_SERVICES) and (forwarded or "svc" in rest)


def _odd(listeners: Sequence[Listener]) -> Iterator[tuple[Listener, str]]:
    """The one broker of three or more whose port or kind of host differs from all others, which are
    alike; and what differs."""
    for what, trait in (("port", _port), ("kind of host", _host_kind)):
        values = [trait(listener) for listener in listeners]
        if found := outlier(values):
            yield listeners[values.index(found[0])], what
            return


def _port(listener: Listener) -> str:
    return str(listener.broker.advertised.port)


def _host_kind(listener: Listener) -> str:
    """The domain of a host name, or the family of an IP address: brokers usually share it."""
    host = listener.broker.advertised.host.lower()
    if parse(host) is None:
        return host.partition(".")[2]
    return "IPv6" if ":" in host else "IPv4"
