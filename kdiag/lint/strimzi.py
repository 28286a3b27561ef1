"""The models of Strimzi's resources, and of Services and Nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from kdiag.config.endpoint import Endpoint
from kdiag.lint.observed import ObservedBroker, ObservedCluster
from kdiag.lint.pools import MOST_IDS, NodePool, node_ids
from kdiag.lint.tree import Map, Node, Scalar, get, items, number, text

# Of a node's addresses the first of these that it has, unless the listener prefers a type.
# Source: Strimzi's NodeUtils; its javadoc has another order.
ADDRESS_TYPES = ("ExternalDNS", "ExternalIP", "InternalDNS", "InternalIP", "Hostname")
NODE_PORTS = range(30000, 32768)
BY_NAME = ("route", "tlsroute", "ingress")  # TLS tells where a connection goes
OUTSIDE = ("nodeport", "loadbalancer", "route", "tlsroute", "ingress")
_MOST_LISTENERS = 64  # of one resource that are judged


@dataclass(frozen=True)
class BrokerEntry:
    """An item of `brokers[]`, the settings of one broker. `node` is the item in the file."""

    node: Map
    id: int | None

    def scalar(self, key: str) -> Scalar | None:
        """The scalar of a key, None without one."""
        found = get(self.node, key)
        return found if isinstance(found, Scalar) and found.value is not None else None

    def host(self) -> str:
        return text(self.node, "advertisedHost")

    def port(self, key: str) -> int | None:
        """advertisedPort or nodePort."""
        return number(self.node, key)


@dataclass(frozen=True)
class StrimziListener:
    """An item of `listeners[]`. `live` is the cluster that a walk observed which bootstrapped here,
    None without one. `node_ports` are those of the Services: of the bootstrap (None) and of
    brokers, by id. `status_addresses` are the bootstrap addresses in the status."""

    node: Map
    name: str
    port: int | None
    type: str
    tls: bool
    authentication: str
    configuration: Map | None
    brokers: tuple[BrokerEntry, ...]
    node_ports: Mapping[int | None, int] = field(default_factory=dict)
    status_addresses: tuple[Endpoint, ...] = ()
    live: ObservedCluster | None = None

    def observed(self, node: int | None) -> ObservedBroker | None:
        """The result of dialling a broker, by a walk that bootstrapped at this listener."""
        return self.live.broker(node) if self.live else None

    def proven(self, each: BrokerEntry) -> bool:
        """Whether a walk reached a broker at exactly the address of its entry."""
        observed = self.observed(each.id)
        return observed is not None and observed.reached == (
            each.host(),
            each.port("advertisedPort"),
        )

    @property
    def outside(self) -> bool:
        """Whether it is for clients outside of Kubernetes."""
        return self.type in OUTSIDE

    def setting(self, *path: str) -> str:
        """The text of a value of its configuration, "" where there is none."""
        return text(self.configuration, *path)

    def hosts(self) -> list[str]:
        """The advertisedHost values of its brokers, once each."""
        return list(dict.fromkeys(each.host() for each in self.brokers if each.host()))

    def names(self) -> list[str]:
        """The alternative names of its certificate."""
        found = items(self.configuration, "bootstrap", "alternativeNames")
        # Of items that YAML has joined to one text, each part was meant.
        return [
            name for x in found if isinstance(x, Scalar) for name in re.split(r"[\s,]+", x.text)
        ]


@dataclass(frozen=True)
class KubeService:
    """A Service. `ports` are (port, NodePort or None); `cluster` and `broker` where Strimzi made
    it."""

    name: str
    namespace: str
    type: str
    ports: tuple[tuple[int | None, int | None], ...]
    cluster: str = ""


@dataclass(frozen=True)
class KubeNode:
    """A Node and its addresses: (type, address)."""

    name: str
    addresses: tuple[tuple[str, str], ...]

    def advertised(self, preferred: str = "") -> str:
        """The address that brokers on the node advertise, "" without one."""
        for kind in (preferred, *ADDRESS_TYPES):
            for has, address in self.addresses:
                if has == kind:
                    return address
        return ""


@dataclass(frozen=True)
class StrimziContext:
    """The resources around a Kafka resource, from the same files, and the cluster of a walk."""

    pools: tuple[NodePool, ...] = ()
    services: tuple[KubeService, ...] = ()
    nodes: tuple[KubeNode, ...] = ()
    live: ObservedCluster | None = None

    @cached_property
    def by_node_port(self) -> Mapping[int, Sequence[KubeService]]:
        """The Services that have a NodePort."""
        found: dict[int, list[KubeService]] = {}
        for service in self.services:
            for _, port in service.ports:
                if port:
                    found.setdefault(port, []).append(service)
        return found


@dataclass(frozen=True)
class StrimziCluster:
    """A Kafka resource. `brokers` are the ids of its brokers, None where nothing tells them;
    `settled` where they are those of a status or of a walk, and not what new pools would get;
    `seen` where a walk has them, to which one that is down is missing.
    `pods` are the names of the brokers' pods, as far as they are known.

    `reported`: it has a status, as kubectl shows it. `pending`: that is of an older generation.
    `refused` is what it complains of.
    """

    name: str
    namespace: str
    listeners: tuple[StrimziListener, ...]
    context: StrimziContext
    brokers: tuple[int, ...] | None
    controllers: tuple[int, ...]
    settled: bool
    seen: bool = False
    pods: Mapping[int, str] = field(default_factory=dict)
    reported: bool = False
    pending: bool = False
    refused: tuple[str, ...] = ()

    def service(self, listener: StrimziListener) -> KubeService | None:
        """The bootstrap Service that Strimzi made for a listener."""
        name = f"{self.name}-kafka-{listener.name}-bootstrap"
        return next((each for each in self.context.services if each.name == name), None)


def cluster(root: Node, context: StrimziContext) -> StrimziCluster:
    """The model of a Kafka resource."""
    name = text(root, "metadata", "name")
    namespace = text(root, "metadata", "namespace")
    pools = [each for each in context.pools if each.cluster == name or not name]
    ids, known = node_ids(pools)
    replicas = None if pools else _replicas(root)
    settled = (known and bool(pools)) or replicas is not None
    serving = [each for each in pools if "broker" in each.roles]
    brokers = {one: f"{name}-{each.name}-{one}" for each in serving for one in ids[each.name]}
    brokers |= {one: f"{name}-kafka-{one}" for one in range(replicas or 0)}
    controllers = [n for each in pools if each not in serving for n in ids[each.name]]
    listeners = tuple(
        _with_services_and_status(each, root, name, brokers, context) for each in _listeners(root)
    )
    entry = entered(listeners, context.live) if context.live else None
    if entry:
        listeners = tuple(
            replace(each, live=context.live) if each is entry else each for each in listeners
        )
    observed_ids = context.live.nodes if entry and context.live and not settled else ()
    observed = number(root, "status", "observedGeneration")
    return StrimziCluster(
        name,
        namespace,
        listeners,
        context,
        observed_ids or (tuple(sorted(brokers)) if settled or pools else None),
        tuple(sorted(set(controllers).difference(observed_ids))),
        settled or bool(observed_ids),
        bool(observed_ids),
        {} if observed_ids or not name else brokers,
        observed is not None,
        observed is not None and observed < (number(root, "metadata", "generation") or 0),
        tuple(_complaints(root)),
    )


def _replicas(root: Node) -> int | None:
    """The number of brokers of a cluster without node pools, whose ids begin at 0; None if node
    pools have the numbers, as always with v1."""
    pools = text(root, "metadata", "annotations", "strimzi.io/node-pools")
    if pools == "enabled" or text(root, "apiVersion").endswith("/v1"):
        return None
    found = number(root, "spec", "kafka", "replicas")
    return min(found, MOST_IDS) if found and found > 0 else None


def default_port(listener: StrimziListener) -> int | None:
    """The port that a listener advertises without advertisedPort."""
    return 443 if listener.type in BY_NAME else listener.port


def entered(listeners: Sequence[StrimziListener], live: ObservedCluster) -> StrimziListener | None:
    """The listener at which a walk bootstrapped, None where that is not clear. The clues, in order:
    the host names of pods, the ports that lead to the listener, the advertisedHost of its brokers,
    its type, and that there is no other listener inside, or outside."""
    for clue in (_names_pods, _leads_to, _is_told, _has_node_ports, _is_inside, _is_outside):
        found = [each for each in listeners if clue(each, live)]
        if len(found) == 1:
            return found[0]
    return None


def _names_pods(listener: StrimziListener, live: ObservedCluster) -> bool:
    hosts = [host for host, port in (b.advertised for b in live.brokers) if port == listener.port]
    return not listener.outside and any("-kafka-brokers." in host for host in hosts)


def _leads_to(listener: StrimziListener, live: ObservedCluster) -> bool:
    ports = {port for _, port in live.entered}
    known = {*listener.node_ports.values(), *(port for _, port in listener.status_addresses)}
    pinned = number(listener.configuration, "bootstrap", "nodePort")
    own = {each.port("nodePort") for each in listener.brokers}
    if listener.type == "loadbalancer":
        known |= {listener.port} if listener.port else set()
    return bool(ports & (known | own | {pinned}))


def _is_told(listener: StrimziListener, live: ObservedCluster) -> bool:
    declared = {(each.id, each.host()) for each in listener.brokers if each.host()}
    return bool(declared & {(each.node, each.advertised.host) for each in live.brokers})


def _has_node_ports(listener: StrimziListener, live: ObservedCluster) -> bool:
    ports = [port for _, port in live.entered] + [each.advertised.port for each in live.brokers]
    return listener.type == "nodeport" and any(port in NODE_PORTS for port in ports)


def _is_inside(listener: StrimziListener, live: ObservedCluster) -> bool:
    return not listener.outside and listener.port in [port for _, port in live.entered]


def _is_outside(listener: StrimziListener, _: ObservedCluster) -> bool:
    return listener.outside


def _with_services_and_status(
    listener: StrimziListener,
    root: Node,
    name: str,
    pods: Mapping[int, str],
    context: StrimziContext,
) -> StrimziListener:
    """The listener with what its Services and its status say."""
    services: dict[str, int | None] = {f"{name}-kafka-{listener.name}-bootstrap": None}
    for one, pod in pods.items():
        plain = listener.name == "external" and listener.port == 9094
        services[pod if plain else f"{pod.removesuffix(f'-{one}')}-{listener.name}-{one}"] = one
    ports = {
        services[each.name]: port
        for each in context.services
        for _, port in each.ports
        if port and each.name in services
    }
    return replace(
        listener, node_ports=ports, status_addresses=tuple(_status_addresses(root, listener.name))
    )


def _status_addresses(root: Node, name: str) -> Iterator[Endpoint]:
    for listener in items(root, "status", "listeners"):
        for address in items(listener, "addresses") if text(listener, "name") == name else ():
            port = number(address, "port")
            if port:
                yield Endpoint(text(address, "host"), port)


def _complaints(root: Node) -> Iterator[str]:
    """The problems in the status conditions of the resource."""
    for condition in items(root, "status", "conditions"):
        kind, state = text(condition, "type"), text(condition, "status")
        if state == "True" and kind in ("NotReady", "Warning"):
            message = ": ".join(
                x for x in (text(condition, "reason"), text(condition, "message")) if x
            )
            yield f"{kind}: {message}" if message else kind


def service(root: Node) -> KubeService:
    """The model of a Service."""
    return KubeService(
        text(root, "metadata", "name"),
        text(root, "metadata", "namespace"),
        text(root, "spec", "type") or "ClusterIP",
        tuple((number(p, "port"), number(p, "nodePort")) for p in items(root, "spec", "ports")),
        text(root, "metadata", "labels", "strimzi.io/cluster"),
    )


def kube_node(root: Node) -> KubeNode:
    """The model of a Node."""
    found = items(root, "status", "addresses")
    addresses = tuple((text(each, "type"), text(each, "address")) for each in found)
    return KubeNode(text(root, "metadata", "name"), addresses)


def _listeners(root: Node) -> list[StrimziListener]:
    found = []
    for listener in items(root, "spec", "kafka", "listeners")[:_MOST_LISTENERS]:
        if not isinstance(listener, Map):
            continue
        configuration = get(listener, "configuration")
        tls = get(listener, "tls")
        found.append(
            StrimziListener(
                listener,
                text(listener, "name"),
                number(listener, "port"),
                text(listener, "type"),
                isinstance(tls, Scalar) and tls.value is True,
                text(listener, "authentication", "type"),
                configuration if isinstance(configuration, Map) else None,
                tuple(
                    BrokerEntry(one, number(one, "broker"))
                    for one in items(configuration, "brokers")[:MOST_IDS]
                    if isinstance(one, Map)
                ),
            )
        )
    return found
