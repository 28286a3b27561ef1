"""KD616 to KD620 and KD626, the addresses that brokers will advertise."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.address import internal_name, is_loopback, is_private, is_unusable
from kdiag.config.snippet import unknown
from kdiag.lint import observed_fix, remedies
from kdiag.lint.broker import ADVERTISED, MAP, ConfiguredBroker, Value, is_variable
from kdiag.lint.edit import Edit, Edits, replace
from kdiag.lint.resources import bare, certifiable
from kdiag.lint.rules.advertised import (
    AdvertisedListener,
    advertised_listeners,
    broker_mistake,
    is_host,
    is_public,
    proven_address,
)
from kdiag.lint.rules.strimzi import listener_mistake, spot_of
from kdiag.lint.strimzi import BrokerEntry, StrimziCluster, StrimziListener
from kdiag.lint.tree import Scalar, Spot, get, is_null
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed, once


@rule(
    "KD616",
    "advertises-private",
    Severity.WARNING,
    "A broker is configured to advertise a private address",
)
def advertises_private(
    cluster: StrimziCluster | None, broker: ConfiguredBroker | None
) -> Iterator[Match]:
    """The advertised host is an address that only its own network reaches: 10.…, 172.16.…,
    192.168.…, or a carrier's. Clients inside of that network, or in a VPN to it, are well served;
    all others get a timeout for every broker, after a bootstrap that worked.

    A container's own address on its network, `ipv4_address`, is private in that sense too: other
    containers reach it, and on Linux their host.

    Prove it: `kdiag check BOOTSTRAP` from where the clients are.

    How to fix: advertise an address that clients outside can reach, in a listener of its own. Where
    all clients are inside of that network, nothing has to change.
    """
    for listener, entry, host in _advertised_hosts(cluster):
        if is_private(host):
            message = f"broker {entry.id} will advertise {host}, which is private"
            yield _at(listener, entry, message)
    for advertised in _advertised(broker):
        if not is_private(advertised.host):
            continue
        message = f"{advertised.address.name} will advertise {advertised.host}, which is "
        if advertised.host in advertised.broker.own and not advertised.clients:
            yield _of(advertised, f"{message}its own address on the network of the containers")
        elif not advertised.inward:
            yield _of(advertised, f"{message}private")


@rule(
    "KD617",
    "advertises-loopback",
    Severity.ERROR,
    "A broker is configured to advertise the client's own machine",
)
def advertises_loopback(
    cluster: StrimziCluster | None, broker: ConfiguredBroker | None
) -> Iterator[Match]:
    """The advertised host is localhost, or 127.…: every client that follows it dials itself. It is
    an error where the files show such a client: another service of a Compose file that bootstraps
    at this listener, the other pods of Kubernetes, the other nodes of the cluster.

    On a cluster that lives on the developer's own machine (kind, minikube, Docker) with its ports
    published there, that is meant, and works from there only: a warning, as `advertisedHost` of
    Strimzi is, which is for clients outside. Other containers need a listener of their own, which
    advertises the service's name.

    Prove it: `kdiag check BOOTSTRAP` from another machine.

    How to fix: advertise a name that the client can reach: for other containers the service's name,
    for other machines the host's name or address.
    """
    for listener, entry, host in _advertised_hosts(cluster):
        if is_loopback(host):
            message = f"broker {entry.id} will advertise {host}: the client itself"
            yield _at(listener, entry, message, Severity.WARNING)
    for advertised in _advertised(broker):
        if is_loopback(advertised.host):
            yield from _loopback(advertised)


@rule(
    "KD618",
    "advertises-nothing",
    Severity.ERROR,
    "A broker is configured to advertise an unusable address",
)
def advertises_nothing(
    cluster: StrimziCluster | None, broker: ConfiguredBroker | None
) -> Iterator[Match]:
    """The advertised host is empty, 0.0.0.0, or not a host at all: a URL, or an address with its
    port. Kafka refuses 0.0.0.0, and for an empty host it takes the name of its machine: a
    container's id.

    In Strimzi `advertisedHost` is the host alone; the port has a field of its own. Where the
    listener has TLS, the operator makes a certificate with it and refuses a name with `_` in it.

    Prove it: `kubectl get kafka CLUSTER -o jsonpath='{.status.listeners}'`.

    How to fix: write the host alone in `advertisedHost`, and the port in `advertisedPort`; in
    `advertised.listeners` write NAME://HOST:PORT.
    """
    for listener, entry, host in _advertised_hosts(cluster, empty=True):
        node = entry.scalar("advertisedHost")
        if not host or is_unusable(host, 1):
            message = (
                f"broker {entry.id} will advertise {host or 'no host'}, which no client can dial"
            )
            yield _at(listener, entry, message)
        elif node and not (is_host(host) and (certifiable(host) or not listener.tls)):
            if is_variable(host) and "<" not in host:
                continue
            alone = bare(host)
            message = f"broker {entry.id}: {host} is no host name and no address"
            if is_host(host):
                message = (
                    f"broker {entry.id}: the operator refuses {host}, of which no certificate "
                )
                message += "can be made: a host name has letters, digits, hyphens and dots"
            edits: Edits = (replace(node, alone),) if alone else ()
            fix = remedies.say(
                "Write the host alone:",
                "advertisedHost: {host}",
                "yaml",
                host=alone or unknown("host"),
            )
            spot = spot_of(entry, "advertisedHost")
            level = Severity.WARNING if is_variable(host) else None
            yield listener_mistake(listener, message, spot, fix, level, edits, entry.id)
    for advertised in _advertised(broker):
        name = advertised.address.name
        if advertised.host and is_unusable(advertised.host, 1):
            level = None if advertised.broker.kafka else Severity.WARNING
            message = f"{name} will advertise {advertised.host}, which no client can dial"
            yield _of(advertised, message, level)
        elif not advertised.host and not advertised.inward:
            own = _own_name(advertised.broker) or "the name of its host"
            message = f"{name} advertises no host: clients are sent to {own}"
            fatal = advertised.dedicated and not advertised.broker.hostname
            yield _of(advertised, message, None if fatal else Severity.WARNING)


@rule(
    "KD619",
    "advertises-internal-name",
    Severity.WARNING,
    "A broker is configured to advertise an internal name",
)
def advertises_internal_name(
    cluster: StrimziCluster | None, broker: ConfiguredBroker | None
) -> Iterator[Match]:
    """The advertised host is a name that only its own network resolves: a Kubernetes service, a
    private DNS name of EC2, a bare host name.

    A container that publishes such a listener serves other containers well, those of other Compose
    files too. Clients outside need an entry in their hosts file, or better a listener of their own.

    Prove it: `getent ahosts NAME` from where the clients are.

    How to fix: advertise a name that clients outside can resolve, in a listener of its own.
    """
    for listener, entry, host in _advertised_hosts(cluster):
        kind = internal_name(host) if is_host(host) else None
        if kind:
            yield _at(listener, entry, f"broker {entry.id} will advertise {host}, {kind}")
    for advertised in _advertised(broker):
        kind = internal_name(advertised.host)
        if advertised.inward or advertised.spared or kind is None:
            continue
        if advertised.broker.container:
            published = f"{advertised.address.name} is published as {advertised.ports[0]}"
            message = f"{published}, and advertises {advertised.host}"
            yield _of(advertised, f"{message}, which only containers know")
        else:
            yield _of(
                advertised, f"{advertised.address.name} will advertise {advertised.host}, {kind}"
            )


@rule(
    "KD620",
    "advertises-node-address",
    Severity.WARNING,
    "Brokers advertise the address of their node",
)
def advertises_node_address(
    cluster: StrimziCluster | None, broker: ConfiguredBroker | None
) -> Iterator[Match]:
    """A nodeport listener without `advertisedHost`: each broker advertises the address of the node
    that it runs on, the first there is of ExternalDNS, ExternalIP, InternalDNS, InternalIP and
    Hostname, unless `preferredNodePortAddressType` says otherwise.

    On EC2 with AWS's cloud provider that is the public name where the node has one, and
    `ip-10-….compute.internal` where it has none. On k3s, kubeadm and kind it is the private
    address. It moves when the pod moves.

    A broker without `advertised.listeners` does the like: it advertises what `listeners` says, and
    the name of its machine where that has no host. In a container that is the container's id.

    Prove it: `kubectl get nodes -o wide`.

    How to fix: set `advertisedHost` for each broker, or `preferredNodePortAddressType` to the kind
    of address that clients can reach; without Strimzi, set `advertised.listeners`.
    """
    if cluster:
        yield from _of_nodes(cluster)
    if broker:
        yield from _unsaid(broker)


@rule(
    "KD626",
    "plaintext-to-the-internet",
    Severity.WARNING,
    "Anybody on the internet can read and write",
)
def plaintext_to_the_internet(
    cluster: StrimziCluster | None, broker: ConfiguredBroker | None
) -> Iterator[Match]:
    """A listener without TLS and without authentication advertises public addresses. Anyone who
    reaches the port can read, write and delete, and anyone on the path can read the data.

    Let the firewall admit known addresses only, or better: `tls: true` and an authentication.

    Prove it: `kdiag check BOOTSTRAP` without any property passes.

    How to fix: set `tls: true` and an authentication on the listener, and let the firewall admit
    known addresses only.
    """
    for listener in cluster.listeners if cluster else ():
        open_to_all = not listener.tls and not listener.authentication
        if not open_to_all or not listener.outside or get(listener.node, "tls") is None:
            continue
        public = [host for host in listener.hosts() if is_public(host)]
        if not public or listener.setting("loadBalancerSourceRanges"):
            continue
        message = f"no TLS and no authentication, advertised to the internet at {listed(public)}"
        fix = remedies.say(
            "Turn on TLS and authentication:",
            "tls: true\nauthentication:\n  type: scram-sha-512",
            "yaml",
        )
        node = get(listener.node, "tls") or listener.node
        yield listener_mistake(listener, message, node.start, fix)
    for advertised in advertised_listeners(broker) if broker else ():
        speaks = advertised.broker.protocol(advertised.address.name)
        if speaks == "PLAINTEXT" and is_public(advertised.host) and not advertised.inward:
            name, host = advertised.address.name, advertised.host
            message = f"{name} is plaintext without a login, advertised at {host}"
            pairs = {**advertised.broker.protocols, name: "SASL_SSL"}
            value = ",".join(f"{each}:{protocol}" for each, protocol in pairs.items() if each)
            fix = remedies.setting(MAP, value, "turn on TLS and authentication")
            yield broker_mistake(advertised.broker, message, advertised.spot, fix)


def _of_nodes(cluster: StrimziCluster) -> Iterator[Match]:
    """Listeners whose brokers advertise the addresses of their nodes."""
    for listener in cluster.listeners:
        if listener.type != "nodeport" or listener.setting("advertisedHostTemplate"):
            continue
        if any(each.host() for each in listener.brokers):
            continue  # KD612 has those that are left out
        preferred = listener.setting("preferredNodePortAddressType")
        found = once(node.advertised(preferred) for node in cluster.context.nodes)
        inside = [host for host in found if host and (is_private(host) or internal_name(host))]
        if cluster.context.nodes and not inside:
            continue
        if inside:
            message = f"brokers will advertise the addresses of their nodes: {listed(inside)}"
        elif preferred in ("ExternalIP", "ExternalDNS"):
            continue
        else:
            message = "no advertisedHost: each broker will advertise the address of its node"
        if listener.live and all(each.works for each in listener.live.brokers):
            continue
        edits = observed_fix.entries(listener, listener.live.nodes) if listener.live else ()
        fix = (
            remedies.entries(cluster.brokers, True)
            if cluster.brokers
            else remedies.say(
                "Give every broker an advertisedHost that clients reach:",
                "brokers:\n  - broker: <node id>\n    advertisedHost: <address that clients reach>",
                "yaml",
            )
        )
        yield listener_mistake(listener, message, listener.node.start, fix, edits=edits)


def _advertised(broker: ConfiguredBroker | None) -> Iterator[AdvertisedListener]:
    return (
        (each for each in advertised_listeners(broker) if not each.proven) if broker else iter(())
    )


def _of(advertised: AdvertisedListener, message: str, severity: Severity | None = None) -> Match:
    fix = remedies.setting(ADVERTISED, advertised.host_instead(), "advertise instead")
    return broker_mistake(
        advertised.broker, message, advertised.spot, fix, severity, advertised.put_right()
    )


def _loopback(advertised: AdvertisedListener) -> Iterator[Match]:
    """localhost is right for a port that a container publishes to its own host, beside another
    listener for the other containers; and for a broker that is all on one machine."""
    broker, name = advertised.broker, advertised.address.name
    message = f"{name} will advertise {advertised.host}{advertised.by_default}: the client itself"
    # A host that is a variable may be any: it is no localhost of this file.
    serving = [each for each in broker.advertised if each.name not in broker.controllers]
    others = [each for each in serving if not is_loopback(each.host)]
    hosts = {host for host in _quorum(broker) if not is_loopback(host)}
    if advertised.clients:
        dial = "bootstrap" if len(advertised.clients) > 1 else "bootstraps"
        yield _of(advertised, f"{message}, for {listed(advertised.clients)}, which {dial} there")
    elif len(hosts) > 1 and name == broker.inter_broker:
        yield _of(advertised, f"{message}, for the other nodes of the cluster too")
    elif broker.on_host or others or (name == broker.inter_broker and len(broker.advertised) > 1):
        return
    elif advertised.value.implied and advertised.ports:
        return  # an image that is made to be tried on one's own machine
    elif not broker.container:
        yield _of(advertised, f"{message}, so it works on this machine alone", Severity.WARNING)
    elif broker.published is None and not broker.neighbours and not broker.names:
        yield _of(advertised, f"{message}, for every other pod")
    elif (not others and not broker.complete) or not advertised.ports or broker.neighbours:
        yield _of(advertised, message, Severity.WARNING)
    else:
        yield _of(advertised, f"{message}, so it works on its own host alone", Severity.WARNING)


def _quorum(broker: ConfiguredBroker) -> set[str]:
    """The hosts of the controller quorum."""
    told_ = (broker.get(f"controller.quorum.{name}") for name in ("voters", "bootstrap.servers"))
    items = (each.strip().rpartition("@")[2] for value in told_ for each in value.split(","))
    return {
        each.rpartition(":")[0].strip("[]") for each in items if ":" in each and "$" not in each
    }


def _own_name(broker: ConfiguredBroker) -> str:
    """The host name of a container, "" for a broker outside of containers."""
    return "the container's id, or its hostname" if broker.container else ""


def _unsaid(broker: ConfiguredBroker) -> Iterator[Match]:
    """KD620 for a broker without advertised.listeners, which advertises its listeners or its host
    name."""
    value = broker.settings.get("listeners")
    if not broker.is_broker or broker.get(ADVERTISED) or broker.get("advertised.host.name"):
        return
    if value is None or value.opaque or not broker.complete:
        return
    serving = [each for each in broker.listeners if each.name not in broker.controllers]
    one_listener = len(serving) == 1 and not broker.container
    inner = any(not broker.outside(each) for each in serving)
    every = [
        proven_address(broker, x) or f"{x.name}://<address that clients reach>:{x.port}"
        for x in serving
    ]
    fix = remedies.setting(ADVERTISED, ",".join(every), "say")
    for each in serving:
        there = proven_address(broker, each)
        edits = _line_behind(value, f"{ADVERTISED}={there}") if there and one_listener else ()
        spot = value.spot(each.begin)
        published = broker.outside(each)
        if each.host and is_unusable(each.host, 1):
            message = f"no advertised.listeners, and {each.host} cannot be advertised"
            refused = Severity.ERROR if broker.kafka else Severity.WARNING
            yield broker_mistake(broker, message, spot, fix, refused, edits)
        elif not each.host and (published or not broker.container):
            own = _own_name(broker) or "the name that its host has"
            message = f"no advertised.listeners: {each.name} will advertise {own}"
            used = any(client.port == each.port for client in broker.clients)
            fatal = published and inner and not used and not broker.hostname
            level = Severity.ERROR if fatal else None
            yield broker_mistake(broker, message, spot, fix, level, edits)


def _line_behind(value: Value, text: str) -> Edits:
    """Edits that add a line with another setting after a value."""
    spot = Spot(value.start.line + 1, 1)
    return (Edit(spot, spot, f"{text}\n"),) if value.exact else ()


def _advertised_hosts(
    cluster: StrimziCluster | None, empty: bool = False
) -> Iterator[tuple[StrimziListener, BrokerEntry, str]]:
    """The entries of Strimzi's brokers with an advertised host for clients outside."""
    for listener in cluster.listeners if cluster else ():
        if not listener.outside:
            continue
        for entry in listener.brokers:
            found = get(entry.node, "advertisedHost")
            if isinstance(found, Scalar) and (found.text.strip() or (empty and not is_null(found))):
                observed = listener.observed(entry.id)
                if observed and observed.reached and observed.reached.host == found.text.strip():
                    continue  # it has been seen to work
                yield listener, entry, found.text.strip()


def _at(
    listener: StrimziListener, entry: BrokerEntry, message: str, severity: Severity | None = None
) -> Match:
    fix = remedies.advertise_instead(entry.id, entry.host())
    edits = observed_fix.advertised(listener, entry)
    spot = spot_of(entry, "advertisedHost")
    return listener_mistake(listener, message, spot, fix, severity, edits, entry.id)
