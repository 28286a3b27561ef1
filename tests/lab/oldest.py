"""The oldest Kafka that must work, 2.1: one broker and its ZooKeeper, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.client import Client
from tests.lab.kafka import JAVA, LOGGING, errors, jars
from tests.lab.lab import own_addresses
from tests.lab.listeners import USERS
from tests.lab.processes import end, spawn

VERSION = "2.1.1"
PORT, LOGIN_PORT, ZOOKEEPER_PORT = 9092, 9093, 2181

# Who logs in may do what an access rule allows; who does not may do all.
USER, PASSWORD = "bob", USERS["alice"]

# Its own ZooKeeper, 3.4, cannot read the addresses that Java 14 and later print.
_JARS = (
    ("org.apache.kafka", "kafka_2.12", VERSION),
    ("org.apache.zookeeper", "zookeeper", "3.5.10"),
    LOGGING,
)


@dataclass(frozen=True)
class Oldest:
    """That broker, with an empty topic `orders`. Who comes in by `login` is bob, with the
    properties in `given`."""

    folder: Path
    server: str
    login: str
    client: Client

    @property
    def given(self) -> dict[str, str]:
        """The client properties that bob logs in with."""
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": USER,
            "sasl.password": PASSWORD,
        }

    def errors(self) -> list[str]:
        """What the broker has logged as an error so far."""
        return errors(self.folder / "broker.log")


@contextmanager
def oldest(folder: Path) -> Iterator[Oldest]:
    """Starts the two, and ends them."""
    address = own_addresses()[0]
    classes = f"{jars(f'kafka-{VERSION}', _JARS)}/*"
    (folder / "zookeeper.properties").write_text(
        f"dataDir={folder}/zookeeper\nclientPort={ZOOKEEPER_PORT}\nclientPortAddress={address}\n"
        "admin.enableServer=false\n"
    )
    (folder / "broker.properties").write_text(
        f"broker.id=1\nlog.dirs={folder}/data\n"
        f"listeners=PLAINTEXT://{address}:{PORT},LOGIN://{address}:{LOGIN_PORT}\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT\n"
        "listener.name.login.sasl.enabled.mechanisms=PLAIN\n"
        "listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain."
        f'PlainLoginModule required user_{USER}="{PASSWORD}";\n'
        "authorizer.class.name=kafka.security.auth.SimpleAclAuthorizer\n"
        "super.users=User:ANONYMOUS\n"
        f"zookeeper.connect={address}:{ZOOKEEPER_PORT}\noffsets.topic.replication.factor=1\n"
        "auto.create.topics.enable=true\n"
    )
    mains = {
        "zookeeper": "org.apache.zookeeper.server.quorum.QuorumPeerMain",
        "broker": "kafka.Kafka",
    }
    running = []
    try:
        for name, main in mains.items():
            with (folder / f"{name}.log").open("wb") as log:
                properties = str(folder / f"{name}.properties")
                running.append(spawn([*JAVA, "-cp", classes, main, properties], log, log))
        started = Oldest(folder, f"{address}:{PORT}", f"{address}:{LOGIN_PORT}", Client())
        started.client.tool("create", started.server, "orders")
        yield started
    finally:
        for process in running:
            end(process)
