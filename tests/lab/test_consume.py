"""Groups, readers and producers by their role, on a real Kafka; the real client is the judge.

After each check the cluster is what it was: topics, groups, access rules, transactions, and the
bytes of every log.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

import kdiag
from kdiag.report.model import Report
from tests.applied import applies
from tests.control.released import Broker, Release
from tests.lab import needs
from tests.lab.client import Client
from tests.lab.lab import Lab
from tests.lab.processes import end
from tests.lab.scripts import typed

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]

PATIENCE = 30.0  # seconds
OFFSETS_TOPIC = "__consumer_offsets"


def snapshot(server: str, folder: Path) -> dict[str, Any]:
    """What a check must leave as it was. The cluster's own metadata log grows by itself."""
    admin = AdminClient({"bootstrap.servers": server})
    listed = admin.list_topics(timeout=PATIENCE)
    groups = admin.list_consumer_groups().result(PATIENCE)
    some: Any = None
    every = AclBindingFilter(
        ResourceType.ANY, some, ResourcePatternType.ANY, some, some, AclOperation.ANY,
        AclPermissionType.ANY,
    )  # fmt: skip
    try:
        rules = sorted(map(str, admin.describe_acls(every).result(PATIENCE)))
    except KafkaException:  # without an authorizer
        rules = []
    logs = {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*.log")
        if path.parent != folder and "__cluster_metadata" not in str(path)
    }
    return {
        "topics": sorted((name, len(t.partitions)) for name, t in listed.topics.items()),
        "groups": sorted(f"{group.group_id} {group.state}" for group in groups.valid),
        "rules": rules,
        "logs": logs,
    }


Checked = Callable[..., Report]


def checking(server: str, folder: Path) -> Checked:
    """`kdiag.check`, with the snapshot before and after held together."""

    def check(at: str = server, **options: Any) -> Report:
        before = snapshot(server, folder)
        report = kdiag.check(at, timeout=5, answer_timeout=10, **options)
        after = snapshot(server, folder)
        if topic := options.get("topic"):  # with one, hop 4 writes a record to each leader
            for found in (before, after):
                found["logs"] = {
                    n: size for n, size in found["logs"].items() if f"/{topic}-" not in n
                }
        assert after == before
        return report

    return check


# A cluster in which no consumer can work.


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One new broker, with the default replication factor of the topic of offsets."""
    needs.require(*needs.KAFKA)
    needs.require_loopback()
    folder = tmp_path_factory.mktemp("alone") / "4.3.1"
    address = f"127.{random.randint(16, 250)}.{random.randint(0, 255)}.1"
    broker = _Default(Release("4.3.1"), folder, address)
    process = broker.start("")
    try:
        Client().tool("create", broker.server, "orders")
        yield broker
    finally:
        end(process)


class _Default(Broker):
    def _configuration(self, zookeeper: str) -> list[str]:
        given = super()._configuration(zookeeper)
        return [line for line in given if not line.startswith("offsets.topic.replication")]


@applies("properties offsets.topic.replication.factor")
def test_the_factor_of_the_fix_lets_groups_work(
    alone: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = next(f for f in kdiag.check(alone.server).findings if f.code == "KD901")
    line, given = finding.remedies[0].snippet, _Default._configuration
    monkeypatch.setattr(_Default, "_configuration", lambda *asked: [*given(*asked), line])
    broker = _Default(Release("4.3.1"), tmp_path / "4.3.1", f"127.{random.randint(16, 250)}.1.1")
    process = broker.start("")
    try:
        Client().tool("create", broker.server, "orders")
        report = kdiag.check(broker.server, group="billing", timeout=5, answer_timeout=10)
        assert "KD901" not in [found.code for found in report.findings], report.to_json()
    finally:
        end(process)


def test_a_topic_of_offsets_that_cannot_be_created(alone: Broker) -> None:
    check = checking(alone.server, alone.folder)
    warned = check()
    assert (warned.exit_code, warned.verdict) == (0, "warn")
    assert [finding.code for finding in warned.findings] == ["KD901"]
    report = check(group="billing")
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("consume", "KD901", 90)
    for role in ("idempotent", "transactional", "producer", "share"):
        check(role=role, group="billing", properties={"transactional.id": "t"})
    assert OFFSETS_TOPIC not in AdminClient(
        {"bootstrap.servers": alone.server}
    ).list_topics(timeout=PATIENCE).topics  # fmt: skip

    # The real client polls, and gets nothing: it has no coordinator.
    reader = Consumer({"bootstrap.servers": alone.server, "group.id": "billing"})
    try:
        reader.subscribe(["orders"])
        assert reader.poll(3.0) is None
        assert not reader.assignment()
    finally:
        reader.close()


# A cluster that is used.


@pytest.fixture(scope="module")
def used(kafka: Lab) -> str:
    """The lab's cluster, with a topic of offsets and a topic to read, as its super user sees it."""
    server = kafka.at("PUBLIC")
    admin = AdminClient({"bootstrap.servers": server})
    for name in ("read", "kept"):
        admin.create_topics([NewTopic(name, 3, 3)])[name].result(PATIENCE)
    producer = Producer({"bootstrap.servers": server})
    for number in range(30):
        producer.produce("read", b"x" * 100, partition=number % 3)
    assert producer.flush(PATIENCE) == 0
    with consumer(server, "first", "read") as reader:
        next_message(reader)
    return server


@contextmanager
def consumer(server: str, group: str, topic: str, **more: Any) -> Iterator[Consumer]:
    """A consumer of the group that is subscribed, and commits nothing by itself."""
    given = {
        "bootstrap.servers": server, "group.id": group, "auto.offset.reset": "earliest",
        "enable.auto.commit": False, **{n.replace("_", "."): v for n, v in more.items()},
    }  # fmt: skip
    reader = Consumer(given)
    try:
        reader.subscribe([topic])
        yield reader
    finally:
        reader.close()


def next_message(reader: Consumer) -> Message:
    """The next record, or the error that ends the wait for it."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        message = reader.poll(0.5)
        if message:
            return message
    raise TimeoutError("no record, and no error")


def test_a_group_that_reads(kafka: Lab, used: str) -> None:
    check = checking(used, kafka.kafka.folder)
    with consumer(used, "steady", "read") as reader:
        next_message(reader)
        reader.commit(offsets=[TopicPartition("read", n, 4) for n in range(3)], asynchronous=False)
        report = check(group="steady", topic="read")
    assert (report.exit_code, report.findings) == (0, []), report.to_json()
    assert report.consume
    assert report.hops[-1].summary.endswith("the real client reads 3 of 3")
    assert report.consume.group_state == "Stable"
    assert report.consume.group_protocol == "classic"
    assert len(report.consume.members) == 1
    assert report.consume.lag is not None
    assert report.consume.lag >= 18
    assert [right.granted for right in report.consume.rights] == [True, True]
    alone = check(group="steady")
    assert alone.consume
    assert alone.consume.lag is not None
    assert alone.consume.lag >= 18, "also where the topic is not named"


def test_a_group_of_the_newer_protocol(kafka: Lab, used: str) -> None:
    with consumer(used, "newer", "read", group_protocol="consumer") as reader:
        next_message(reader)
        report = checking(used, kafka.kafka.folder)(group="newer")
    assert report.exit_code == 0
    assert report.consume
    assert (report.consume.group_protocol, report.consume.group_state) == ("consumer", "Stable")
    assert len(report.consume.members) == 1


def test_a_share_group_that_is_not_there(kafka: Lab, used: str) -> None:
    report = checking(used, kafka.kafka.folder)(group="shared", role="share")
    assert report.exit_code == 0
    assert report.consume
    assert (report.consume.group_state, report.consume.rights[0].granted) == ("Absent", True)


def test_a_member_that_does_not_join_again(kafka: Lab, used: str) -> None:
    with consumer(used, "stuck", "read") as hangs:
        next_message(hangs)
        with consumer(used, "stuck", "read") as joins:
            joins.poll(1.0)
            report = checking(used, kafka.kafka.folder)(group="stuck")
            assert "KD906" in [finding.code for finding in report.findings], report.to_json()
            assert (report.exit_code, report.verdict) == (0, "warn")
            hangs.unsubscribe()


@applies("shell kafka-consumer-groups.sh")
def test_a_committed_offset_that_was_deleted(kafka: Lab, used: str) -> None:
    admin = AdminClient({"bootstrap.servers": used})
    with consumer(used, "late", "read") as reader:
        next_message(reader)
        reader.commit(offsets=[TopicPartition("read", 0, 1)], asynchronous=False)
    deleted = admin.delete_records([TopicPartition("read", 0, 3)])
    for future in deleted.values():
        future.result(PATIENCE)
    check = checking(used, kafka.kafka.folder)
    report = check(group="late", properties={"auto.offset.reset": "none"})
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("consume", "KD907", 90)
    assert check(group="late").exit_code == 0, "the consumer goes on, and it is a warning"
    with consumer(used, "late", "read", auto_offset_reset="error") as reader:
        error = next(filter(None, (next_message(reader).error() for _ in range(40))))
        assert error.code() == KafkaError._AUTO_OFFSET_RESET
    typed(report.findings[0].remedies[0].snippet, used)
    again = check(group="late", properties={"auto.offset.reset": "none"})
    assert (again.exit_code, again.findings) == (0, [])


@applies("shell kafka-transactions.sh")
def test_a_transaction_of_a_producer_that_was_killed(kafka: Lab, used: str) -> None:
    producer = Producer({"bootstrap.servers": used, "transactional.id": "killed"})
    producer.init_transactions(PATIENCE)
    producer.begin_transaction()
    long_ago = int((time.time() - 600) * 1000)
    producer.produce("kept", b"x", partition=0, timestamp=long_ago)
    producer.flush(PATIENCE)
    try:
        report = checking(used, kafka.kafka.folder)(group="held", topic=None)
        assert report.consume
        with consumer(used, "held", "kept") as reader:
            give_up = time.monotonic() + PATIENCE
            while not reader.assignment() and time.monotonic() < give_up:
                reader.poll(0.2)  # a member of the group may commit
            reader.commit(offsets=[TopicPartition("kept", 0, 0)], asynchronous=False)
        report = checking(used, kafka.kafka.folder)(group="held")
        assert [finding.code for finding in report.findings] == ["KD909"], report.to_json()
        (line,) = report.findings[0].evidence
        assert line.startswith("kept-0: last stable offset 0, end 1; producer id ")
        typed(report.findings[0].remedies[0].snippet, used)
        assert checking(used, kafka.kafka.folder)(group="held").findings == []
    finally:
        producer.abort_transaction(PATIENCE)


# Rights: every subset, and the real client as the judge.


def denied(server: str, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Denies alice this operation."""
    rule = AclBinding(
        kind, name, ResourcePatternType.LITERAL, "User:alice", "*", operation,
        AclPermissionType.DENY,
    )  # fmt: skip
    admin = AdminClient({"bootstrap.servers": server})  # its futures end with it
    for future in admin.create_acls([rule]).values():
        future.result(PATIENCE)


@pytest.mark.parametrize(("group", "topic"), list(itertools.product((True, False), (True, False))))
def test_the_rights_of_a_consumer(kafka: Lab, used: str, group: bool, topic: bool) -> None:
    name = f"rights-{group}-{topic}"
    admin = AdminClient({"bootstrap.servers": used})
    admin.create_topics([NewTopic(name, 3, 3)])[name].result(PATIENCE)
    if not group:
        denied(used, ResourceType.GROUP, name, AclOperation.READ)
    if not topic:
        denied(used, ResourceType.TOPIC, name, AclOperation.READ)
    login = kafka.properties("LOGIN")
    report = checking(used, kafka.kafka.folder)(
        kafka.at("LOGIN"), group=name, properties={**login, "group.id": name}
    )
    with_topic = kdiag.check(kafka.at("LOGIN"), group=name, topic=name, properties=login, timeout=5)
    assert report.consume
    assert with_topic.consume
    assert [right.granted for right in with_topic.consume.rights] == [group, topic]
    wanted = 0 if group and topic else 90
    assert with_topic.exit_code == wanted, with_topic.to_json()
    denials = [f for f in with_topic.findings if f.code.startswith("KD9")]
    commands = [r.snippet for f in denials for r in f.remedies]
    assert all(("--group" in c) is not group and ("--topic" in c) is not topic for c in commands)

    with consumer(kafka.at("LOGIN"), name, name, enable_partition_eof=True, **_written(login)) as r:
        error = next_message(r).error()
        code = error.code() if error else None
    expected = {
        (True, True): (None, KafkaError._PARTITION_EOF),
        (True, False): (KafkaError.TOPIC_AUTHORIZATION_FAILED,),
    }
    assert code in expected.get((group, topic), (KafkaError.GROUP_AUTHORIZATION_FAILED,))


def _written(properties: Mapping[str, str]) -> dict[str, str]:
    return {name.replace(".", "_"): value for name, value in properties.items()}


@pytest.mark.parametrize("allowed", [True, False])
def test_the_rights_of_a_transactional_producer(kafka: Lab, used: str, allowed: bool) -> None:
    name = f"transactions-{allowed}"
    if not allowed:
        denied(used, ResourceType.TRANSACTIONAL_ID, name, AclOperation.WRITE)
    login = {**kafka.properties("LOGIN"), "transactional.id": name}
    report = checking(used, kafka.kafka.folder)(
        kafka.at("LOGIN"), role="transactional", properties=login
    )
    assert report.exit_code == (0 if allowed else 90), report.to_json()
    assert report.consume
    assert [right.granted for right in report.consume.rights] == [allowed]
    producer = Producer({**login, "bootstrap.servers": kafka.at("LOGIN")})
    if allowed:
        producer.init_transactions(PATIENCE)
    else:
        with pytest.raises(KafkaException) as failed:
            producer.init_transactions(PATIENCE)
        assert failed.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


@pytest.mark.parametrize(("user", "allowed"), [("alice", True), ("guest", False)])
def test_the_right_of_an_idempotent_producer(
    kafka: Lab, used: str, user: str, allowed: bool
) -> None:
    login = {**kafka.properties("LOGIN"), **kafka.login(user)}
    report = checking(used, kafka.kafka.folder)(
        kafka.at("LOGIN"), role="idempotent", properties=login
    )
    assert report.exit_code == (0 if allowed else 90), report.to_json()
    assert report.consume
    assert [right.granted for right in report.consume.rights] == [allowed]
