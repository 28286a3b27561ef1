"""The access rules (ACLs) that a producer needs, as the command that adds them."""

from __future__ import annotations

import shlex

from kdiag.remedies.kafka import tool
from kdiag.rule import Remedy
from kdiag.settings import Endpoint


def allow_writing(server: Endpoint, topic: str, principal: str, secured: bool) -> Remedy:
    """Write on a topic. `principal` is fit for a shell."""
    return _grant(server, principal, secured, f"--topic {shlex.quote(topic)}", "Describe", "Write")


def allow_idempotence(server: Endpoint, principal: str, secured: bool) -> Remedy:
    """What an idempotent producer needs of brokers before 2.8, and of later ones where it may write
    to no topic."""
    return _grant(server, principal, secured, "--cluster", "IdempotentWrite")


def allow_transactions(
    server: Endpoint, transactional_id: str, principal: str, secured: bool
) -> Remedy:
    """What a transactional producer needs on its id."""
    resource = f"--transactional-id {shlex.quote(transactional_id)}"
    return _grant(server, principal, secured, resource, "Describe", "Write")


def _grant(
    server: Endpoint, principal: str, secured: bool, resource: str, *operations: str
) -> Remedy:
    """An access rule is missing, or one stands against it."""
    acls = tool("kafka-acls.sh", server, secured)
    allowed = " ".join(f"--operation {operation}" for operation in operations)
    return Remedy(
        "Grant it, as an administrator; where the list has a rule that denies it, remove that one: "
        "it wins over all that allow.",
        f"{acls} --list {resource}\n"
        f"{acls} --add --allow-principal {principal} {allowed} {resource}",
        "shell",
    )
