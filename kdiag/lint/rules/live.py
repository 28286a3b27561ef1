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
        entries = [
            (each, observed)
            for each in listener.brokers
            if (observed := listener.observed(each.id))
        ]
        declared = [
            (each, observed, _declared(listener, each)) for each, observed in entries if each.host()
        ]
        hit = [
            (e, observed, where)
            for e, observed, where in declared
            if _differs(observed.advertised, where)
        ]
        if hit:
            yield _behind(cluster, listener, hit, len(hit) == len(declared))
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
    there = {address for node in cluster.context.nodes for _, address in node.addresses}
    for listener in cluster.listeners:
        if listener.type != "nodeport" or listener.live is None or not there:
            continue
        hosts = {each.id for each in listener.brokers if each.host()}
        if listener.setting("advertisedHostTemplate"):
            continue
        hit = [
            met
            for met in listener.live.brokers
            if met.node not in hosts and met.advertised[0] not in there
        ]
        if hit:
            verb = "advertises" if len(hit) == 1 else "advertise"
            message = f"{brokers([each.node for each in hit])} {verb} "
            message += f"{listed([each.advertised[0] for each in hit])}, which no node has any more"
            found = listener_mistake(
                listener, message, listener.node.start, _restart(cluster, hit), _level(hit)
            )
            yield replace(found, subjects=tuple(f"broker {each.node}" for each in hit))


def _behind(
    cluster: StrimziCluster,
    listener: StrimziListener,
    hit: list[tuple[BrokerEntry, ObservedBroker, tuple[str, int | None]]],
    all_of_them: bool,
) -> Match:
    """KD627 for brokers of a listener, with the likely reason."""
    first, met, where = hit[0]
    message = f"broker {met.node} advertises {met.advertised}, but should advertise "
    message += _shown(where) + (f"; the same for {len(hit) - 1} more" if hit[1:] else "")
    running = [met for _, met, _ in hit]
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
        f"broker {met.node} advertises {met.advertised}, its configuration says {_shown(where)}"
        for _, met, where in hit[1:]
    ]
    subjects = tuple(f"broker {each.node}" for each in running)
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
    same_host = advertised[0].lower().rstrip(".") == host.lower().rstrip(".")
    return not same_host or port not in (None, advertised[1])


def _shown(declared: tuple[str, int | None]) -> str:
    host, port = declared
    return host if port is None else str(Endpoint(host, port))


def _level(hit: list[ObservedBroker]) -> Severity | None:
    return Severity.WARNING if all(each.works for each in hit) else None


def _restart(cluster: StrimziCluster, hit: list[ObservedBroker]) -> Remedy:
    names = [cluster.pods.get(each.node, f"<pod of broker {each.node}>") for each in hit]
    return remedies.restart_pods(names, cluster.namespace)
