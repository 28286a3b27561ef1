"""Values of the Bitnami chart, as far as its listeners for clients outside go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kdiag.lint.broker import ADVERTISED, MAP, ConfiguredBroker, Value
from kdiag.lint.tree import Node, Scalar, Spot, get, is_null, items, number, text

_HOSTS = ("externalIPs", "loadBalancerIPs", "loadBalancerNames")
_PORT = 9094  # ports.external of the chart, where it is not said


@dataclass(frozen=True)
class NodePorts:
    """The NodePorts of one Service for each broker: the number, None where it is none, and where it
    is. `brokers` is how many brokers there are, None where the values do not say."""

    what: str
    ports: tuple[tuple[int | None, Spot], ...]
    brokers: int | None


def of_helm(root: Node | None) -> Iterator[ConfiguredBroker]:
    """What the chart will have its brokers advertise: a broker for each host that the values say,
    and one for listeners that are written out."""
    protocol = text(root, "listeners", "external", "protocol") or "SASL_PLAINTEXT"
    for what, service in _services(root):
        port = number(service, "ports", "external") or _PORT
        hosts = [get(service, "domain"), *(i for name in _HOSTS for i in items(service, name))]
        for host in hosts:
            if not isinstance(host, Scalar) or is_null(host) or not host.text:
                continue
            said = Value(f"EXTERNAL://{host.text}:{port}", host.start, False, host)
            speaks = Value(f"EXTERNAL:{protocol}", host.start, False, host)
            yield ConfiguredBroker(what, {ADVERTISED: said, MAP: speaks}, {})
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
        yield ConfiguredBroker("listeners", settings, {}, container=True)


def node_ports(root: Node | None) -> Iterator[NodePorts]:
    """The NodePorts that the values ask for."""
    for what, service in _services(root):
        if text(service, "type") != "NodePort":
            continue
        found = items(service, "nodePorts")
        ports = tuple((number(each), each.start) for each in found)
        kind = what.split(".")[1] if what.count(".") > 1 else ""
        replicas = number(root, kind, "replicaCount") if kind else number(root, "replicaCount")
        if ports:
            yield NodePorts(what, ports, replicas)


def _services(root: Node | None) -> Iterator[tuple[str, Node]]:
    """The Services for clients outside, and where they are."""
    access = get(root, "externalAccess")
    if text(access, "enabled").lower() != "true":
        return
    for path in (("service",), ("broker", "service"), ("controller", "service")):
        found = get(access, *path)
        if found is not None:
            yield ".".join(("externalAccess", *path)), found
