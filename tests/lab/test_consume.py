"""Groups, readers and producers by their role, on a real Kafka; the real client is the judge.

After each check the cluster is what it was: topics, groups, access rules, transactions, and the
bytes of every log.
"""

from __future__ import annotations

import itertools
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclOperation,
    AdminClient,
    NewTopic,
    ResourceType,
)

import kdiag
from tests.applied import applies
from tests.control.released import Broker, Release
from tests.lab import needs
from tests.lab.client import Client
from tests.lab.lab import Lab
from tests.lab.processes import end
from tests.lab.roles import checking, consumer, denied, next_message
from tests.lab.scripts import typed

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]

PATIENCE = 30.0  # seconds
OFFSETS_TOPIC = "__consumer_offsets"


# A cluster in which no consumer can work.


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One new broker, with the default replication factors of Kafka's own topics."""
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
        return [line for line in given if not line.endswith((".replication.factor=1", ".isr=1"))]


TRANSACTIONAL = {"role": "transactional", "properties": {"transactional.id": "t"}}


@applies(
    "properties offsets.topic.replication.factor",
    "properties transaction.state.log.replication.factor",
    "properties share.coordinator.state.topic.replication.factor",
)
def test_the_factors_of_the_fixes_lets_groups_work(
    alone: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = [
        kdiag.check(alone.server, timeout=5, **asked)
        for asked in ({}, TRANSACTIONAL, {"role": "share", "group": "shared"})
    ]
    found = [f for r in reports for f in r.findings if f.code in ("KD901", "KD916")]
    lines = {line for f in found for line in f.remedies[0].snippet.splitlines()}
    assert len(lines) == 5
    given = _Default._configuration
    monkeypatch.setattr(_Default, "_configuration", lambda *asked: [*given(*asked), *lines])
    broker = _Default(Release("4.3.1"), tmp_path / "4.3.1", f"127.{random.randint(16, 250)}.1.1")
    process = broker.start("")
    try:
        Client().tool("create", broker.server, "orders")
        report = kdiag.check(broker.server, group="billing", timeout=5, answer_timeout=10)
        assert "KD901" not in [found.code for found in report.findings], report.to_json()
        Producer({"bootstrap.servers": broker.server, "transactional.id": "t"}).init_transactions(
            PATIENCE
        )
        for asked in (TRANSACTIONAL, {"role": "share", "group": "shared"}):
            report = kdiag.check(broker.server, timeout=5, answer_timeout=10, **asked)
            assert (report.exit_code, report.findings) == (0, []), report.to_json()
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

    report = check(**TRANSACTIONAL)
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("consume", "KD916", 90)
    producer = Producer({"bootstrap.servers": alone.server, "transactional.id": "t"})
    with pytest.raises(KafkaException) as failed:
        producer.init_transactions(3)
    assert failed.value.args[0].code() == KafkaError._TIMED_OUT
    shared = check(role="share", group="shared")
    assert "KD916" in [finding.code for finding in shared.findings], shared.to_json()

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


_KILLED = """
import sys, time
from confluent_kafka import Producer
server, name, topic = sys.argv[1:]
producer = Producer({"bootstrap.servers": server, "transactional.id": name})
producer.init_transactions(30)
producer.begin_transaction()
producer.produce(topic, b"x", partition=0, timestamp=int((time.time() - 600) * 1000))
producer.flush(30)
print("open", flush=True)
time.sleep(300)
"""


@applies("shell kafka-transactions.sh")
def test_a_transaction_of_a_producer_that_was_killed(kafka: Lab, used: str) -> None:
    command = [sys.executable, "-c", _KILLED, used, "killed", "kept"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as producer:
        assert producer.stdout
        assert producer.stdout.readline() == "open\n"
        producer.kill()
    assert producer.returncode == -signal.SIGKILL
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
    whose = re.fullmatch(
        r"kept-0: last stable offset 0, end 1; producer id (\d+), epoch 0: open from offset 0, "
        r"last record 10 min ago",
        line,
    )
    assert whose, line
    listed = typed("kafka-transactions.sh --bootstrap-server X list", used)
    (row,) = [row.split() for row in listed[0].splitlines() if row.startswith("killed")]
    assert whose[1] in row, "Kafka's own tool names that producer"
    assert "Ongoing" in row
    typed(report.findings[0].remedies[0].snippet, used)
    assert checking(used, kafka.kafka.folder)(group="held").findings == []


def test_a_real_client_that_cannot_read_what_the_probe_can(kafka: Lab, used: str) -> None:
    """A producer takes this property, and a consumer does not: hop 4 passes."""
    given = {"receive.message.max.bytes": "20000"}
    report = checking(used, kafka.kafka.folder)(group="small", topic="read", properties=given)
    assert (report.failing_hop, report.root_cause, report.exit_code) == ("consume", "KD913", 90)
    (finding,) = report.findings
    assert any("fetch.max.bytes" in line for line in finding.evidence), finding
    with pytest.raises(KafkaException, match=r"fetch\.max\.bytes"):
        Consumer({"bootstrap.servers": used, "group.id": "small", **given})


# Rights: every subset, and the real client as the judge.


@pytest.mark.parametrize(("group", "topic"), list(itertools.product((True, False), (True, False))))
def test_the_rights_of_a_consumer(kafka: Lab, used: str, group: bool, topic: bool) -> None:
    name = f"rights-{group}-{topic}"
    admin = AdminClient({"bootstrap.servers": used})
    admin.create_topics([NewTopic(name, 3, 3)])[name].result(PATIENCE)
    while len(list(kafka.kafka.folder.glob(f"data-*/{name}-*/*.log"))) < 9:
        time.sleep(0.1)  # each broker makes its replicas when it hears of them
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
