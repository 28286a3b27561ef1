"""What servers say when they refuse, and what it means: known words → cause → fix.

The words of a server decide where an error code has several causes. Add a line for each text that
was seen in a public report, in lower case, with its source.
"""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """Words that a server's text has, in lower case, what they mean, and what to do. With
    `connections` the server limits connections: the credentials are not what it refuses."""

    words: str
    cause: str
    fix: str
    connections: bool = False


KNOWN: tuple[Known, ...] = (
    # Amazon MSK, IAM: https://docs.aws.amazon.com/msk/latest/developerguide/limits.html
    Known(
        "too many connects",
        "the broker's limit on new connections is used up",
        "Make fewer new connections: keep clients open, and set reconnect.backoff.ms to 1000 or "
        "more. On Amazon MSK a larger broker type has a higher limit.",
        connections=True,
    ),
    # Azure Event Hubs: github.com/Azure/azure-event-hubs-for-kafka/issues/157
    Known(
        "invalid tenant name",
        "the token is not of the tenant that the namespace belongs to",
        "Ask the token endpoint of the namespace's own tenant, and for the namespace's own scope "
        "(https://NAMESPACE.servicebus.windows.net/.default).",
    ),
)


def known(text: str) -> Known | None:
    """What is known about a text of a server."""
    lowered = text.lower()
    return next((each for each in KNOWN if each.words in lowered), None)


def limits_connections(text: str) -> bool:
    """Whether a server refused a connection because there are too many."""
    found = known(text)
    return found is not None and found.connections
