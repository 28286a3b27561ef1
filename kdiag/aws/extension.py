"""The part of a report that comes from AWS."""

from __future__ import annotations

from collections.abc import Mapping

from kdiag.aws.cloud_view import AwsView
from kdiag.aws.paths import known_paths
from kdiag.aws.report import aws_report
from kdiag.aws.rules import feature_rules
from kdiag.report.judge import Extension
from kdiag.rules.rule import Rule
from kdiag.walk.facts import Facts


class AwsExtension(Extension):
    """Adds the KD5xx findings and the AWS report to the report of a walk."""

    name = "aws"

    def derive(self, facts: Facts) -> Facts:
        """Adds the paths to all addresses, the CloudView for the rules of the walk, the AWS
        report."""
        paths = known_paths(facts)
        return facts.adding(paths, AwsView(paths), aws_report(paths)) if paths else facts

    def rules(self) -> Mapping[str, Rule]:
        """The KD5xx rules by code."""
        return feature_rules()
