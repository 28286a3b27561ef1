"""The fixes for advertised addresses, with real values filled in: a line for each broker, in the
form that fits what runs the brokers.

A fix never invents an address: a value that kdiag does not know is a placeholder, <like this>.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from kdiag.address import is_loopback, is_unusable
from kdiag.config.settings import Endpoint
from kdiag.config.snippet import OTHER_ENTRIES, Snippet, fill
from kdiag.rules.platform import Kind, Platform
from kdiag.rules.rule import Remedy
from kdiag.walk.facts.listeners import Listener

# A host comes from a peer, and a user copies it into a file: only these characters are allowed.
_HOST = re.compile(r"[\w.:-]+\Z")
CONTAINER_PORT = 20092  # of a listener that a container has not yet: hardly anybody uses it

_MANAGED = {
    Kind.MSK: "connect from inside its VPC (peering, VPN, multi-VPC connectivity), or switch "
    "public access on and use the public bootstrap string.",
    Kind.CONFLUENT: "connect from the network of its private endpoint or peering, with the DNS "
    "zone that Confluent Cloud names for it.",
}


def advertise(
    listeners: Sequence[Listener],
    platform: Platform,
    public: Mapping[int, Endpoint] = MappingProxyType({}),
    protocol: str | None = None,
) -> tuple[Remedy, ...]:
    """The fixes for wrong advertised addresses. Each broker gets its proven address, else its
    address in `public` (node id → address, from a cloud's API), else a placeholder. `protocol` is
    that of the listener through which the client connected."""
    if all(listener.proven for listener in listeners):
        what = "advertise these addresses to clients outside; each broker answered there"
    elif all(x.proven or x.broker.node in public for x in listeners):
        what = (
            "advertise these addresses to clients outside; they are the brokers' own, as AWS "
            "says, but not all of them answer from here yet"
        )
    else:
        what = "advertise an address that clients outside can reach"
    addresses = {x.broker.node: better(x, public) for x in listeners}
    return advertising(addresses, what, platform, listeners, protocol)


def advertising(
    addresses: Mapping[int, str],
    what: str,
    platform: Platform,
    listeners: Sequence[Listener] = (),
    protocol: str | None = None,
) -> tuple[Remedy, ...]:
    """The fixes that let brokers advertise other addresses (node id → `host:port`), the one that
    fits the platform first. `what` says what to advertise, `listeners` what is advertised now."""
    now = {x.broker.node: x.broker.advertised for x in listeners}
    kind, local = platform.kind, bool(now) and all(is_loopback(x.host) for x in now.values())
    if kind in _MANAGED:
        return (Remedy(f"{kind.value} sets its advertised addresses itself: {_MANAGED[kind]}"),)
    fixes = {
        Kind.PLAIN: _properties(addresses, what),
        Kind.STRIMZI: _strimzi(addresses, what, platform, now),
        Kind.COMPOSE: _docker(addresses, what, platform, local, protocol or "PLAINTEXT"),
    }
    if kind is not Kind.COMPOSE and not local:
        del fixes[Kind.COMPOSE]
    return (fixes.pop(kind), *fixes.values())


def line(node: int, address: str) -> Snippet:
    """The advertised.listeners line of one broker; `address` is `host:port`. Its other listeners
    stay in the line: without them Kafka does not start."""
    text = "# broker {node}\n{entries}EXTERNAL://{address}"
    return fill("properties", text, node=node, entries=Snippet(OTHER_ENTRIES), address=address)


def _properties(addresses: Mapping[int, str], what: str) -> Remedy:
    """The advertised.listeners line of every broker."""
    lines = [line(*each) for each in addresses.items()]
    return Remedy(
        f"In server.properties, {what}. EXTERNAL stands for the listener that they use:",
        "\n".join(lines),
        "properties",
    )


def _strimzi(
    addresses: Mapping[int, str], what: str, platform: Platform, now: Mapping[int, Endpoint]
) -> Remedy:
    """The brokers[] entries of a Strimzi listener. A port that is the one advertised `now` is left
    out: Strimzi knows it."""
    lines = ["configuration:", "  brokers:"]
    for node, address in addresses.items():
        host, _, port = address.rpartition(":")
        unknown = isinstance(address, Snippet) and host.startswith("<")
        host = Snippet(f'"{host}"') if unknown else host.strip("[]")
        same = node in now and port == str(now[node].port)
        entry = "    - {{broker: {node}, advertisedHost: {host}{port}}}"
        port = "" if same else f", advertisedPort: {port}"
        lines.append(fill("yaml", entry, node=node, host=host, port=Snippet(port)))
    where = "in the Kafka resource, at the listener for clients outside"
    if platform.kind is not Kind.STRIMZI:
        summary = f"With Strimzi, the same {where}:"
    elif platform.sure:
        summary = f"{where[0].upper()}{where[1:]}, {what}:"
    else:
        summary = f"If Strimzi runs the brokers (their ports are NodePorts): {where}, {what}:"
    return Remedy(summary, "\n".join(lines), "yaml")


def _docker(
    addresses: Mapping[int, str], what: str, platform: Platform, local: bool, protocol: str
) -> Remedy:
    """The environment of the brokers' containers. Where the addresses are those of a listener for
    other containers, clients outside get one of their own (`local`: it is for this machine)."""
    lines = []
    if not local:
        lines.append(
            fill(
                "yaml",
                "KAFKA_LISTENERS: <your other entries>,EXTERNAL://:{port}\n"
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: <your other entries>,EXTERNAL:{protocol}",
                port=CONTAINER_PORT,
                protocol=protocol,
            )
        )
    for node, address in addresses.items():
        port = address.rpartition(":")[2]
        publish = f', with "{port}:{CONTAINER_PORT}" for {port} in its ports' * (not local)
        lines.append(
            fill(
                "yaml",
                "# broker {node}{publish}\n"
                "KAFKA_ADVERTISED_LISTENERS: <your other entries>,EXTERNAL://{address}",
                node=node,
                publish=Snippet(publish),
                address=address,
            )
        )
    when = "In" if platform.kind is Kind.COMPOSE and platform.sure else "If the brokers run in"
    how = what if local else f"give clients outside a listener of their own, and {what}"
    return Remedy(f"{when} Docker: {how}:", "\n".join(lines), "yaml")


def better(listener: Listener, public: Mapping[int, Endpoint] = MappingProxyType({})) -> str:
    """The `host:port` that a broker should advertise: the proven one, else that in `public`, else a
    placeholder."""
    if listener.proven:
        return str(listener.proven.endpoint)
    if listener.broker.node in public:
        return str(public[listener.broker.node])
    port = listener.broker.advertised.port
    shown = port if 0 < port < 65536 else f"<port of broker {listener.broker.node}>"
    return Snippet(f"<reachable address of broker {listener.broker.node}>:{shown}")


def with_its_own_port(listener: Listener) -> str:
    """The `host:port` that a broker should advertise where its port is wrong: the host that it
    advertises now, and a placeholder."""
    address, node = advertised(listener), listener.broker.node
    return Snippet(f"{address.rpartition(':')[0]}:<port of broker {node}>")


def advertised(listener: Listener) -> str:
    """The `host:port` that a broker advertises now. The host is a placeholder where nobody can dial
    it, or where it has characters that may not be copied into a file."""
    endpoint, node = listener.broker.advertised, listener.broker.node
    if not _HOST.match(endpoint.host) or is_unusable(*endpoint):
        return Snippet(f"<reachable address of broker {node}>:{endpoint.port}")
    return str(endpoint)
