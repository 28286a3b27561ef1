"""The part of a report that comes from `--hold`: how silent connections ended."""

from __future__ import annotations

from kdiag.config.record import dataclass


@dataclass(frozen=True, kw_only=True)
class SilentReport:
    """One connection that was to be silent for `gap_s` seconds. `outcome` is answered; closed or
    reset, by the peer in the silence; closed_when_asked, reset_when_asked or unanswered, by the
    request after it; session_ends, not_asked or not_opened where nothing was asked. `silent_s` is
    how long it was silent until it was asked or ended, null where nothing was asked."""

    gap_s: float
    outcome: str
    silent_s: float | None


@dataclass(frozen=True, kw_only=True)
class HeldBrokerReport:
    """The silent connections to one broker. `idle_limit_ms` is the broker's
    connections.max.idle.ms, null where it is not known. `watched` is false where the connection
    that was never silent for long ended too: then nothing is proven about the others."""

    node: int
    advertised: str
    idle_limit_ms: int | None
    watched: bool
    connections: list[SilentReport]


@dataclass(frozen=True, kw_only=True)
class HoldReport:
    """The result of `--hold`, of that many `seconds`. `brokers` is empty where no connection was
    held; a note says why."""

    seconds: float
    brokers: list[HeldBrokerReport]
