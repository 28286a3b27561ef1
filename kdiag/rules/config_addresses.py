"""KD616 to KD626, what Strimzi's brokers will advertise, and whether clients can use it."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag import remedies_config as remedies
from kdiag.address import internal_name, is_loopback, is_private, is_unusable, parse
from kdiag.lint.edit import Edits, insert, remove, replace
from kdiag.lint.strimzi import BrokerEntry, Cluster, StrimziListener
from kdiag.lint.tree import Map, Scalar, entry, get, is_null
from kdiag.rule import Match, Severity, rule
from kdiag.rules.config_strimzi import NODE_PORTS, mistake, spot_of
from kdiag.rules.words import listed, once


@rule(
    "KD616",
    "advertises-private",
    Severity.WARNING,
    "A broker is told to advertise a private address",
)
def advertises_private(cluster: Cluster) -> Iterator[Match]:
    """`advertisedHost` is an address that only its own network reaches: 10.…, 172.16.…,
    192.168.…, or a carrier's. Clients inside of that network, or in a VPN to it, are well served;
    all others get a timeout for every broker, after a bootstrap that worked.

    Prove it: `kdiag check BOOTSTRAP` from where the clients are.
    """
    for listener, each, host in _told(cluster):
        if is_private(host):
            said = f"broker {each.id} will advertise {host}, which is private"
            yield _at(listener, each, said)


@rule(
    "KD617",
    "advertises-loopback",
    Severity.ERROR,
    "A broker is told to advertise the client's own machine",
)
def advertises_loopback(cluster: Cluster) -> Iterator[Match]:
    """`advertisedHost` is localhost, or 127.…: every client that follows it dials itself.

    On a cluster that lives on the developer's own machine (kind, minikube, Docker Desktop) with its
    ports published there, that is meant, and works from there only.

    Prove it: `kdiag check BOOTSTRAP` from another machine.
    """
    for listener, each, host in _told(cluster):
        if is_loopback(host):
            yield _at(listener, each, f"broker {each.id} will advertise {host}: the client itself")


@rule(
    "KD618",
    "advertises-nothing",
    Severity.ERROR,
    "A broker is told to advertise what cannot be dialled",
)
def advertises_nothing(cluster: Cluster) -> Iterator[Match]:
    """`advertisedHost` is empty, 0.0.0.0, or not a host at all: a URL, or an address with its port.

    The host stands alone; the port has a field of its own, `advertisedPort`.

    Prove it: `kubectl get kafka CLUSTER -o jsonpath='{.status.listeners}'`.
    """
    for listener, each, host in _told(cluster, empty=True):
        node = each.scalar("advertisedHost")
        if not host or is_unusable(host, 1):
            said = f"broker {each.id} will advertise {host or 'no host'}, which nobody can dial"
            yield _at(listener, each, said)
        elif node and not _is_host(host):
            bare = _bare(host)
            said = f"broker {each.id}: {host} is no host name and no address"
            edits: Edits = (replace(node, bare),) if bare else ()
            fix = remedies.say(
                "Write the host alone:", f"advertisedHost: {bare or '<host>'}", "yaml"
            )
            spot = spot_of(each, "advertisedHost")
            yield mistake(listener, said, spot, fix, None, edits, each.id)


@rule(
    "KD619",
    "advertises-internal-name",
    Severity.WARNING,
    "A broker is told to advertise a name from inside",
)
def advertises_internal_name(cluster: Cluster) -> Iterator[Match]:
    """`advertisedHost` is a name that only its own network resolves: a Kubernetes service, a
    private DNS name of EC2, a bare host name.

    Prove it: `getent hosts NAME` from where the clients are.
    """
    for listener, each, host in _told(cluster):
        kind = internal_name(host) if _is_host(host) else None
        if kind:
            yield _at(listener, each, f"broker {each.id} will advertise {host}, {kind}")


@rule(
    "KD620",
    "advertises-node-address",
    Severity.WARNING,
    "Brokers advertise whatever address their node has",
)
def advertises_node_address(cluster: Cluster) -> Iterator[Match]:
    """A nodeport listener without `advertisedHost`: each broker advertises the address of the node
    that it runs on, the first there is of ExternalDNS, ExternalIP, InternalDNS, InternalIP and
    Hostname, unless `preferredNodePortAddressType` says otherwise.

    On EC2 with AWS's cloud provider that is the public name where the node has one, and
    `ip-10-….compute.internal` where it has none. On k3s, kubeadm and kind it is the private
    address. It moves when the pod moves.

    Prove it: `kubectl get nodes -o wide`.
    """
    for listener in cluster.listeners:
        if listener.type != "nodeport" or listener.setting("advertisedHostTemplate"):
            continue
        if any(each.host() for each in listener.brokers):
            continue  # KD612 has those that are left out
        preferred = listener.setting("preferredNodePortAddressType")
        found = once(node.advertised(preferred) for node in cluster.around.nodes)
        inside = [host for host in found if host and (is_private(host) or internal_name(host))]
        if cluster.around.nodes and not inside:
            continue
        if inside:
            said = f"brokers will advertise the addresses of their nodes: {listed(inside)}"
        elif preferred in ("ExternalIP", "ExternalDNS"):
            continue
        else:
            said = "no advertisedHost: each broker will advertise whatever address its node has"
        fix = (
            remedies.entries(cluster.brokers or (), True)
            if cluster.brokers
            else remedies.say(
                "Give every broker an advertisedHost that clients reach:",
                "brokers:\n  - broker: <node id>\n    advertisedHost: <address that clients reach>",
                "yaml",
            )
        )
        yield mistake(listener, said, listener.node.start, fix)


@rule(
    "KD621",
    "advertised-port-not-exposed",
    Severity.ERROR,
    "The advertised port is not that of the broker's NodePort",
)
def advertised_port_not_exposed(cluster: Cluster) -> Iterator[Match]:
    """A broker of a nodeport listener advertises a port where its Service does not listen. It is
    the broker's own NodePort that leads to it, and that is advertised where `advertisedPort` is
    left out.

    A port beyond 30000 to 32767 can be right where a load balancer or a router forwards it to the
    NodePort: then it is a warning.

    Prove it: `nc -zv HOST PORT` from where the clients are.
    """
    for listener in cluster.listeners:
        if listener.type != "nodeport":
            continue
        for each in listener.brokers:
            port, own = each.port("advertisedPort"), each.port("nodePort")
            if port is None or port in (own, listener.port):
                continue
            node = each.scalar("advertisedPort")
            if own is not None:
                said = f"broker {each.id} will advertise port {port}, and its NodePort is {own}"
            else:
                said = f"broker {each.id} will advertise port {port}, and nothing pins its NodePort"
            outside = port not in NODE_PORTS
            edits: Edits = ()
            if own in NODE_PORTS and not outside and node:
                edits = (replace(node, str(own)),)
            elif own is None and not outside:
                edits = insert(each.node, "nodePort", str(port))
            fix = remedies.say(
                "Advertise the broker's NodePort: leave advertisedPort out, or pin nodePort to it.",
                f"- broker: {each.id}\n  nodePort: {port if not outside else '<NodePort>'}",
                "yaml",
            )
            level = Severity.WARNING if outside else None
            yield mistake(
                listener, said, spot_of(each, "advertisedPort"), fix, level, edits, each.id
            )


@rule(
    "KD622",
    "listener-port-advertised",
    Severity.ERROR,
    "A broker is told to advertise the port inside, not the NodePort",
)
def listener_port_advertised(cluster: Cluster) -> Iterator[Match]:
    """`advertisedPort` of a nodeport listener is the listener's own port, 9094 say. That one is
    open on the pod, inside of Kubernetes; outside, on a node, nothing listens there. Clients dial
    the NodePort, between 30000 and 32767.

    Prove it: `nc -zv NODE 9094`, and the same with the NodePort.
    """
    for listener in cluster.listeners:
        for each in listener.brokers:
            port, own = each.port("advertisedPort"), each.port("nodePort")
            found = entry(each.node, "advertisedPort")
            if listener.type != "nodeport" or port is None or port != listener.port or not found:
                continue
            said = (
                f"broker {each.id} will advertise port {port}: the listener's, which is no NodePort"
            )
            if own is not None and isinstance(found.value, Scalar):
                edits: Edits = (replace(found.value, str(own)),)
            else:
                edits = remove(each.node, found)
            fix = remedies.say(
                "Leave advertisedPort out: the broker advertises its own NodePort then."
            )
            spot = spot_of(each, "advertisedPort")
            yield mistake(listener, said, spot, fix, None, edits, each.id)


@rule(
    "KD623",
    "node-port-not-pinned",
    Severity.WARNING,
    "The port that clients have to dial is left to chance",
)
def node_port_not_pinned(cluster: Cluster) -> Iterator[Match]:
    """A nodeport listener is meant for given addresses, and its bootstrap NodePort is left to
    Kubernetes, which takes any from 30000 to 32767. Clients cannot dial the listener's port: 9094
    is open inside only. And a firewall has to open the whole range, or be changed later.

    Prove it: `kubectl get kafka CLUSTER -o jsonpath='{.status.listeners}'`.
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
        said = (
            f"clients dial a NodePort, and not port {listener.port}; none is pinned, so a firewall "
            "would have to open 30000 to 32767"
        )
        node = get(listener.node, "port") or listener.node
        fix = remedies.pin("<free port, 30000 to 32767>")
        yield mistake(listener, said, node.start, fix)


@rule(
    "KD624",
    "name-not-in-certificate",
    Severity.ERROR,
    "TLS with addresses that no certificate will name",
)
def name_not_in_certificate(cluster: Cluster) -> Iterator[Match]:
    """Clients check that the certificate names what they dial. Strimzi puts the `advertisedHost` of
    a broker in its certificate, and `alternativeNames` in all of them; the addresses of nodes it
    does not. The bootstrap NodePort leads to any broker, so a host that clients bootstrap at has to
    be in all certificates.

    Prove it: `openssl s_client -connect HOST:PORT </dev/null | openssl x509 -noout -text`.
    """
    for listener in cluster.listeners:
        if listener.type != "nodeport" or not listener.tls:
            continue
        if listener.setting("brokerCertChainAndKey", "secretName"):
            continue  # its names are the user's own affair
        hosts, names = listener.hosts(), listener.names()
        template = listener.setting("advertisedHostTemplate")
        if not hosts and not names and not template:
            said = "TLS, and no certificate will name the addresses that clients dial"
            fix = remedies.say(
                "Name what clients dial: for the bootstrap, and for each broker.",
                "configuration:\n  bootstrap:\n    alternativeNames:\n"
                "      - <address that clients bootstrap at>\n  brokers:\n    - broker: <node id>\n"
                "      advertisedHost: <address of this broker>",
                "yaml",
            )
            node = get(listener.node, "tls") or listener.node
            yield mistake(listener, said, node.start, fix)
            continue
        absent = [host for host in hosts if host not in names]
        if len(hosts) > 1 and absent:
            said = (
                f"bootstrap may be answered by any broker, and not every certificate names "
                f"{listed(absent)}"
            )
            lines = "\n".join(f"      - {host}" for host in absent)
            fix = remedies.say(
                "Have all certificates name the addresses that clients bootstrap at:",
                f"configuration:\n  bootstrap:\n    alternativeNames:\n{lines}",
                "yaml",
            )
            spot = spot_of(listener.brokers[0], "advertisedHost")
            yield mistake(listener, said, spot, fix, Severity.WARNING, _named(listener, hosts))


@rule("KD625", "local-traffic-policy", Severity.WARNING, "Only the node with the pod answers")
def local_traffic_policy(cluster: Cluster) -> Iterator[Match]:
    """`externalTrafficPolicy: Local` keeps the client's address, and makes a NodePort answer only
    on the node that the broker's pod runs on; on all others packets vanish. With one host
    advertised for all brokers, all brokers on other nodes are out of reach: an error.

    Prove it: `nc -zv NODE NODEPORT` for every node.
    """
    for listener in cluster.listeners:
        node = get(listener.configuration, "externalTrafficPolicy")
        if not isinstance(node, Scalar) or node.text != "Local":
            continue
        hosts = listener.hosts()
        told = [each for each in listener.brokers if each.host()]
        shared = listener.type == "nodeport" and len(hosts) == 1 and len(told) > 1
        said = "externalTrafficPolicy Local: a NodePort answers on the node of its pod only"
        if shared:
            said += f", and all brokers advertise {hosts[0]}"
        fix = remedies.say(
            "Unless brokers must see the clients' own addresses, let every node answer:",
            "externalTrafficPolicy: Cluster",
            "yaml",
        )
        edits = (replace(node, "Cluster"),) if shared else ()
        yield mistake(listener, said, node.start, fix, Severity.ERROR if shared else None, edits)


@rule(
    "KD626",
    "plaintext-to-the-internet",
    Severity.WARNING,
    "Anybody on the internet can read and write",
)
def plaintext_to_the_internet(cluster: Cluster) -> Iterator[Match]:
    """A listener without TLS and without authentication advertises public addresses. Whoever
    reaches the port reads, writes and deletes, and whoever is in between reads along.

    Let the firewall admit known addresses only, or better: `tls: true` and an authentication.

    Prove it: `kdiag check BOOTSTRAP` without any property passes.
    """
    for listener in cluster.listeners:
        open_to_all = not listener.tls and not listener.authentication
        if not open_to_all or not listener.outside or get(listener.node, "tls") is None:
            continue
        public = [host for host in listener.hosts() if _is_host(host) and _is_public(host)]
        if not public or listener.setting("loadBalancerSourceRanges"):
            continue
        said = f"no TLS and no authentication, advertised to the internet at {listed(public)}"
        fix = remedies.say(
            "Encrypt, and ask who it is:",
            "tls: true\nauthentication:\n  type: scram-sha-512",
            "yaml",
        )
        node = get(listener.node, "tls") or listener.node
        yield mistake(listener, said, node.start, fix)


def _told(
    cluster: Cluster, empty: bool = False
) -> Iterator[tuple[StrimziListener, BrokerEntry, str]]:
    """Every broker that is told what to advertise to clients outside."""
    for listener in cluster.listeners:
        if not listener.outside:
            continue
        for each in listener.brokers:
            found = get(each.node, "advertisedHost")
            if isinstance(found, Scalar) and (found.text.strip() or (empty and not is_null(found))):
                yield listener, each, found.text.strip()


def _at(listener: StrimziListener, each: BrokerEntry, said: str) -> Match:
    fix = remedies.advertise_instead(each.id, each.host())
    return mistake(listener, said, spot_of(each, "advertisedHost"), fix, broker=each.id)


def _is_host(host: str) -> bool:
    return parse(host) is not None or not set(host) & set(":/ @[]")


def _bare(host: str) -> str:
    """The host of a URL, or of an address with its port."""
    rest = host.partition("://")[2] or host
    rest = rest.partition("/")[0]
    name = rest.rpartition(":")[0] if rest.count(":") == 1 else rest
    return name if name and _is_host(name) else ""


def _is_public(host: str) -> bool:
    if is_private(host) or is_loopback(host) or is_unusable(host, 1):
        return False
    return internal_name(host) is None


def _named(listener: StrimziListener, hosts: list[str]) -> Edits:
    """The alternative names with these hosts, where there are none yet."""
    bootstrap = get(listener.configuration, "bootstrap")
    if listener.names() or not isinstance(listener.configuration, Map):
        return ()
    lines = "".join(f"\n  - {host}" for host in hosts)
    if bootstrap is None:
        nested = "".join(f"\n    - {host}" for host in hosts)
        return insert(listener.configuration, "bootstrap", f"\n  alternativeNames:{nested}")
    if isinstance(bootstrap, Map) and entry(bootstrap, "alternativeNames") is None:
        return insert(bootstrap, "alternativeNames", lines)
    return ()
