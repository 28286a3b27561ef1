"""Container images of Kafka: how each treats a missing setting."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})
_DIGEST = re.compile(r"(:[^/:@]*)?(@.*)?\Z")
_VARIABLE = re.compile(r"\$\{[^}]*\}|\$\w+|\{\{.*?\}\}")
_EVERY = "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"
_CONTROLLER = "CONTROLLER"


@dataclass(frozen=True)
class Image:
    """One image of a broker.

    `repository` is a pattern for its name without registry and tag. `defaults` are settings as the
    image has them where the container gives none of that name; with `alone`, where it gives no
    setting at all. `needs` are alternatives, each a tuple of settings of which the entry script, or
    Kafka with what the script writes, wants one; `derives` whether `listeners` is made from
    `advertised.listeners`. `mounts` are paths whose files it reads as well. `variables` are
    variables without the prefix KAFKA_ that set a setting. `source` is where all of it is written.
    """

    name: str
    repository: str
    source: str
    defaults: Mapping[str, str] = field(default_factory=lambda: _NONE)
    alone: bool = False
    needs: tuple[tuple[str, ...], ...] = ()
    derives: bool = False
    mounts: tuple[str, ...] = ()
    mount_wins: bool = False  # what is mounted there stands instead of the container's settings
    variables: Mapping[str, str] = field(default_factory=lambda: _NONE)
    old: bool = False  # advertised.host.name works: Kafka before 3.0, or a script that reads it
    starts: str = ""  # a pattern for the commands that start the broker
    kafka: bool = True  # False: it speaks Kafka's protocol, and has other settings


IMAGES = (
    Image(
        "apache/kafka",
        r"apache/kafka(-native)?",
        "https://github.com/apache/kafka/tree/trunk/docker",
        {
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.quorum.voters": "1@localhost:9093",
            "controller.listener.names": _CONTROLLER,
            "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "advertised.listeners": "PLAINTEXT://localhost:9092",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{_EVERY}",
        },
        alone=True,
        needs=(("process.roles",),),
        derives=True,
        mounts=("/mnt/shared/config", "/opt/kafka/config", "/etc/kafka/docker"),
        starts=r"/etc/kafka/docker/run|kafka-server-start",
    ),
    Image(
        "confluentinc/cp-kafka, cp-server",
        r"cp-(enterprise-)?(kafka|server)",
        "https://github.com/confluentinc/kafka-images",
        needs=(("advertised.listeners",), ("process.roles", "zookeeper.connect")),
        derives=True,
        mounts=("/etc/kafka", "/etc/confluent/docker"),
        starts=r"/etc/confluent/docker/(run|launch)|kafka-server-start",
    ),
    Image(
        "confluentinc/confluent-local",
        r"confluent-local",
        "https://github.com/confluentinc/kafka-images/tree/master/local",
        {
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.quorum.voters": "1@localhost:29093",
            "controller.listener.names": _CONTROLLER,
            "listeners": "PLAINTEXT://localhost:29092,CONTROLLER://localhost:29093,"
            "PLAINTEXT_HOST://0.0.0.0:9092",
            "advertised.listeners": "PLAINTEXT://localhost:29092,PLAINTEXT_HOST://localhost:9092",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
            "PLAINTEXT_HOST:PLAINTEXT",
        },
        mounts=("/etc/kafka", "/etc/confluent/docker"),
        starts=r"/etc/confluent/docker/run",
    ),
    Image(
        "bitnami/kafka, bitnamilegacy/kafka",
        r"bitnami(legacy|secure)?/kafka",
        "https://github.com/bitnami/containers/tree/main/bitnami/kafka",
        mounts=(
            "/bitnami/kafka/config",
            "/opt/bitnami/kafka/config",
            "/docker-entrypoint-initdb.d",
        ),
        mount_wins=True,
        starts=r"/opt/bitnami/scripts/kafka/run\.sh|/run\.sh|kafka-server-start",
    ),
    Image(
        "wurstmeister/kafka",
        r"wurstmeister/kafka",
        "https://github.com/wurstmeister/kafka-docker/blob/master/start-kafka.sh",
        needs=(("zookeeper.connect",),),
        mounts=("/opt/kafka/config",),
        old=True,
        starts=r"start-kafka\.sh|kafka-server-start",
    ),
    Image(
        "debezium/kafka",
        r"debezium/kafka",
        "https://github.com/debezium/container-images/tree/main/kafka",
        {
            "controller.listener.names": _CONTROLLER,
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{_EVERY}",
        },
        mounts=("/kafka/config",),
        variables={
            "NODE_ID": "node.id",
            "BROKER_ID": "node.id",
            "ADVERTISED_HOST_NAME": "advertised.host.name",
            "ADVERTISED_PORT": "advertised.port",
            "ZOOKEEPER_CONNECT": "zookeeper.connect",
        },
        old=True,  # its script makes advertised.listeners of it
        starts=r"^start\b",
    ),
    Image(
        "lensesio/fast-data-dev, landoop/fast-data-dev, lensesio/box",
        r"(lensesio|landoop|lensting)/(fast-data-dev|box|kafka-lenses-dev)",
        "https://github.com/lensesio/fast-data-dev/blob/main/setup-and-run.sh",
        mounts=("/var/run/broker",),
        mount_wins=True,
        variables={"ADV_HOST": "advertised.host.name"},
        old=True,  # its script makes advertised.listeners of ADV_HOST
        starts=r"setup-and-run\.sh",
    ),
    Image(
        "spotify/kafka",
        r"spotify/kafka",
        "https://github.com/spotify/docker-kafka/blob/master/kafka/scripts/start-kafka.sh",
        mounts=("/opt/kafka",),
        variables={"ADVERTISED_HOST": "advertised.host.name", "ADVERTISED_PORT": "advertised.port"},
        old=True,
        starts=r"supervisord|start-kafka\.sh",
    ),
    Image(
        "redpandadata/redpanda",
        r"(redpandadata|vectorized)/redpanda(-nightly)?",
        "https://docs.redpanda.com/current/reference/rpk/rpk-redpanda/rpk-redpanda-start/",
        mounts=("/etc/redpanda",),
        starts=r"redpanda\s+start|^start\b|--kafka-addr|--smp|--advertise",
        kafka=False,
    ),
)

# Images with a word of Kafka in their names or settings, of what is no broker.
_OTHERS = re.compile(
    r"zookeeper|zoonavigator|schema-registry|kafka-rest|connect|ksql|mirror|control-center|"
    r"kafka-ui|akhq|kafdrop|kowl|console|gateway|kafka-manager|cmak|exporter|kcat|kafkacat|"
    r"replicator|cruise-control|kafka-topics|burrow|apicurio|lenses\b|cli\b|proxy",
    re.IGNORECASE,
)


def image_of(reference: str) -> Image | None:
    """The image of a reference such as `registry/name:tag`, None for an unknown image."""
    name = _name(reference)
    found = (each for each in IMAGES if re.search(rf"(?:\A|/){each.repository}\Z", name))
    return next(found, None)


def is_other(reference: str) -> bool:
    """Whether the name of an image shows that it is no broker."""
    return image_of(reference) is None and bool(_OTHERS.search(_name(reference).rpartition("/")[2]))


def is_old(reference: str) -> bool:
    """Whether the tag of an image names a Kafka before 3.0, which is Confluent's 7.0; that of
    wurstmeister's begins with Scala's version."""
    tag = re.search(r":(?:2\.1[0-3]-)?v?(\d{1,2})\.\d[^/:@]*(@.*)?\Z", reference.strip())
    name = _name(reference).rpartition("/")[2]
    first = 7 if name.startswith("cp-") else 3
    return tag is not None and "kafka" in name and int(tag[1]) < first


def _name(reference: str) -> str:
    """A reference without its tag, and without variables: `${REGISTRY}/cp-kafka:${TAG:-7.5}`."""
    return _DIGEST.sub("", _VARIABLE.sub("", reference.strip()))


def absent(image: Image, settings: Collection[str], serves: bool) -> tuple[str, ...]:
    """The first group of needed settings of which the container has none; empty if nothing is
    missing. `serves` is False for a controller, which advertises nothing."""
    if image.alone and not settings:
        return ()
    needs = [need for need in image.needs if serves or need != ("advertised.listeners",)]
    return next((need for need in needs if not set(need) & set(settings)), ())
