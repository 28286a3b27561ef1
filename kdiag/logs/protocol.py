"""Patterns for the errors of the Kafka protocol, in the spelling of every client."""

from __future__ import annotations

from kdiag.logs.pattern import LISTENERS, METADATA, PRODUCE, Pattern


def _patterns(code: str, hop: str, *spellings: str, sure: bool = True) -> tuple[Pattern, ...]:
    """One pattern for each spelling of an error."""
    return tuple(
        Pattern(
            *(spelling, code, "", f"ERROR not sent: {spelling}"),
            sure=sure,
            hop=hop,
            index_words=_class_names(spelling),
        )
        for spelling in spellings
    )


def _class_names(name: str) -> tuple[str, ...]:
    """Names of exception classes that clients derive from the name of an error. The reader
    splits lines at spaces and punctuation, so it needs every one of these names."""
    if not name.isalpha():
        return ()
    return (name, f"{name}Exception", f"{name}Error", f"{name}FailedError", f"Err{name}")


PATTERNS = (
    *_patterns("KD207", METADATA, "LISTENER_NOT_FOUND", "Broker: No matching listener"),
    *_patterns("KD207", METADATA, "ListenerNotFound", "no matching listener on the leader"),
    *_patterns("KD403", PRODUCE, "CLUSTER_AUTHORIZATION_FAILED", "ClusterAuthorization"),
    Pattern(
        "TOPIC_AUTHORIZATION_FAILED",
        "KD205",
        "",
        "WARN The metadata response from the cluster reported a recoverable issue with correlation "
        "id 1 : {orders=TOPIC_AUTHORIZATION_FAILED}",
        hop=METADATA,
        regex=r"metadata response",
    ),
    *_patterns("KD205", METADATA, "is not authorized for this client"),
    *_patterns("KD205", METADATA, "Topic authorization failed for topics"),
    *_patterns(
        "KD403",
        PRODUCE,
        "TOPIC_AUTHORIZATION_FAILED",
        "TopicAuthorization",
        "TopicAuthorizationFailed",
        sure=False,
    ),
    *_patterns("KD403", PRODUCE, "Not authorized to access topics", sure=False),
    *_patterns("KD403", PRODUCE, "not authorized to access this topic", sure=False),
    *_patterns("KD403", PRODUCE, "Broker: Topic authorization failed", sure=False),
    *_patterns("KD204", METADATA, "UNKNOWN_TOPIC_OR_PART", "UnknownTopicOrPartition", sure=False),
    *_patterns("KD204", METADATA, "Broker: Unknown topic or partition", "Local: Unknown topic"),
    *_patterns("KD204", METADATA, "does not host this topic-partition"),
    *_patterns("KD206", METADATA, "LEADER_NOT_AVAILABLE", "LeaderNotAvailable", sure=False),
    *_patterns("KD206", METADATA, "Broker: Leader not available", sure=False),
    *_patterns("KD206", METADATA, "there is no leader for this topic-partition", sure=False),
    *_patterns("KD405", PRODUCE, "NOT_LEADER_", "NotLeaderOrFollower", "NotLeaderForPartition"),
    *_patterns("KD405", PRODUCE, "Broker: Not leader for partition"),
    *_patterns("KD405", PRODUCE, "not the leader for that topic-partition"),
    *_patterns("KD405", PRODUCE, "not the leader for some partition"),
    *_patterns("KD404", PRODUCE, "NOT_ENOUGH_REPLICAS", "NotEnoughReplicas"),
    *_patterns("KD404", PRODUCE, "Broker: Not enough in-sync replicas"),
    *_patterns("KD404", PRODUCE, "fewer in-sync replicas than required"),
    *_patterns("KD404", PRODUCE, "lower than the configured minimum"),
    *_patterns("KD404", PRODUCE, "insufficient number of in-sync replicas"),
    *_patterns("KD406", PRODUCE, "MESSAGE_TOO_LARGE", "RecordTooLarge", "MessageSizeTooLarge"),
    *_patterns("KD406", PRODUCE, "Broker: Message size too large", "MSG_SIZE_TOO_LARGE"),
    *_patterns("KD406", PRODUCE, "larger than the max message size"),
    *_patterns("KD406", PRODUCE, "Message was too large", "INVALID_RECORD"),
    *_patterns("KD408", PRODUCE, "THROTTLING_QUOTA_EXCEEDED"),
    *_patterns("KD307", LISTENERS, "REBOOTSTRAP_REQUIRED"),
    *_patterns("KD119", "", "UNSUPPORTED_SASL_MECHANISM", "Broker: Unsupported SASL mechanism"),
    *_patterns("KD118", "", "ILLEGAL_SASL_STATE"),
    *_patterns("KD120", "", "SASL_AUTHENTICATION_FAILED", "Broker: SASL Authentication failed"),
    *_patterns("KD126", "", "Too many connects", sure=False),  # Amazon MSK
)
