"""kdiag comes to the verdict of a real client, on Kafka from 0.10 to 4.4 and on what others wrote.

Beside that: what it sends makes no broker log an error, and creates no topic.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AclOperation, AdminClient, NewTopic, ResourceType

import kdiag
from kdiag.report.model import ConsumeReport
from tests.control.clients import Java
from tests.control.others import OTHERS
from tests.control.outcome import CLIENTS, Outcome, Target, agree, hold, in_turn
from tests.control.released import LIMITED, QUOTAS, RELEASES, Broker, named, released
from tests.control.servers import LOGIN
from tests.lab import needs
from tests.lab.client import Client
from tests.lab.roles import allowed, allowed_again, checking, consumer, denied, next_message

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("released"),
]

TOPIC = "orders"


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Broker]]:
    """One broker of each version."""
    needs.require(*needs.KAFKA)
    needs.require_loopback()
    subnet = f"127.{random.randint(16, 250)}.{random.randint(0, 255)}"
    with released(tmp_path_factory.mktemp("released"), subnet) as running:
        yield running


@pytest.fixture(scope="module")
def broker(brokers: Mapping[str, Broker]) -> Callable[[str], Broker]:
    """A broker by its version, with the topic."""

    @cache
    def prepared(version: str) -> str:
        found = brokers[version]
        try:
            Client().tool("create", found.server, TOPIC)
        except AssertionError as error:
            return f"{error}\n{found.last_words()}"
        if found.release.authorizer:
            allowed(found.server)
        return ""

    def ready(version: str) -> Broker:
        assert not prepared(version), prepared(version)
        return brokers[version]

    return ready


@dataclass(frozen=True)
class Seen:
    """An outcome, and what kdiag left behind: errors in the broker's log, and all its topics."""

    outcome: Outcome
    errors: Sequence[str]
    topics: Sequence[str]


@pytest.fixture(scope="module")
def control(broker: Callable[[str], Broker], java: Java) -> Callable[[str, bool], Seen]:
    """What is seen at a broker, with a login or without. kdiag comes first, and alone."""

    @cache
    def run(version: str, login: bool) -> Seen:
        there = broker(version)
        before = len(there.errors())
        server, given = (there.login, LOGIN) if login else (there.server, {})
        target = Target(server, TOPIC, 1, given)
        bare, named = target.check(), target.check("--topic", TOPIC)
        errors, topics = there.errors()[before:], Client().tool("topics", there.server)
        runs = {name: target.produce(name, java) for name in CLIENTS}
        return Seen(Outcome(runs, bare, named), errors, topics)

    return run


EACH = pytest.mark.parametrize("version", [release.version for release in RELEASES])
LISTENER = pytest.mark.parametrize("login", [False, True], ids=["plaintext", "login"])
CLIENT = pytest.mark.parametrize("client", CLIENTS)
BY_VERSION = {release.version: release for release in RELEASES}


@EACH
@LISTENER
@CLIENT
def test_one_verdict(
    version: str, login: bool, client: str, control: Callable[[str, bool], Seen]
) -> None:
    outcome = control(version, login).outcome
    if client == "java" and not BY_VERSION[version].java:
        assert outcome.runs[client].error, "it was not to talk to a Kafka that old"
        return
    agree(outcome, client, True)


@EACH
@LISTENER
def test_nothing_is_left_behind(
    version: str, login: bool, control: Callable[[str, bool], Seen]
) -> None:
    seen = control(version, login)
    if BY_VERSION[version].asked_too_much and not login:
        assert all("Closing socket" in line for line in seen.errors), seen.errors
    else:
        assert seen.errors == []
    assert seen.topics == [TOPIC]


@EACH
@LISTENER
def test_what_was_proven_is_kept(
    version: str,
    login: bool,
    control: Callable[[str, bool], Seen],
    request: pytest.FixtureRequest,
) -> None:
    outcome = control(version, login).outcome
    agree(outcome, "librdkafka", True)
    name = named(version, "login") if login else named(version)
    what = f"Apache Kafka {version}{', SASL PLAIN' if login else ''}"
    hold("released", name, what, outcome, bool(request.config.getoption("update_snapshots")))


GROUPS = pytest.mark.parametrize("version", ["0.11.0.3", "2.8.2", "3.9.1", "4.3.1", "4.4.0"])
RIGHTS = pytest.mark.parametrize("version", ["2.8.2", "3.9.1", "4.3.1", "4.4.0"])
ROLES = ("producer", "idempotent", "transactional", "consumer", "share")


@GROUPS
def test_a_group_before_the_topic_of_offsets_and_after(
    version: str, broker: Callable[[str], Broker], java: Java
) -> None:
    """A check of a group has no broker create that topic; a consumer does, and then has a
    coordinator there. Topics, groups, transactions and logs stay as they were, on a new cluster and
    on a used one."""
    there = broker(version)
    before = len(there.errors())
    check = checking(there.server, there.folder)

    def checked() -> ConsumeReport:
        report = check(group="billing")
        assert (report.exit_code, report.findings) == (0, []), report.to_json()
        assert report.consume
        return report.consume

    def nothing_left() -> None:
        transactions = java.transactions(there.server)
        for role in ROLES:
            report = check(role=role, group="billing", properties={"transactional.id": "t"})
            assert (report.exit_code, report.findings) == (0, []), report.to_json()
        assert java.transactions(there.server) == transactions

    def topics() -> set[str]:
        admin = AdminClient({"bootstrap.servers": there.server})
        return set(admin.list_topics(timeout=30).topics)

    found = checked()
    assert (found.coordinator, found.rights[0].granted) == (None, True)
    assert topics() == {TOPIC}
    nothing_left()
    assert topics() == {TOPIC}
    given = {"bootstrap.servers": there.server, "group.id": "billing", "enable.auto.commit": False}
    reader = Consumer(given)
    producers = [
        Producer({"bootstrap.servers": there.server, "transactional.id": name}) for name in "tu"
    ]
    try:
        reader.commit(offsets=[TopicPartition(TOPIC, 0, 0)], asynchronous=False)
        found = checked()
        assert (found.coordinator, found.group_state) == (1, "Empty")
        assert found.lag is not None
        assert topics() == {TOPIC, "__consumer_offsets"}
        for producer in producers:
            producer.init_transactions(30)
            producer.begin_transaction()
            producer.produce(TOPIC, b"x", partition=0)
            producer.flush(30)
        producers[0].commit_transaction(30)
        while "Prepare" in str(java.transactions(there.server)):
            time.sleep(0.1)  # its coordinator ends it by itself
        nothing_left()
        producers[1].commit_transaction(30)
    finally:
        reader.close()
    assert there.errors()[before:] == []


@pytest.mark.parametrize("version", ["4.3.1", "4.4.0"])
def test_a_share_group_with_a_member(
    version: str, broker: Callable[[str], Broker], java: Java
) -> None:
    there = broker(version)
    producer = Producer({"bootstrap.servers": there.server})
    with ThreadPoolExecutor(1) as pool:
        member = pool.submit(java.share, there.server, "shared", TOPIC, 60.0)
        report = kdiag.check(there.server, group="shared", role="share", timeout=5)
        while not member.done() and not (report.consume and report.consume.members):
            report = kdiag.check(there.server, group="shared", role="share", timeout=5)
        assert report.consume, report
        assert (report.exit_code, report.findings) == (0, []), report.to_json()
        found = report.consume
        assert (found.group_protocol, found.group_state) == ("share", "Stable")
        assert found.coordinator == 1
        assert len(found.members) == 1
        while not member.done():  # it reads what is written after it has begun
            producer.produce(TOPIC, b"x", partition=0)
            producer.flush(10)
            time.sleep(0.2)
        assert member.result().error is None


@RIGHTS
@pytest.mark.parametrize(("group", "topic"), list(product((True, False), (True, False))))
def test_the_rights_of_a_consumer(
    version: str, group: bool, topic: bool, broker: Callable[[str], Broker]
) -> None:
    """Every subset, and the real client as the judge."""
    there, name = broker(version), f"rights-{group}-{topic}"
    admin = AdminClient({"bootstrap.servers": there.server})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    if not group:
        denied(there.server, ResourceType.GROUP, name, AclOperation.READ)
    if not topic:
        denied(there.server, ResourceType.TOPIC, name, AclOperation.READ)
    report = kdiag.check(there.login, group=name, topic=name, properties=LOGIN, timeout=5)
    assert report.consume
    assert [right.granted for right in report.consume.rights] == [group, topic], report.to_json()
    assert report.exit_code == (0 if group and topic else 90), report.to_json()
    more = {name.replace(".", "_"): value for name, value in LOGIN.items()}
    with consumer(there.login, name, name, enable_partition_eof=True, **more) as reader:
        error = next_message(reader).error()
    code = error.code() if error else KafkaError._PARTITION_EOF
    wanted = KafkaError._PARTITION_EOF if topic else KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert code == (wanted if group else KafkaError.GROUP_AUTHORIZATION_FAILED)


@RIGHTS
@pytest.mark.parametrize("allowed", [True, False])
def test_the_rights_of_a_transactional_producer(
    version: str, allowed: bool, broker: Callable[[str], Broker], java: Java
) -> None:
    there = broker(version)
    given = {**LOGIN, "transactional.id": f"rights-{allowed}"}
    if not allowed:
        kind = ResourceType.TRANSACTIONAL_ID
        denied(there.server, kind, given["transactional.id"], AclOperation.WRITE)
    report = kdiag.check(there.login, role="transactional", properties=given, timeout=5)
    assert report.exit_code == (0 if allowed else 90), report.to_json()
    run = java.transaction(there.login, given, 30.0)
    assert run.name == ("" if allowed else "TransactionalIdAuthorizationException"), run


# Before 2.8 IdempotentWrite alone counts, from then on also Write on any topic.
@pytest.mark.parametrize(
    ("version", "anywhere", "granted"),
    [("2.0.1", True, False), ("2.8.2", True, True), ("2.8.2", False, False)],
)
def test_the_right_of_an_idempotent_producer(
    version: str, anywhere: bool, granted: bool, broker: Callable[[str], Broker], java: Java
) -> None:
    there = broker(version)
    cluster = ResourceType.BROKER, "kafka-cluster"
    rules = [denied(there.server, *cluster, AclOperation.IDEMPOTENT_WRITE)]
    if not anywhere:
        rules.append(denied(there.server, ResourceType.TOPIC, "*", AclOperation.WRITE))
    try:
        report = kdiag.check(there.login, role="idempotent", properties=LOGIN, timeout=5)
        target = Target(there.login, TOPIC, 1, {**LOGIN, "enable.idempotence": "true"})
        runs = [target.produce(client, java) for client in CLIENTS]
    finally:
        for rule in rules:
            allowed_again(there.server, rule)
    assert report.consume
    assert [right.granted for right in report.consume.rights] == [granted], report.to_json()
    assert report.exit_code == (0 if granted else 90)
    assert [run.error is None for run in runs] == [granted] * len(runs), runs


@pytest.mark.parametrize("quota", QUOTAS)
def test_a_quota(
    quota: str, broker: Callable[[str], Broker], java: Java, request: pytest.FixtureRequest
) -> None:
    there = broker(LIMITED)
    setting, value = QUOTAS[quota]
    assert java.limit(there.server, setting, value).error is None
    try:
        outcome = in_turn(Target(there.server, TOPIC, 1, patience=40.0), java)
    finally:
        assert java.limit(there.server, setting, "").error is None
    for client in CLIENTS:
        agree(outcome, client, True)
    rewrite = bool(request.config.getoption("update_snapshots"))
    what = f"Apache Kafka {LIMITED} with a quota: {quota}"
    hold("released", named(LIMITED, setting, value), what, outcome, rewrite)


@pytest.mark.parametrize("name", OTHERS)
def test_what_others_wrote(name: str, java: Java, request: pytest.FixtureRequest) -> None:
    other = OTHERS[name]
    with other.start(TOPIC) as servers:
        outcome = in_turn(Target(servers, TOPIC, other.partitions, patience=8.0), java)
    agree(outcome, "librdkafka", True)
    assert (outcome.runs["java"].error is None) is other.java, outcome
    rewrite = bool(request.config.getoption("update_snapshots"))
    hold("others", name, other.what, outcome, rewrite)
