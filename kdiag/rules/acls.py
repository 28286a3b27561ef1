"""Remedies that add the access rules (ACLs) which a producer needs."""

from __future__ import annotations

from collections.abc import Sequence

from kdiag.config.settings import Endpoint
from kdiag.config.snippet import Snippet, fill
from kdiag.rules.remedies import tool
from kdiag.rules.rights import Right
from kdiag.rules.rule import Remedy


def allow_writing(server: Endpoint, topic: str, principal: Snippet, secured: bool) -> Remedy:
    """The commands that allow a principal to write to a topic (Describe, Write)."""
    resource = fill("shell", "--topic {topic}", topic=topic)
    return _grant(server, principal, secured, resource, "Describe", "Write")


def allow_idempotence(server: Endpoint, principal: Snippet, secured: bool) -> Remedy:
    """The commands that allow IdempotentWrite on the cluster. Brokers before Kafka 2.8 require it
    of every idempotent producer; later brokers only where the producer may write to no topic."""
    return _grant(server, principal, secured, Snippet("--cluster"), "IdempotentWrite")


def allow_transactions(
    server: Endpoint, transactional_id: str, principal: Snippet, secured: bool
) -> Remedy:
    """The commands that allow a producer to use its transactional.id (Describe, Write)."""
    resource = fill("shell", "--transactional-id {id}", id=transactional_id)
    return _grant(server, principal, secured, resource, "Describe", "Write")


def allow_all(
    server: Endpoint, principal: Snippet, secured: bool, missing: Sequence[Right]
) -> Remedy:
    """The commands that allow every missing right of a role."""
    commands = [
        _commands(server, principal, secured, _resource(right), (right.operation,))
        for right in missing
    ]
    return Remedy(_SUMMARY, Snippet("\n".join(commands)), "shell")


def _resource(right: Right) -> Snippet:
    if right.resource == "cluster":
        return Snippet("--cluster")
    return fill("shell", f"--{_FLAGS[right.resource]} {{name}}", name=right.name)


_FLAGS = {"group": "group", "topic": "topic", "transactional.id": "transactional-id"}
_SUMMARY = (
    "Grant it, as an administrator; where the list has a rule that denies it, remove that one: "
    "it wins over all that allow."
)


def _grant(
    server: Endpoint, principal: Snippet, secured: bool, resource: Snippet, *operations: str
) -> Remedy:
    """The kafka-acls.sh commands that list the rules of a resource and allow `operations` on it."""
    return Remedy(_SUMMARY, _commands(server, principal, secured, resource, operations), "shell")


def _commands(
    server: Endpoint,
    principal: Snippet,
    secured: bool,
    resource: Snippet,
    operations: Sequence[str],
) -> Snippet:
    allowed = " ".join(f"--operation {operation}" for operation in operations)
    return fill(
        "shell",
        "{acls} --list {resource}\n{acls} --add --allow-principal {principal} {allowed} {resource}",
        acls=tool("kafka-acls.sh", server, secured),
        resource=resource,
        principal=principal,
        allowed=Snippet(allowed),
    )
