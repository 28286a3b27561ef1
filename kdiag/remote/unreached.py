"""A vantage point that could not be reached, as a fact for the rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unreached:
    """No reply came from a vantage point. `message` says why, `evidence` has clean lines of what
    was observed, `remedy` what the user can do, "" where that is not known."""

    vantage: str
    message: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""


class NotReached(Exception):
    """A vantage point is not reached, or returns no reply; the values are those of `Unreached`."""

    def __init__(self, message: str, evidence: tuple[str, ...] = (), remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.evidence, self.remedy = message, evidence, remedy
        self.begun = False  # whether the remote walk had begun a login
