"""Errors of Kafka's protocol, as any client spells them."""

from __future__ import annotations

from kdiag.logs.pattern import LISTENERS, METADATA, PRODUCE, Pattern


def _each(code: str, hop: str, *spelt: str, sure: bool = True) -> tuple[Pattern, ...]:
    return tuple(
        Pattern(
            *(said, code, "", f"ERROR not sent: {said}"), sure=sure, hop=hop, words=_classes(said)
        )
        for said in spelt
    )


def _classes(said: str) -> tuple[str, ...]:
    """The classes that clients have for an error, which are one word each."""
    if not said.isalpha():
        return ()
    return (said, f"{said}Exception", f"{said}Error", f"{said}FailedError", f"Err{said}")


PATTERNS = (
    *_each("KD207", METADATA, "LISTENER_NOT_FOUND", "Broker: No matching listener"),
    *_each("KD207", METADATA, "ListenerNotFound", "no matching listener on the leader"),
    *_each("KD403", PRODUCE, "CLUSTER_AUTHORIZATION_FAILED", "ClusterAuthorization"),
    Pattern(
        "TOPIC_AUTHORIZATION_FAILED",
        "KD205",
        "",
        "WARN The metadata response from the cluster reported a recoverable issue with correlation "
        "id 1 : {orders=TOPIC_AUTHORIZATION_FAILED}",
        hop=METADATA,
        detail=r"metadata response",
    ),
    *_each("KD205", METADATA, "is not authorized for this client"),
    *_each("KD205", METADATA, "Topic authorization failed for topics"),
    *_each(
        "KD403",
        PRODUCE,
        "TOPIC_AUTHORIZATION_FAILED",
        "TopicAuthorization",
        "TopicAuthorizationFailed",
        sure=False,
    ),
    *_each("KD403", PRODUCE, "Not authorized to access topics", sure=False),
    *_each("KD403", PRODUCE, "not authorized to access this topic", sure=False),
    *_each("KD403", PRODUCE, "Broker: Topic authorization failed", sure=False),
    *_each("KD204", METADATA, "UNKNOWN_TOPIC_OR_PART", "UnknownTopicOrPartition", sure=False),
    *_each("KD204", METADATA, "Broker: Unknown topic or partition", "Local: Unknown topic"),
    *_each("KD204", METADATA, "does not host this topic-partition"),
    *_each("KD206", METADATA, "LEADER_NOT_AVAILABLE", "LeaderNotAvailable", sure=False),
    *_each("KD206", METADATA, "Broker: Leader not available", sure=False),
    *_each("KD206", METADATA, "there is no leader for this topic-partition", sure=False),
    *_each("KD405", PRODUCE, "NOT_LEADER_", "NotLeaderOrFollower", "NotLeaderForPartition"),
    *_each("KD405", PRODUCE, "Broker: Not leader for partition"),
    *_each("KD405", PRODUCE, "not the leader for that topic-partition"),
    *_each("KD405", PRODUCE, "not the leader for some partition"),
    *_each("KD404", PRODUCE, "NOT_ENOUGH_REPLICAS", "NotEnoughReplicas"),
    *_each("KD404", PRODUCE, "Broker: Not enough in-sync replicas"),
    *_each("KD404", PRODUCE, "fewer in-sync replicas than required"),
    *_each("KD404", PRODUCE, "lower than the configured minimum"),
    *_each("KD404", PRODUCE, "insufficient number of in-sync replicas"),
    *_each("KD406", PRODUCE, "MESSAGE_TOO_LARGE", "RecordTooLarge", "MessageSizeTooLarge"),
    *_each("KD406", PRODUCE, "Broker: Message size too large", "MSG_SIZE_TOO_LARGE"),
    *_each("KD406", PRODUCE, "larger than the max message size"),
    *_each("KD406", PRODUCE, "Message was too large", "INVALID_RECORD"),
    *_each("KD408", PRODUCE, "THROTTLING_QUOTA_EXCEEDED"),
    *_each("KD307", LISTENERS, "REBOOTSTRAP_REQUIRED"),
    *_each("KD119", "", "UNSUPPORTED_SASL_MECHANISM", "Broker: Unsupported SASL mechanism"),
    *_each("KD118", "", "ILLEGAL_SASL_STATE"),
    *_each("KD120", "", "SASL_AUTHENTICATION_FAILED", "Broker: SASL Authentication failed"),
)
