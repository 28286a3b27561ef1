"""Remedies for configuration files. An unknown address is a placeholder in angle brackets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from kdiag.config.snippet import Snippet, fill, namespace, path, resource, unknown
from kdiag.lint.edit import diff
from kdiag.lint.observed import KUBECTL
from kdiag.lint.patch import commands
from kdiag.rules.rule import Remedy, remedy
from kdiag.text import clean

THIS_FILE = "<this file>"
_TELLING = re.compile(
    r"(?i)passw|passphrase|jaas|secret(?!_?name)|token|credential|api.?key|private key|bearer|\beyJ"
)
_BARE = re.compile(r"(?:-?[0-9]{1,9}|true|false)\Z")
MOST_LINES = 200  # of a difference
_EXPORT = "kubectl get kafka,kafkanodepool,svc,node -o yaml"

say = remedy


def belongs(home: Sequence[str], name: str, value: str) -> Remedy:
    """Remedy for a misplaced field: its right place."""
    steps = [each for each in home if each not in ("spec", "kafka")]
    lines: list[str] = []
    depth = 0
    for number, step in enumerate(steps):
        if step == "[]":
            continue
        lines.append(fill("yaml", "{indent}{step}:", indent=Snippet("  " * depth), step=step))
        depth += 1
        if steps[number + 1 : number + 2] == ["[]"] and step == "brokers":
            lines.append(f"{'  ' * depth}- broker: <node id>")
            depth += 1
    # What was a number or a truth stays one.
    written = (
        Snippet(value)
        if _BARE.match(value)
        else value or unknown(name if name.isidentifier() else "value")
    )
    named = fill("yaml", "{key}: {value}", key=name, value=written)
    lines.append(f"{'  ' * depth}{named}")
    wanted = lines[1:] if lines[0] == "listeners:" and len(lines) > 2 else lines
    cut = len(wanted[0]) - len(wanted[0].lstrip())
    return Remedy("Write it where it belongs:", "\n".join(line[cut:] for line in wanted), "yaml")


def gone(field: str) -> Remedy:
    """Remedy for a field that v1 does not have. Removing it may remove the cluster as well."""
    if field not in ("replicas", "storage", "zookeeper"):
        return Remedy(
            "With an operator that knows v1 (0.49 or newer), remove it; with an older one, keep "
            "it, and write apiVersion: kafka.strimzi.io/v1beta2."
        )
    now = "KRaft takes its place" if field == "zookeeper" else "a KafkaNodePool says it"
    return Remedy(
        "Remove it only if this cluster consists of KafkaNodePools, and the operator supports "
        "them: "
        f"{now} then. With an operator before 0.46 it may be the cluster itself: keep it, and "
        "write apiVersion: kafka.strimzi.io/v1beta2."
    )


def entries(nodes: Sequence[int], node_port: bool) -> Remedy:
    """Remedy for missing items of brokers[]."""
    lines = ["brokers:"]
    for node in nodes:
        lines += [f"  - broker: {node}", f"    advertisedHost: <address of broker {node}>"]
        if not node_port:
            lines.append(f"    advertisedPort: <port of broker {node}>")
    what = "its" if len(nodes) == 1 else "their"
    return Remedy(
        f"Add {what} entry, with an address that clients reach:", "\n".join(lines), "yaml"
    )


def address_of_its_own(node: int, kind: str) -> Remedy:
    """Remedy for brokers that share an address."""
    if kind == "nodeport":
        return Remedy(
            "Leave advertisedPort out: each broker advertises its own NodePort then. Or give each "
            "a port of its own, and forward it to that broker's NodePort."
        )
    return Remedy(
        "Give each broker a host of its own, or a port of its own that something forwards to it:",
        f"- broker: {node}\n  advertisedHost: <address of broker {node}>\n"
        f"  advertisedPort: <port of broker {node}>",
        "yaml",
    )


def advertise_instead(node: int | None, host: str) -> Remedy:
    """Remedy for the advertised host of one broker."""
    return Remedy(
        f"Advertise an address that clients reach, instead of {clean(host) or 'nothing'}:",
        f"- broker: {'<node id>' if node is None else node}\n"
        f"  advertisedHost: <address of {'this broker' if node is None else f'broker {node}'} "
        "that clients reach>",
        "yaml",
    )


def pin(port: str) -> Remedy:
    """Remedy for a NodePort that is not fixed."""
    return Remedy(
        "Look it up once the listener is there, with kubectl get kafka <cluster> "
        "-o jsonpath='{.status.listeners}'; or pin it, so that clients and firewalls know it:",
        f"configuration:\n  bootstrap:\n    nodePort: {port}",
        "yaml",
    )


def setting(name: str, value: str, what: str) -> Remedy:
    """Remedy for one of Kafka's settings, as a property and as a variable."""
    variable = f"KAFKA_{name.upper().replace('.', '_')}"
    line = fill("properties", "{name}={value}", name=Snippet(name), value=value)
    return Remedy(f"In {name} ({variable}), {what}:", line, "properties")


def two_listeners(name: str, host: str, port: int) -> Remedy:
    """Remedy: one listener for brokers, and one for clients outside."""
    inside = 9092 if port != 9092 else 9091
    return remedy(
        "Give brokers a listener of their own for the traffic between them:",
        "listeners=INTERNAL://:{inside},{name}://:{port}\n"
        "advertised.listeners=INTERNAL://<name of this host inside>:{inside},"
        "{name}://{host}:{port}\n"
        "inter.broker.listener.name=INTERNAL",
        "properties",
        inside=inside,
        name=name,
        host=host,
        port=port,
    )


def apply(cluster: str, space: str) -> Remedy:
    """Remedy for a resource that is not applied."""
    return remedy(
        "Apply the file, and wait until the operator has restarted the brokers:",
        "kubectl apply{within} -f {file}\n"
        "kubectl wait kafka/{cluster}{within} --for=condition=Ready --timeout=10m",
        within=_within(space),
        file=Snippet(THIS_FILE),
        cluster=resource(cluster, "cluster"),
    )


def ask_the_operator(cluster: str, space: str) -> Remedy:
    """Remedy for a resource that the operator does not roll out."""
    return remedy(
        "Find out what keeps the operator from doing so, and correct it:",
        "kubectl get kafka {cluster}{within} -o jsonpath='{{.status.conditions}}'\n"
        "kubectl logs deployment/strimzi-cluster-operator -n <namespace of the operator>",
        cluster=resource(cluster, "cluster"),
        within=_within(space),
    )


def restart_pods(pods: Sequence[str], space: str) -> Remedy:
    """Remedy for pods with an old configuration."""
    return remedy(
        "Let the operator restart the pods that run with an older configuration:",
        "kubectl annotate pod {pods}{within} strimzi.io/manual-rolling-update=true",
        pods=[resource(pod, "pod") for pod in pods],
        within=_within(space),
    )


def restart(what: str) -> Remedy:
    """Remedy for a broker with an old configuration."""
    service = what.removeprefix("service ")
    if service == what:
        return Remedy("Restart the broker with this configuration: it reads it when it starts.")
    return say("Restart it with this file:", "docker compose up -d {service}", service=service)


def ask_kubectl(reason: str) -> Remedy:
    """Remedy for a failed call of kubectl, by its reason."""
    if reason == "missing":
        return remedy(
            "Install kubectl; or read the resources elsewhere, and give them as a file:",
            f"{_EXPORT} > cluster.yaml\nkdiag check BOOTSTRAP --config cluster.yaml",
        )
    if reason == "forbidden":
        return remedy(
            "Use credentials that may read Kafka resources, node pools, Services and "
            "Nodes. This command shows whether they may:",
            "kubectl auth can-i get nodes",
        )
    if reason in ("context", "absent", "strimzi"):
        return remedy(
            "Check which cluster kubectl uses, and what is in it:",
            "kubectl config get-contexts\nkubectl get kafka --all-namespaces",
        )
    return remedy("Check that kubectl works by itself:", "kubectl get kafka --all-namespaces")


def about(file: str, remedy: Remedy) -> Remedy:
    """The remedy with the name of its file in the place of THIS_FILE."""
    if THIS_FILE not in remedy.snippet:
        return remedy
    named = fill("shell", "{file}", file=path(file))
    return replace(remedy, snippet=remedy.snippet.replace(THIS_FILE, named))


def _within(space: str) -> Snippet:
    """The kubectl option for a namespace, "" without one."""
    return fill("shell", " -n {space}", space=namespace(space)) if space else Snippet()


def corrected(name: str, before: str, after: str) -> Remedy:
    """Remedy: the corrections of a file as a diff, or as kubectl commands for the output of
    kubectl. Lines that may contain secrets are left out, because users pass reports on."""
    commands_ = "".join(commands(name, before, after)) if name.startswith(KUBECTL) else ""
    name = name.removeprefix(KUBECTL)
    change = commands_ or diff(name, before, after)
    if _TELLING.search(change):
        change = diff(name, before, after, around=0)
        commands_ = ""
    if _TELLING.search(change):
        return Remedy(
            f"{name} has secrets beside what is wrong: kdiag lint --diff shows the change"
        )
    if commands_:
        return Remedy(f"Change {name} like this:", commands_, "shell")
    if change.count("\n") > MOST_LINES:
        change = "".join(change.splitlines(keepends=True)[:MOST_LINES])
        return Remedy(f"Change {name} as follows (all of it: kdiag lint --diff):", change, "diff")
    return Remedy(f"Change {name} like this:", change, "diff")
