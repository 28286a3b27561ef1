"""KD0xx: the walk itself."""

from __future__ import annotations

import pytest

from kdiag.config.settings import settings
from kdiag.report.judge import judge
from kdiag.walk.facts import Facts
from kdiag.walk.facts.run import HopFailures, WalkFacts, WalkResult
from tests.facts import answer, brokers, found_by, hop_failures, metadata, working_bootstrap

LATE = hop_failures(("listeners", ""))
BROKEN = hop_failures(("metadata", "KeyError at metadata.py:71: 'brokers'"))


@pytest.mark.parametrize(
    ("code", "facts", "hop"), [("KD001", BROKEN, "metadata"), ("KD002", LATE, "listeners")]
)
def test_fires(code: str, facts: HopFailures, hop: str) -> None:
    (finding,) = found_by(code, facts)
    assert (finding.hop, finding.severity, finding.subjects) == (hop, "error", [f"hop {hop}"])
    assert finding.evidence
    assert finding.remedies


@pytest.mark.parametrize(
    ("code", "facts"),
    [("KD001", LATE), ("KD002", BROKEN), ("KD001", hop_failures()), ("KD002", hop_failures())],
)
def test_is_silent(code: str, facts: HopFailures) -> None:
    assert found_by(code, facts) == []


def test_the_report_knows_that_the_cluster_was_slow() -> None:
    """The exception of KD002 needs more than that the walk ended."""
    slow = metadata(*brokers(1), answers=(answer("a:9094")._replace(elapsed=4.0),))
    ran = WalkFacts(
        "",
        0,
        (),
        hop_failures(("listeners", "")).failures,
        facts=Facts((working_bootstrap(), slow)),
    )
    judged = judge(settings("a:9094"), WalkResult(ran), 0.0)
    severities = {finding.code: finding.severity for finding in judged.findings}
    assert severities["KD002"] == "warning"


def test_the_place_of_the_bug_is_evidence() -> None:
    (finding,) = found_by("KD001", BROKEN)
    assert finding.evidence == ["KeyError at metadata.py:71: 'brokers'"]
    assert "nothing about your cluster" in finding.message


def test_the_deadline_is_said() -> None:
    (finding,) = found_by("KD002", LATE)
    assert "30 s" in finding.message
