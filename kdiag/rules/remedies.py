"""The fixes that the rules of hops 1 to 4 propose, one function each, with real values filled in.

A fix never invents an address: a value that kdiag does not know is a placeholder, <like this>.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kdiag.address import is_loopback, is_private, parse
from kdiag.config.mechanisms import MECHANISMS
from kdiag.config.settings import Endpoint
from kdiag.config.snippet import Snippet, fill, namespace, path, resource, unknown
from kdiag.rules.client import ClientSystem
from kdiag.rules.matching import MatchingProperties, matching, preferred, showing, trusting
from kdiag.rules.platform import Kind, Platform
from kdiag.rules.rule import Remedy, remedy
from kdiag.walk.facts.listeners import Listener

MANY_PORTS = 6

say = remedy

# A host comes from a peer, and a user copies it into a file: only these characters are allowed.
_HOST_NAME = re.compile(r"[\w.-]+\Z")
_HOST = re.compile(r"[\w.:-]+\Z")


def tool(name: str, server: Endpoint, secured: bool) -> Snippet:
    """The start of a command with one of Kafka's own tools. Where the listener is `secured` it has
    --command-config: without properties the tool would hang instead of failing."""
    properties = " --command-config <administrator.properties>" if secured else ""
    return fill(
        "shell",
        "{name} --bootstrap-server {server}{properties}",
        name=name,
        server=str(server),
        properties=Snippet(properties),
    )


def route_by_name(hosts: Sequence[str]) -> Remedy:
    """The fix for a server that routes by the name in the TLS handshake."""
    if all(parse(host) for host in hosts):
        return Remedy(
            "Dial the server by a name, and not by its address: TLS sends no name for an address, "
            "so a server that routes by name (SNI) cannot route it."
        )
    return Remedy(
        f"Add a route for {', '.join(hosts[:MANY_PORTS])} to the proxy that routes by name (SNI), "
        "or use a name that it has a route for."
    )


def join_the_network(listeners: Sequence[Listener]) -> Remedy:
    """The fix on the client's side: run the client in the network where the address works."""
    example = listeners[0].broker.advertised.host
    return Remedy(
        f"Or run the client where {example} can be reached: inside that network, or over a VPN to "
        "it. Forwarding ports one by one does not help, the client follows the advertised address."
    )


def hosts_file(listeners: Sequence[Listener], client: ClientSystem) -> tuple[Remedy, ...]:
    """A workaround for names that only the cluster's network resolves: lines of the hosts file with
    the proven addresses. Empty where no address with the same port is proven."""
    lines = [
        fill(
            "hosts",
            "{address}  {host}",
            address=listener.proven.best.address,
            host=listener.broker.advertised.host,
        )
        for listener in listeners
        if listener.proven
        and listener.proven.best
        and listener.proven.endpoint.port == listener.broker.advertised.port
        and _HOST_NAME.match(listener.broker.advertised.host)
    ]
    if not lines:
        return ()
    summary = (
        f"Until then, {client.hosts_file} on this client makes the names lead to the same brokers:"
    )
    return (Remedy(summary, "\n".join(lines), "hosts"),)


def open_port(endpoints: Sequence[Endpoint], source: str) -> Remedy:
    """The fix for dropped packets: allow TCP from `source`, the client's address, to the
    endpoints."""
    targets = ", ".join(str(endpoint) for endpoint in endpoints[:MANY_PORTS])
    if len(endpoints) > MANY_PORTS:
        targets += f" and {len(endpoints) - MANY_PORTS} more"
    who = f" from {source}" if source and not is_loopback(source) else " from this client"
    behind_nat = " (or its public address after NAT)" if source and is_private(source) else ""
    return Remedy(
        f"Allow TCP{who}{behind_nat} to {targets}: in the security group, the network ACL, the "
        "firewall of the host, or the NodePort's firewall rule. A port that drops packets looks "
        "like this; a closed port refuses the connection."
    )


def start_or_map(endpoints: Sequence[Endpoint]) -> Remedy:
    """The fix for a closed port: start the broker, or correct the port mapping."""
    port = endpoints[0].port
    return remedy(
        "The host answers, but the port is closed. Check on the host that the broker runs and "
        "listens on that port, and that containers, Services and load balancers forward the "
        "advertised port under the same number.",
        "ss -ltn {filter!q}",
        filter=f"sport = :{port}",
    )


def use_outside_listener(known: Sequence[str], platform: Platform) -> tuple[Remedy, ...]:
    """The fix for a client that uses an internal listener; `known` are the listeners for clients
    outside that a configuration file declares."""
    if known:
        return (Remedy(f"Connect to a listener for clients outside: {'; '.join(known)}"),)
    add = Remedy(
        "If there is none, add one (type nodeport, loadbalancer, ingress or route), with an "
        "address for each broker; forwarding the port of one Service is not enough."
    )
    if platform.kind is not Kind.STRIMZI:
        services = "kubectl get services --all-namespaces"
        where = "Connect to the listener for clients outside; its Service is one of these:"
        return (Remedy(where, services, "shell"), add)
    listeners = say(
        "Connect to the listener for clients outside; Strimzi lists each with the address to use:",
        "kubectl get kafka {cluster} -n {namespace} -o jsonpath='{{.status.listeners}}'",
        cluster=resource(platform.cluster, "cluster"),
        namespace=namespace(platform.namespace),
    )
    return (listeners, add)


def check_name(host: str, client: ClientSystem) -> Remedy:
    """The fix for a host name that does not resolve."""
    summary = (
        f"Check the spelling of {host}, and that this machine asks a DNS server that knows it."
    )
    return client.remedy(summary, "resolve", host=host)


def check_resolver(host: str, client: ClientSystem) -> Remedy:
    """The fix for a resolver that failed."""
    summary = (
        "The DNS server failed or did not answer; the name may well be right. Check "
        f"{client.resolver_settings}, the VPN and the zone's servers, then try again."
    )
    return client.remedy(summary, "resolve", host=host)


def pick_family(family: str) -> Remedy:
    """The fix where only `family` ("v4" or "v6") works."""
    return remedy(
        f"Let the client use the family that works: librdkafka has broker.address.family={family}; "
        f"Java has -Djava.net.preferIPv{family[1]}Stack=true. Or make the broker listen on both, "
        "or remove the other record from DNS.",
        "broker.address.family={family}",
        "ini",
        family=family,
    )


def client_properties(
    protocol: str, mechanisms: Sequence[str], current: str = "", certificate: bool = False
) -> tuple[Remedy, ...]:
    """The client properties that match a listener, in Java's and in librdkafka's spelling.

    The SASL mechanism is the client's `current` one where the listener offers it, else the best
    offered one; `certificate` adds a client certificate.
    """
    mechanism = current if current in mechanisms else preferred(mechanisms)
    spellings = matching(protocol or "SSL", mechanism, certificate)
    choice = f" (it offers {', '.join(mechanisms)})" if len(mechanisms) > 1 else ""
    return spelled(f"Set the client to what the listener speaks{choice}", spellings)


def trust(
    endpoint: Endpoint, ca_from: str, incomplete: bool, self_signed: bool, client: ClientSystem
) -> tuple[Remedy, ...]:
    """The fixes for an untrusted certificate: the client trusts its authority.

    `ca_from` is the property that names the client's trust store ("property=file", "" for the
    machine's own). `incomplete`: the broker sends its own certificate alone, so it may have to send
    the whole chain. `self_signed`: the certificate has no other authority.
    """
    now = (
        f"The client trusts {ca_from} now." if ca_from else "The client trusts this machine's own."
    )
    what = (
        "Give the client this certificate, and that of every other broker; or give the brokers "
        "certificates by one authority, and the client that authority's."
        if self_signed
        else "Give the client the certificate of the authority that issued the broker's."
    )
    name, _, store = ca_from.partition("=")
    authority = spelled(f"{what} {now}".rstrip("."), trusting(), name)
    if name == "ssl.truststore.location" and not store.endswith((".pem", ".crt", ".cer")):
        authority = (
            say(
                f"{what} {now} To add it there:",
                "keytool -importcert -alias kafka-ca -file <the CA's certificate.pem> "
                "-keystore {store}",
                client.kind,
                store=path(store),
            ),
        )
    send_chain = say(
        "If the issuer is an intermediate authority, let the broker send its whole chain: its own "
        "certificate first, then each one between it and the root, in ssl.keystore."
    )
    compare = client.remedy(
        "What the broker sends, to compare, or to take the authority from once you know it is the "
        "right one:",
        "certificates",
        endpoint=str(endpoint),
    )
    return (*authority, *((send_chain,) if incomplete else ()), compare)


def certificate_names(
    hosts: Sequence[str], names: Sequence[str], strimzi: bool
) -> tuple[Remedy, ...]:
    """The fixes for a certificate that is for other `names` than the dialled `hosts`: a certificate
    with these hosts, or clients that dial one of the names. `strimzi`: Strimzi issued it."""
    safe = [host if _HOST.match(host) else "<the name that clients dial>" for host in hosts]
    wanted = "\n".join(fill("yaml", "  - {host}", host=host) for host in safe)
    add_names = Remedy(
        "Add the names that clients dial to the certificate, as subject alternative names (IP "
        "addresses as IP entries):",
        "\n".join(f"{'IP' if parse(host) else 'DNS'}:{host}" for host in safe),
    )
    if strimzi:
        add_names = Remedy(
            "Add the names to the listener; Strimzi issues new certificates then (advertisedHost "
            "does the same for one broker):",
            "configuration:\n  bootstrap:\n    alternativeNames:\n"
            + "\n".join(f"    {line}" for line in wanted.splitlines()),
            "yaml",
        )
    usable = [name for name in names if "*" not in name and not is_loopback(name)]
    use_name = (say(f"Or dial, and advertise, a name that it has: {', '.join(usable[:6])}."),)
    return (add_names, *(use_name if usable else ()))


def client_certificate(shown: bool) -> tuple[Remedy, ...]:
    """The fixes for a refused client certificate, or for a missing one (`shown` is false)."""
    summary = (
        "Show a certificate by an authority that the broker trusts (ssl.truststore on the broker, "
        "Strimzi: the clients CA), valid today"
        if shown
        else "Give the client its certificate and key"
    )
    return spelled(summary, showing())


def spelled(summary: str, properties: MatchingProperties, current: str = "") -> tuple[Remedy, ...]:
    """Client properties for Java and for librdkafka, which do not take each other's; first the
    spelling of the `current` property."""
    java = Remedy(f"{summary}; in Java:", properties.java, "properties")
    other = Remedy(f"{summary}; in librdkafka (Python, Go, .NET, …):", properties.librdkafka, "ini")
    return (other, java) if current == "ssl.ca.location" else (java, other)


def credentials(mechanism: str, user: str, endpoint: str, server: Endpoint) -> Remedy:
    """The fix for refused credentials, or for a token that could not be fetched, by mechanism.
    `endpoint` is the token endpoint, "" without one."""
    known = MECHANISMS.get(mechanism, MECHANISMS["PLAIN"])
    at_endpoint = "client id, client secret and scope at the token endpoint, then "
    summary = known.refused.format(
        mechanism=mechanism, host=server.host, at_endpoint=at_endpoint if endpoint else ""
    )
    if not known.command:
        return say(summary)
    configs = tool("kafka-configs.sh", server, True)
    return say(summary, known.command, tool=configs, user=user or unknown("user"))


# For a client that dials a KRaft controller.
BROKER_PORT = Remedy(
    "Use the port of a broker listener: one that `listeners` in server.properties has and "
    "`controller.listener.names` has not. Clients never talk to a KRaft controller."
)

# What lets large packets pass, in both directions.
PACKETS = Remedy(
    "Let ICMP 'fragmentation needed' (IPv6: 'packet too big') through, or make the packets "
    "smaller: lower the MTU of the interface or tunnel, or clamp TCP's MSS on the router:",
    "iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
    "shell",
)
