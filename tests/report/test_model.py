"""The answer: verdict, failing hop, exit code, and the facts as they are told."""

from __future__ import annotations

import pytest

from kdiag.config.usage import UsageError
from kdiag.report.model import BrokerReport
from kdiag.walk.facts.listeners import Listener
from kdiag.walk.facts.metadata import Topic
from kdiag.walk.facts.produce import BrokerProduce, Produce
from tests.facts import (
    CLUSTER_ID,
    DOOR,
    LAPTOP,
    bootstrap,
    brokers,
    contact,
    dial,
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

WELL = listener(1, "198.51.100.1:9094")
ONE = metadata(WELL.broker)


@pytest.mark.parametrize(
    ("facts", "hop", "code"),
    [
        ((bootstrap(contact(f"{DOOR}:9094", "refused")),), "bootstrap", 10),
        ((working_bootstrap(), metadata()), "metadata", 20),
        (
            (working_bootstrap(), ONE, listeners(listener(1, "198.51.100.1:9094", "refused"))),
            "listeners",
            30,
        ),
        (
            (
                working_bootstrap(),
                ONE,
                listeners(WELL),
                produce(produced(1, "silent", "silent", own=True)),
            ),
            "produce",
            40,
        ),
        ((working_bootstrap(), ONE, listeners(WELL), produce(produced(1))), None, 0),
    ],
)
def test_the_exit_code_is_the_first_failing_hops(
    facts: tuple[object, ...], hop: str | None, code: int
) -> None:
    report = reported(*facts)
    assert (report.failing_hop, report.exit_code) == (hop, code)
    assert report.verdict == ("fail" if hop else "pass")
    assert report.ok == (hop is None)
    assert (report.root_cause is None) == (hop is None)


def test_interrupted() -> None:
    report = reported(working_bootstrap(), interrupted=True)
    assert (report.exit_code, report.verdict, report.root_cause) == (130, "fail", None)
    assert str(report) == "interrupted"


def test_interrupted_after_something_was_found() -> None:
    report = reported(bootstrap(contact(f"{DOOR}:9094", "refused")), interrupted=True)
    assert (report.exit_code, report.root_cause) == (130, "KD103")


def test_a_report_is_its_verdict_in_a_line() -> None:
    well = reported(working_bootstrap(), ONE, listeners(WELL), produce(produced(1)))
    assert str(well) == "pass: the path works"
    slow = reported(working_bootstrap(), ONE, listeners(WELL), produce(produced(1, throttle_ms=5)))
    assert str(slow) == "warn: the path works"
    broken = reported(bootstrap(contact(f"{DOOR}:9094", "refused")))
    assert str(broken).startswith(f"fail at bootstrap: KD103 {DOOR}:9094 refuses the connection")


def test_no_cluster_without_a_broker_list() -> None:
    assert reported(bootstrap(contact(f"{DOOR}:9094", "refused"))).cluster is None
    assert reported(working_bootstrap(), metadata()).cluster is None
    assert reported(working_bootstrap(), metadata(*brokers(1, 2))).cluster is not None


def test_where_the_client_came_from() -> None:
    two = bootstrap(
        contact("a.example.com:9094", "", dial(DOOR), dial("2001:db8::1", source="2001:db8::99")),
        contact("b.example.com:9094", "", dial("3.10.139.222"), dial("3.10.139.223", "timeout")),
    )
    assert reported(two).source_addresses == [LAPTOP, "2001:db8::99"]


def told(met: Listener, asked: Produce | None = None) -> BrokerReport:
    """How the report tells of one broker."""
    facts = (working_bootstrap(), metadata(met.broker), listeners(met), *([asked] if asked else []))
    cluster = reported(*facts).cluster
    assert cluster
    return cluster.brokers[0]


def test_a_broker_that_is_well() -> None:
    broker = told(WELL, produce(produced(1)))
    assert (broker.node, broker.advertised) == (1, "198.51.100.1:9094")
    assert [layer for layer, outcome in broker.layers.items() if outcome == "ok"] == [
        *("dns", "tcp", "kafka", "identity")
    ]
    assert broker.layers["tls"] is broker.layers["sasl"] is None
    assert (broker.answered_as, broker.produce) == (1, "ok")
    assert broker.addresses == ["198.51.100.1"]


@pytest.mark.parametrize(
    ("failed", "layers"),
    [
        ("dns:not_found", {"dns": "not_found"}),
        ("timeout", {"dns": "ok", "tcp": "timeout"}),
        ("kafka:closed", {"dns": "ok", "tcp": "ok", "kafka": "closed"}),
        ("identity:denied", {"dns": "ok", "tcp": "ok", "kafka": "ok", "identity": "denied"}),
    ],
)
def test_a_brokers_layers_end_where_it_failed(failed: str, layers: dict[str, str]) -> None:
    broker = told(listener(1, "broker.example.com:9094", failed))
    assert {layer: outcome for layer, outcome in broker.layers.items() if outcome} == layers
    assert list(broker.layers) == ["dns", "tcp", "tls", "kafka", "sasl", "identity"]


def test_a_broker_that_was_not_dialled() -> None:
    broker = told(listener(1, "0.0.0.0:9094"))
    assert set(broker.layers.values()) == {None}
    assert (broker.answered_as, broker.produce, broker.addresses) == (None, None, [])


def test_another_broker_answered() -> None:
    broker = told(listener(1, "198.51.100.1:9094", "identity:wrong_node", answered=2))
    assert (broker.layers["identity"], broker.answered_as) == ("wrong_node", 2)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (produced(1), "ok"),
        (produced(1, "silent", "silent"), "silent"),
        (produced(1, "", "silent"), "silent"),
        (produced(1, "", "reset"), "reset"),
        (produced(2), None),
    ],
)
def test_what_became_of_a_produce_request(asked: BrokerProduce, said: str | None) -> None:
    assert told(WELL, produce(asked)).produce == said


def test_the_other_addresses_that_were_tried() -> None:
    beside = (contact(f"{DOOR}:9094", node=1), contact("3.10.139.222:9094", "timeout"))
    broker = told(listener(1, "10.0.1.11:9094", "timeout", candidates=beside))
    assert broker.candidates == {f"{DOOR}:9094": 1, "3.10.139.222:9094": None}


@pytest.mark.parametrize(
    ("asked", "error", "partitions"),
    [
        (topic(partition(0), partition(1)), None, 2),
        (topic(error="UNKNOWN_TOPIC_OR_PARTITION"), "UNKNOWN_TOPIC_OR_PARTITION", 0),
    ],
)
def test_the_topic_that_was_asked_for(asked: Topic, error: str | None, partitions: int) -> None:
    cluster = reported(working_bootstrap(), metadata(*brokers(1), topic=asked)).cluster
    assert cluster
    assert cluster.id == CLUSTER_ID
    assert cluster.topic
    assert (cluster.topic.name, cluster.topic.error) == ("orders", error)
    assert cluster.topic.partitions == partitions


def test_a_hop_that_was_skipped_says_why_and_one_that_failed_does_not() -> None:
    report = reported(bootstrap(contact(f"{DOOR}:9094", "refused")), skipped="bootstrap failed")
    assert [(step.status, step.skipped_because) for step in report.hops] == [
        ("fail", None),
        ("skipped", "bootstrap failed"),
        ("skipped", "bootstrap failed"),
        ("skipped", "bootstrap failed"),
    ]


def test_the_notes_on_the_settings_are_kept() -> None:
    report = reported(working_bootstrap(), target=DOOR)
    assert report.target == [f"{DOOR}:9092"]
    assert report.notes == [f"{DOOR}: no port given, 9092 assumed"]


# What is ignored.

ONE_DEAD = (
    working_bootstrap(),
    metadata(WELL.broker, listener(2, "10.0.1.12:9094").broker),
    listeners(WELL, listener(2, "10.0.1.12:9094", "timeout")),
    produce(produced(1), unreached=(2,)),
)


def test_what_is_ignored_is_reported_and_does_not_count() -> None:
    """What only follows from it goes with it."""
    failed = reported(*ONE_DEAD)
    assert (failed.exit_code, failed.root_cause) == (30, "KD301")
    assert {finding.code for finding in failed.findings} > {"KD301"}
    for name in ("KD301", "kd301", "private-address", "Private-Address"):
        report = reported(*ONE_DEAD, ignore=[name])
        assert (report.exit_code, report.verdict, report.root_cause) == (0, "pass", None)
        assert all(finding.ignored for finding in report.findings)
        assert len(report.findings) == len(failed.findings)


def test_an_ignored_consequence_leaves_its_cause() -> None:
    report = reported(*ONE_DEAD, ignore=["KD306", "KD104"])
    assert (report.exit_code, report.root_cause) == (30, "KD301")


def test_what_ended_the_walk_counts_all_the_same() -> None:
    """Nobody may read "pass" where nothing was checked."""
    for ignore, facts in (
        ("KD103", (bootstrap(contact(f"{DOOR}:9094", "refused")),)),
        ("KD203", (working_bootstrap(), metadata())),
        ("KD301", (working_bootstrap(), ONE, listeners(listener(1, "10.0.1.11:9094", "timeout")))),
    ):
        report = reported(*facts, ignore=[ignore])
        assert (report.verdict, report.root_cause) == ("fail", ignore)
        assert "among the ignored ones, and counts nevertheless" in report.findings[0].evidence[-1]


def test_a_warning_is_ignored_too() -> None:
    slow = (working_bootstrap(), ONE, listeners(WELL), produce(produced(1, throttle_ms=5)))
    assert reported(*slow).verdict == "warn"
    assert reported(*slow, ignore=["throttled"]).verdict == "pass"
    assert reported(*slow, ignore=["throttled"], fail_on="warning").exit_code == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("KD4066", "--ignore KD4066: no such finding (did you mean KD406?)"),
        ("privat-address", "(did you mean private-address?)"),
        ("", "no such finding"),
        ("KD001", "always counts"),
        ("deadline", "always counts"),
    ],
)
def test_what_cannot_be_ignored(name: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        reported(*ONE_DEAD, ignore=[name])
    assert says in str(caught.value)
