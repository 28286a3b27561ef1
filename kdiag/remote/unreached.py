"""A vantage point that could not be reached, as a value: a finding of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unreached:
    """Nothing came back from there. `words` says why in one sentence, `evidence` what was seen and
    heard, clean; `remedy` what to do about it."""

    where: str
    words: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""


class NotReached(Exception):
    """Raised on the way there, with what `Unreached` is to say."""

    def __init__(self, words: str, evidence: tuple[str, ...] = (), remedy: str = "") -> None:
        super().__init__(words)
        self.words, self.evidence, self.remedy = words, evidence, remedy
        self.begun = False  # whether a walk with a login had begun over there
