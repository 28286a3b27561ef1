"""What a test does as a Kafka client, run where it stands: `python -m tests.lab.tools`.

    prepare SERVER              waits for three brokers, then creates topics and access rules
    create SERVER TOPIC         waits for a broker, then creates a topic of one partition
    recover SERVER              waits until each of three brokers answers, all in sync, and leads
                                the partitions that it led at first
    missed SERVER               waits until one of three brokers is gone from the metadata
    allow SERVER KIND NAME USER OPERATION...
                                adds access rules: that user may do that
    topics SERVER [NAME=VALUE]  prints the topics' names, without Kafka's own
    read SERVER TOPIC           prints every record as [partition, offset, key, value]
    group SERVER GROUP TOPIC BYTES
                                writes a record of that size to each partition, and commits
                                offset 0 of each for the group, whose coordinator is broker 2
    polled SERVER GROUP TOPIC SECONDS [NAME=VALUE]...
                                prints how many records a consumer of the group gets in that time
    idle SERVER SECONDS [NAME=VALUE]
                                prints whether a client still gets an answer after such a silence
    heard SERVER...             prints those of these addresses from which anything comes back to
                                a request to connect, were it a refusal

What is printed is JSON. Every wait is bounded.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ElectionType,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    BrokerMetadata,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tests.lab.listeners import DENIED, NODES

PATIENCE = 60.0  # seconds
SILENCE = 2.2  # seconds
TOPICS = {
    "orders": {},
    "tiny": {"max.message.bytes": "10"},
    "strict": {"min.insync.replicas": "3"},
}


def wait(server: str, brokers: int = len(NODES)) -> None:
    """Returns when every broker answers, and says that all are there and in sync."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        told = _told(server)
        # One that has just been killed is still in the others' metadata, so each is asked itself.
        each = [_told(f"{broker.host}:{broker.port}") for broker in told]
        if len(told) == brokers and all(len(others) == brokers for others in each):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{server}: less than {brokers} brokers after {PATIENCE:g} s")


def recover(server: str) -> None:
    """After a broker was away the others have its partitions, and it gets them back late."""
    wait(server)
    admin = AdminClient({"bootstrap.servers": server})
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        admin.elect_leaders(ElectionType.PREFERRED).result(PATIENCE)
        told = admin.list_topics(timeout=10).topics.values()
        if all(p.leader == p.replicas[0] for topic in told for p in topic.partitions.values()):
            return wait(server)
        time.sleep(0.1)
    raise TimeoutError(f"{server}: not the first leaders after {PATIENCE:g} s")


def missed(server: str) -> None:
    """Returns when the cluster no longer counts on one of its brokers."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        told = AdminClient({"bootstrap.servers": server, "log_level": 0}).list_topics(timeout=2)
        if len(told.brokers) < len(NODES):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{server}: all brokers are still there after {PATIENCE:g} s")


def _told(server: str) -> list[BrokerMetadata]:
    """The brokers that this one knows, none unless every partition has all its replicas."""
    try:
        told = AdminClient({"bootstrap.servers": server, "log_level": 0}).list_topics(timeout=2)
    except KafkaException:
        return []
    partitions = [p for topic in told.topics.values() for p in topic.partitions.values()]
    whole = all(p.leader > 0 and len(p.isrs) == len(p.replicas) for p in partitions)
    return list(told.brokers.values()) if whole else []


def create(server: str, topic: str) -> None:
    """A topic on a cluster of one broker."""
    wait(server, brokers=1)
    admin = AdminClient({"bootstrap.servers": server})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE)
    wait(server, brokers=1)


def prepare(server: str) -> None:
    """The topics, each broker leading one partition, and who may not do what."""
    wait(server)
    admin = AdminClient({"bootstrap.servers": server})
    spread = [[1, 2, 3], [2, 3, 1], [3, 1, 2]]
    topics = [
        NewTopic(name, num_partitions=len(spread), replica_assignment=spread, config=config)
        for name, config in TOPICS.items()
    ]
    resources = {(kind, name) for _, kind, name, _ in DENIED}
    rules = [_rule(kind, name, "*", "ALL", AclPermissionType.ALLOW) for kind, name in resources]
    rules += [
        _rule(kind, name, user, operation, AclPermissionType.DENY)
        for user, kind, name, operation in DENIED
    ]
    for future in (*admin.create_topics(topics).values(), *admin.create_acls(rules).values()):
        future.result(PATIENCE)
    wait(server)


def _rule(
    kind: str, name: str, user: str, operation: str, permission: AclPermissionType
) -> AclBinding:
    resource = ResourceType.BROKER if kind == "CLUSTER" else ResourceType[kind]
    return AclBinding(
        resource,
        name,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation[operation],
        permission,
    )


def allow(server: str, kind: str, name: str, user: str, *operations: str) -> None:
    """Access rules for one user and one resource."""
    rules = [_rule(kind, name, user, each, AclPermissionType.ALLOW) for each in operations]
    admin = AdminClient({"bootstrap.servers": server})
    for future in admin.create_acls(rules).values():
        future.result(PATIENCE)


def topics(server: str, *properties: str) -> list[str]:
    """The names of all topics but Kafka's own, asked for with these client properties."""
    given = dict(text.split("=", 1) for text in properties)
    told = AdminClient({**given, "bootstrap.servers": server}).list_topics(timeout=10)
    return sorted(name for name in told.topics if not name.startswith("__"))


def idle(server: str, seconds: str, *properties: str) -> bool:
    """Whether librdkafka gets an answer on a connection that was silent for so long."""
    given = dict(text.split("=", 1) for text in properties)
    quiet = {"topic.metadata.refresh.interval.ms": -1, "enable.metrics.push": False, "log_level": 0}
    client = AdminClient({**quiet, **given, "bootstrap.servers": server})
    client.list_topics(timeout=10)
    time.sleep(float(seconds))
    try:
        client.list_topics(timeout=2)
    except KafkaException:
        return False
    return True


def read(server: str, topic: str) -> list[list[object]]:
    """Every record there is, read by a consumer from the first to the end of each partition: those
    of a transaction that was given up are in no answer."""
    told = {"bootstrap.servers": server, "group.id": "lab", "enable.partition.eof": True}
    consumer = Consumer(told)
    left = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, index, OFFSET_BEGINNING) for index in left])
    found: list[list[object]] = []
    give_up = time.monotonic() + PATIENCE
    while left and time.monotonic() < give_up:
        message = consumer.poll(1)
        if message is None:
            continue
        error = message.error()
        if error and error.code() == KafkaError._PARTITION_EOF:
            left.discard(message.partition())
        elif error is None:
            key, value = message.key() or b"", message.value() or b""
            found.append([message.partition(), message.offset(), key.decode(), value.decode()])
    consumer.close()
    return sorted(found, key=str)


def end(server: str, topic: str) -> int:
    """The end offsets of a topic's partitions, added up."""
    consumer = Consumer({"bootstrap.servers": server, "group.id": "lab"})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    offsets = [
        consumer.get_watermark_offsets(TopicPartition(topic, index), timeout=10)
        for index in partitions
    ]
    consumer.close()
    return sum(high for _, high in offsets)


def coordinator(server: str) -> None:
    """Broker 2 is the coordinator of every group; before a group is there."""
    admin = AdminClient({"bootstrap.servers": server})
    compact = {"cleanup.policy": "compact"}
    topic = NewTopic("__consumer_offsets", 1, replica_assignment=[[2, 3, 1]], config=compact)
    for future in admin.create_topics([topic]).values():
        future.result(PATIENCE)


def group(server: str, name: str, topic: str, size: str) -> None:
    """A group that has read nothing, and a topic for it whose leaders are those of "orders"."""
    admin = AdminClient({"bootstrap.servers": server})
    there = admin.list_topics(timeout=10).topics
    made = [NewTopic(topic, 3, replica_assignment=[[1, 2, 3], [2, 3, 1], [3, 1, 2]])]
    for future in admin.create_topics([t for t in made if t.topic not in there]).values():
        future.result(PATIENCE)
    producer = Producer({"bootstrap.servers": server})
    for number in range(3):
        producer.produce(topic, os.urandom(int(size)), partition=number)
    assert producer.flush(PATIENCE) == 0
    consumer = Consumer({"bootstrap.servers": server, "group.id": name})
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            offsets = [TopicPartition(topic, number, 0) for number in range(3)]
            consumer.commit(offsets=offsets, asynchronous=False)
            return consumer.close()
        except KafkaException:
            if time.monotonic() > give_up:
                raise


def polled(server: str, name: str, topic: str, seconds: str, *properties: str) -> int:
    """A consumer that joins the group, and commits nothing."""
    given = dict(text.split("=", 1) for text in properties)
    fixed = {"bootstrap.servers": server, "group.id": name, "enable.auto.commit": False}
    consumer = Consumer({**given, **fixed, "auto.offset.reset": "earliest", "log_level": 0})
    consumer.subscribe([topic])
    found, ends = 0, time.monotonic() + float(seconds)
    while found < 3 and time.monotonic() < ends:
        message = consumer.poll(0.2)
        found += bool(message and not message.error())
    consumer.close()
    return found


def heard(*servers: str) -> list[str]:
    """Asks all of them at once; SILENCE is long enough for a second request."""

    async def answers(server: str) -> bool:
        host, _, port = server.rpartition(":")
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), SILENCE)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        writer.close()
        return True

    async def ask() -> list[bool]:
        return await asyncio.gather(*map(answers, servers))

    return [server for server, there in zip(servers, asyncio.run(ask()), strict=True) if there]


COMMANDS: dict[str, Callable[..., object]] = {
    command.__name__: command
    for command in (
        prepare,
        create,
        recover,
        missed,
        allow,
        topics,
        end,
        read,
        coordinator,
        group,
        polled,
        heard,
        idle,
    )
}

if __name__ == "__main__":
    json.dump(COMMANDS[sys.argv[1]](*sys.argv[2:]), sys.stdout)
