"""The messages of groups, readers, and idempotent and transactional producers: see messages.py.

Source: https://kafka.apache.org/protocol (message formats by API key and version).
"""

from __future__ import annotations

from typing import Any

from kdiag.kafka.api import Api
from kdiag.kafka.codec import (
    BOOL,
    BYTES,
    INT8,
    INT16,
    INT32,
    INT64,
    INTS,
    NULLABLE_BYTES,
    NULLABLE_STRING,
    STRING,
    UUID,
    Array,
    Struct,
)

FETCH = Api(
    1,
    "Fetch",
    (11, 10, 9, 8, 7, 6, 5, 4),
    12,
    Struct(
        ("replica_id", INT32), ("max_wait_ms", INT32), ("min_bytes", INT32), ("max_bytes", INT32),
        ("isolation_level", INT8), ("session_id", INT32, 7), ("session_epoch", INT32, 7),
        ("topics", Array(Struct(("name", STRING), ("partitions", Array(Struct(
            ("partition_index", INT32), ("current_leader_epoch", INT32, 9),
            ("fetch_offset", INT64), ("log_start_offset", INT64, 5),
            ("partition_max_bytes", INT32))))))),
        ("forgotten", Array(Struct(("name", STRING), ("partitions", INTS))), 7),
        ("rack_id", STRING, 11),
    ),
    Struct(
        ("throttle_time_ms", INT32), ("error_code", INT16, 7), ("session_id", INT32, 7),
        ("topics", Array(Struct(("name", STRING), ("partitions", Array(Struct(
            ("partition_index", INT32), ("error_code", INT16), ("high_watermark", INT64),
            ("last_stable_offset", INT64), ("log_start_offset", INT64, 5),
            ("aborted", Array(Struct(("producer_id", INT64), ("first_offset", INT64)),
                              nullable=True)),
            ("preferred_read_replica", INT32, 11), ("records", NULLABLE_BYTES))))))),
    ),
)  # fmt: skip

OFFSET_FETCH = Api(
    9,
    "OffsetFetch",
    (5, 4, 3, 2),
    6,
    Struct(
        ("group_id", STRING),
        ("topics", Array(Struct(("name", STRING), ("partition_indexes", INTS)), nullable=True)),
    ),
    Struct(
        ("throttle_time_ms", INT32, 3),
        ("topics", Array(Struct(("name", STRING), ("partitions", Array(Struct(
            ("partition_index", INT32), ("committed_offset", INT64),
            ("committed_leader_epoch", INT32, 5), ("metadata", NULLABLE_STRING),
            ("error_code", INT16))))))),
        ("error_code", INT16),
    ),
)  # fmt: skip

HEARTBEAT = Api(
    12,
    "Heartbeat",
    (1, 0, 2),
    4,
    Struct(("group_id", STRING), ("generation_id", INT32), ("member_id", STRING)),
    Struct(("throttle_time_ms", INT32, 1), ("error_code", INT16)),
)

DESCRIBE_GROUPS = Api(
    15,
    "DescribeGroups",
    (1, 0, 2),
    5,
    Struct(("groups", Array(STRING))),
    Struct(
        ("throttle_time_ms", INT32, 1),
        ("groups", Array(Struct(
            ("error_code", INT16), ("group_id", STRING), ("group_state", STRING),
            ("protocol_type", STRING), ("protocol_data", STRING),
            ("members", Array(Struct(
                ("member_id", STRING), ("client_id", STRING), ("client_host", STRING),
                ("member_metadata", BYTES), ("member_assignment", BYTES))))))),
    ),
)  # fmt: skip

INIT_PRODUCER_ID = Api(
    22,
    "InitProducerId",
    (1, 0),
    2,
    Struct(("transactional_id", NULLABLE_STRING), ("transaction_timeout_ms", INT32)),
    Struct(
        ("throttle_time_ms", INT32), ("error_code", INT16), ("producer_id", INT64),
        ("producer_epoch", INT16),
    ),
)  # fmt: skip

DESCRIBE_PRODUCERS = Api(
    61,
    "DescribeProducers",
    (0,),
    0,
    Struct(("topics", Array(Struct(("name", STRING), ("partition_indexes", INTS))))),
    Struct(
        ("throttle_time_ms", INT32),
        ("topics", Array(Struct(("name", STRING), ("partitions", Array(Struct(
            ("partition_index", INT32), ("error_code", INT16), ("error_message", NULLABLE_STRING),
            ("active_producers", Array(Struct(
                ("producer_id", INT64), ("producer_epoch", INT32), ("last_sequence", INT32),
                ("last_timestamp", INT64), ("coordinator_epoch", INT32),
                ("current_txn_start_offset", INT64)))))))))),
    ),
)  # fmt: skip

_ASSIGNED = Struct(("topic_partitions", Array(Struct(
    ("topic_id", UUID), ("topic_name", STRING), ("partitions", INTS)))))  # fmt: skip


def _describe_groups(key: int, name: str, versions: tuple[int, ...], *member: Any) -> Api:
    """The request for groups of the newer protocols (KIP-848, KIP-932), whose members differ."""
    group = Struct(
        ("error_code", INT16), ("error_message", NULLABLE_STRING), ("group_id", STRING),
        ("group_state", STRING), ("group_epoch", INT32), ("assignment_epoch", INT32),
        ("assignor_name", STRING), ("members", Array(Struct(*member))),
        ("authorized_operations", INT32),
    )  # fmt: skip
    return Api(
        key,
        name,
        versions,
        0,
        Struct(("group_ids", Array(STRING)), ("include_authorized_operations", BOOL)),
        Struct(("throttle_time_ms", INT32), ("groups", Array(group))),
    )


CONSUMER_GROUP_DESCRIBE = _describe_groups(
    69, "ConsumerGroupDescribe", (0, 1),
    ("member_id", STRING), ("instance_id", NULLABLE_STRING), ("rack_id", NULLABLE_STRING),
    ("member_epoch", INT32), ("client_id", STRING), ("client_host", STRING),
    ("subscribed_topic_names", Array(STRING)), ("subscribed_topic_regex", NULLABLE_STRING),
    ("assignment", _ASSIGNED), ("target_assignment", _ASSIGNED), ("member_type", INT8, 1),
)  # fmt: skip

SHARE_GROUP_DESCRIBE = _describe_groups(
    77, "ShareGroupDescribe", (1,),
    ("member_id", STRING), ("rack_id", NULLABLE_STRING), ("member_epoch", INT32),
    ("client_id", STRING), ("client_host", STRING), ("subscribed_topic_names", Array(STRING)),
    ("assignment", _ASSIGNED),
)  # fmt: skip

GROUP_MESSAGES = (
    FETCH,
    OFFSET_FETCH,
    HEARTBEAT,
    DESCRIBE_GROUPS,
    INIT_PRODUCER_ID,
    DESCRIBE_PRODUCERS,
    CONSUMER_GROUP_DESCRIBE,
    SHARE_GROUP_DESCRIBE,
)
