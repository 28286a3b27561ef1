"""Readers and their rights on a real Kafka; and what a check must leave as it was.

That is topics, groups, access rules, and the bytes of every log: a transaction that begins, ends or
loses its producer is a record more in the log of its coordinator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

import kdiag
from kdiag.report.model import Report

PATIENCE = 30.0  # seconds


def snapshot(server: str, folder: Path) -> dict[str, Any]:
    """What a check must leave as it was. The cluster's own metadata log grows by itself."""
    admin = AdminClient({"bootstrap.servers": server})
    listed = admin.list_topics(timeout=PATIENCE)
    groups = admin.list_consumer_groups().result(PATIENCE)
    some: Any = None
    every = AclBindingFilter(
        ResourceType.ANY, some, ResourcePatternType.ANY, some, some, AclOperation.ANY,
        AclPermissionType.ANY,
    )  # fmt: skip
    try:
        rules = sorted(map(str, admin.describe_acls(every).result(PATIENCE)))
    except KafkaException:  # without an authorizer
        rules = []
    logs = {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*.log")
        if path.parent != folder and "__cluster_metadata" not in str(path)
    }
    return {
        "topics": sorted((name, len(t.partitions)) for name, t in listed.topics.items()),
        "groups": sorted(f"{group.group_id} {group.state}" for group in groups.valid),
        "rules": rules,
        "logs": logs,
    }


Checked = Callable[..., Report]


def checking(server: str, folder: Path) -> Checked:
    """`kdiag.check`, with the snapshot before and after held together."""

    def check(at: str = server, **options: Any) -> Report:
        before = snapshot(server, folder)
        report = kdiag.check(at, timeout=5, answer_timeout=10, **options)
        after = snapshot(server, folder)
        if topic := options.get("topic"):  # with one, hop 4 writes a record to each leader
            for found in (before, after):
                found["logs"] = {
                    n: size for n, size in found["logs"].items() if f"/{topic}-" not in n
                }
        changed = {what: (before[what], after[what]) for what in before}
        assert all(was == now for was, now in changed.values()), changed
        return report

    return check


@contextmanager
def consumer(server: str, group: str, topic: str, **more: Any) -> Iterator[Consumer]:
    """A consumer of the group that is subscribed, and commits nothing by itself."""
    given = {
        "bootstrap.servers": server, "group.id": group, "auto.offset.reset": "earliest",
        "enable.auto.commit": False, **{n.replace("_", "."): v for n, v in more.items()},
    }  # fmt: skip
    reader = Consumer(given)
    try:
        reader.subscribe([topic])
        yield reader
    finally:
        reader.close()


def next_message(reader: Consumer) -> Message:
    """The next record, or the error that ends the wait for it."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        message = reader.poll(0.5)
        if message:
            return message
    raise TimeoutError("no record, and no error")


def allowed(server: str) -> None:
    """Allows everybody everything, as far as no rule denies it."""
    kinds = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID
    rules = [
        AclBinding(
            kind, name, ResourcePatternType.LITERAL, "User:*", "*", AclOperation.ALL,
            AclPermissionType.ALLOW,
        )
        for kind, name in (*((kind, "*") for kind in kinds), (ResourceType.BROKER, "kafka-cluster"))
    ]  # fmt: skip
    admin = AdminClient({"bootstrap.servers": server})
    for future in admin.create_acls(rules).values():
        future.result(PATIENCE)


def denied(server: str, kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    """Denies alice this operation. Returns the rule."""
    rule = AclBinding(
        kind, name, ResourcePatternType.LITERAL, "User:alice", "*", operation,
        AclPermissionType.DENY,
    )  # fmt: skip
    admin = AdminClient({"bootstrap.servers": server})  # its futures end with it
    for future in admin.create_acls([rule]).values():
        future.result(PATIENCE)
    return rule


def allowed_again(server: str, rule: AclBinding) -> None:
    """Takes a rule away."""
    exact = AclBindingFilter(
        rule.restype, rule.name, rule.resource_pattern_type, rule.principal, rule.host,
        rule.operation, rule.permission_type,
    )  # fmt: skip
    admin = AdminClient({"bootstrap.servers": server})  # its futures end with it
    for future in admin.delete_acls([exact]).values():
        future.result(PATIENCE)
