"""Requirements of Strimzi beyond its schemas: labels, storage, allowed settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kdiag.address import parse
from kdiag.lint.tree import Entry, Map, Node, Spot, entries, get, is_null, items, text

# Settings that the operator makes itself, by how they begin; what of it may be set all the same.
# Source: KafkaClusterSpec of Strimzi's api, 0.45 and 1.2.
_FORBIDDEN = (
    *("listeners", "advertised.", "broker.", "listener.", "host.name", "port"),
    *("inter.broker.listener.name", "sasl.", "ssl.", "security.", "password.", "log.dir"),
    *("zookeeper.connect", "zookeeper.set.acl", "zookeeper.ssl", "zookeeper.clientcnxnsocket"),
    *("authorizer.", "super.user", "cruise.control.metrics.topic"),
    *("cruise.control.metrics.reporter.bootstrap.servers", "node.id", "process.roles"),
    *("controller.", "metadata.log.dir", "zookeeper.metadata.migration.enable"),
    *("client.quota.callback.static.kafka.admin.", "client.quota.callback.static.produce"),
    "client.quota.callback.static.fetch",
    "client.quota.callback.static.storage.per.volume.limit.min.available.",
    "client.quota.callback.static.excluded.principal.name.list",
)
_ALLOWED = {
    *("zookeeper.connection.timeout.ms", "sasl.server.max.receive.size", "ssl.cipher.suites"),
    *("ssl.protocol", "ssl.enabled.protocols", "ssl.secure.random.implementation"),
    *("broker.session.timeout.ms", "broker.heartbeat.interval.ms", "controller.socket.timeout.ms"),
    *(f"cruise.control.metrics.topic.{x}" for x in (
        "num.partitions", "replication.factor", "retention.ms", "auto.create.retries",
        "auto.create.timeout.ms", "min.insync.replicas",
    )),
    *(f"controller.quorum.{x}" for x in (
        "election.backoff.max.ms", "election.timeout.ms", "fetch.timeout.ms",
    )),
}  # fmt: skip
# What clients are sent to depends on these: here they are without effect.
_LISTENERS = ("listeners", "advertised.", "host.name", "port", "inter.broker.")
_PER_LISTENER = ("connections.max.reauth.ms", "max.connections", "max.connection.creation.rate")

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS_NAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\.?\Z")


def certifiable(host: str) -> bool:
    """Whether the operator puts a host in a certificate: it refuses a resource with another one
    among `alternativeNames`, and as the host of a broker where the listener has TLS.
    Source: IpAndDnsValidation and KafkaListenersReconciler of Strimzi."""
    return parse(host) is not None or (len(host) < 256 and _DNS_NAME.match(host) is not None)


def bare(host: str) -> str:
    """The host in a URL or in HOST:PORT, "" without one."""
    rest = (host.partition("://")[2] or host).partition("/")[0]
    name = rest.rpartition(":")[0] if rest.count(":") == 1 else rest
    return name if certifiable(name) else ""


@dataclass(frozen=True)
class MissingField:
    """A missing field: its path, the place, the message, and a snippet to add."""

    field: str
    spot: Spot
    message: str
    snippet: str


def forbidden(root: Node) -> Iterator[tuple[Entry, bool]]:
    """The settings of a Kafka resource that the operator ignores, and whether they are about
    listeners."""
    for setting in entries(root, "spec", "kafka", "config"):
        name = setting.key.text
        low = name.lower()
        if name in _ALLOWED or not low.startswith(_FORBIDDEN):
            continue
        if low.startswith("listener.name.") and low.endswith(_PER_LISTENER):
            continue
        yield setting, low.startswith(_LISTENERS)


def missing_fields(root: Node, kind: str) -> Iterator[MissingField]:
    """The fields that a resource lacks and the operator requires, beyond the schema."""
    whole = text(root, "apiVersion") and text(root, "kind")
    label = get(root, "metadata", "labels", "strimzi.io/cluster")
    if kind == "KafkaNodePool" and whole and is_null(label):
        metadata = get(root, "metadata") or root
        yield MissingField(
            "metadata.labels",
            metadata.start,
            "`metadata.labels` lacks `strimzi.io/cluster`: the operator passes over a node pool "
            "that names no cluster",
            "metadata:\n  labels:\n    strimzi.io/cluster: <name of the Kafka resource>",
        )
    for path in (
        ("spec", "storage"),
        ("spec", "kafka", "storage"),
        ("spec", "zookeeper", "storage"),
    ):
        if (kind == "KafkaNodePool") == (len(path) == 2):
            yield from _storage(get(root, *path), ".".join(path))


def _storage(node: Node | None, path: str) -> Iterator[MissingField]:
    kind = text(node, "type")
    if not isinstance(node, Map):
        return
    if kind == "persistent-claim" and is_null(get(node, "size")):
        message = f"`{path}` of type persistent-claim lacks `size`, which is required"
        yield MissingField(f"{path}.size", node.start, message, "size: <100Gi>")
    if kind != "jbod":
        return
    volumes = items(node, "volumes")
    if not volumes:
        message = f"`{path}` of type jbod lacks `volumes`, which is required"
        snippet = "volumes:\n  - id: 0\n    type: persistent-claim\n    size: <100Gi>"
        yield MissingField(f"{path}.volumes", node.start, message, snippet)
    for volume in volumes:
        if isinstance(volume, Map) and is_null(get(volume, "id")):
            message = f"`{path}.volumes[]` lacks `id`, which is required"
            yield MissingField(
                f"{path}.volumes[].id", volume.start, message, "id: <number of its own>"
            )
        yield from _storage(volume, f"{path}.volumes[]")
