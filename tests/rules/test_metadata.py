"""KD2xx: what the cluster tells of itself and of the topic."""

from __future__ import annotations

import pytest

from kdiag.config.settings import settings
from kdiag.rules.catalog import every_rule
from kdiag.walk.facts.metadata import Broker, Metadata, MetadataAnswer, Partition
from tests.facts import answer, at, brokers, found_by, metadata, partition, topic

RULES = every_rule()


THREE = brokers(1, 2, 3)
SERVER = "3.10.139.221:9094"
OTHER = "3.10.139.222:9094"


def lost(index: int, *, isr: tuple[int, ...] = (4,), error: str = "NONE") -> Partition:
    """A partition without a leader, whose replicas are on broker 4, which nobody lists."""
    return partition(index, -1, (4, 5), isr, error)


FIRES = [
    ("KD201", metadata(answers=(answer(SERVER, "silent"),)), [f"bootstrap {SERVER}"]),
    ("KD201", metadata(answers=(answer(SERVER, "closed"),)), [f"bootstrap {SERVER}"]),
    ("KD202", metadata(answers=(answer(SERVER, "not_kafka"),)), [f"bootstrap {SERVER}"]),
    ("KD202", metadata(*THREE, topic=topic(error="INVALID_TOPIC_EXCEPTION")), ["topic orders"]),
    ("KD203", metadata(), [f"bootstrap {SERVER}"]),
    ("KD204", metadata(*THREE, topic=topic(error="UNKNOWN_TOPIC_OR_PARTITION")), ["topic orders"]),
    ("KD205", metadata(*THREE, topic=topic(error="TOPIC_AUTHORIZATION_FAILED")), ["topic orders"]),
    (
        "KD206",
        metadata(*THREE, topic=topic(partition(0), lost(1, error="LEADER_NOT_AVAILABLE"))),
        ["partition orders-1"],
    ),
    ("KD206", metadata(*THREE, topic=topic(lost(0, isr=()))), ["partition orders-0"]),
    (
        "KD207",
        metadata(*THREE, topic=topic(partition(0, -1, error="LISTENER_NOT_FOUND"))),
        ["partition orders-0"],
    ),
    ("KD208", metadata(*THREE, topic=topic(partition(0, isr=(1, 2)))), ["partition orders-0"]),
    (
        "KD209",
        metadata(*THREE, answers=(answer(SERVER, cluster="one"), answer(OTHER, cluster="two"))),
        [f"bootstrap {SERVER}", f"bootstrap {OTHER}"],
    ),
    (
        "KD210",
        metadata(*THREE)._replace(twice=(Broker(1, at("other:9094")),)),
        ["broker 1"],
    ),
]

WELL = metadata(*THREE, topic=topic(partition(0), partition(1, 2)))
SILENT = [
    *((code, WELL) for code in RULES if code.startswith("KD2")),
    ("KD201", metadata(answers=(answer(SERVER, "not_kafka"),))),
    ("KD202", metadata(answers=(answer(SERVER, "silent"),))),
    ("KD202", metadata(*THREE, topic=topic(error="UNKNOWN_TOPIC_OR_PARTITION"))),
    ("KD202", metadata(*THREE, topic=topic(error="TOPIC_AUTHORIZATION_FAILED"))),
    ("KD203", metadata(answers=(answer(SERVER, "silent"),))),  # nothing answered: KD201
    ("KD204", metadata(*THREE)),
    ("KD206", metadata(*THREE, topic=topic(partition(0, -1, error="LISTENER_NOT_FOUND")))),
    ("KD207", metadata(*THREE, topic=topic(partition(0, -1, error="LEADER_NOT_AVAILABLE")))),
    ("KD208", metadata(*THREE, topic=topic(partition(0, -1, isr=())))),  # no leader at all: KD206
    ("KD209", metadata(*THREE, answers=(answer(SERVER), answer(OTHER)))),
    ("KD209", metadata(*THREE, answers=(answer(SERVER), answer(OTHER, "silent")))),
    ("KD209", metadata(*THREE, answers=(answer(SERVER), answer(OTHER, cluster=None)))),
]


@pytest.mark.parametrize(("code", "told", "subjects"), FIRES)
def test_fires(code: str, told: Metadata, subjects: list[str]) -> None:
    (finding,) = found_by(code, told)
    severity = "warning" if code in ("KD208", "KD209", "KD210") else "error"
    assert (finding.code, finding.hop, finding.severity) == (code, "metadata", severity)
    assert finding.subjects == subjects
    assert finding.evidence
    assert finding.remedies


@pytest.mark.parametrize(("code", "told"), SILENT)
def test_is_silent(code: str, told: Metadata) -> None:
    assert found_by(code, told) == []


@pytest.mark.parametrize(("code", "failed"), [("KD201", "silent"), ("KD202", "not_kafka")])
def test_one_of_two_answers_is_enough(code: str, failed: str) -> None:
    told = metadata(*THREE, answers=(answer(SERVER), answer(OTHER, failed)))
    (finding,) = found_by(code, told)
    assert finding.severity == "warning"
    assert finding.subjects == [f"bootstrap {OTHER}"]


def test_several_addresses_of_one_server_are_one_subject() -> None:
    twice: tuple[MetadataAnswer, ...] = (answer(SERVER, "silent"), answer(SERVER, "silent"))
    (finding,) = found_by("KD201", metadata(answers=twice))
    assert finding.subjects == [f"bootstrap {SERVER}"]
    assert finding.message == f"{SERVER} did not answer the metadata request"


def test_dead_brokers_are_named() -> None:
    lost = partition(0, -1, replicas=(4, 5), isr=(), error="LEADER_NOT_AVAILABLE")
    (finding,) = found_by("KD206", metadata(*THREE, topic=topic(lost, partition(1))))
    assert finding.message == "1 of 2 partitions of topic orders without a leader"
    assert finding.evidence == ["orders-0: LEADER_NOT_AVAILABLE, replicas 4, 5, in sync none"]
    assert finding.remedies[0].summary.startswith("Bring back brokers 4 and 5")


@pytest.mark.parametrize(
    ("creates", "given", "severity", "said"),
    [
        ("true", {}, "warning", "auto.create.topics.enable=true: a producer"),
        ("true", {"allow.auto.create.topics": "true"}, "warning", "=true: a producer"),
        ("true", {"allow.auto.create.topics": "False"}, "error", "allow.auto.create.topics=false"),
        ("false", {}, "error", "auto.create.topics.enable=false: no producer"),
        (
            "CLUSTER_AUTHORIZATION_FAILED",
            {},
            "error",
            "does not tell (CLUSTER_AUTH",
        ),
        (None, {}, "error", "not proven, as the broker does not tell: with"),
    ],
)
def test_a_topic_that_would_be_created(
    creates: str | None, given: dict[str, str], severity: str, said: str
) -> None:
    missing = metadata(*THREE, topic=topic(error="UNKNOWN_TOPIC_OR_PARTITION"))
    asked = settings(SERVER, topic="orders", properties=given)
    (finding,) = found_by("KD204", missing._replace(creates=creates), asked)
    assert finding.severity == severity
    assert said in finding.evidence[-1]
    assert finding.message.endswith(" yet: the first write creates it") is (severity == "warning")


def test_a_leader_that_can_be_elected_at_any_moment_is_a_warning() -> None:
    two = topic(partition(0, -1, isr=(2,), error="LEADER_NOT_AVAILABLE"), lost(1), partition(2))
    dead, electing = found_by("KD206", metadata(*THREE, topic=two))
    assert (dead.severity, dead.subjects) == ("error", ["partition orders-1"])
    assert (electing.severity, electing.subjects) == ("warning", ["partition orders-0"])
    assert electing.message == (
        "1 of 3 partitions of topic orders without a leader just now, though an in-sync replica "
        "is up"
    )
    assert "controller" in electing.remedies[0].summary


def test_an_error_of_the_topic_is_told_with_what_it_means() -> None:
    (broken,) = found_by("KD202", metadata(*THREE, topic=topic(error="INVALID_TOPIC_EXCEPTION")))
    assert broken.evidence[1].startswith("INVALID_TOPIC_EXCEPTION: The topic's name is not allowed")
    (new,) = found_by("KD202", metadata(*THREE, topic=topic(error="LEADER_NOT_AVAILABLE")))
    assert (broken.severity, new.severity) == ("error", "warning")
    assert "Just after a topic was created" in new.evidence[1]


def test_brokers_that_are_behind_are_named() -> None:
    behind = topic(partition(0, isr=(1,)), partition(1, isr=(1, 3)))
    (finding,) = found_by("KD208", metadata(*THREE, topic=behind))
    assert finding.message.endswith("with replicas out of sync, on brokers 2 and 3")


def test_the_only_partition_is_called_so() -> None:
    (finding,) = found_by("KD208", metadata(*THREE, topic=topic(partition(0, isr=(1, 2)))))
    assert finding.message.startswith("The only partition of topic orders")
    assert finding.message.endswith("on broker 3")


def test_a_topic_to_create_has_its_name() -> None:
    missing = topic(name="ordres", error="UNKNOWN_TOPIC_OR_PARTITION")
    (finding,) = found_by("KD204", metadata(*THREE, topic=missing))
    assert finding.remedies[0].snippet == (
        f"kafka-topics.sh --bootstrap-server {SERVER} --create --topic ordres"
    )


def test_a_topic_that_the_answer_leaves_out_is_a_proxys_way() -> None:
    missing = topic(name="orders", error="UNKNOWN_TOPIC_OR_PARTITION")._replace(left_out=True)
    told = metadata(*THREE, topic=missing, cluster_id=None)
    (finding,) = found_by("KD204", told)
    assert found_by("KD202", told) == []
    assert (finding.code, finding.severity) == ("KD204", "error")
    assert finding.message == (
        f"{SERVER} does not know topic orders: its metadata answer leaves it out"
    )
    assert "UNKNOWN_TOPIC" not in " ".join(finding.evidence)  # it did not say so
    assert "--create" not in " ".join(fix.snippet or "" for fix in finding.remedies)


@pytest.mark.parametrize(
    ("alike", "evidence", "fixes"),
    [
        (
            ("orders", "order"),
            "the cluster has orders and order",
            ["Use orders or order, if that is meant."],
        ),
        ((), "none of the topics that it lists for this client has a name like that", []),
        (None, "", []),
    ],
    ids=["some", "none", "not known"],
)
def test_topics_with_a_name_like_it(
    alike: tuple[str, ...] | None, evidence: str, fixes: list[str]
) -> None:
    missing = topic(name="ordres", error="UNKNOWN_TOPIC_OR_PARTITION")
    (finding,) = found_by("KD204", metadata(*THREE, topic=missing)._replace(alike=alike))
    assert finding.evidence[1:-1] == ([evidence] if evidence else [])
    assert [remedy.summary for remedy in finding.remedies[:-1]] == fixes
