"""Adds a vantage point that was not reached to a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdiag.remote.rules import feature_rules
from kdiag.remote.unreached import Unreached
from kdiag.report.judge import Extension
from kdiag.report.model import HopResult
from kdiag.rules.rule import Rule
from kdiag.walk.facts import Facts


class UnreachedExtension(Extension):
    """Reports why nothing came back from a vantage point."""

    name = "vantage"

    def __init__(self, unreached: Unreached) -> None:
        self._unreached = unreached

    def steps(self, walked: Sequence[HopResult]) -> list[HopResult]:
        """The results of the hops, with one for reaching the vantage point before them."""
        return [
            HopResult(hop="vantage", status="pass", elapsed_ms=0, summary="not reached"),
            *walked,
        ]

    def derive(self, facts: Facts) -> Facts:
        """The facts, with why the vantage point was not reached."""
        return facts.adding(self._unreached)

    def rules(self) -> Mapping[str, Rule]:
        """The rules KD8xx."""
        return feature_rules()
