"""What an API of the Kafka protocol is, and a request in whichever version its peer has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kdiag.config.record import NamedTuple
from kdiag.kafka.codec import Struct

Versions = Mapping[int, tuple[int, int]]  # API key → least and most, as ApiVersions lists them


class Api(NamedTuple):
    """One API: the versions spoken here, the preferred first, and how its request and its response
    look."""

    key: int
    name: str
    versions: tuple[int, ...]
    flexible_since: int
    request: Struct
    response: Struct

    def version(self, listed: Versions) -> int | None:
        """The version for a peer that lists these versions; None if no version is common."""
        least, most = listed.get(self.key, (0, -1))
        return next((one for one in self.versions if least <= one <= most), None)


class Question(NamedTuple):
    """A request whose version the connection chooses. `body` is the request's body, or gives it for
    a version. With `raw` the answer is left undecoded. `side` marks a question that no client asks:
    a proxy may close the connection because of it.
    """

    api: Api
    body: Mapping[str, Any] | Callable[[int], Mapping[str, Any]]
    raw: bool = False
    side: bool = False

    def in_version(self, version: int) -> Mapping[str, Any]:
        """The body for a version."""
        return self.body(version) if callable(self.body) else self.body
