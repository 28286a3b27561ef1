"""What the control run goes to, beside real servers: one small declaration for each.

Each says where its behaviour was read, and whether a real client can produce there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.control.partial import (
    API_VERSIONS,
    CLOSE,
    DESCRIBE_CONFIGS,
    INIT_PRODUCER_ID,
    KAFKA,
    LIST_OFFSETS,
    METADATA,
    NOT_LEADER,
    PASSWORD,
    PRODUCE,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    SILENCE,
    TOPIC,
    UNKNOWN_TOPIC,
    USER,
    Asked,
    Edited,
    Partial,
    Throttled,
    refused_login,
)

LOGIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": USER,
    "sasl.password": PASSWORD,
}
LEADER_NOT_AVAILABLE, INVALID_TOPIC, STORAGE_ERROR, LISTENER_NOT_FOUND = 5, 17, 56, 72
# Java's producer is idempotent unless told otherwise, and asks for a producer id first.
PLAIN_JAVA = {"enable.idempotence": "false"}


@dataclass(frozen=True)
class Fake:
    """A server, and what becomes of a real client there.

    `works` tells whether a client can produce, `nameless` whether kdiag can know that it cannot
    where it is given no topic. `java` are more properties of Java's client. A client gets
    `patience` seconds; `options` are more of `kdiag check`'s.
    """

    name: str
    what: str
    partial: Partial
    works: bool = True
    nameless: bool = True
    topic: str = TOPIC
    properties: Mapping[str, str] = field(default_factory=dict)
    java: Mapping[str, str] = field(default_factory=dict)
    patience: float = 12.0
    options: tuple[str, ...] = ()


def without(*apis: int) -> dict[int, tuple[int, int]]:
    """All of Kafka but these APIs."""
    return {key: versions for key, versions in KAFKA.items() if key not in apis}


def closes_on(*apis: int) -> Callable[[Asked], Any]:
    """A proxy that hangs up on a request that it forbids."""
    return lambda asked: CLOSE if asked.api in apis else None


def dummy_settings(asked: Asked) -> Any:
    """Kafka on Pulsar: the same three settings for any broker that is asked for."""
    if asked.api == DESCRIBE_CONFIGS:
        settings = {
            "num.partitions": "1",
            "default.replication.factor": "1",
            "delete.topic.enable": "true",
        }
        entries = [
            {"name": name, "value": value, "read_only": True, "config_source": 5}
            for name, value in settings.items()
        ]
        return {
            "results": [
                {
                    "resource_type": resource.resource_type,
                    "resource_name": resource.resource_name,
                    "configs": entries,
                }
                for resource in asked.body.resources
            ]
        }
    return None


def mesh(instead: object) -> Callable[[Asked], Any]:
    """Envoy's mesh filter: a record for a topic that no rule routes ends the connection, or is
    dropped."""

    def rule(asked: Asked) -> Any:
        unrouted = asked.api == PRODUCE and any(t.name != TOPIC for t in asked.body.topic_data)
        return instead if unrouted else None

    return rule


def envoy(instead: object) -> Partial:
    """Envoy's mesh filter: one broker, itself, whose metadata leaves out what no rule routes."""
    return Partial(MESH, nodes=(0,), rule=mesh(instead), omits_unknown=True)


def throttles(seconds: float, *apis: int) -> Callable[[Asked], Any]:
    """A quota that is used up, as KIP-219 has it."""
    return lambda asked: Throttled(seconds) if asked.api in apis else None


def too_many(asked: Asked) -> Any:
    """MSK above its rate of new connections."""
    if asked.api == SASL_AUTHENTICATE:
        return refused_login("[7d0ab893-9b16-4371-a8b2-1ae9b5ce73a5]: Too many connects")
    return None


def each(seconds: float) -> Callable[[Asked], float]:
    """Every request takes so long."""
    return lambda asked: seconds


def logins(seconds: float) -> Callable[[Asked], float]:
    """Every login does: a broker that looks its own address up, and whose resolver is silent."""
    return lambda asked: seconds if asked.api == SASL_HANDSHAKE else 0.0


def topic_error(code: int) -> Callable[[Asked], Any]:
    """Metadata without a leader for any partition, and with this error: the replicas are on a
    broker that is not listed. 17 is an error of the topic itself."""
    own = {"error_code": code, "partitions": []} if code == INVALID_TOPIC else {}

    def failing(topic: dict[str, Any]) -> dict[str, Any]:
        lost = {"error_code": code, "leader_id": -1, "replica_nodes": [9], "isr_nodes": [9]}
        partitions = [{**one, **lost} for one in topic["partitions"]]
        return {**topic, "partitions": partitions, **own} if topic["name"] == TOPIC else topic

    def edit(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "topics": [failing(topic) for topic in fields["topics"]]}

    return edited(METADATA, edit)


def edited(api: int, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Asked], Any]:
    """The usual answers, but for those of one API."""
    return lambda asked: Edited(edit) if asked.api == api else None


def on_port_zero(fields: dict[str, Any]) -> dict[str, Any]:
    """Brokers that advertise what nobody can dial."""
    return {**fields, "brokers": [{**one, "port": 0} for one in fields["brokers"]]}


def another_cluster(asked: Asked) -> Any:
    """Broker 2's address leads to a broker 2 of another cluster, which has no such topic."""
    if asked.connection.node != 2:
        return None
    if asked.api == METADATA:
        return Edited(lambda fields: {**fields, "cluster_id": "otherCluster0000000001"})
    return written(UNKNOWN_TOPIC)(asked)


def written(code: int) -> Callable[[Asked], Any]:
    """A record for the topic is answered with this error."""

    def failing(topic: dict[str, Any]) -> dict[str, Any]:
        lost = {"error_code": code, "base_offset": -1}
        partitions = [{**one, **lost} for one in topic["partition_responses"]]
        return {**topic, "partition_responses": partitions} if topic["name"] == TOPIC else topic

    def edit(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "responses": [failing(topic) for topic in fields["responses"]]}

    return edited(PRODUCE, edit)


def silent_on(*apis: int) -> Callable[[Asked], Any]:
    """These requests are never answered."""
    return lambda asked: SILENCE if asked.api in apis else None


EVENT_HUBS = {
    PRODUCE: (3, 7),
    LIST_OFFSETS: (1, 2),
    METADATA: (0, 5),
    SASL_HANDSHAKE: (0, 1),
    API_VERSIONS: (0, 2),
    INIT_PRODUCER_ID: (0, 1),
    SASL_AUTHENTICATE: (0, 1),
}
PULSAR = {
    PRODUCE: (3, 6),
    LIST_OFFSETS: (1, 3),
    METADATA: (0, 6),
    SASL_HANDSHAKE: (0, 1),
    API_VERSIONS: (0, 2),
    INIT_PRODUCER_ID: (0, 1),
    DESCRIBE_CONFIGS: (1, 2),
    SASL_AUTHENTICATE: (0, 0),
}
MESH = {PRODUCE: (5, 7), METADATA: (1, 7)}

SERVERS: tuple[Fake, ...] = (
    Fake("whole", "All of Kafka 4, three brokers", Partial()),
    Fake(
        "event-hubs",
        "As Azure Event Hubs: one broker, Metadata 0 to 5, Produce up to 7, no DescribeConfigs",
        Partial(EVENT_HUBS, nodes=(0,), login=True),
        properties=LOGIN,
    ),
    Fake(
        "pulsar",
        "As Kafka on Pulsar: Metadata up to 6, dummy settings for any broker",
        Partial(PULSAR, rule=dummy_settings),
    ),
    Fake(
        "envoy-mesh-closes",
        "As Envoy's mesh filter: Produce 5 to 7, Metadata 1 to 7, closes on a topic without a rule "
        "(Java with `enable.idempotence=false`)",
        envoy(CLOSE),
        java=PLAIN_JAVA,
    ),
    Fake(
        "envoy-mesh-drops",
        "The same, but it drops the request for a topic without a rule",
        envoy(SILENCE),
        java=PLAIN_JAVA,
    ),
    Fake(
        "envoy-mesh-no-rule",
        "The same, asked for a topic without a rule",
        envoy(CLOSE),
        works=False,
        nameless=False,
        topic="unrouted",
        java=PLAIN_JAVA,
    ),
    Fake(
        "envoy-broker",
        "As Envoy's broker filter with DescribeConfigs denied: it closes the connection",
        Partial(rule=closes_on(DESCRIBE_CONFIGS)),
    ),
    Fake(
        "kafka-proxy",
        "As grepplabs' kafka-proxy with DescribeConfigs and ListOffsets forbidden: it closes",
        Partial(rule=closes_on(DESCRIBE_CONFIGS, LIST_OFFSETS)),
    ),
    Fake(
        "one-address-serves",
        "Three brokers behind one address that serves all of them",
        Partial(without(DESCRIBE_CONFIGS), together=True, leads=lambda dialled, leader: True),
    ),
    Fake(
        "one-address-leads-to-one",
        "Three brokers behind one address that leads to the first",
        Partial(together=True),
        works=False,
    ),
    Fake(
        "one-address-unnamed",
        "The same without DescribeConfigs",
        Partial(without(DESCRIBE_CONFIGS), together=True),
        works=False,
    ),
    Fake(
        "swapped-unnamed",
        "Two of three brokers swapped, without DescribeConfigs",
        Partial(
            without(DESCRIBE_CONFIGS),
            leads=lambda dialled, leader: {1: 1, 2: 3, 3: 2}[dialled] == leader,
        ),
        works=False,
    ),
    Fake(
        "quota",
        "A quota that is used up: each produce and metadata request is answered, then 2 s of mute",
        Partial(rule=throttles(2.0, PRODUCE, METADATA)),
        patience=25.0,
    ),
    Fake(
        "quota-longer",
        "The same with 8 s, longer than --timeout, for produce requests",
        Partial(rule=throttles(8.0, PRODUCE)),
        patience=25.0,
    ),
    Fake(
        "too-many-connects",
        "As MSK above its connection rate: every login is refused with Too many connects",
        Partial(login=True, rule=too_many),
        works=False,
        properties=LOGIN,
    ),
    Fake(
        "wrong-password",
        "A listener that refuses the login",
        Partial(login=True),
        works=False,
        properties={**LOGIN, "sasl.password": "another"},
    ),
    Fake("slow-1", "Each request takes 1 s", Partial(takes=each(1.0)), patience=30.0),
    Fake(
        "slow-4",
        "Each request takes 4 s",
        Partial(takes=each(4.0)),
        patience=50.0,
        options=("--deadline", "120"),
    ),
    Fake(
        "slow-8",
        "Each request takes 8 s",
        Partial(takes=each(8.0)),
        patience=70.0,
        options=("--deadline", "120"),
    ),
    Fake(
        "slow-login",
        "Each login takes 5 s: the broker waits for its resolver",
        Partial(login=True, takes=logins(5.0)),
        properties=LOGIN,
        patience=30.0,
    ),
    Fake(
        "silent",
        "It accepts, and answers nothing",
        Partial(rule=lambda asked: SILENCE),
        works=False,
    ),
    Fake(
        "one-closed",
        "One of three brokers advertises a port on which nobody listens",
        Partial(closed=(3,)),
        works=False,
    ),
    Fake(
        "metadata-unanswered",
        "It answers ApiVersions, and never a metadata request",
        Partial(rule=silent_on(METADATA)),
        works=False,
    ),
    Fake(
        "invalid-topic",
        "Its metadata has an error for the topic: INVALID_TOPIC_EXCEPTION",
        Partial(rule=topic_error(INVALID_TOPIC)),
        works=False,
        nameless=False,
    ),
    Fake(
        "no-brokers",
        "Its metadata lists no brokers",
        Partial(rule=edited(METADATA, lambda fields: {**fields, "brokers": []})),
        works=False,
    ),
    Fake(
        "no-leader",
        "No partition of the topic has a leader",
        Partial(rule=topic_error(LEADER_NOT_AVAILABLE)),
        works=False,
        nameless=False,
    ),
    Fake(
        "no-listener-on-leader",
        "The leaders have no listener of the name that the client came in by (error 72)",
        Partial(rule=topic_error(LISTENER_NOT_FOUND)),
        works=False,
        nameless=False,
    ),
    Fake(
        "port-zero",
        "Brokers advertise port 0",
        Partial(rule=edited(METADATA, on_port_zero)),
        works=False,
    ),
    Fake(
        "another-cluster",
        "The address of broker 2 leads to another cluster",
        Partial(rule=another_cluster),
        works=False,
    ),
    Fake(
        "produce-unanswered",
        "It answers everything but produce requests",
        Partial(rule=silent_on(PRODUCE)),
        works=False,
        nameless=False,  # so does Envoy's mesh filter, and takes the records of real topics
    ),
    Fake(
        "not-leader",
        "No broker leads what its metadata says that it leads",
        Partial(rule=written(NOT_LEADER)),
        works=False,
        nameless=False,
    ),
    Fake(
        "storage-error",
        "It refuses each record with KAFKA_STORAGE_ERROR",
        Partial(rule=written(STORAGE_ERROR)),
        works=False,
        nameless=False,
    ),
)
