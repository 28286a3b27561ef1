"""KD621 to KD625, Strimzi: NodePorts, and the names in certificates."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.config.snippet import fill, unknown
from kdiag.lint import observed_fix, remedies
from kdiag.lint.edit import Edits, append, insert, remove, replace, written
from kdiag.lint.resources import certifiable
from kdiag.lint.rules.strimzi import listener_mistake, spot_of
from kdiag.lint.strimzi import NODE_PORTS, StrimziCluster, StrimziListener
from kdiag.lint.tree import Items, Map, Scalar, entry, get
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed, once


@rule(
    "KD621",
    "advertised-port-not-exposed",
    Severity.ERROR,
    "The advertised port is not that of the broker's NodePort",
)
def advertised_port_not_exposed(cluster: StrimziCluster) -> Iterator[Match]:
    """A broker of a nodeport listener advertises a port where its Service does not listen. It is
    the broker's own NodePort that leads to it, and that is advertised where `advertisedPort` is
    left out.

    A port beyond 30000 to 32767 can be right where a load balancer or a router forwards it to the
    NodePort: then it is a warning.

    Prove it: `nc -zv HOST PORT` from where the clients are.

    How to fix: leave `advertisedPort` out, or write the broker's own NodePort.
    """
    for listener in cluster.listeners:
        if listener.type != "nodeport":
            continue
        for broker in listener.brokers:
            port, pinned = broker.port("advertisedPort"), broker.port("nodePort")
            own = pinned if pinned is not None else listener.node_ports.get(broker.id)
            if port is None or port in (own, listener.port) or listener.proven(broker):
                continue
            node = broker.scalar("advertisedPort")
            if own is not None:
                message = (
                    f"broker {broker.id} will advertise port {port}, and its NodePort is {own}"
                )
            else:
                message = (
                    f"broker {broker.id} will advertise port {port}, and nothing pins its NodePort"
                )
            outside = port not in NODE_PORTS
            edits: Edits = ()
            if own in NODE_PORTS and not outside and node:
                edits = (replace(node, str(own)),)
            elif own is None and not outside:
                edits = insert(broker.node, "nodePort", str(port))
            fix = remedies.say(
                "Advertise the broker's NodePort: leave advertisedPort out, or pin nodePort to it.",
                "- broker: {broker}\n  nodePort: {port}",
                "yaml",
                broker=broker.id,
                port=unknown("NodePort") if outside else port,
            )
            level = Severity.WARNING if outside else None
            yield listener_mistake(
                listener, message, spot_of(broker, "advertisedPort"), fix, level, edits, broker.id
            )


@rule(
    "KD622",
    "listener-port-advertised",
    Severity.ERROR,
    "A broker is configured to advertise the internal port, not the NodePort",
)
def listener_port_advertised(cluster: StrimziCluster) -> Iterator[Match]:
    """`advertisedPort` of a nodeport listener is the listener's own port, 9094 say. That one is
    open on the pod, inside of Kubernetes; outside, on a node, nothing listens there. Clients dial
    the NodePort, between 30000 and 32767.

    Prove it: `nc -zv NODE 9094`, and the same with the NodePort.

    How to fix: leave `advertisedPort` out: Strimzi then advertises the NodePort.
    """
    for listener in cluster.listeners:
        for broker in listener.brokers:
            port, own = broker.port("advertisedPort"), broker.port("nodePort")
            field = entry(broker.node, "advertisedPort")
            if listener.type != "nodeport" or port is None or port != listener.port or not field:
                continue
            if listener.proven(broker):
                continue
            message = (
                f"broker {broker.id} will advertise port {port}: the listener's own, not a NodePort"
            )
            if own is not None and isinstance(field.value, Scalar):
                edits: Edits = (replace(field.value, str(own)),)
            else:
                edits = remove(broker.node, field)
            fix = remedies.say(
                "Leave advertisedPort out: the broker advertises its own NodePort then."
            )
            spot = spot_of(broker, "advertisedPort")
            yield listener_mistake(listener, message, spot, fix, None, edits, broker.id)


@rule("KD623", "node-port-not-pinned", Severity.WARNING, "The port that clients dial is not fixed")
def node_port_not_pinned(cluster: StrimziCluster) -> Iterator[Match]:
    """A nodeport listener is meant for given addresses, and its bootstrap NodePort is left to
    Kubernetes, which takes any from 30000 to 32767. Clients cannot dial the listener's port: 9094
    is open inside only. And a firewall has to open the whole range, or be changed later.

    Prove it: `kubectl get kafka CLUSTER -o jsonpath='{.status.listeners}'`.

    How to fix: set `nodePort` of the bootstrap and of each broker to ports that the firewall
    allows.
    """
    for listener in cluster.listeners:
        pinned = listener.setting("bootstrap", "nodePort")
        meant = listener.hosts() or listener.names()
        if listener.type != "nodeport" or pinned or not meant or listener.port is None:
            continue
        service = cluster.service(listener)
        ports = [port for _, port in service.ports if port] if service else []
        if ports:
            continue  # it has one by now, and keeps it
        current = observed_fix.bootstrap_port(listener)
        message = f"clients dial a NodePort, and not port {listener.port}; " + (
            f"it is {current} now, and nothing keeps it"
            if current
            else "none is pinned, so a firewall would have to open 30000 to 32767"
        )
        fix = remedies.pin(str(current) if current else "<free port, 30000 to 32767>")
        node = get(listener.node, "port") or listener.node
        yield listener_mistake(
            listener, message, node.start, fix, edits=observed_fix.pinned(listener)
        )


@rule(
    "KD624",
    "name-not-in-certificate",
    Severity.WARNING,
    "No certificate will have the addresses that clients dial",
)
def name_not_in_certificate(cluster: StrimziCluster) -> Iterator[Match]:
    """Clients check that the certificate names what they dial. Strimzi puts the `advertisedHost` of
    a broker in its certificate, and `alternativeNames` in all of them; the addresses of nodes it
    does not. The bootstrap NodePort leads to any broker, so a host that clients bootstrap at has to
    be in all certificates.

    It is a warning: whether the clients check the name (`ssl.endpoint.identification.algorithm`),
    the file does not tell.

    Prove it: `openssl s_client -connect HOST:PORT | openssl x509 -noout -text`.

    How to fix: add the hosts at which clients bootstrap to `alternativeNames` of the bootstrap, and
    set `advertisedHost` for each broker.
    """
    for listener in cluster.listeners:
        if listener.type != "nodeport" or not listener.tls:
            continue
        if listener.setting("brokerCertChainAndKey", "secretName"):
            continue  # its names are the user's own affair
        hosts, names = listener.hosts(), listener.names()
        template = listener.setting("advertisedHostTemplate")
        if not hosts and not names and not template:
            message = "TLS, and no certificate will name the addresses that clients dial: clients "
            message += "that check the name, as they do by default, refuse it"
            fix = remedies.say(
                "Add the names that clients dial: for the bootstrap, and for each broker.",
                "configuration:\n  bootstrap:\n    alternativeNames:\n"
                "      - <address that clients bootstrap at>\n  brokers:\n    - broker: <node id>\n"
                "      advertisedHost: <address of this broker>",
                "yaml",
            )
            node = get(listener.node, "tls") or listener.node
            came = once(host for host, _ in listener.live.entered) if listener.live else []
            edits = observed_fix.entries(listener, listener.live.nodes) if listener.live else ()
            edits = (*_named(listener, came), *edits) if came and edits else ()
            yield listener_mistake(listener, message, node.start, fix, edits=edits)
            continue
        absent = [host for host in hosts if certifiable(host) and not _names(names, host)]
        if len(hosts) > 1 and absent:
            message = (
                f"bootstrap may be answered by any broker, and not every certificate names "
                f"{listed(absent)}"
            )
            lines = [fill("yaml", "      - {host}", host=host) for host in absent]
            fix = remedies.say(
                "Add the addresses that clients bootstrap at to all certificates:",
                "\n".join(("configuration:", "  bootstrap:", "    alternativeNames:", *lines)),
                "yaml",
            )
            spot = spot_of(listener.brokers[0], "advertisedHost")
            yield listener_mistake(listener, message, spot, fix, edits=_named(listener, hosts))


@rule("KD625", "local-traffic-policy", Severity.WARNING, "Only the node with the pod answers")
def local_traffic_policy(cluster: StrimziCluster) -> Iterator[Match]:
    """`externalTrafficPolicy: Local` keeps the client's address, and makes a NodePort answer only
    on the node that the broker's pod runs on; on all others packets vanish. With one host
    advertised for all brokers, all brokers on other nodes are out of reach: an error.

    Prove it: `nc -zv NODE NODEPORT` for every node.

    How to fix: use `externalTrafficPolicy: Cluster`, or advertise for each broker the node on which
    its pod runs.
    """
    for listener in cluster.listeners:
        node = get(listener.configuration, "externalTrafficPolicy")
        if not isinstance(node, Scalar) or node.text != "Local":
            continue
        hosts = listener.hosts()
        declared = [each for each in listener.brokers if each.host()]
        shared = listener.type == "nodeport" and len(hosts) == 1 and len(declared) > 1
        message = "externalTrafficPolicy Local: a NodePort answers on the node of its pod only"
        if shared:
            message += f", and all brokers advertise {hosts[0]}"
        fix = remedies.say(
            "Unless brokers must see the clients' own addresses, let every node answer:",
            "externalTrafficPolicy: Cluster",
            "yaml",
        )
        edits = (replace(node, "Cluster"),) if shared else ()
        yield listener_mistake(
            listener, message, node.start, fix, Severity.ERROR if shared else None, edits
        )


def _names(names: list[str], host: str) -> bool:
    """Whether a certificate with these names is valid for a host, wildcards included."""
    return host in names or f"*.{host.partition('.')[2]}" in names


def _named(listener: StrimziListener, hosts: list[str]) -> Edits:
    """Edits that add these hosts to the alternative names."""
    bootstrap = get(listener.configuration, "bootstrap")
    if not isinstance(listener.configuration, Map):
        return ()
    names = [written(host) for host in hosts if host not in listener.names()]
    found = get(bootstrap, "alternativeNames")
    if isinstance(found, Items):
        whole = all(isinstance(x, Scalar) and certifiable(x.text) for x in found.items)
        return append(found, names) if whole else ()
    lines = "".join(f"\n  - {name}" for name in names)
    if bootstrap is None:
        nested = lines.replace("\n", "\n  ")
        return insert(listener.configuration, "bootstrap", f"\n  alternativeNames:{nested}")
    if isinstance(bootstrap, Map) and entry(bootstrap, "alternativeNames") is None:
        return insert(bootstrap, "alternativeNames", lines)
    return ()
