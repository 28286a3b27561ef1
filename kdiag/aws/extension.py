"""What AWS adds to the report of a walk (report.judge.Extension)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdiag.aws.beside import AwsView
from kdiag.aws.paths import NetworkPaths, derived
from kdiag.aws.report import aws_report
from kdiag.aws.rules import feature_rules
from kdiag.report.aws import AwsReport
from kdiag.report.model import HopResult
from kdiag.rules.cloud import CloudView
from kdiag.rules.rule import Finding, Rule


class AwsExtension:
    """Judges what AWS said, once the walk is over."""

    name = "aws"

    def steps(self, walked: Sequence[HopResult]) -> list[HopResult]:
        """Those of the walk: asking AWS is a step of it."""
        return list(walked)

    def derive(self, facts: Mapping[type, Any]) -> Mapping[type, Any]:
        """The paths to every address, the view of them that other rules use, and the report."""
        found = derived(facts)
        if NetworkPaths not in found:
            return found
        ways = found[NetworkPaths]
        return {**found, CloudView: AwsView(ways), AwsReport: aws_report(ways)}

    def rules(self) -> Mapping[str, Rule]:
        """KD5xx."""
        return feature_rules()

    def amend(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings as they are."""
        return list(findings)
