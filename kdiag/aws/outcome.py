"""What a step that AWS asks, or all of them, come to."""

from enum import Enum


class PathVerdict(str, Enum):
    """Unknown is what was not told, or holds for some of a client's addresses only."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
