"""Values of the Bitnami chart for Kafka: the listeners for clients outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kdiag.lint.broker import ADVERTISED, MAP, ConfiguredBroker, Value
from kdiag.lint.slips import near_to
from kdiag.lint.tree import (
    Entry,
    Map,
    Node,
    Scalar,
    Spot,
    entries,
    get,
    is_null,
    items,
    number,
    text,
)

_HOSTS = ("externalIPs", "loadBalancerIPs", "loadBalancerNames")
_PORT = 9094  # ports.external of the chart, where it is not said

# What the chart has, and what it had before, with the version that moved it. Source: values.yaml of
# 32.4, and "Upgrading" in the README.
_SERVICE = (
    *("type", "ports", "loadBalancerClass", "loadBalancerIPs", "loadBalancerNames", "extraPorts"),
    *("loadBalancerAnnotations", "loadBalancerSourceRanges", "allocateLoadBalancerNodePorts"),
    *("nodePorts", "externalIPs", "useHostIPs", "usePodIPs", "domain", "publishNotReadyAddresses"),
    *("labels", "annotations", "ipFamilies", "ipFamilyPolicy"),
)
_LISTENER = ("name", "containerPort", "protocol", "sslClientAuth")
_KEYS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("externalAccess",): ("enabled", "controller", "broker"),
    ("externalAccess", "controller"): ("forceExpose", "service"),
    ("externalAccess", "broker"): ("service",),
    ("externalAccess", "controller", "service"): _SERVICE,
    ("externalAccess", "broker", "service"): _SERVICE,
    ("externalAccess", "service"): _SERVICE,
    ("listeners",): (
        *("client", "controller", "interbroker", "external", "extraListeners"),
        *("overrideListeners", "advertisedListeners", "securityProtocolMap"),
    ),
    **{
        ("listeners", name): _LISTENER
        for name in ("client", "controller", "interbroker", "external")
    },
}
_MOVED: Mapping[tuple[str, ...], tuple[str, str]] = {
    ("externalAccess", "service"): ("externalAccess.broker.service and .controller.service", "24"),
    ("externalAccess", "autoDiscovery"): ("defaultInitContainers.autoDiscovery", "32"),
    ("externalAccess", "service", "nodePort"): ("nodePorts", "9"),
    ("externalAccess", "service", "loadBalancerIP"): ("loadBalancerIPs", "9"),
    ("externalAccess", "service", "port"): ("ports.external", "15"),
    ("advertisedListeners",): ("listeners.advertisedListeners", "24"),
    ("listenerSecurityProtocolMap",): ("listeners.securityProtocolMap", "24"),
    ("interBrokerListenerName",): ("listeners.interbroker.name", "24"),
    ("allowPlaintextListener",): ("listeners.client.protocol", "24"),
    ("kraft",): ("controller, clusterId and existingKraftSecret", "32"),
    ("auth", "clientProtocol"): ("listeners.client.protocol", "24"),
    ("auth", "externalClientProtocol"): ("listeners.external.protocol", "24"),
    ("auth", "interBrokerProtocol"): ("listeners.interbroker.protocol", "24"),
    ("auth", "sasl"): ("sasl", "24"),
    ("auth", "tls"): ("tls", "24"),
}
# Values of other charts of the same house that have externalAccess, and what only Kafka's has.
_OTHERS = {"architecture", "master", "replica", "sentinel", "arbiter", "hidden", "replicaSetName"}
_OWN = {
    *("externalZookeeper", "kraft", "interBrokerProtocolVersion", "log4j2", "brokerRackAwareness"),
    *("brokerRackAssignment", "existingLog4jConfigMap", "listenerSecurityProtocolMap", "heapOpts"),
}


@dataclass(frozen=True)
class NodePorts:
    """The NodePorts of the brokers in one Service: each number, None for text that is no number,
    and its place. `brokers` is the number of brokers, None if the values do not have it."""

    what: str
    ports: tuple[tuple[int | None, Spot], ...]
    brokers: int | None


@dataclass(frozen=True)
class UnreadValue:
    """A value that the chart does not read. `near` is the probable name, `moved` the current place,
    and `since` the version of the chart that moved the value."""

    parent: Map
    entry: Entry
    path: str
    near: str = ""
    moved: str = ""
    since: str = ""


def chart(root: Node | None) -> Map | None:
    """The values of the Kafka chart in a file: the whole file, or the part of an umbrella chart.
    None without one."""
    if isinstance(root, Map) and _is_chart(root):
        return root
    below = (each for each in entries(root) if isinstance(each.value, Map))
    found = (e.value for e in below if "kafka" in e.key.text.lower() or _has_listeners(e.value))
    return next((each for each in found if isinstance(each, Map) and _is_chart(each)), None)


def unread_values(root: Node | None) -> Iterator[UnreadValue]:
    """The values that the chart does not read, in the parts that decide the advertised
    listeners."""
    values = chart(root)
    for path in ((), ("auth",), *_KEYS):
        found = get(values, *path)
        known = _KEYS.get(path, ())
        for entry in found.entries if isinstance(found, Map) else ():
            name = entry.key.text
            if name in known or not isinstance(found, Map) or entry.merged:
                continue
            dotted_path = ".".join((*path, name))
            moved, since = _MOVED.get((*path, name), ("", ""))
            if dotted_path == "listeners" and not isinstance(entry.value, Map):  # a list, or text
                moved, since = "listeners.overrideListeners", "24"
            if moved and not _is_empty(entry.value):
                yield UnreadValue(found, entry, dotted_path, moved=moved, since=since)
            elif not moved and path in _KEYS:
                yield UnreadValue(found, entry, dotted_path, near_to(name, known))
            elif not path and not moved and name not in ("listeners", "externalAccess"):
                near = "externalAccess" if _like(name, "externalAccess") else ""
                if near and get(found, near) is None:
                    yield UnreadValue(found, entry, dotted_path, near)


def _is_empty(node: Node) -> bool:
    """Whether a value means the default of the chart: null, "", [] or {}."""
    return is_null(node) or not (
        node.text if isinstance(node, Scalar) else items(node) or entries(node)
    )


def of_helm(root: Node | None) -> Iterator[ConfiguredBroker]:
    """The listeners that the chart will advertise: one broker for each host in the values, and one
    for listeners written in full."""
    root = chart(root)
    protocol = text(root, "listeners", "external", "protocol") or "SASL_PLAINTEXT"
    for what, service in _services(root):
        port = number(service, "ports", "external") or _PORT
        hosts = [get(service, "domain"), *(i for name in _HOSTS for i in items(service, name))]
        for host in hosts:
            if not isinstance(host, Scalar) or is_null(host) or not host.text:
                continue
            advertised = Value(f"EXTERNAL://{host.text}:{port}", host.start, False, host)
            protocol_map = Value(f"EXTERNAL:{protocol}", host.start, False, host)
            yield ConfiguredBroker(
                what,
                {ADVERTISED: advertised, MAP: protocol_map},
                {},
                unseen="the chart's own values",
            )
    written = {
        "listeners": ("overrideListeners", "listeners"),
        ADVERTISED: ("advertisedListeners",),
        MAP: ("securityProtocolMap",),
    }
    settings: dict[str, Value] = {}
    for name, keys in written.items():
        for key in keys:
            found = get(root, "listeners", key) or get(root, key)
            if isinstance(found, Scalar) and found.text:
                start = Spot(found.start.line, found.start.column + (not found.plain))
                exact = found.end.line == found.start.line and not found.block
                settings[name] = Value(found.text, start, exact, found)
    if settings:
        unseen = "the chart's own values"
        yield ConfiguredBroker("listeners", settings, {}, container=True, unseen=unseen)


def node_ports(root: Node | None) -> Iterator[NodePorts]:
    """The NodePorts in the values."""
    root = chart(root)
    for what, service in _services(root):
        if text(service, "type") != "NodePort":
            continue
        found = items(service, "nodePorts") or items(service, "nodePort")
        ports = tuple((number(each), each.start) for each in found)
        kind = what.split(".")[1] if what.count(".") > 1 else ""
        replicas = number(root, kind, "replicaCount") if kind else number(root, "replicaCount")
        if ports:
            yield NodePorts(what, ports, replicas)


def _services(root: Node | None) -> Iterator[tuple[str, Node]]:
    """The Services for clients outside, each with its path."""
    access = get(root, "externalAccess")
    if text(access, "enabled").lower() != "true":
        return
    for path in (("service",), ("broker", "service"), ("controller", "service")):
        found = get(access, *path)
        if found is not None:
            yield ".".join(("externalAccess", *path)), found


def _is_chart(root: Map) -> bool:
    """Whether values are those of the Kafka chart, and not of a similar chart."""
    names = {each.key.text for each in root.entries}
    if _has_listeners(root):
        return True
    if names & _OTHERS:
        return False
    if {"advertisedListeners", "listenerSecurityProtocolMap"} & names or len(names & _OWN) > 1:
        return True
    near = (name for name in names if name == "externalAccess" or _like(name, "externalAccess"))
    return any(isinstance(get(root, name), Map) for name in near)


def _has_listeners(root: Node | None) -> bool:
    names = {each.key.text for each in entries(root, "listeners")}
    own = {"client", "controller", "interbroker", "external", "securityProtocolMap"}
    return len(names & own) > 1 or bool(names & {"overrideListeners", "interbroker"})


def _like(name: str, known: str) -> bool:
    one, other = Counter(name), Counter(known)
    return (one - other).total() + (other - one).total() < 3
