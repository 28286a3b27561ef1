"""One root cause, and what only follows from it: across brokers, hops and severities."""

from __future__ import annotations

from typing import Any

import pytest

from kdiag.report.model import Report
from kdiag.rules.root_cause import explained, of_hop, root
from kdiag.rules.rule import Finding, Severity
from kdiag.walk.areas import AreaId
from tests.facts import (
    DOOR,
    bootstrap,
    client,
    contact,
    delivery,
    dial,
    hop_failures,
    listener,
    listeners,
    metadata,
    partition,
    produce,
    produced,
    reported,
    topic,
    working_bootstrap,
)

PRIVATE = {node: listener(node, f"10.0.1.1{node}:9094", "timeout") for node in (1, 2, 3)}
WELL = {node: listener(node, f"198.51.100.{node}:9094") for node in (1, 2, 3)}
CLOSED = {node: listener(node, f"198.51.100.{node}:9094", "refused") for node in (1, 2, 3)}
BLOCKED = {node: listener(node, f"198.51.100.{node}:9094", "timeout") for node in (1, 2, 3)}


def walked(*met: Any, **more: Any) -> Report:
    """A walk that came in by the door and met these listeners."""
    return reported(
        working_bootstrap(), metadata(*(x.broker for x in met)), listeners(*met), **more
    )


def causes(report: Report) -> dict[str, list[str]]:
    """The findings that nothing else explains: code → subjects."""
    return {f.code: f.subjects for f in report.findings if not f.consequence_of}


def folded(report: Report) -> dict[str, str]:
    """The findings that follow: code → what explains them."""
    return {f.code: f.consequence_of for f in report.findings if f.consequence_of}


def test_three_private_brokers_are_one_cause_with_three_subjects() -> None:
    report = walked(*PRIVATE.values())
    assert causes(report) == {"KD301": ["broker 1", "broker 2", "broker 3"]}
    assert folded(report) == {"KD104": "KD301"}
    assert (report.root_cause, report.failing_hop, report.exit_code) == ("KD301", "listeners", 30)
    assert report.findings[0].code == "KD301"


def test_one_private_broker_of_three() -> None:
    report = walked(WELL[1], PRIVATE[2], WELL[3])
    assert causes(report) == {"KD301": ["broker 2"]}
    assert folded(report) == {"KD104": "KD301"}


@pytest.mark.parametrize(
    ("met", "cause", "follows"),
    [
        (listener(1, "0.0.0.0:9092"), "KD303", {}),
        (listener(1, "localhost:9092", "refused"), "KD302", {"KD103"}),
        (listener(1, "10.0.1.11:9092", "refused"), "KD301", {"KD103"}),
        (listener(1, "kafka:9092", "dns:not_found"), "KD304", {"KD101"}),
        (listener(1, "198.51.100.1:9092", "refused"), "KD305", {"KD103"}),
        (listener(1, "198.51.100.1:9092", "timeout"), "KD306", {"KD104"}),
        (listener(1, "198.51.100.1:9092", "identity:wrong_node", answered=2), "KD307", set()),
        (listener(1, "198.51.100.1:9092", "identity:wrong_cluster"), "KD310", set()),
        (listener(1, "10.0.1.11:9092", "identity:wrong_cluster"), "KD301", {"KD310"}),
        (listener(1, "localhost:9092", "identity:wrong_cluster"), "KD302", {"KD310"}),
        (listener(1, "localhost:9092", "kafka:not_kafka"), "KD302", {"KD108"}),
        (listener(1, "10.0.1.11:9092", "kafka:controller"), "KD301", {"KD109"}),
        (listener(1, "198.51.100.1:9093", "kafka:controller"), "KD109", set()),
        (listener(1, "broker.example.com:9092", "dns:not_found"), "KD101", set()),
        (listener(1, "198.51.100.1:9092", "kafka:silent"), "KD107", set()),
    ],
)
def test_why_an_address_fails_explains_how(met: Any, cause: str, follows: Any) -> None:
    report = walked(met, WELL[2])
    assert report.root_cause == cause
    assert folded(report) == dict.fromkeys(follows, cause)


def test_a_cause_for_each_broker_are_several_causes() -> None:
    report = walked(PRIVATE[1], CLOSED[2], listener(3, "0.0.0.0:9094"))
    assert causes(report) == {"KD303": ["broker 3"], "KD301": ["broker 1"], "KD305": ["broker 2"]}
    assert report.root_cause == "KD303"


def test_the_cause_that_is_about_most_brokers_is_the_root() -> None:
    report = walked(PRIVATE[1], CLOSED[2], CLOSED[3])
    assert report.root_cause == "KD305"
    assert set(causes(report)) == {"KD305", "KD301"}


def test_two_causes_explain_together_what_happened_to_connections() -> None:
    """A time-out at all three brokers: two of them are private, one is blocked."""
    report = walked(PRIVATE[1], PRIVATE[2], BLOCKED[3])
    assert set(causes(report)) == {"KD301", "KD306"}
    assert folded(report) == {"KD104": "KD301"}


def test_two_causes_explain_together_who_answered_instead() -> None:
    """A private address and localhost, both of which lead to a cluster on this side."""
    report = walked(
        listener(1, "10.0.1.11:9094", "identity:wrong_cluster"),
        listener(2, "localhost:9094", "identity:wrong_cluster"),
    )
    assert report.root_cause == "KD302"
    assert set(causes(report)) == {"KD302", "KD301"}
    assert set(folded(report)) == {"KD310"}


def test_what_happened_to_more_brokers_than_the_cause_explains_is_not_the_root() -> None:
    """No name resolves; two look internal, the third does not. The reason comes before it."""
    report = walked(
        listener(1, "kafka-1:9092", "dns:not_found"),
        listener(2, "kafka-2:9092", "dns:not_found"),
        listener(3, "broker.example.com:9092", "dns:not_found"),
    )
    assert report.root_cause == "KD304"
    assert report.findings[0].subjects == ["broker 1", "broker 2"]
    wider = [finding("KD101", subjects=["broker 1", "broker 2", "broker 3"])]
    deeper = [finding("KD304", subjects=["broker 1", "broker 2"])]
    found = root(explained(wider + deeper))
    assert found
    assert found.code == "KD304"


def test_brokers_behind_one_private_address() -> None:
    met = [listener(node, "10.0.1.11:9094", "timeout") for node in (1, 2, 3)]
    report = walked(*met)
    assert report.root_cause == "KD301"
    assert folded(report) == {"KD104": "KD301", "KD308": "KD301"}


def test_brokers_behind_one_load_balancer() -> None:
    there = [listener(node, f"{DOOR}:9094", "identity:wrong_node", answered=1) for node in (2, 3)]
    report = walked(listener(1, f"{DOOR}:9094"), *there)
    assert report.root_cause == "KD308"
    assert folded(report) == {"KD307": "KD308"}


def test_the_first_of_two_failing_hops_has_the_root() -> None:
    met = list(PRIVATE.values())
    unknown = topic(error="UNKNOWN_TOPIC_OR_PARTITION")
    report = reported(
        working_bootstrap(), metadata(*(x.broker for x in met), topic=unknown), listeners(*met)
    )
    assert [step.status for step in report.hops] == ["pass", "fail", "fail", "skipped"]
    assert (report.failing_hop, report.exit_code) == ("metadata", 20)
    assert report.root_cause == "KD204"
    assert set(causes(report)) == {"KD204", "KD301"}  # it stays a cause of its own


def test_hop_4_at_a_broker_that_hop_3_could_not_reach_is_a_consequence() -> None:
    met = (WELL[1], PRIVATE[2])
    report = reported(
        working_bootstrap(),
        metadata(*(x.broker for x in met)),
        listeners(*met),
        produce(
            produced(1), client=client(delivery(1), delivery(2, "_MSG_TIMED_OUT")), unreached=(2,)
        ),
    )
    assert (report.root_cause, report.exit_code) == ("KD301", 30)
    assert folded(report) == {"KD104": "KD301", "KD407": "KD301"}


def test_hop_4_at_another_broker_is_not() -> None:
    met = (WELL[1], PRIVATE[2])
    report = reported(
        working_bootstrap(),
        metadata(*(x.broker for x in met)),
        listeners(*met),
        produce(produced(1, "silent", "silent"), unreached=(2,)),
    )
    assert report.root_cause == "KD301"
    assert set(causes(report)) == {"KD301", "KD401"}


def test_an_error_is_the_root_before_any_warning() -> None:
    doors = bootstrap(contact(f"{DOOR}:9094"), contact("3.10.139.230:9094", "refused"))
    behind = topic(partition(0, isr=(1,)), partition(1, isr=(1,)))
    report = reported(
        doors, metadata(WELL[1].broker, topic=behind), listeners(CLOSED[1]), fail_on="error"
    )
    assert [step.status for step in report.hops] == ["warn", "warn", "fail", "skipped"]
    assert (report.root_cause, report.exit_code) == ("KD305", 30)


def test_warnings_alone_fail_nothing() -> None:
    report = reported(
        working_bootstrap(), metadata(WELL[1].broker, topic=topic(partition(0, isr=(1,))))
    )
    assert (report.verdict, report.root_cause, report.exit_code) == ("warn", None, 0)
    assert report.ok


def test_warnings_fail_when_they_are_to() -> None:
    behind = topic(partition(0, isr=(1,)))
    report = reported(
        working_bootstrap(), metadata(WELL[1].broker, topic=behind), fail_on="warning"
    )
    assert (report.verdict, report.root_cause, report.exit_code) == ("fail", "KD208", 20)
    assert not report.ok


def test_an_error_of_the_hop_is_its_root_even_when_warnings_fail() -> None:
    one = dial("198.51.100.1", node=1)
    half = listener(1, "a.example.com:9094", "", one, dial("198.51.100.9", "refused"))
    report = walked(half, PRIVATE[2], fail_on="warning")
    assert report.root_cause == "KD301"
    assert {f.code: f.severity.value for f in report.findings}["KD103"] == "warning"


def test_a_warning_explains_nothing() -> None:
    severities = [Severity.WARNING, Severity.ERROR]
    first, second = (
        finding(code, severity)
        for code, severity in zip(("KD305", "KD401"), severities, strict=True)
    )
    assert [f.consequence_of for f in explained([first, second])] == [None, None]


def test_the_deadline_and_a_bug_come_first() -> None:
    report = reported(
        working_bootstrap(), metadata(WELL[1].broker), hop_failures(("listeners", ""))
    )
    assert (report.root_cause, report.failing_hop, report.exit_code) == ("KD002", "listeners", 30)
    broken = reported(
        working_bootstrap(), hop_failures(("metadata", "KeyError at metadata.py:71: 'brokers'"))
    )
    assert (broken.root_cause, broken.failing_hop, broken.exit_code) == ("KD001", "metadata", 1)


def test_no_finding_has_no_root() -> None:
    assert root([]) is None
    assert explained([]) == []


def test_findings_come_in_the_order_of_hops() -> None:
    given = [
        finding("KD401", hop="produce"),
        finding("KD301", hop="listeners"),
        finding("KD104", hop="bootstrap", subjects=["bootstrap x:1"]),
        finding("KD208", Severity.WARNING, hop="metadata", subjects=["partition orders-0"]),
    ]
    assert [f.code for f in explained(given)] == ["KD104", "KD208", "KD301", "KD401"]


def test_nothing_is_lost_and_nothing_is_its_own_cause() -> None:
    report = walked(PRIVATE[1], CLOSED[2], listener(3, "0.0.0.0:9094"))
    codes = {f.code for f in report.findings}
    assert codes == {"KD301", "KD303", "KD305", "KD103", "KD104"}
    for each in report.findings:
        assert each.consequence_of != each.code
        assert each.consequence_of is None or each.consequence_of in causes(report)


CONVICTED = [
    # What the walk found, what AWS says, the subjects of both, and what explains the first.
    ("KD306", "KD501", ["broker 1"], ["broker 1"], "KD501"),
    ("KD306", "KD501", ["broker 1"], ["broker 1", "broker 2"], "KD501"),
    ("KD306", "KD501", ["broker 1", "broker 2"], ["broker 1"], None),
    ("KD306", "KD502", ["broker 1"], ["broker 1"], "KD502"),
    ("KD104", "KD503", ["broker 1"], ["broker 1"], "KD503"),
    ("KD306", "KD506", ["broker 1"], ["broker 1"], "KD506"),
    ("KD305", "KD501", ["broker 1"], ["broker 1"], None),  # a group drops, it does not refuse
    ("KD305", "KD510", ["broker 1"], ["broker 1"], "KD510"),
    ("KD301", "KD501", ["broker 1"], ["broker 1"], None),
    ("KD301", "KD504", ["broker 1"], ["broker 1"], "KD504"),
    ("KD301", "KD507", ["broker 1"], ["broker 1"], None),
    ("KD302", "KD504", ["broker 1"], ["broker 1"], None),
    ("KD112", "KD511", ["broker 1"], ["broker 1"], None),
    ("KD304", "KD511", ["broker 1"], ["broker 1"], "KD511"),
]


@pytest.mark.parametrize(("met", "says", "of", "about", "explained_by"), CONVICTED)
def test_what_aws_says_explains_what_it_can(
    met: str, says: str, of: list[str], about: list[str], explained_by: str | None
) -> None:
    told = [finding(met, subjects=of), finding(says, hop="aws", subjects=about)]
    found = explained(told)
    assert {f.code: f.consequence_of for f in found}[met] == explained_by
    cause = root(of_hop(found, "listeners"))
    assert cause
    assert cause.code == (explained_by or met)


def test_what_follows_from_what_aws_explains_follows_from_aws() -> None:
    told = [finding(code) for code in ("KD104", "KD306")] + [finding("KD501", hop="aws")]
    assert {f.code: f.consequence_of for f in explained(told)} == {
        "KD306": "KD501",
        "KD104": "KD501",
        "KD501": None,
    }


def test_two_things_that_aws_says_explain_together() -> None:
    told = [
        finding("KD306", subjects=["broker 1", "broker 2", "broker 3"]),
        finding("KD501", hop="aws", subjects=["broker 1", "broker 2"]),
        finding("KD502", hop="aws", subjects=["broker 3"]),
    ]
    found = explained(told)
    assert {f.code: f.consequence_of for f in found}["KD306"] == "KD501"
    cause = root(of_hop(found, "listeners"))
    assert cause
    assert cause.code == "KD501"


def test_the_deepest_of_what_aws_says_is_the_cause() -> None:
    """An instance that is stopped needs no rule in its group."""
    told = [finding("KD306"), finding("KD501", hop="aws"), finding("KD506", hop="aws")]
    assert {f.code: f.consequence_of for f in explained(told)}["KD306"] == "KD506"


def test_a_warning_of_aws_explains_nothing_and_follows_from_nothing() -> None:
    told = [finding("KD306"), finding("KD501", Severity.WARNING, hop="aws")]
    told.append(finding("KD505", Severity.WARNING, hop="aws"))
    assert {f.consequence_of for f in explained(told)} == {None}


def test_a_hop_that_passes_has_no_cause_from_beside_it() -> None:
    found = explained([finding("KD306"), finding("KD501", hop="aws")])
    assert of_hop(found, "bootstrap") == []
    assert [f.code for f in of_hop(found, "aws")] == ["KD501"]


def finding(
    code: str,
    severity: Severity = Severity.ERROR,
    hop: AreaId = "listeners",
    subjects: list[str] | None = None,
) -> Finding:
    return Finding(
        code=code,
        name="a-name",
        severity=severity,
        hop=hop,
        title="",
        message="",
        subjects=subjects or ["broker 1"],
        evidence=[],
        remedies=[],
        url="",
    )
