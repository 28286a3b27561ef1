"""A Kafka on a host that cannot look its own address up: no line in hosts, a silent resolver.

One broker in a network namespace of its own, with nothing but loopback in it: no query leaves.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.client import Client
from tests.lab.kafka import JAVA, formatted, jars
from tests.lab.listeners import USERS
from tests.lab.network import Namespace
from tests.lab.processes import end, spawn

BROKER, RESOLVER = "10.9.9.1", "10.9.9.53"
PORT, INTERNAL_PORT, CONTROLLER_PORT = 9092, 9091, 9090
SERVER = f"{BROKER}:{PORT}"

_HOLD = (
    'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/hosts && ip link set lo up && '
    f"ip addr add {BROKER}/32 dev lo && ip addr add {RESOLVER}/32 dev lo && echo && exec sleep inf"
)
# It takes every query, and answers none.
_SILENT = (
    f"import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(({RESOLVER!r}, 53)); "
    "print(flush=True); time.sleep(1e6)"
)
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required "

LOGIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "alice",
    "sasl.password": USERS["alice"],
}


@dataclass(frozen=True)
class Lookups:
    """The broker, and the place where it and its clients are."""

    folder: Path
    place: Namespace
    client: Client  # kdiag and the real client, in there

    def last_words(self) -> str:
        """The end of the broker's log, for a test that fails."""
        return (self.folder / "broker.log").read_text(errors="replace")[-2000:]


@contextmanager
def lookups(folder: Path) -> Iterator[Lookups]:
    """Starts the broker in its namespace, and ends both."""
    (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\noptions timeout:5 attempts:1\n")
    (folder / "hosts").write_text(f"127.0.0.1 localhost {_host_name()}\n")
    (folder / "broker.properties").write_text(_configuration(folder))
    running: list[subprocess.Popen[bytes]] = []
    try:
        new = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec", _HOLD]
        files = [str(folder / "resolv.conf"), str(folder / "hosts")]
        place = Namespace(_ready(running, [*new, *files]))
        _ready(running, [*place.inside, sys.executable, "-c", _SILENT])
        properties = str(folder / "broker.properties")
        tool = [*place.inside, *JAVA, "-cp", f"{jars()}/*"]
        formatted(folder / "data")
        with (folder / "broker.log").open("wb") as log:
            running.append(spawn([*tool, "kafka.Kafka", properties], log, log))
        started = Lookups(folder, place, Client(place.inside))
        started.client.tool("create", f"{BROKER}:{INTERNAL_PORT}", "orders")
        yield started
    finally:
        for process in reversed(running):
            end(process)


def _configuration(folder: Path) -> str:
    users = " ".join(f'user_{name}="{secret}"' for name, secret in USERS.items())
    return "\n".join(
        (
            "node.id=1",
            "process.roles=broker,controller",
            f"controller.quorum.voters=1@{BROKER}:{CONTROLLER_PORT}",
            "controller.listener.names=CONTROLLER",
            "inter.broker.listener.name=INTERNAL",
            f"listeners=CONTROLLER://{BROKER}:{CONTROLLER_PORT},"
            f"INTERNAL://{BROKER}:{INTERNAL_PORT},LOGIN://{SERVER}",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,"
            "LOGIN:SASL_PLAINTEXT",
            "listener.name.login.sasl.enabled.mechanisms=PLAIN",
            f"listener.name.login.plain.sasl.jaas.config={_PLAIN}{users};",
            f"log.dirs={folder}/data",
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=1",
            "",
        )
    )


def _host_name() -> str:
    return subprocess.run(["hostname"], capture_output=True, text=True, check=True).stdout.strip()


def _ready(running: list[subprocess.Popen[bytes]], command: list[str]) -> subprocess.Popen[bytes]:
    """Starts a process that stays, and waits for the line by which it says that it is ready."""
    process = spawn(command, subprocess.PIPE, subprocess.PIPE)
    running.append(process)
    assert process.stdout and process.stderr
    if not process.stdout.readline():
        raise AssertionError(process.stderr.read().decode(errors="replace"))
    return process
