"""Node pools of Strimzi, and the node ids that the operator assigns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kdiag.lint.tree import Node, Scalar, items, number, text

MOST_IDS = 2000  # of all pools; the largest clusters have some hundreds of brokers


@dataclass(frozen=True)
class NodePool:
    """A KafkaNodePool. `ids` is what its status says; `requested_ids` those of the
    annotation strimzi.io/next-node-ids."""

    name: str
    cluster: str
    roles: tuple[str, ...]
    replicas: int
    ids: tuple[int, ...] | None
    requested_ids: tuple[int, ...] = ()


def pool(root: Node) -> NodePool:
    """The model of a KafkaNodePool."""
    status_ids = items(root, "status", "nodeIds")
    ids = [int(each.text) for each in status_ids if isinstance(each, Scalar) and _is_id(each.text)]
    roles = [each.text for each in items(root, "spec", "roles") if isinstance(each, Scalar)]
    return NodePool(
        text(root, "metadata", "name"),
        text(root, "metadata", "labels", "strimzi.io/cluster"),
        tuple(roles),
        min(max(number(root, "spec", "replicas") or 0, 0), MOST_IDS),
        tuple(ids) if status_ids else None,
        _range(text(root, "metadata", "annotations", "strimzi.io/next-node-ids")),
    )


def node_ids(pools: Sequence[NodePool]) -> tuple[dict[str, tuple[int, ...]], bool]:
    """The node ids of each pool, from its status or as Strimzi assigns them to new pools: in the
    order of their names. Also whether all ids are from a status."""
    ids = {pool.name: pool.ids for pool in pools if pool.ids is not None}
    settled = len(ids) == len(pools)
    taken = {one for known in ids.values() for one in known}
    candidate = 0
    for pool in sorted(pools, key=lambda each: each.name):
        if pool.name in ids:
            continue
        replicas = min(pool.replicas, max(0, MOST_IDS - len(taken)))
        free = [one for one in pool.requested_ids if one not in taken][:replicas]
        taken |= set(free)
        while len(free) < replicas:
            if candidate not in taken:
                free.append(candidate)
                taken.add(candidate)
            candidate += 1
        ids[pool.name] = tuple(sorted(free))
    return ids, settled


def _range(annotation: str) -> tuple[int, ...]:
    """`[0, 5, 10-20]` of an annotation."""
    found: list[int] = []
    for low, high in re.findall(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?", annotation):
        first, last = int(low), int(high or low)
        step = 1 if last >= first else -1
        found += list(range(first, last + step, step)[:MOST_IDS])
    return tuple(found[:MOST_IDS])


def _is_id(text_: str) -> bool:
    return text_.isascii() and text_.isdecimal() and len(text_) < 12
