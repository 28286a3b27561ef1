"""The access rules (ACLs) that a producer needs, as the command that adds them."""

from __future__ import annotations

from kdiag.config.settings import Endpoint
from kdiag.config.snippet import Snippet, fill
from kdiag.rules.remedies import tool
from kdiag.rules.rule import Remedy


def allow_writing(server: Endpoint, topic: str, principal: Snippet, secured: bool) -> Remedy:
    """Write on a topic."""
    resource = fill("shell", "--topic {topic}", topic=topic)
    return _grant(server, principal, secured, resource, "Describe", "Write")


def allow_idempotence(server: Endpoint, principal: Snippet, secured: bool) -> Remedy:
    """What an idempotent producer needs of brokers before 2.8, and of later ones where it may write
    to no topic."""
    return _grant(server, principal, secured, Snippet("--cluster"), "IdempotentWrite")


def allow_transactions(
    server: Endpoint, transactional_id: str, principal: Snippet, secured: bool
) -> Remedy:
    """What a transactional producer needs on its id."""
    resource = fill("shell", "--transactional-id {id}", id=transactional_id)
    return _grant(server, principal, secured, resource, "Describe", "Write")


def _grant(
    server: Endpoint, principal: Snippet, secured: bool, resource: Snippet, *operations: str
) -> Remedy:
    """An access rule is missing, or one stands against it."""
    allowed = " ".join(f"--operation {operation}" for operation in operations)
    return Remedy(
        "Grant it, as an administrator; where the list has a rule that denies it, remove that one: "
        "it wins over all that allow.",
        fill(
            "shell",
            "{acls} --list {resource}\n"
            "{acls} --add --allow-principal {principal} {allowed} {resource}",
            acls=tool("kafka-acls.sh", server, secured),
            resource=resource,
            principal=principal,
            allowed=Snippet(allowed),
        ),
        "shell",
    )
