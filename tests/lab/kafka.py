"""A real three-broker Kafka: its jars from Maven Central, every case a listener of its own.

The jars (54 MB) are fetched once, to ~/.cache/kdiag-lab or to where KDIAG_LAB_CACHE says.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import certificates
from tests.lab.listeners import CONTROLLER_PORT, LISTENERS, NODES, USERS, Listener
from tests.lab.needs import lacking
from tests.lab.processes import end, spawn

VERSION, NEWEST = "4.3.1", "4.4.0"
CLUSTER_ID = "kdiagLabCluster0000001"

IDLE_MS = 10_000  # after which a broker closes a silent connection

Artifact = tuple[str, str, str]  # group, name, version

LOGGING = ("org.slf4j", "slf4j-simple", "1.7.36")
# Nothing here runs for long: a second compilation does not pay, nor a look at what Kafka's build
# has compiled, which takes a tenth of a start.
JAVA = (
    "java",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    *("-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote"),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
# The same for keytool.
QUICKLY = ("-J-XX:+UseSerialGC", "-J-XX:TieredStopAtLevel=1")
_MODULE = "org.apache.kafka.common.security"
_LOGIN = {
    "PLAIN": f"{_MODULE}.plain.PlainLoginModule required "
    + " ".join(f'user_{name}="{secret}"' for name, secret in USERS.items()),
    "SCRAM-SHA-256": f"{_MODULE}.scram.ScramLoginModule required",
    "SCRAM-SHA-512": f"{_MODULE}.scram.ScramLoginModule required",
    "OAUTHBEARER": f"{_MODULE}.oauthbearer.OAuthBearerLoginModule required "
    'unsecuredLoginStringClaim_sub="broker"',
}


def cache() -> Path:
    """The folder for what is fetched or built once, made if need be."""
    folder = Path(os.environ.get("KDIAG_LAB_CACHE") or Path.home() / ".cache" / "kdiag-lab")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def kafka(version: str = VERSION) -> tuple[Artifact, ...]:
    """What a Kafka of that version consists of."""
    parts = ("kafka_2.13", "kafka-tools")
    return *(("org.apache.kafka", part, version) for part in parts), LOGGING


def jars(name: str = f"kafka-{VERSION}", artifacts: Sequence[Artifact] = kafka()) -> Path:
    """The folder of that name with these artifacts and all they need, fetched if need be."""
    folder = cache() / name
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=cache()) as temporary:
        pom, fetched = Path(temporary, "pom.xml"), Path(temporary, "jars")
        pom.write_text(_pom(artifacts))
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        # Old versions bring a logger of their own, and there can be only one.
        command += [f"-DoutputDirectory={fetched}", "-DexcludeArtifactIds=slf4j-log4j12,log4j"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            lacking(f"Maven could not fetch {name}: {done.stdout[-500:].strip()}")
        try:
            fetched.rename(folder)
        except OSError:  # another test run was faster
            assert folder.is_dir()
    return folder


def formatted(data: Path) -> None:
    """Makes the storage of a node 1 without users, as Kafka's StorageTool does: that is another
    Java, for 2 s of a processor."""
    data.mkdir()
    (data / "meta.properties").write_text(
        f"version=1\ncluster.id={CLUSTER_ID}\nnode.id=1\ndirectory.id={_own_id()}\n"
    )


def _own_id() -> str:
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")


@dataclass
class Kafka:
    """Three combined nodes. `homes` are the addresses they bind to, `publics` those by which they
    are known outside; `inside` is the command prefix that runs each in its place.
    """

    folder: Path
    homes: tuple[str, ...]
    publics: tuple[str, ...]
    inside: tuple[tuple[str, ...], ...] = ((), (), ())
    version: str = VERSION
    _nodes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        """Formats the storage of all nodes and starts them; `tools.py prepare` waits for them."""
        classes = self._classes
        certificates.write(self.certificates, self.homes, self.publics)
        for node in NODES:
            self._properties(node).write_text("\n".join(self._configuration(node)) + "\n")
        users = [
            f"--add-scram={mechanism}=[name={name},password={secret}]"
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for name, secret in USERS.items()
        ]
        tool = (*JAVA, "-cp", classes, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID)
        process = spawn(
            [*tool, "-c", self._properties(NODES[0]), *users], subprocess.PIPE, subprocess.STDOUT
        )
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode(errors="replace")
        for node in NODES[1:]:
            self._like_the_first(node)
        for node in NODES:
            self.run(node)

    @property
    def _classes(self) -> str:
        return f"{jars(f'kafka-{self.version}', kafka(self.version))}/*"

    def _like_the_first(self, node: int) -> None:
        """Formats the storage of a node: that of the first, but for what names node and folder."""
        shutil.copytree(self.folder / f"data-{NODES[0]}", self.folder / f"data-{node}")
        meta = self.folder / f"data-{node}" / "meta.properties"
        told = meta.read_text().replace(f"node.id={NODES[0]}\n", f"node.id={node}\n")
        meta.write_text(re.sub("(?m)^directory.id=.*$", f"directory.id={_own_id()}", told))

    def run(self, node: int) -> None:
        """Starts one node."""
        command = [*self.inside[node - 1], *JAVA, "-cp", self._classes, "kafka.Kafka"]
        with self._log(node).open("ab") as log:
            self._nodes[node] = spawn([*command, self._properties(node)], log, log)

    def kill(self, node: int) -> None:
        """Ends one node at once, as a crash does."""
        end(self._nodes.pop(node))

    def pause(self, node: int) -> None:
        """Lets one node hang: its kernel accepts connections, and nobody answers."""
        self._nodes[node].send_signal(signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """Wakes a paused node."""
        self._nodes[node].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends every node that still runs."""
        for node in list(self._nodes):
            self.kill(node)

    @property
    def certificates(self) -> Path:
        """The folder with everybody's certificates."""
        return self.folder / "certificates"

    def errors(self) -> list[str]:
        """What the brokers have logged as an error so far."""
        return [line for node in NODES for line in errors(self._log(node))]

    def last_words(self) -> str:
        """The end of every node's log, for a test that fails."""
        return "\n".join(self._log(node).read_text(errors="replace")[-1500:] for node in NODES)

    def _properties(self, node: int) -> Path:
        return self.folder / f"node-{node}.properties"

    def _log(self, node: int) -> Path:
        return self.folder / f"node-{node}.log"

    def _configuration(self, node: int) -> list[str]:
        home = self.homes[node - 1]
        voters = (f"{n}@{self.homes[n - 1]}:{CONTROLLER_PORT}" for n in NODES)
        listen = [f"CONTROLLER://{home}:{CONTROLLER_PORT}"]
        listen += [f"{x.name}://{home}:{x.port}" for x in LISTENERS]
        tell = [f"{x.name}://{x.advertises(node, self.homes, self.publics)}" for x in LISTENERS]
        speak = ["CONTROLLER:PLAINTEXT", *(f"{x.name}:{x.protocol}" for x in LISTENERS)]
        return [
            f"node.id={node}",
            "process.roles=broker,controller",
            f"controller.quorum.voters={','.join(voters)}",
            "controller.listener.names=CONTROLLER",
            "inter.broker.listener.name=INTERNAL",
            f"listeners={','.join(listen)}",
            f"advertised.listeners={','.join(tell)}",
            f"listener.security.protocol.map={','.join(speak)}",
            f"log.dirs={self.folder / f'data-{node}'}",
            # With this, a produce request that names an unknown topic would create one if it could.
            "auto.create.topics.enable=true",
            "default.replication.factor=3",
            "offsets.topic.replication.factor=3",
            "offsets.topic.num.partitions=1",
            "group.initial.rebalance.delay.ms=0",
            f"broker.rack=zone-{node}",
            "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector",
            # A broker that was killed may come back under its id when its session is over.
            "broker.session.timeout.ms=6000",
            f"connections.max.idle.ms={IDLE_MS}",
            "num.network.threads=1",
            "num.io.threads=2",
            # Two in three of the requests that nodes send each other without anything to do.
            "metadata.max.idle.interval.ms=0",
            "replica.fetch.wait.max.ms=5000",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
            "allow.everyone.if.no.acl.found=true",
            *(line for x in LISTENERS for line in self._security(node, x)),
        ]

    def _security(self, node: int, listener: Listener) -> list[str]:
        lines = list(listener.more)
        if listener.certificate:
            lines += [
                "ssl.keystore.type=PEM",
                f"ssl.keystore.location={self.certificates}/{listener.certificate}-{node}.pem",
                "ssl.truststore.type=PEM",
                f"ssl.truststore.location={self.certificates}/ca.pem",
            ]
        if listener.mechanisms:
            lines.append(f"sasl.enabled.mechanisms={','.join(listener.mechanisms)}")
            lines += [f"{m.lower()}.sasl.jaas.config={_LOGIN[m]};" for m in listener.mechanisms]
        return [f"listener.name.{listener.name.lower()}.{line}" for line in lines]


def errors(log: Path) -> list[str]:
    """The lines of a log that are an error's."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if re.search(r"\b(ERROR|FATAL)\b", line)]


def _pom(artifacts: Sequence[Artifact]) -> str:
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency>"
        for group, artifact, version in artifacts
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>kdiag</groupId><artifactId>lab</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>\n"
    )
