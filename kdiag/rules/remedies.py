"""The fixes that the rules of hops 1 to 4 propose, one function each, with real values filled in.

A fix never invents an address: a value that kdiag does not know is a placeholder, <like this>.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from kdiag.address import is_loopback, is_private, parse
from kdiag.config.mechanisms import MECHANISMS
from kdiag.config.settings import Endpoint
from kdiag.config.snippet import OTHER_ENTRIES, Snippet, fill, path, unknown
from kdiag.rules.client import ClientSystem
from kdiag.rules.matching import matching, preferred
from kdiag.rules.rule import Remedy
from kdiag.walk.facts.listeners import Listener

NODE_PORTS = range(30000, 32768)
MANY_PORTS = 6

# A host comes from a peer, and a user copies it into a file: only these characters are allowed.
_HOST_NAME = re.compile(r"[\w.-]+\Z")
_HOST = re.compile(r"[\w.:-]+\Z")


def advertise(
    listeners: Sequence[Listener], public: Mapping[int, Endpoint] = MappingProxyType({})
) -> tuple[Remedy, ...]:
    """The fix for wrong advertised addresses, for server.properties and for Strimzi. Each broker
    gets its proven address, else its address in `public` (node id → address, from a cloud's API),
    else a placeholder."""
    ends = "Leave the inter-broker listener as it is."
    where = "on the listener for outside clients"
    if all(listener.proven for listener in listeners):
        summary = (
            f"Advertise these addresses {where}; each was dialled from here and its broker "
            f"answered. {ends}"
        )
    elif all(x.proven or x.broker.node in public for x in listeners):
        summary = (
            f"Advertise these addresses {where}; they are the brokers' own, as AWS says, but not "
            f"all of them answer from here yet. {ends}"
        )
    else:
        summary = f"Advertise an address that clients outside can reach, {where}. {ends}"
    ordered = (strimzi, properties) if _node_ports(listeners) else (properties, strimzi)
    return tuple(build(listeners, summary, public) for build in ordered)


def properties(
    listeners: Sequence[Listener], summary: str, public: Mapping[int, Endpoint]
) -> Remedy:
    """The advertised.listeners line of every broker."""
    lines = ["# server.properties; EXTERNAL: your listener for clients outside"]
    for listener in listeners:
        lines.append(advertising(listener.broker.node, better(listener, public)))
    return Remedy(summary, "\n".join(lines), "properties")


def advertising(node: int, address: str) -> Snippet:
    """The advertised.listeners line of one broker; `address` is `host:port`. Its other listeners
    stay in the line: without them Kafka does not start."""
    line = "# broker {node}\n{entries}EXTERNAL://{address}"
    return fill("properties", line, node=node, entries=Snippet(OTHER_ENTRIES), address=address)


def strimzi(listeners: Sequence[Listener], summary: str, public: Mapping[int, Endpoint]) -> Remedy:
    """The brokers[] entries of a Strimzi listener."""
    lines = ["# Kafka resource: the external entry of spec.kafka.listeners[]"]
    lines += ["configuration:", "  brokers:"]
    for listener in listeners:
        host, _, port = better(listener, public).rpartition(":")
        entry = "    - broker: {node}\n      advertisedHost: {host}\n      advertisedPort: {port}"
        values = {"host": host.strip("[]"), "port": Snippet(port)}
        lines.append(fill("yaml", entry, node=listener.broker.node, **values))
    if _node_ports(listeners):
        return Remedy(summary, "\n".join(lines), "yaml")
    return Remedy("With Strimzi, the same in the Kafka resource:", "\n".join(lines), "yaml")


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


def advertised(listener: Listener, node: int) -> str:
    """The `host:port` that a broker advertises now. The host is a placeholder that names `node`
    where the advertised one has characters that may not be copied into a file."""
    endpoint = listener.broker.advertised
    if _HOST.match(endpoint.host):
        return str(endpoint)
    return f"<reachable address of broker {node}>:{endpoint.port}"


def ports_of_their_own(listeners: Sequence[Listener]) -> Remedy:
    """The fix for brokers that share an address: one advertised address or port for each."""
    lines: list[str] = []
    for listener in listeners:
        node = listener.broker.node
        host, _, _ = advertised(listener, node).rpartition(":")
        lines.append(advertising(node, f"{host}:<port of broker {node}>"))
    return Remedy(
        "Give every broker an address or a port of its own, and advertise it: one load balancer "
        "port or NodePort for each broker, beside the one for bootstrap:",
        "\n".join(lines),
        "properties",
    )


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


def join_the_network(listeners: Sequence[Listener]) -> Remedy:
    """The fix on the client's side: run the client in the network where the address works."""
    example = listeners[0].broker.advertised.host
    return Remedy(
        f"Or run the client where {example} can be reached: inside that network, or over a VPN to "
        "it. Forwarding ports one by one does not help, the client follows the advertised address."
    )


def publish_two_listeners(listeners: Sequence[Listener]) -> Remedy:
    """The fix for Docker: one listener for the containers, and one for clients outside."""
    first = listeners[0]
    port = first.broker.advertised.port
    inside = 29092 if port != 29092 else 29093
    snippet = fill(
        "yaml",
        "# broker {node}; publish {port}:{port}, the same number on both sides\n"
        "KAFKA_LISTENERS: INTERNAL://:{inside},EXTERNAL://:{port},CONTROLLER://:9093\n"
        "KAFKA_ADVERTISED_LISTENERS: INTERNAL://<container name>:{inside},EXTERNAL://{address}\n"
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: "
        "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
        "KAFKA_INTER_BROKER_LISTENER_NAME: INTERNAL",
        node=first.broker.node,
        port=port,
        inside=inside,
        address=better(first),
    )
    return Remedy("In Docker, give outside clients a listener of their own:", snippet, "yaml")


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
    behind_nat = " (or the public address it leaves by)" if source and is_private(source) else ""
    return Remedy(
        f"Allow TCP{who}{behind_nat} to {targets}: in the security group, the network ACL, the "
        "firewall of the host, or the NodePort's firewall rule. A port that drops packets looks "
        "like this; a closed port refuses the connection."
    )


def start_or_map(endpoints: Sequence[Endpoint]) -> Remedy:
    """The fix for a closed port: start the broker, or correct the port mapping."""
    port = endpoints[0].port
    return Remedy(
        "The host answers, but the port is closed. Check on the host that the broker runs and "
        "listens on that port, and that containers, Services and load balancers forward the "
        "advertised port under the same number.",
        fill("shell", "ss -ltn {filter!q}", filter=f"sport = :{port}"),
        "shell",
    )


def use_outside_listener(known: Sequence[str] = ()) -> tuple[Remedy, ...]:
    """The fix for a client that uses an internal listener; `known` are the listeners for clients
    outside that a configuration file declares."""
    if known:
        return (Remedy(f"Connect to a listener for clients outside: {'; '.join(known)}"),)
    return (
        Remedy(
            "Connect to the listener for clients outside; Strimzi lists each with the "
            "address to use:",
            "kubectl get kafka <cluster> -o jsonpath='{.status.listeners}'",
            "shell",
        ),
        Remedy(
            "If there is none, add one (type nodeport, loadbalancer, ingress or route), with an "
            "address for each broker; forwarding the port of one Service is not enough."
        ),
    )


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
    return Remedy(
        f"Let the client use the family that works: librdkafka has broker.address.family={family}; "
        f"Java has -Djava.net.preferIPv{family[1]}Stack=true. Or make the broker listen on both, "
        "or take the other record out of DNS.",
        fill("properties", "broker.address.family={family}", family=family),
        "properties",
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
    return (
        Remedy(
            f"Set the client to what the listener speaks{choice}; in Java:",
            spellings.java,
            "properties",
        ),
        Remedy("For librdkafka (Python, Go, .NET, …) the same is:", spellings.librdkafka, "ini"),
    )


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
    add_authority = Remedy(
        f"{what} {now}",
        "# Java\nssl.truststore.type=PEM\nssl.truststore.location=<the CA's certificates.pem>\n"
        "# librdkafka\nssl.ca.location=<the CA's certificates.pem>",
        "properties",
    )
    if name == "ssl.truststore.location" and not store.endswith((".pem", ".crt", ".cer")):
        add_authority = say(
            f"{what} {now} To add it there:",
            "keytool -importcert -alias kafka-ca -file <the CA's certificate.pem> "
            "-keystore {store}",
            client.kind,
            store=path(store),
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
    return (add_authority, *((send_chain,) if incomplete else ()), compare)


def certificate_names(
    hosts: Sequence[str], names: Sequence[str], strimzi: bool
) -> tuple[Remedy, ...]:
    """The fixes for a certificate that is for other `names` than the dialled `hosts`: a certificate
    with these hosts, or clients that dial one of the names. `strimzi`: Strimzi issued it."""
    safe = [host if _HOST.match(host) else "<the name that clients dial>" for host in hosts]
    wanted = "\n".join(fill("yaml", "  - {host}", host=host) for host in safe)
    add_names = Remedy(
        "Have the certificate name what clients dial, as a subject alternative name (IP addresses "
        "as IP entries):",
        "\n".join(f"{'IP' if _is_address(host) else 'DNS'}:{host}" for host in safe),
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


def client_certificate(shown: bool) -> Remedy:
    """The fix for a refused client certificate, or for a missing one (`shown` is false)."""
    summary = (
        "Show a certificate by an authority that the broker trusts (ssl.truststore on the broker, "
        "Strimzi: the clients CA), within its time:"
        if shown
        else "Give the client its certificate and key:"
    )
    return Remedy(
        summary,
        "# Java\nssl.keystore.type=PEM\nssl.keystore.location=<certificate and key.pem>\n"
        "# librdkafka\nssl.certificate.location=<certificate.pem>\nssl.key.location=<key.pem>",
        "properties",
    )


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


def broker_port() -> Remedy:
    """The fix for a client that dials a KRaft controller."""
    return Remedy(
        "Use the port of a broker listener: one that `listeners` has and "
        "`controller.listener.names` has not. Clients never talk to a KRaft controller.",
        "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER",
        "properties",
    )


def say(summary: str, snippet: str = "", kind: str = "shell", **values: object) -> Remedy:
    """A remedy; with `values`, `snippet` is a template that they fill, quoted for its `kind`."""
    filled = fill(kind, snippet, **values) if values else snippet
    return Remedy(summary, filled, kind if snippet else "text")


def _node_ports(listeners: Sequence[Listener]) -> bool:
    return all(listener.broker.advertised.port in NODE_PORTS for listener in listeners)


def _is_address(host: str) -> bool:
    return parse(host) is not None
