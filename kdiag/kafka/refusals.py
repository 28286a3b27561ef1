"""Known error messages of servers that refuse a login or a connection: text → cause → fix.

The message decides where an error code has several causes. Add an entry for each message that a
public report has, in lower case, with its source.
"""

from __future__ import annotations

from kdiag.config.record import NamedTuple


class KnownRefusal(NamedTuple):
    """A known error message: a part of its text in lower case, its cause, and how to fix it.
    `connections`: the server limits connections, and does not refuse the credentials."""

    text: str
    cause: str
    fix: str
    connections: bool = False


REFUSALS: tuple[KnownRefusal, ...] = (
    # Amazon MSK, IAM: https://docs.aws.amazon.com/msk/latest/developerguide/limits.html
    KnownRefusal(
        "too many connects",
        "the broker's limit on new connections is used up",
        "Make fewer new connections: keep clients open, and set reconnect.backoff.ms to 1000 or "
        "more. On Amazon MSK a larger broker type has a higher limit.",
        connections=True,
    ),
    # Azure Event Hubs: github.com/Azure/azure-event-hubs-for-kafka/issues/157
    KnownRefusal(
        "invalid tenant name",
        "the token is not of the tenant that the namespace belongs to",
        "Ask the token endpoint of the namespace's own tenant, and for the namespace's own scope "
        "(https://NAMESPACE.servicebus.windows.net/.default).",
    ),
)


def known_refusal(text: str) -> KnownRefusal | None:
    """The known refusal whose text a server's message contains; None if there is none."""
    lowered = text.lower()
    return next((each for each in REFUSALS if each.text in lowered), None)


def limits_connections(text: str) -> bool:
    """Whether a server's message says that it refuses a connection because there are too many."""
    found = known_refusal(text)
    return found is not None and found.connections
