"""KD627 and KD628, the running cluster: differences between its addresses and its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kdiag.config.endpoint import Endpoint
from kdiag.lint import remedies
from kdiag.lint.broker import ConfiguredBroker
from kdiag.lint.observed import ObservedBroker
from kdiag.lint.rules.advertised import broker_mistake
from kdiag.lint.rules.strimzi import listener_mistake, spot_of
from kdiag.lint.strimzi import BrokerEntry, StrimziCluster, StrimziListener, default_port
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import brokers, listed


@rule(
    "KD627",
    "not-rolled-out",
    Severity.ERROR,
    "Brokers advertise something else than their configuration says",
)
def not_rolled_out(
    cluster: StrimziCluster | None, broker: ConfiguredBroker | None
) -> Iterator[Match]:
    """A file says what a broker is to advertise, and the running broker advertises another address.

    The file is not applied yet, the operator has not taken it up or refuses it, or the pod has not
    been restarted since: brokers read what they advertise when they start. Where all advertised
    addresses work from here, it is a warning.

    Prove it: `kubectl get kafka CLUSTER -o jsonpath='{.status.conditions}'`, and the age of the
    pods.

    How to fix: apply the file; look at the conditions of the resource for what the operator
    refuses; restart the brokers that have not been restarted since.
    """
    for listener in cluster.listeners if cluster else ():
        assert cluster
        declared = [
            (entry, observed, _declared(listener, entry))
            for entry in listener.brokers
            if entry.host() and (observed := listener.observed(entry.id))
        ]
        behind = [each for each in declared if _differs(each[1].advertised, each[2])]
        if behind:
            yield _behind(cluster, listener, behind, len(behind) == len(declared))
    if broker and broker.observed and broker.advertised and all(x.known for x in broker.advertised):
        observed, listed_ = broker.observed, [(x.host, x.port) for x in broker.advertised]
        value = broker.settings["advertised.listeners"]
        if observed.advertised not in listed_ and not broker.observed.works:
            message = f"advertises {observed.advertised}, and its configuration says "
            message += listed([x.text for x in broker.advertised])
            found = broker_mistake(broker, message, value.start, remedies.restart(broker.what))
            subjects = (f"broker {observed.node}",)
            yield replace(found, subjects=subjects)


@rule(
    "KD628",
    "address-moved",
    Severity.ERROR,
    "A broker advertises an address that no node has any more",
)
def address_moved(cluster: StrimziCluster) -> Iterator[Match]:
    """A broker without `advertisedHost` advertises the address of its node, as it was when the pod
    started, and no node of the cluster has that address now.

    On EC2 a stopped and started instance comes back with another public address; the pod lives on
    with the old one. Restart it, and give the node an Elastic IP, or the broker an `advertisedHost`
    that stays.

    Prove it: `kubectl get nodes -o wide` beside the address that the metadata has.

    How to fix: restart the pod, and give the node an elastic IP, or the broker an `advertisedHost`
    that stays.
    """
    node_addresses = {address for node in cluster.context.nodes for _, address in node.addresses}
    for listener in cluster.listeners:
        if listener.type != "nodeport" or listener.live is None or not node_addresses:
            continue
        hosts = {entry.id for entry in listener.brokers if entry.host()}
        if listener.setting("advertisedHostTemplate"):
            continue
        moved = [
            broker
            for broker in listener.live.brokers
            if broker.node not in hosts and broker.advertised.host not in node_addresses
        ]
        if moved:
            verb = "advertises" if len(moved) == 1 else "advertise"
            message = f"{brokers([entry.node for entry in moved])} {verb} "
            message += listed([entry.advertised.host for entry in moved])
            message += ", which no node has any more"
            found = listener_mistake(
                listener, message, listener.node.start, _restart(cluster, moved), _level(moved)
            )
            yield replace(found, subjects=tuple(f"broker {entry.node}" for entry in moved))


def _behind(
    cluster: StrimziCluster,
    listener: StrimziListener,
    behind: list[tuple[BrokerEntry, ObservedBroker, tuple[str, int | None]]],
    all_of_them: bool,
) -> Match:
    """KD627 for brokers of a listener, with the likely reason."""
    first, broker, declared = behind[0]
    message = f"broker {broker.node} advertises {broker.advertised}, but should advertise "
    message += _shown(declared) + (f"; the same for {len(behind) - 1} more" if behind[1:] else "")
    running = [broker for _, broker, _ in behind]
    if cluster.pending or cluster.refused:
        message += ": the operator has not taken it up"
        fix = remedies.ask_the_operator(cluster.name, cluster.namespace)
    elif all_of_them and not cluster.reported:
        message += ": it is not rolled out"
        fix = remedies.apply(cluster.name, cluster.namespace)
    else:
        message += ": not restarted since"
        fix = _restart(cluster, running)
    found = listener_mistake(
        listener, message, spot_of(first, "advertisedHost"), fix, _level(running)
    )
    evidence = [
        f"broker {broker.node} advertises {broker.advertised}, its configuration says "
        f"{_shown(declared)}"
        for _, broker, declared in behind[1:]
    ]
    subjects = tuple(f"broker {broker_.node}" for broker_ in running)
    return replace(found, subjects=subjects, evidence=(*evidence, *cluster.refused))


def _declared(listener: StrimziListener, each: BrokerEntry) -> tuple[str, int | None]:
    """The address that a broker should advertise; a port of None is left to Kubernetes."""
    port = each.port("advertisedPort")
    if port is None and not listener.setting("advertisedPortTemplate"):
        own = each.port("nodePort") or listener.node_ports.get(each.id)
        port = own if listener.type == "nodeport" else default_port(listener)
    return each.host(), port


def _differs(advertised: Endpoint, declared: tuple[str, int | None]) -> bool:
    host, port = declared
    same_host = advertised.host.lower().rstrip(".") == host.lower().rstrip(".")
    return not same_host or port not in (None, advertised.port)


def _shown(declared: tuple[str, int | None]) -> str:
    host, port = declared
    return host if port is None else str(Endpoint(host, port))


def _level(brokers_: list[ObservedBroker]) -> Severity | None:
    return Severity.WARNING if all(broker.works for broker in brokers_) else None


def _restart(cluster: StrimziCluster, brokers_: list[ObservedBroker]) -> Remedy:
    names = [cluster.pods.get(broker.node, f"<pod of broker {broker.node}>") for broker in brokers_]
    return remedies.restart_pods(names, cluster.namespace)
