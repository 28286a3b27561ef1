"""The verdict on a network path in AWS."""

from enum import Enum


class PathVerdict(str, Enum):
    """Whether AWS lets a client reach an address. UNKNOWN if AWS did not answer a call, or if the
    verdict differs between the addresses that the client may have."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
