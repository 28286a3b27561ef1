"""What a fake broker answers about groups, offsets, and idempotent and transactional producers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdiag.kafka.group_messages import (
    CONSUMER_GROUP_DESCRIBE,
    DESCRIBE_GROUPS,
    DESCRIBE_PRODUCERS,
    FETCH,
    HEARTBEAT,
    INIT_PRODUCER_ID,
    OFFSET_FETCH,
    SHARE_GROUP_DESCRIBE,
)
from kdiag.kafka.messages import END_TXN, Api, Request

OFFSET_OUT_OF_RANGE = 1
LOADING, UNAVAILABLE, NOT_COORDINATOR, UNKNOWN_MEMBER = 14, 15, 16, 25
TOPIC_DENIED, GROUP_DENIED, CLUSTER_DENIED = 29, 30, 31
UNKNOWN_PRODUCER, TRANSACTION_DENIED, NO_SUCH_GROUP = 49, 53, 69

KINDS = {
    DESCRIBE_GROUPS: "classic",
    CONSUMER_GROUP_DESCRIBE: "consumer",
    SHARE_GROUP_DESCRIBE: "share",
}
# API key → oldest and newest version that the fake broker lists.
GROUP_APIS: Mapping[int, tuple[int, int]] = {
    FETCH.key: (4, 11),
    OFFSET_FETCH.key: (1, 5),
    HEARTBEAT.key: (0, 2),
    DESCRIBE_GROUPS.key: (0, 2),
    INIT_PRODUCER_ID.key: (0, 1),
    DESCRIBE_PRODUCERS.key: (0, 0),
    CONSUMER_GROUP_DESCRIBE.key: (0, 1),
    SHARE_GROUP_DESCRIBE.key: (1, 1),
}


@dataclass
class FakeGroup:
    """A group: its protocol, its state, its members (client id, host), the committed offset of each
    (topic, partition), and the error with which its coordinator answers, if any."""

    kind: str = "classic"
    state: str = "Stable"
    members: list[tuple[str, str]] = field(default_factory=list)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    error: int = 0


@dataclass
class FakeRoles:
    """What a cluster has of groups and transactions. The broker `coordinator` coordinates all of
    them, None where their topics do not exist. `denied` has the rights that clients lack: "group",
    "topic", "transactional.id", "cluster". `offsets` has the start, the end and the last stable
    offset of partitions, and `open` the producers with a transaction there: id, first offset, time
    of the last record in milliseconds. `preferred` maps a rack to the node whose replicas leaders
    prefer for it."""

    coordinator: int | None = 1
    groups: dict[str, FakeGroup] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    offsets: dict[tuple[str, int], tuple[int, int, int]] = field(default_factory=dict)
    open: dict[tuple[str, int], tuple[int, int, int]] = field(default_factory=dict)
    preferred: dict[str, int] = field(default_factory=dict)

    def answer(
        self, request: Request, node: int, leader_error: Callable[[str, int], int]
    ) -> dict[str, Any] | None:
        """The body of the answer of broker `node`; None for a request of another kind."""
        body = request.body
        if request.api is FETCH:
            return self._fetched(body, leader_error)
        if request.api is DESCRIBE_PRODUCERS:
            return self._producers(body)
        answers: dict[int, Callable[[], dict[str, Any]]] = {
            HEARTBEAT.key: lambda: {"error_code": self._beat(body["group_id"], node)},
            OFFSET_FETCH.key: lambda: self._committed(body["group_id"], node),
            INIT_PRODUCER_ID.key: lambda: {
                "error_code": CLUSTER_DENIED if "cluster" in self.denied else 0,
                "producer_id": 1,
                "producer_epoch": 0,
            },
            END_TXN.key: lambda: {"error_code": self._end(node)},
            **{api.key: lambda: self._groups(request.api, body, node) for api in KINDS},
        }
        found = answers.get(request.api.key)
        return {"throttle_time_ms": 0, **found()} if found else None

    def _group(self, name: str, node: int) -> tuple[FakeGroup, int]:
        """The group, and the error of this broker about it."""
        group = self.groups.get(name, FakeGroup(state=""))
        if "group" in self.denied:
            return group, GROUP_DENIED
        return group, group.error if self.coordinator == node else NOT_COORDINATOR

    def _beat(self, name: str, node: int) -> int:
        error = self._group(name, node)[1]
        return {0: UNKNOWN_MEMBER, LOADING: 0}.get(error, error)

    def _end(self, node: int) -> int:
        if "transactional.id" in self.denied:
            return TRANSACTION_DENIED
        return UNKNOWN_PRODUCER if self.coordinator == node else NOT_COORDINATOR

    def _groups(self, api: Api, body: Mapping[str, Any], node: int) -> dict[str, Any]:
        (name,) = body.get("groups") or body["group_ids"]
        group, error = self._group(name, node)
        own = group.state and group.kind == KINDS[api]
        classic = api is DESCRIBE_GROUPS
        return {
            "groups": [
                {
                    "error_code": error or (0 if own or classic else NO_SUCH_GROUP),
                    "group_id": name,
                    "group_state": "" if error else group.state if own else "Dead",
                    "members": list(_members(group)) if own and not error else [],
                    **dict.fromkeys(("protocol_type", "protocol_data", "assignor_name"), ""),
                    **dict.fromkeys(("group_epoch", "assignment_epoch"), 1),
                    "error_message": None,
                    "authorized_operations": 0,
                }
            ]
        }

    def _committed(self, name: str, node: int) -> dict[str, Any]:
        group, error = self._group(name, node)
        topics = {} if error else group.committed
        return {
            "error_code": error,
            "topics": [
                {
                    "name": topic,
                    "partitions": [
                        {
                            "partition_index": number,
                            "committed_offset": offset,
                            "committed_leader_epoch": -1,
                            "metadata": "",
                            "error_code": 0,
                        }
                    ],
                }
                for (topic, number), offset in topics.items()
            ],
        }

    def _fetched(
        self, body: Mapping[str, Any], leader_error: Callable[[str, int], int]
    ) -> dict[str, Any]:
        def one(topic: str, partition: Mapping[str, Any]) -> dict[str, Any]:
            number = partition["partition_index"]
            start, end, _ = self.offsets.get((topic, number), (0, 0, 0))
            outside = 0 if start <= partition["fetch_offset"] <= end else OFFSET_OUT_OF_RANGE
            error = leader_error(topic, number) or outside
            return {
                "partition_index": number,
                "error_code": TOPIC_DENIED if "topic" in self.denied else error,
                **dict.fromkeys(("high_watermark", "last_stable_offset", "log_start_offset"), -1),
                "aborted": None,
                "preferred_read_replica": self.preferred.get(body.get("rack_id", ""), -1),
                "records": b"",
            }

        return {
            "throttle_time_ms": 0,
            "error_code": 0,
            "session_id": 0,
            "topics": by_topic(body, one),
        }

    def offset(self, topic: str, number: int, timestamp: int, isolation: int) -> int:
        """The offset that ListOffsets tells: the first for -2, else the end or the last stable."""
        start, end, stable = self.offsets.get((topic, number), (0, 0, 0))
        return start if timestamp == -2 else stable if isolation else end

    def _producers(self, body: Mapping[str, Any]) -> dict[str, Any]:
        def one(topic: str, number: int) -> dict[str, Any]:
            producers = [
                {
                    "producer_id": producer,
                    "last_timestamp": last,
                    "current_txn_start_offset": start,
                    **dict.fromkeys(("producer_epoch", "last_sequence", "coordinator_epoch"), 0),
                }
                for producer, start, last in filter(None, [self.open.get((topic, number))])
            ]
            return {
                "partition_index": number,
                "error_code": 0,
                "error_message": None,
                "active_producers": producers,
            }

        return {"throttle_time_ms": 0, "topics": by_topic(body, one)}


def by_topic(
    body: Mapping[str, Any], answer: Callable[[str, Any], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The topics of an answer: `answer` makes the part of one partition, of the topic's name and
    the partition of the request."""
    return [
        {
            "name": topic["name"],
            "partitions": [
                answer(topic["name"], partition)
                for partition in topic.get("partitions") or topic.get("partition_indexes", ())
            ],
        }
        for topic in body["topics"]
    ]


def _members(group: FakeGroup) -> Iterator[dict[str, Any]]:
    for number, (client, host) in enumerate(group.members):
        yield {
            "member_id": f"{client}-{number}",
            "client_id": client,
            "client_host": host,
            **dict.fromkeys(("member_metadata", "member_assignment"), b""),
            **dict.fromkeys(("instance_id", "rack_id", "subscribed_topic_regex")),
            "member_epoch": 1,
            "subscribed_topic_names": [],
            "assignment": {"topic_partitions": []},
            "target_assignment": {"topic_partitions": []},
            "member_type": 1,
        }
