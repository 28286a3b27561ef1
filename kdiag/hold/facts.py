"""The facts of `--hold`: how each silent connection ended."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from kdiag.rules.text import listed

MOST_LATE, PART_LATE = 3.0, 0.02  # seconds, and a part of it, that a broker may exceed its limit by
_EARLY = 0.5  # seconds: the broker's clock starts when its answer leaves


class Outcome(str, Enum):
    """How a silent connection ended. The first three: it lived, or the peer ended it (FIN, RST)
    while it was silent; the next three: what became of the request after the silence; the others:
    why nothing was asked."""

    ANSWERED = "answered"
    CLOSED = "closed"
    RESET = "reset"
    CLOSED_WHEN_ASKED = "closed_when_asked"
    RESET_WHEN_ASKED = "reset_when_asked"
    UNANSWERED = "unanswered"
    SESSION_ENDS = "session_ends"
    NOT_ASKED = "not_asked"
    NOT_OPENED = "not_opened"


_DEAD = (
    *(Outcome.CLOSED, Outcome.RESET),
    *(Outcome.CLOSED_WHEN_ASKED, Outcome.RESET_WHEN_ASKED, Outcome.UNANSWERED),
)


class Silent(NamedTuple):
    """One connection that was to be silent for `gap` seconds, and was silent for `silent` until it
    was asked or ended. `arrived` says whether the request's bytes were acknowledged, None where
    the system does not know."""

    gap: float
    outcome: Outcome
    silent: float = 0.0
    arrived: bool | None = None


class HeldBroker(NamedTuple):
    """The silent connections to one broker, in the order of their gaps. `limit` is the broker's
    connections.max.idle.ms in seconds, None where it is not known; `session` for how many seconds
    a login lasts, 0 for ever. One more connection was asked every `interval` seconds and answered
    `answers` times; `unwatched` is why it ended, "" where it lived."""

    node: int
    advertised: str
    limit: float | None
    session: float
    interval: float
    answers: int
    unwatched: str
    connections: tuple[Silent, ...]

    @property
    def alive(self) -> Silent | None:
        """The longest silence after which the broker answered."""
        answered = [each for each in self.connections if each.outcome is Outcome.ANSWERED]
        return answered[-1] if answered else None

    @property
    def dead(self) -> Silent | None:
        """The shortest silence that a connection did not outlive."""
        ended = [each for each in self.connections if each.outcome in _DEAD]
        return min(ended, key=lambda each: each.silent, default=None)

    @property
    def by_idleness(self) -> bool:
        """Whether silence is what ends connections: longer ones end and shorter ones live, and so
        does the connection that is not silent."""
        alive, dead = self.alive, self.dead
        return bool(dead and not self.unwatched and (not alive or alive.silent < dead.silent))

    @property
    def by_broker(self) -> bool:
        """Whether connections end as connections.max.idle.ms of the broker has it: with FIN, and at
        that time."""
        dead, limit = self.dead, self.limit
        if not dead or dead.outcome is not Outcome.CLOSED or limit is None:
            return False
        return limit - _EARLY <= dead.silent <= limit + max(MOST_LATE, PART_LATE * limit)


class Hold(NamedTuple):
    """The facts of `--hold SECONDS`. `because` is why no connection was held, "" where some were;
    `left_out` counts the brokers that were not held."""

    seconds: float
    brokers: tuple[HeldBroker, ...] = ()
    left_out: int = 0
    because: str = ""
    interrupted: bool = False

    @property
    def summary(self) -> str:
        """The result in one line."""
        ended = [each for broker in self.brokers for each in broker.connections]
        asked = [
            each for each in ended if each.outcome is Outcome.ANSWERED or each.outcome in _DEAD
        ]
        if not asked:
            return ""
        alive = [each for each in asked if each.outcome is Outcome.ANSWERED]
        gaps = listed([seconds(gap) for gap in sorted({each.gap for each in alive})])
        lived = f", after {gaps}" if gaps else ""
        return f"{len(alive)} of {len(asked)} silent connections answered{lived}"


def seconds(count: float) -> str:
    """Seconds as text: 0.25 s, 12.5 s, 350 s."""
    return f"{count:.0f} s" if count >= 100 else f"{round(count, 2):g} s"
