"""kdiag comes to the verdict of a real client, on Kafka from 0.10 to 4.4 and on what others wrote.

Beside that: what it sends makes no broker log an error, and creates no topic.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

import kdiag
from kdiag.report.model import ConsumeReport
from tests.control.clients import Java
from tests.control.others import OTHERS
from tests.control.outcome import CLIENTS, Outcome, Target, agree, hold, in_turn
from tests.control.released import LIMITED, QUOTAS, RELEASES, Broker, named, released
from tests.control.servers import LOGIN
from tests.lab import needs
from tests.lab.client import Client

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


@pytest.mark.parametrize("version", ["0.11.0.3", "2.8.2", "3.9.1", "4.3.1", "4.4.0"])
def test_a_group_before_the_topic_of_offsets_and_after(
    version: str, broker: Callable[[str], Broker]
) -> None:
    """A check of a group has no broker create that topic; a consumer does, and then has a
    coordinator there."""
    there = broker(version)
    before = len(there.errors())

    def checked() -> ConsumeReport:
        report = kdiag.check(there.server, group="billing", timeout=10, answer_timeout=20)
        assert (report.exit_code, report.findings) == (0, []), report.to_json()
        assert report.consume
        return report.consume

    def topics() -> set[str]:
        admin = AdminClient({"bootstrap.servers": there.server})
        return set(admin.list_topics(timeout=30).topics)

    found = checked()
    assert (found.coordinator, found.rights[0].granted) == (None, True)
    assert topics() == {TOPIC}
    given = {"bootstrap.servers": there.server, "group.id": "billing", "enable.auto.commit": False}
    reader = Consumer(given)
    try:
        reader.commit(offsets=[TopicPartition(TOPIC, 0, 0)], asynchronous=False)
        found = checked()
        assert (found.coordinator, found.group_state) == (1, "Empty")
        assert found.lag is not None
        assert topics() == {TOPIC, "__consumer_offsets"}
    finally:
        reader.close()
    assert there.errors()[before:] == []


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
