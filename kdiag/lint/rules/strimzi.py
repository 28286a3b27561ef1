"""KD609 to KD615, Strimzi's listeners: fields of other types, node ids, NodePorts."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.lint import observed_fix, remedies
from kdiag.lint.edit import Edits, remove, replace
from kdiag.lint.helm import NodePorts
from kdiag.lint.mistake import HOP, Mistake
from kdiag.lint.strimzi import (
    BY_NAME,
    NODE_PORTS,
    BrokerEntry,
    KubeService,
    StrimziCluster,
    StrimziListener,
    default_port,
)
from kdiag.lint.tree import Entry, Map, Scalar, Spot, entry, get
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import brokers, listed

_HOST = "advertisedHost"
# Taken out, nothing is lost that somebody chose: no address, no name, no port.
_WITHOUT_VALUE = ("externalTrafficPolicy", "preferredNodePortAddressType", "useServiceDnsDomain")
RESERVED = {9404: "Prometheus metrics", 9999: "JMX"}

# Where Strimzi accepts a field, by listener type; what is not here is valid for every type.
# Source: ListenersValidator of the cluster operator, 1.2.
_CLOUD = ("loadbalancer",)
_VALID_FOR = {
    "class": ("loadbalancer", "ingress"),
    "externalTrafficPolicy": ("loadbalancer", "nodeport"),
    "loadBalancerSourceRanges": _CLOUD,
    "finalizers": _CLOUD,
    "createBootstrapService": _CLOUD,
    "allocateLoadBalancerNodePorts": _CLOUD,
    "preferredNodePortAddressType": ("nodeport",),
    "useServiceDnsDomain": ("internal", "cluster-ip"),
    "hostTemplate": BY_NAME,
    "parentRefs": ("tlsroute",),
    "host": BY_NAME,
    "nodePort": ("nodeport", "loadbalancer"),
    "loadBalancerIP": _CLOUD,
    "externalIPs": ("nodeport",),
}


@rule("KD609", "field-not-for-type", Severity.ERROR, "A field is not for listeners of this type")
def field_not_for_type(cluster: StrimziCluster) -> Iterator[Match]:
    """A field of a listener's configuration is only for listeners of another type, and Strimzi
    refuses the resource for it: it says InvalidResourceException in its status, and changes
    nothing.

    `host` is for route, tlsroute and ingress, `loadBalancerIP` for loadbalancer, `nodePort` and
    `preferredNodePortAddressType` for nodeport.

    Prove it: `kubectl get kafka CLUSTER -o jsonpath='{.status.conditions}'`.

    How to fix: remove the field, or change the listener's type to one that has it.
    """
    for listener in cluster.listeners:
        for parent, found, where in _fields(listener):
            fits = _VALID_FOR.get(found.key.text)
            if fits is None or listener.type in fits or not listener.type:
                continue
            name = found.key.text
            message = (
                f"{where} has `{name}`, which is for {listed(fits)} and not for {listener.type}"
            )
            fix = remedies.say(f"Remove it, or make the listener of type {' or '.join(fits)}.")
            edits: Edits = ()
            if name == "host" and where.startswith("broker") and not entry(parent, _HOST):
                fix = remedies.say("Write advertisedHost for it.", "advertisedHost:", "yaml")
                edits = (replace(found.key, _HOST),)
            elif name in _WITHOUT_VALUE:
                edits = remove(parent, found)
            yield listener_mistake(listener, message, found.key.start, fix, edits=edits)
        tls = get(listener.node, "tls")
        if listener.type in BY_NAME and isinstance(tls, Scalar) and tls.value is False:
            message = (
                f"type {listener.type} routes by the name in the TLS handshake: tls must be true"
            )
            fix = remedies.say("Turn on TLS:", "tls: true", "yaml")
            yield listener_mistake(listener, message, tls.start, fix, edits=(replace(tls, "true"),))


@rule("KD610", "listener-clash", Severity.ERROR, "Two listeners have one name or one port")
def listener_clash(cluster: StrimziCluster) -> Iterator[Match]:
    """Listeners of one cluster need names and ports of their own, and some ports are taken: 9404 by
    Prometheus metrics, 9999 by JMX. 9090, 9091 and 8443 are Strimzi's own, and below 9092 anyway.

    Prove it: `kubectl get kafka CLUSTER -o jsonpath='{.status.conditions}'`.

    How to fix: give each listener its own name and its own port of 9092 or higher, and not 9404 or
    9999.
    """
    for number, listener in enumerate(cluster.listeners):
        before = cluster.listeners[:number]
        name, port = get(listener.node, "name"), get(listener.node, "port")
        if listener.name and listener.name in [each.name for each in before] and name:
            message = f"an earlier listener is named {listener.name} as well"
            fix = remedies.say(
                "Give it a name of its own: at most 11 lowercase letters and digits."
            )
            yield listener_mistake(listener, message, name.start, fix)
        if listener.port is None or port is None:
            continue
        others = [each.name for each in before if each.port == listener.port]
        owner = f"listener {others[0]}" if others else RESERVED.get(listener.port)
        if owner:
            message = f"port {listener.port} is that of {owner}"
            fix = remedies.say("Use another port, 9092 or higher.")
            yield listener_mistake(listener, message, port.start, fix)


@rule(
    "KD611", "unknown-node-id", Severity.ERROR, "A broker entry is for a node that does not exist"
)
def unknown_node_id(cluster: StrimziCluster) -> Iterator[Match]:
    """An item of `brokers[]` has a node id that no broker has. Strimzi ignores it silently,
    and the broker that was meant advertises something else.

    Node ids are cluster-wide, and controllers take some: with pools of three controllers and three
    brokers, the ids of the brokers are 0 to 2 or 3 to 5, by the order of the pools. What a pool's
    status says is certain; for pools without status it is what new ones would get, a warning.

    Prove it: `kubectl get kafkanodepool -o custom-columns=NAME:.metadata.name,IDS:.status.nodeIds`.

    How to fix: write the node id of the broker that you mean; `status.nodeIds` of the node pools
    has them.
    """
    if cluster.brokers is None:
        return
    for listener in cluster.listeners:
        stray = [e for e in listener.brokers if e.id is not None and e.id not in cluster.brokers]
        right = _renumbered(cluster, listener)
        for broker in stray:
            what = "a controller" if broker.id in cluster.controllers else "no node"
            verb = "have" if cluster.settled else "would get"
            ids = listed([str(one) for one in cluster.brokers]) or "none"
            message = (
                f"node {broker.id} is {what}: the brokers of this cluster {verb} the ids {ids}"
            )
            new = right.get(broker.id or 0)
            node = broker.scalar("broker")
            edits = (
                (replace(node, str(new)),) if node and new is not None and cluster.settled else ()
            )
            fix = remedies.say(f"Give each broker its entry: {ids}.")
            sure = cluster.settled and (bool(right) or not cluster.seen)
            level = None if sure else Severity.WARNING
            yield listener_mistake(
                listener, message, spot_of(broker, "broker"), fix, level, edits, broker.id
            )


@rule(
    "KD612", "broker-without-entry", Severity.ERROR, "Only some brokers have an advertised address"
)
def broker_without_entry(
    cluster: StrimziCluster | None, chart: NodePorts | None
) -> Iterator[Match]:
    """Some brokers of a listener have an `advertisedHost`, others have none: those advertise the
    address of their node, or a name from inside. Clients reach some partitions and not others.

    What a pool's status says is certain; for pools without status it is what new ones would get, a
    warning.

    Prove it: `kdiag check BOOTSTRAP`, which dials every broker at what it advertises.

    How to fix: give each broker of the listener an `advertisedHost`, or none of them.
    """
    for listener in cluster.listeners if cluster else ():
        assert cluster
        declared = [each for each in listener.brokers if each.host()]
        if not declared or listener.setting("advertisedHostTemplate") or not listener.outside:
            continue
        silent = [
            each
            for each in listener.brokers
            if get(each.node, "advertisedHost") is None
            and get(each.node, "host") is None  # KD609 has it
            and each.id in (cluster.brokers or [each.id])
        ]
        named = {each.id for each in listener.brokers}
        absent = [one for one in cluster.brokers or () if one not in named]
        if _renumbered(cluster, listener) and not silent:
            continue  # the entries are there, under wrong numbers
        for broker in silent:
            message = f"broker {broker.id} has no advertisedHost, and others have one"
            fix = remedies.entries([broker.id or 0], listener.type == "nodeport")
            edits = observed_fix.advertised(listener, broker)
            yield listener_mistake(
                listener, message, broker.node.start, fix, edits=edits, broker=broker.id
            )
        if absent:
            verb = "has" if len(absent) == 1 else "have"
            message = f"{brokers(absent)} {verb} no entry, and others have one"
            fix = remedies.entries(absent, listener.type == "nodeport")
            level = None if cluster.settled else Severity.WARNING
            edits = observed_fix.entries(listener, absent)
            yield listener_mistake(listener, message, declared[-1].node.start, fix, level, edits)
    if chart and chart.brokers is not None and len(chart.ports) < chart.brokers:
        message = f"{len(chart.ports)} NodePorts for {chart.brokers} brokers: the chart is refused"
        yield _of_chart(chart, message, chart.ports[0][1])


@rule(
    "KD613",
    "node-port-out-of-range",
    Severity.ERROR,
    "A NodePort is outside of the range for NodePorts",
)
def node_port_out_of_range(
    cluster: StrimziCluster | None, chart: NodePorts | None
) -> Iterator[Match]:
    """A NodePort listens between 30000 and 32767, unless the cluster's API server was started with
    another `--service-node-port-range`. Kubernetes refuses the Service, and Strimzi waits for it.

    Prove it: `kubectl get kafka CLUSTER -o jsonpath='{.status.conditions}'`.

    How to fix: choose a port from 30000 to 32767, or leave `nodePort` out so that Kubernetes
    chooses.
    """
    for listener in cluster.listeners if cluster else ():
        for parent, found, port in node_ports(listener):
            if port in NODE_PORTS:
                continue
            message = f"nodePort {port} is none: NodePorts are {NODE_PORTS[0]} to {NODE_PORTS[-1]}"
            fix = remedies.say(
                "Use a free port of that range, or leave it out: then Kubernetes chooses one.",
                "nodePort: <free port, 30000 to 32767>",
                "yaml",
            )
            yield listener_mistake(
                listener, message, found.value.start, fix, edits=remove(parent, found)
            )
    for own, spot in chart.ports if chart else ():
        if own not in NODE_PORTS and chart:
            shown = "this" if own is None else str(own)
            yield _of_chart(chart, f"{shown} is no NodePort: those are 30000 to 32767", spot)


@rule("KD614", "node-port-clash", Severity.ERROR, "Two Services have the same NodePort")
def node_port_clash(cluster: StrimziCluster | None, chart: NodePorts | None) -> Iterator[Match]:
    """A NodePort belongs to one Service of the whole Kubernetes cluster: bootstrap and every broker
    need their own, and no other Service may have it.

    Prove it: `kubectl get service -A | grep PORT`.

    How to fix: give the bootstrap and each broker a NodePort of its own that no other Service uses.
    """
    seen: dict[int, str] = {}
    for listener in cluster.listeners if cluster else ():
        for parent, found, port in node_ports(listener):
            broker = get(parent, "broker")
            what = f"broker {broker.text}" if isinstance(broker, Scalar) else "bootstrap"
            what = f"{what} of listener {listener.name}"
            foreign = _foreign(cluster, port) if cluster else None
            owner = seen.get(port) or (
                f"Service {foreign.namespace or 'default'}/{foreign.name}" if foreign else ""
            )
            if owner:
                message = f"NodePort {port} is that of {owner} already"
                fix = remedies.say(
                    "Use a free port, or leave it out: then Kubernetes chooses one.",
                    "nodePort: <free port, 30000 to 32767>",
                    "yaml",
                )
                yield listener_mistake(
                    listener, message, found.value.start, fix, edits=remove(parent, found)
                )
            seen.setdefault(port, what)
    ports: set[int | None] = set()
    for own, spot in chart.ports if chart else ():
        if own in ports and chart:
            yield _of_chart(chart, f"NodePort {own} is that of another broker already", spot)
        ports.add(own)


@rule(
    "KD615",
    "brokers-share-address",
    Severity.ERROR,
    "Several brokers advertise one host and one port",
)
def brokers_share_address(cluster: StrimziCluster) -> Iterator[Match]:
    """Two brokers would advertise the same host and port, so one of them is never reached: what is
    sent to it arrives at the other, which is not the leader.

    With nodeport one host may do for all, for each broker has its own NodePort, and advertises that
    one where `advertisedPort` is left out. With loadbalancer, ingress and route the port is the
    same for all, so that each needs a host of its own.

    Prove it: `kdiag check BOOTSTRAP`, which asks every address who is there.

    How to fix: give each broker a host or a port of its own.
    """
    for listener in cluster.listeners:
        seen: dict[tuple[str, int | None], int | None] = {}
        for broker in listener.brokers:
            port = broker.port("advertisedPort")
            own = listener.type == "nodeport" and port is None
            if not broker.host() or own or listener.setting("advertisedPortTemplate"):
                continue
            if listener.proven(broker):
                continue
            shown = default_port(listener) if port is None else port
            key = (broker.host(), shown)
            if key in seen:
                message = f"broker {broker.id} would advertise {broker.host()}:{shown}"
                message += f", as broker {seen[key]} does"
                fix = remedies.address_of_its_own(broker.id or 0, listener.type)
                yield listener_mistake(
                    listener,
                    message,
                    spot_of(broker, "advertisedHost"),
                    fix,
                    None,
                    _own_port(listener, broker),
                    broker.id,
                )
            seen.setdefault(key, broker.id)


def _own_port(listener: StrimziListener, broker: BrokerEntry) -> Edits:
    """Edits that remove advertisedPort, so that the broker advertises its own NodePort."""
    found = entry(broker.node, "advertisedPort")
    return remove(broker.node, found) if listener.type == "nodeport" and found else ()


def _renumbered(cluster: StrimziCluster, listener: StrimziListener) -> dict[int, int]:
    """Wrong node id → right node id, if there are as many entries as brokers and no entry has a
    right id; else empty."""
    ids = [each.id for each in listener.brokers if each.id is not None]
    known = cluster.brokers or ()
    stray = sorted(one for one in ids if one not in known)
    free = sorted(one for one in known if one not in ids)
    mixed = set(ids) & set(known) and not cluster.seen
    if not stray or mixed or len(stray) != len(free) or len(set(ids)) != len(ids):
        return {}
    return dict(zip(stray, free, strict=True))


def _foreign(cluster: StrimziCluster, port: int) -> KubeService | None:
    """A Service of another cluster that has this NodePort."""
    for service in cluster.context.by_node_port.get(port, ()):
        if service.cluster != cluster.name or cluster.name == "":
            return service
    return None


def _fields(listener: StrimziListener) -> Iterator[tuple[Map, Entry, str]]:
    """The fields of a configuration, each with its mapping and the name of that mapping."""
    parts = [(listener.configuration, "configuration")]
    bootstrap = get(listener.configuration, "bootstrap")
    if isinstance(bootstrap, Map):
        parts.append((bootstrap, "bootstrap"))
    parts += [(each.node, f"broker {each.id}") for each in listener.brokers]
    for parent, where in parts:
        for found in parent.entries if parent else ():
            yield parent, found, where  # type: ignore[misc]


def node_ports(listener: StrimziListener) -> Iterator[tuple[Map, Entry, int]]:
    """The NodePorts in the configuration of a listener."""
    for parent, found, _ in _fields(listener):
        if found.key.text == "nodePort" and isinstance(found.value, Scalar):
            value = found.value.value
            if isinstance(value, int) and not isinstance(value, bool):
                yield parent, found, value


def spot_of(each: BrokerEntry, key: str) -> Spot:
    """The place of a broker's value, or of its entry."""
    found = entry(each.node, key)
    return found.value.start if found else each.node.start


def _of_chart(chart: NodePorts, message: str, spot: Spot) -> Mistake:
    fix = remedies.say(
        "Give every broker a free NodePort of its own:",
        "nodePorts:\n  - <free port, 30000 to 32767>",
        "yaml",
    )
    return Mistake(HOP, f"{chart.what}: {message}", (chart.what,), (), (fix,), spot=spot)


def listener_mistake(
    listener: StrimziListener,
    message: str,
    spot: Spot,
    fix: Remedy,
    severity: Severity | None = None,
    edits: Edits = (),
    broker: int | None = None,
) -> Mistake:
    """A mistake in a listener; `broker` where it is about one of its brokers."""
    subjects = (f"listener {listener.name}", *((f"broker {broker}",) if broker is not None else ()))
    message = f"listener {listener.name}: {message}" if listener.name else message
    return Mistake(HOP, message, subjects, (), (fix,), severity, spot=spot, edits=edits)
