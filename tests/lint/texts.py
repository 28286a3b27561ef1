"""Texts of files, for tests that need one with this or that in it."""

from __future__ import annotations


def kafka(*configuration: str, generation: int = 1) -> str:
    """A Strimzi cluster with a listener inside and one outside; its `configuration` in lines."""
    lines = "".join(f"          {line}\n" for line in configuration)
    return (
        "apiVersion: kafka.strimzi.io/v1\nkind: Kafka\n"
        f"metadata: {{name: my-cluster, namespace: kafka, generation: {generation}}}\n"
        "spec:\n  kafka:\n    version: 4.3.1\n    listeners:\n"
        "      # for what runs in Kubernetes\n"
        "      - name: plain\n        port: 9092\n        type: internal\n        tls: false\n"
        "      - name: external\n        port: 9094\n        type: nodeport\n        tls: false\n"
        "        authentication:\n          type: scram-sha-512\n"
        "        networkPolicyPeers:\n          - ipBlock: {cidr: 0.0.0.0/0}\n"
        + (f"        configuration:\n{lines}" if lines else "")
    )


def nodes(*addresses: str) -> str:
    """Nodes of Kubernetes with these addresses, as further documents."""
    return "".join(
        f"---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{number}}}\n"
        f"status: {{addresses: [{{type: InternalIP, address: {address}}}]}}\n"
        for number, address in enumerate(addresses)
    )


def compose(advertised: str, published: str, protocol: str = "SASL_PLAINTEXT") -> str:
    """A Compose file of one broker, whose listeners all speak this."""
    listeners = ",".join(
        f"{each.partition('://')[0]}://:{each.rpartition(':')[2]}" for each in advertised.split(",")
    )
    protocols = ",".join(f"{each.partition('://')[0]}:{protocol}" for each in advertised.split(","))
    return (
        "services:\n  kafka:\n    image: apache/kafka:4.3.1\n"
        f'    ports: ["{published}"]\n    environment:\n      KAFKA_NODE_ID: 1\n'
        f"      KAFKA_LISTENERS: {listeners}\n      KAFKA_ADVERTISED_LISTENERS: {advertised}\n"
        f"      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: {protocols}\n"
    )
