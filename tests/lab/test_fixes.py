"""The corrected files of a real cluster: Kafka starts with them, and a client comes in."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from select import select
from typing import Any

import pytest
import yaml

from kdiag.api import walk
from kdiag.config.settings import Endpoint, settings
from kdiag.report.model import Report
from kdiag.rules.advertising import CONTAINER_PORT, advertising
from kdiag.rules.platform import Kind, Platform
from kdiag.rules.remedies import credentials
from kdiag.walk.runner import nobody
from tests.applied import applies
from tests.facts import listener
from tests.lab.kafka import JAVA, formatted, jars
from tests.lab.needs import KAFKA, require
from tests.lab.processes import end, spawn
from tests.lab.scripts import typed
from tests.lint.texts import compose
from tests.walks import on_loopback

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

PATIENCE = 60.0  # seconds, for a broker to come up
PROPERTIES = """\
# a broker of its own
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://10.0.1.11:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
"""


@pytest.fixture
def ports() -> tuple[int, int]:
    require(*KAFKA)
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextmanager
def kafka(text: str, folder: Path) -> Iterator[None]:
    """A real broker with these properties, as long as it is needed."""
    folder.mkdir()
    file = folder / "server.properties"
    beside = f"log.dirs={folder}/logs\noffsets.topic.replication.factor=1\n"
    file.write_text(f"{text}\n{beside}")
    classes = ("-cp", f"{jars()}/*")
    formatted(folder / "logs")
    with (folder / "log").open("wb") as log:
        process = spawn([*JAVA, *classes, "kafka.Kafka", str(file)], log, log)
        try:
            yield
        finally:
            end(process)


def walked(port: int, name: str = "", text: str = "", **asked_for: Any) -> Report:
    """A walk that does not leave the loopback device, once a broker is there to answer."""
    config = {name: text} if name else {}
    asked = settings(f"127.0.0.1:{port}", timeout=2.0, config=config, **asked_for)
    give_up = time.monotonic() + PATIENCE
    while True:
        making = walk(asked, on_loopback, nobody)
        report = asyncio.run(making)
        if report.cluster or time.monotonic() > give_up:
            return report
        time.sleep(0.2)


def corrected(report: Report, name: str, text: str, folder: Path) -> str:
    """The file after the difference that the root cause has for its fix."""
    assert report.cause
    assert report.cause.remedies[0].kind == "diff"
    (folder / name).write_text(text)
    fix = report.cause.remedies[0].snippet
    subprocess.run(["git", "apply", "-"], input=fix, text=True, cwd=folder, check=True, timeout=50)
    return (folder / name).read_text()


@applies("diff")
def test_a_broker_starts_with_its_corrected_properties_and_is_reached(
    ports: tuple[int, int], tmp_path: Path
) -> None:
    port, controller = ports
    text, name = PROPERTIES.format(port=port, controller=controller), "server.properties"
    with kafka(text, tmp_path / "given"):
        before = walked(port, name, text)
    assert (before.root_cause, before.exit_code) == ("KD301", 30)
    after = corrected(before, name, text, tmp_path)
    assert after == text.replace("10.0.1.11", "127.0.0.1")
    with kafka(after, tmp_path / "corrected"):
        again = walked(port, name, after)
    assert (again.exit_code, [f.code for f in again.findings]) == (0, [])


def environment(text: str) -> str:
    """The properties that the image of a Compose file makes of its environment."""
    (service,) = yaml.safe_load(text)["services"].values()
    return "\n".join(
        f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}"
        for name, value in service["environment"].items()
    )


def test_a_broker_starts_with_its_corrected_compose_file_and_is_reached(
    ports: tuple[int, int], tmp_path: Path
) -> None:
    port, controller = ports
    text = compose(f"PLAINTEXT://10.0.1.11:{port}", f"{port}:{port}", "PLAINTEXT")
    # What images set by themselves.
    default = PROPERTIES.format(port=port, controller=controller).splitlines()
    beside = "\n".join(x for x in default if x.startswith(("process", "controller")))
    speaks = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"

    def running(text: str) -> str:
        listen = f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
        return f"{environment(text)}\n{beside}\n{listen}\n{speaks}"

    name = "compose.yaml"
    with kafka(running(text), tmp_path / "given"):
        before = walked(port, name, text)
    assert before.root_cause == "KD301"
    after = corrected(before, name, text, tmp_path)
    with kafka(running(after), tmp_path / "corrected"):
        again = walked(port, name, after)
    assert again.exit_code == 0
    assert again.cluster
    assert again.cluster.brokers[0].advertised == f"127.0.0.1:{port}"


# Two listeners for clients outside, each with an address that leads nowhere, and one for inside.
SEVERAL = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INSIDE
listeners=INSIDE://127.0.0.1:{inside},PLAIN://127.0.0.1:{plain},LOCAL://127.0.0.1:{local},\
CONTROLLER://127.0.0.1:{controller}
advertised.listeners=INSIDE://127.0.0.1:{inside},PLAIN://10.0.1.11:{plain},LOCAL://10.0.1.12:{local}
listener.security.protocol.map=INSIDE:PLAINTEXT,PLAIN:PLAINTEXT,LOCAL:PLAINTEXT,CONTROLLER:PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
auto.create.topics.enable=false
"""
OTHERS = "<your other entries>,"


def free(count: int) -> list[int]:
    """Ports of loopback that nobody has at this moment."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def fix(report: Report, kind: str) -> str:
    """The first fix of this kind of the root cause."""
    assert report.cause, report
    return next(each.snippet for each in report.cause.remedies if each.kind == kind)


def pasted(properties: str, line: str, name: str = "") -> str:
    """The properties with a line of a fix in the place of the one that sets the same. What it calls
    EXTERNAL is the listener `name`, or a new one; the other entries stay."""
    key, _, value = line.partition("=")
    old = next(x for x in properties.splitlines() if x.startswith(f"{key}="))
    kept = [x for x in old.partition("=")[2].split(",") if not name or not x.startswith(f"{name}:")]
    assert value.startswith(OTHERS)
    entry = value.removeprefix(OTHERS).replace("EXTERNAL:", f"{name or 'EXTERNAL'}:", 1)
    return properties.replace(old, f"{key}={','.join([*kept, entry])}")


def of_container(snippet: str) -> Iterator[str]:
    """The properties that an image of Kafka makes of the environment in a snippet."""
    for name, value in yaml.safe_load(snippet).items():
        yield f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}"


@contextmanager
def published(port: int, to: list[int]) -> Iterator[None]:
    """A port of the host that leads to the last port of `to`, as Docker publishes one."""

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", to[-1])) as there:
                pair = {self.request: there, there: self.request}
                while ready := select(list(pair), (), (), PATIENCE)[0]:
                    for each in ready:
                        data = each.recv(65536)
                        if not data:
                            return
                        pair[each].sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", port), Connection) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@applies(
    "properties advertised.listeners", "yaml KAFKA_LISTENERS", "yaml KAFKA_ADVERTISED_LISTENERS"
)
def test_what_is_pasted_lets_clients_in_and_takes_nothing_away(tmp_path: Path) -> None:
    """Three fixes in one restart: a line for server.properties, the same in the environment of a
    container, and a new listener of a container."""
    inside, plain, local, controller, host, new = free(6)
    before = SEVERAL.format(inside=inside, plain=plain, local=local, controller=controller)
    # What is published on the host leads to the listener for other containers.
    docker = before.replace(
        f"INSIDE://127.0.0.1:{inside},PLAIN://10", f"INSIDE://172.18.0.2:{host},PLAIN://10"
    )
    leads = [inside]
    with published(host, leads):
        with kafka(docker, tmp_path / "before"):
            reports = [walked(port) for port in (plain, local, host)]
        assert [report.root_cause for report in reports] == ["KD301"] * 3
        line = fix(reports[0], "properties").splitlines()[1]
        assert line == f"advertised.listeners={OTHERS}EXTERNAL://127.0.0.1:{plain}"
        after = pasted(docker, line, "PLAIN")
        there = {1: f"127.0.0.1:{local}"}
        localhost = listener(1, f"localhost:{local}", "refused")
        own = advertising(there, "", Platform(Kind.COMPOSE, True), [localhost])[0]
        (line,) = of_container(own.snippet)
        after = pasted(after, line, "LOCAL")
        assert reports[2].cause
        added = reports[2].cause.remedies[0]
        assert added.summary.startswith("If the brokers run in Docker")
        publish = f'with "{host}:{CONTAINER_PORT}" for {host} in its ports'
        assert publish in added.snippet
        for line in of_container(added.snippet.replace(str(CONTAINER_PORT), str(new))):
            after = pasted(after, line)
        leads.append(new)
        with kafka(after, tmp_path / "after"):
            again = [walked(port) for port in (plain, local, host)]
        assert [(r.exit_code, r.findings) for r in again] == [(0, [])] * 3
        assert f"INSIDE://172.18.0.2:{host}" in after


@applies(
    "shell kafka-topics.sh --create",
    "shell kafka-acls.sh --list",
    "shell kafka-acls.sh --add",
    "shell kafka-configs.sh --describe",
)
def test_the_commands_for_kafkas_own_tools_put_it_right(tmp_path: Path) -> None:
    """A topic that is missing, and then the right to write to it: alice may do nothing at first."""
    inside, plain, local, controller = free(4)
    text = SEVERAL.format(inside=inside, plain=plain, local=local, controller=controller)
    text = text.replace("10.0.1.11", "127.0.0.1").replace("PLAIN:PLAINTEXT", "PLAIN:SASL_PLAINTEXT")
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    text += (
        "sasl.enabled.mechanisms=PLAIN\nlistener.name.plain.sasl.enabled.mechanisms=PLAIN\n"
        f'listener.name.plain.plain.sasl.jaas.config={module} user_alice="a-secret";\n'
    )
    alice = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "alice",
        "sasl.password": "a-secret",
    }
    admin, server = tmp_path / "admin.properties", f"127.0.0.1:{inside}"
    admin.write_text("security.protocol=PLAINTEXT\n")
    with kafka(text, tmp_path / "broker"):
        missing = walked(inside, topic="orders")
        assert missing.root_cause == "KD204"
        typed(fix(missing, "shell"), server, admin)
        assert walked(inside, topic="orders").exit_code == 0
        denied = walked(plain, topic="orders", properties=alice)
        assert denied.root_cause == "KD205"
        typed(fix(denied, "shell"), server, admin)
        allowed = walked(plain, topic="orders", properties=alice)
        assert allowed.exit_code == 0, allowed
        refused = walked(plain, properties=alice | {"sasl.password": "another"})
        assert refused.root_cause == "KD120"
        configs = credentials("SCRAM-SHA-512", "alice", "", Endpoint("127.0.0.1", inside)).snippet
        typed(configs, server, admin)
