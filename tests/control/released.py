"""Apache Kafka as it was released: one broker of each version, each at an address of loopback.

The old ones share a ZooKeeper. Jars come from Maven Central, to the lab's cache.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.kafka import CLUSTER_ID, JAVA, LOGGING, Artifact, errors, jars
from tests.lab.processes import end, spawn

PORT, SASL_PORT, CONTROLLER_PORT, ZOOKEEPER_PORT = 9092, 9094, 9093, 2181
USER, PASSWORD = "alice", "alice-secret"
# An older one cannot read the addresses that Java 14 and later print.
ZOOKEEPER = ("org.apache.zookeeper", "zookeeper", "3.5.10")
# Before 1.0 Kafka logs by log4j alone, and takes JAXB for a part of Java.
BEFORE_1 = (
    ("org.slf4j", "log4j-over-slf4j", LOGGING[2]),
    ("javax.xml.bind", "jaxb-api", "2.3.1"),
)
_STATE = ("transaction.state.log", "share.coordinator.state.topic")
_SMALL = tuple("-Xmx256m" if word.startswith("-Xmx") else word for word in JAVA)


@dataclass(frozen=True)
class Release:
    """A version of Kafka, and the Scala that it is built for."""

    version: str
    scala: str = "2.13"

    @property
    def number(self) -> tuple[int, ...]:
        return tuple(map(int, self.version.split(".")))

    @property
    def kraft(self) -> bool:
        """Whether it runs without a ZooKeeper here."""
        return self.number >= (3,)

    @property
    def asked_too_much(self) -> bool:
        """Whether it logs an error for each check. kdiag asks for Metadata 4 before it knows which
        versions there are, since everybody has that from 0.11 on."""
        return self.number < (0, 11)

    @property
    def authorizer(self) -> str:
        """The class that holds access rules; empty for one that is too old to be asked here."""
        if self.kraft:
            return "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        if self.number >= (2, 4):
            return "kafka.security.authorizer.AclAuthorizer"
        return "kafka.security.auth.SimpleAclAuthorizer" if self.number >= (2,) else ""

    @property
    def java(self) -> bool:
        """Whether today's Java client still talks to it: its producer wants 0.11 at least."""
        return self.number >= (0, 11)

    @property
    def classes(self) -> str:
        """Its class path; the jars are fetched if need be."""
        artifacts: list[Artifact] = [("org.apache.kafka", f"kafka_{self.scala}", self.version)]
        if self.number >= (4,):
            artifacts.append(("org.apache.kafka", "kafka-tools", self.version))
        if self.number < (2, 8):
            artifacts.append(ZOOKEEPER)
        if self.number < (1,):
            artifacts += BEFORE_1
        return f"{jars(f'kafka-{self.version}', [*artifacts, LOGGING])}/*"


RELEASES: tuple[Release, ...] = (
    Release("0.10.2.2", "2.11"),
    Release("0.11.0.3", "2.11"),
    Release("1.1.1", "2.11"),
    Release("2.0.1", "2.12"),
    Release("2.8.2"),
    Release("3.9.1"),
    Release("4.3.1"),
    Release("4.4.0"),
)


# What Kafka's administrator sets for every client id, one after the other, on one release.
LIMITED = "4.3.1"
QUOTAS = {
    "100 kB/s": ("producer_byte_rate", "102400"),
    "1024 B/s": ("producer_byte_rate", "1024"),
    "0.01 % of a request thread": ("request_percentage", "0.01"),
}


def named(version: str, *more: str) -> str:
    """What a case is called where it is kept."""
    return "-".join(("kafka", version, *more))


def names() -> list[str]:
    """The cases of all releases: each without a login and with one, and the quotas."""
    limited = [named(LIMITED, *quota) for quota in QUOTAS.values()]
    versions = [release.version for release in RELEASES]
    return [name for v in versions for name in (named(v), named(v, "login"))] + limited


@dataclass(frozen=True)
class Broker:
    """One broker, alone in its cluster."""

    release: Release
    folder: Path
    address: str

    @property
    def server(self) -> str:
        """Its plaintext listener."""
        return f"{self.address}:{PORT}"

    @property
    def login(self) -> str:
        """Its listener that wants a login."""
        return f"{self.address}:{SASL_PORT}"

    def errors(self) -> list[str]:
        """What the broker has logged as an error so far."""
        return errors(self.folder / "broker.log")

    def last_words(self) -> str:
        """The end of its log, for a test that fails."""
        return (self.folder / "broker.log").read_text(errors="replace")[-1500:]

    def start(self, zookeeper: str) -> subprocess.Popen[bytes]:
        """Starts it, on storage that is formatted first where there is no ZooKeeper."""
        self.folder.mkdir()
        properties = self.folder / "broker.properties"
        properties.write_text("\n".join(self._configuration(zookeeper)) + "\n")
        users = self.folder / "jaas.conf"
        users.write_text(
            "KafkaServer { org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'user_{USER}="{PASSWORD}"; }};\n'
        )
        java = [*_SMALL, f"-Djava.security.auth.login.config={users}"]
        java += ["-Dzookeeper.sasl.client=false", "-cp", self.release.classes]
        run = f'exec "$@" kafka.Kafka {properties}'
        if self.release.kraft:  # only Kafka's own tool finalizes the release's features
            format_ = f"kafka.tools.StorageTool format -t {CLUSTER_ID} -c {properties}"
            run = f'"$@" {format_} && {run}'
        with (self.folder / "broker.log").open("wb") as log:
            return spawn(["sh", "-c", run, "sh", *java], log, log)

    def _configuration(self, zookeeper: str) -> list[str]:
        listen = f"PLAINTEXT://{self.server},SASL_PLAINTEXT://{self.login}"
        lines = [
            f"log.dirs={self.folder}/data",
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=1",
            *(f"{topic}.{of}=1" for topic in _STATE for of in ("replication.factor", "min.isr")),
            "transaction.state.log.num.partitions=1",
            "share.coordinator.state.topic.num.partitions=1",
            # With this, a produce request that names an unknown topic would create one if it could.
            "auto.create.topics.enable=true",
            "sasl.enabled.mechanisms=PLAIN",
            "num.network.threads=1",
            "num.io.threads=2",
        ]
        if self.release.authorizer:  # without a rule about it everybody may do everything
            lines += [
                f"authorizer.class.name={self.release.authorizer}",
                "super.users=User:ANONYMOUS",
                "allow.everyone.if.no.acl.found=true",
            ]
        if not self.release.kraft:
            wait = "zookeeper.connection.timeout.ms=60000"
            return [
                *lines,
                "broker.id=1",
                f"listeners={listen}",
                wait,
                f"zookeeper.connect={zookeeper}",
            ]
        controller = f"{self.address}:{CONTROLLER_PORT}"
        return [
            *lines,
            "node.id=1",
            "process.roles=broker,controller",
            f"controller.quorum.voters=1@{controller}",
            "controller.listener.names=CONTROLLER",
            f"listeners={listen},CONTROLLER://{controller}",
            "listener.security.protocol.map="
            "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        ]


@contextmanager
def released(
    folder: Path, subnet: str, releases: Sequence[Release] = RELEASES
) -> Iterator[dict[str, Broker]]:
    """Starts them all at once, by version, on addresses of this subnet of loopback. They are not
    yet up: who needs one waits for it."""
    running: list[subprocess.Popen[bytes]] = []
    brokers = {
        release.version: Broker(release, folder / release.version, f"{subnet}.{number}")
        for number, release in enumerate(releases, 10)
    }
    zookeeper = f"{subnet}.1"
    try:
        old = next((release for release in reversed(releases) if not release.kraft), None)
        if old:
            running.append(_zookeeper(folder, zookeeper, old))
        for version, broker in brokers.items():
            running.append(broker.start(f"{zookeeper}:{ZOOKEEPER_PORT}/{version}"))
        yield brokers
    finally:
        for process in running:
            end(process)


def _zookeeper(folder: Path, address: str, of: Release) -> subprocess.Popen[bytes]:
    properties = folder / "zookeeper.properties"
    properties.write_text(
        f"dataDir={folder}/zookeeper\nclientPort={ZOOKEEPER_PORT}\nclientPortAddress={address}\n"
        "admin.enableServer=false\n"
    )
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    with (folder / "zookeeper.log").open("wb") as log:
        return spawn([*_SMALL, "-cp", of.classes, main, str(properties)], log, log)
