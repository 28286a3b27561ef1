"""What Strimzi resources say, and what kubectl shows beside them: Services and Nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kdiag.lint.tree import Entry, Map, Node, Scalar, entry, get, items, number, text

# Of a node's addresses the first of these that it has, unless the listener prefers a type.
# Source: Strimzi's NodeUtils; its javadoc has another order.
ADDRESS_TYPES = ("ExternalDNS", "ExternalIP", "InternalDNS", "InternalIP", "Hostname")
OUTSIDE = ("nodeport", "loadbalancer", "route", "tlsroute", "ingress")
_MOST_IDS = 10_000


@dataclass(frozen=True)
class BrokerEntry:
    """An item of `brokers[]`: what one broker is given. `node` is where it stands."""

    node: Map
    id: int | None

    def scalar(self, key: str) -> Scalar | None:
        """A value that it has, None where it has not."""
        found = get(self.node, key)
        return found if isinstance(found, Scalar) and found.value is not None else None

    def host(self) -> str:
        return text(self.node, "advertisedHost")

    def port(self, key: str) -> int | None:
        """advertisedPort or nodePort."""
        return number(self.node, key)


@dataclass(frozen=True)
class StrimziListener:
    """An item of `listeners[]`."""

    node: Map
    name: str
    port: int | None
    type: str
    tls: bool
    authentication: str
    configuration: Map | None
    brokers: tuple[BrokerEntry, ...]

    @property
    def outside(self) -> bool:
        """Whether it is for clients outside of Kubernetes."""
        return self.type in OUTSIDE

    def setting(self, *path: str) -> str:
        """The text of a value of its configuration, "" where there is none."""
        return text(self.configuration, *path)

    def hosts(self) -> list[str]:
        """Every host that its brokers are told to advertise, once each."""
        return list(dict.fromkeys(each.host() for each in self.brokers if each.host()))

    def names(self) -> list[str]:
        """The alternative names of its certificate."""
        found = items(self.configuration, "bootstrap", "alternativeNames")
        return [each.text for each in found if isinstance(each, Scalar)]


@dataclass(frozen=True)
class Pool:
    """A KafkaNodePool. `ids` is what its status says; `wanted` the range that an annotation asks
    for."""

    name: str
    cluster: str
    roles: tuple[str, ...]
    replicas: int
    ids: tuple[int, ...] | None
    wanted: tuple[int, ...] = ()


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
        """The address that brokers on it advertise, "" where it has none."""
        for kind in (preferred, *ADDRESS_TYPES):
            for has, address in self.addresses:
                if has == kind:
                    return address
        return ""


@dataclass(frozen=True)
class Surroundings:
    """What is known beside a Kafka resource: from the same files."""

    pools: tuple[Pool, ...] = ()
    services: tuple[KubeService, ...] = ()
    nodes: tuple[KubeNode, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """A Kafka resource. `brokers` are the ids of its brokers, None where no pool is known;
    `settled` where they are its status, and not what new pools would get."""

    name: str
    namespace: str
    listeners: tuple[StrimziListener, ...]
    around: Surroundings
    brokers: tuple[int, ...] | None
    controllers: tuple[int, ...]
    settled: bool

    def service(self, listener: StrimziListener) -> KubeService | None:
        """The bootstrap Service that Strimzi made for a listener."""
        name = f"{self.name}-kafka-{listener.name}-bootstrap"
        return next((each for each in self.around.services if each.name == name), None)


def cluster(root: Node, around: Surroundings) -> Cluster:
    """The model of a Kafka resource."""
    name = text(root, "metadata", "name")
    pools = [pool for pool in around.pools if pool.cluster == name or not name]
    ids, settled = _ids(pools)
    brokers = [n for pool in pools if "broker" in pool.roles for n in ids[pool.name]]
    controllers = [n for pool in pools if "broker" not in pool.roles for n in ids[pool.name]]
    return Cluster(
        name,
        text(root, "metadata", "namespace"),
        tuple(_listeners(root)),
        around,
        tuple(sorted(brokers)) if pools else None,
        tuple(sorted(controllers)),
        settled,
    )


def pool(root: Node) -> Pool:
    """The model of a KafkaNodePool."""
    said = items(root, "status", "nodeIds")
    ids = [int(each.text) for each in said if isinstance(each, Scalar) and _is_id(each.text)]
    roles = [each.text for each in items(root, "spec", "roles") if isinstance(each, Scalar)]
    return Pool(
        text(root, "metadata", "name"),
        text(root, "metadata", "labels", "strimzi.io/cluster"),
        tuple(roles),
        min(max(number(root, "spec", "replicas") or 0, 0), _MOST_IDS),
        tuple(ids) if said else None,
        _range(text(root, "metadata", "annotations", "strimzi.io/next-node-ids")),
    )


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


def configuration_of(listener: StrimziListener, *path: str) -> Entry | None:
    """The entry at a path of a listener's configuration, None where there is none."""
    return entry(get(listener.configuration, *path[:-1]), path[-1])


def _listeners(root: Node) -> list[StrimziListener]:
    found = []
    for each in items(root, "spec", "kafka", "listeners"):
        if not isinstance(each, Map):
            continue
        configuration = get(each, "configuration")
        tls = get(each, "tls")
        found.append(
            StrimziListener(
                each,
                text(each, "name"),
                number(each, "port"),
                text(each, "type"),
                isinstance(tls, Scalar) and tls.value is True,
                text(each, "authentication", "type"),
                configuration if isinstance(configuration, Map) else None,
                tuple(
                    BrokerEntry(one, number(one, "broker"))
                    for one in items(configuration, "brokers")
                    if isinstance(one, Map)
                ),
            )
        )
    return found


def _ids(pools: Sequence[Pool]) -> tuple[dict[str, tuple[int, ...]], bool]:
    """The node ids of each pool: as their status says, else as Strimzi hands them out to new pools,
    which is by the order in which the API lists them, by name."""
    ids = {pool.name: pool.ids for pool in pools if pool.ids is not None}
    settled = len(ids) == len(pools)
    taken = {one for known in ids.values() for one in known}
    for pool in sorted(pools, key=lambda each: each.name):
        if pool.name in ids:
            continue
        free = [one for one in pool.wanted if one not in taken][: pool.replicas]
        taken |= set(free)
        candidate = 0
        while len(free) < pool.replicas:
            if candidate not in taken:
                free.append(candidate)
                taken.add(candidate)
            candidate += 1
        ids[pool.name] = tuple(sorted(free))
    return ids, settled


def _range(said: str) -> tuple[int, ...]:
    """`[0, 5, 10-20]` of an annotation."""
    found: list[int] = []
    for low, high in re.findall(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?", said):
        first, last = int(low), int(high or low)
        step = 1 if last >= first else -1
        found += list(range(first, last + step, step)[:_MOST_IDS])
    return tuple(found[:_MOST_IDS])


def _is_id(said: str) -> bool:
    return said.isascii() and said.isdecimal() and len(said) < 12
