"""Remedies that add the access rules (ACLs) which a client needs."""

from __future__ import annotations

from collections.abc import Sequence

from kdiag.config.security import Security
from kdiag.config.settings import Endpoint
from kdiag.config.snippet import Snippet, fill
from kdiag.rules.principal import principal, secured
from kdiag.rules.remedies import tool as kafka_tool
from kdiag.rules.rights import Right
from kdiag.rules.rule import Remedy

_SUMMARY = (
    "Grant it, as an administrator; where the list has a rule that denies it, remove that one: "
    "it wins over all that allow."
)
_RESOURCES = {
    "cluster": "--cluster",
    "group": "--group {group}",
    "topic": "--topic {topic}",
    "transactional.id": "--transactional-id {id}",
}


def allow_writing(server: Endpoint, topic: str, security: Security) -> Remedy:
    """The commands that allow the client to write to a topic (Describe, Write)."""
    return _grant(server, security, (("topic", topic, "Describe Write"),))


def allow_idempotence(server: Endpoint, security: Security) -> Remedy:
    """The commands that allow IdempotentWrite on the cluster. Brokers before Kafka 2.8 require it
    of every idempotent producer; later brokers only where the producer may write to no topic."""
    return _grant(server, security, (("cluster", "", "IdempotentWrite"),))


def allow_transactions(server: Endpoint, transactional_id: str, security: Security) -> Remedy:
    """The commands that allow the client to use its transactional.id (Describe, Write)."""
    return _grant(server, security, (("transactional.id", transactional_id, "Describe Write"),))


def allow_all(server: Endpoint, missing: Sequence[Right], security: Security) -> Remedy:
    """The commands that allow every missing right of a role."""
    return _grant(server, security, [(r.resource, r.name, r.operation) for r in missing])


def _grant(server: Endpoint, security: Security, rights: Sequence[tuple[str, str, str]]) -> Remedy:
    """The kafka-acls.sh commands that list the rules of each resource (kind, name) and allow its
    operations."""
    tool, whose = kafka_tool("kafka-acls.sh", server, secured(security)), principal(security)
    commands = [
        fill(
            "shell",
            "{acls} --list {resource}\n"
            "{acls} --add --allow-principal {principal} {allowed} {resource}",
            acls=tool,
            resource=fill("shell", _RESOURCES[kind], topic=name, group=name, id=name),
            principal=whose,
            allowed=Snippet(" ".join(f"--operation {each}" for each in operations.split())),
        )
        for kind, name, operations in rights
    ]
    return Remedy(_SUMMARY, Snippet("\n".join(commands)), "shell")
