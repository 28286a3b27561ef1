"""What the REST servers beside Kafka add to the report of a walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdiag.companions.facts import Companions, RestResult, same_cluster
from kdiag.companions.rules import HOP, feature_rules
from kdiag.report.companions import CompanionReport, CompanionsReport
from kdiag.report.judge import Extension
from kdiag.report.model import HopResult
from kdiag.rules.rule import Rule
from kdiag.walk.facts import Facts
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.run import INTERRUPTED


class CompanionsExtension(Extension):
    """Adds the KD10xx findings and the section `companions`; `companions` is None where the walk
    was interrupted or the deadline passed before all servers had answered."""

    name: str = HOP

    def __init__(self, companions: Companions | None, facts: Facts, interrupted: bool) -> None:
        metadata = facts.get(Metadata)
        self._companions, self._interrupted = companions, interrupted
        self._cluster = metadata.cluster_id if metadata else None

    def steps(self, walked: Sequence[HopResult]) -> list[HopResult]:
        """Those of the walk, and this section."""
        if self._companions is None:
            because = INTERRUPTED if self._interrupted else "the deadline passed"
            return [*walked, HopResult(hop=HOP, status="skipped", elapsed_ms=0,
                                       skipped_because=because)]  # fmt: skip
        took = round(self._companions.elapsed * 1000)
        summary = self._companions.summary(self._cluster)
        return [*walked, HopResult(hop=HOP, status="pass", elapsed_ms=took, summary=summary)]

    def derive(self, facts: Facts) -> Facts:
        """Adds what the servers answered."""
        if self._companions is None:
            return facts
        rows = [_row(each, self._cluster) for each in self._companions.results]
        return facts.adding(self._companions, CompanionsReport(rows=rows))

    def rules(self) -> Mapping[str, Rule]:
        """The KD10xx rules, by code."""
        return feature_rules()


def _row(result: RestResult, cluster: str | None) -> CompanionReport:
    return CompanionReport(
        url=result.url,
        given_by=result.given_by,
        service=result.service or None,
        version=result.version or None,
        layers=dict(result.layers),
        cluster_id=result.cluster_id or None,
        same_cluster=same_cluster(result, cluster),
        unhealthy=result.unhealthy or None,
    )
