"""The part of a report that comes from AWS (an implementation of report.judge.Extension)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdiag.aws.cloud_view import AwsView
from kdiag.aws.paths import NetworkPaths, derived_facts
from kdiag.aws.report import aws_report
from kdiag.aws.rules import feature_rules
from kdiag.report.aws import AwsReport
from kdiag.report.model import HopResult
from kdiag.rules.cloud import CloudView
from kdiag.rules.rule import Finding, Rule


class AwsExtension:
    """Adds the KD5xx findings and the AWS report to the report of a walk."""

    name = "aws"

    def steps(self, walked: Sequence[HopResult]) -> list[HopResult]:
        """The hops of the walk, which include the AWS hop."""
        return list(walked)

    def derive(self, facts: Mapping[type, Any]) -> Mapping[type, Any]:
        """The paths to all addresses, the CloudView for the rules of the walk, the AWS report."""
        derived = derived_facts(facts)
        if NetworkPaths not in derived:
            return derived
        paths = derived[NetworkPaths]
        return {**derived, CloudView: AwsView(paths), AwsReport: aws_report(paths)}

    def rules(self) -> Mapping[str, Rule]:
        """The KD5xx rules by code."""
        return feature_rules()

    def amend(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings without changes."""
        return list(findings)
