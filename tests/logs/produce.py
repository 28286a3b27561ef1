"""Produces the log corpus: real clients connect to a real Kafka that fails, in the lab's network.

Run by hand, as root on Linux, for the lab's namespaces: `python -m tests.logs.produce CLIENTS`.
CLIENTS is a folder with the clients, in this layout:

    v2/bin/python   a virtual environment with kafka-python 2, aiokafka and confluent-kafka
    v3/bin/python   one with kafka-python 3
    js/             the folder in which `npm install kafkajs` was run
    go/sarama.bin   clients/sarama, built; so franz-go.bin of clients/franz, and segmentio.bin
    go/sarama-1.26.bin  the same with github.com/Shopify/sarama v1.26.4; so for each of GO

The Java client belongs to the lab. The clients dial only addresses in the namespaces. The script
writes one folder of logs for each client, without the names of this machine, and cuts long logs.
expected.json has the explanation of each log: the code of the real failure, then the code, the hop
(in brackets if the log does not name it) and the confidence of the explanation. To write an entry
again, delete it first, and read the new entry: every "sure" explanation must be right.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdiag.logs.explain import explain
from tests.lab.kafka import JAVA, jars
from tests.lab.lab import Lab, in_aws
from tests.lab.listeners import NODE_PORT, NODES
from tests.lab.processes import end, spawn

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"
SECONDS = 8.0
MAX_CHARACTERS = 5000  # of one log
MAX_ALIKE, MAX_FRAMES = 3, 1  # lines that differ only in digits, and frames of a stack trace
PARALLEL = 5

# Java clients print all their properties. Most of the properties are not needed.
_PROPERTY_LINES = re.compile(
    r"^\t(?!bootstrap\.servers|security\.protocol|sasl\.mechanism|sasl\.jaas)[\w.]+ = .*\n",
    re.MULTILINE,
)

Fault = Callable[[Lab], AbstractContextManager[Any]]


def no_fault(lab: Lab) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Case:
    """A failure that the clients log: its code and hop, and the settings of the clients.

    `servers` is the name of a listener of the lab, or an address. `overrides` replace the settings
    that fit the listener; "" removes a setting. `fault` is active while the client runs.
    """

    name: str
    code: str | None
    hop: str | None
    servers: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    topic: str = "orders"
    size: int = 10
    fault: Fault = no_fault


PLAIN = {"protocol": "PLAINTEXT", "ca": "", "mechanism": "", "user": "", "password": ""}
WRONG = {"user": "alice", "password": "Tr0ub4dor-and-3"}
HTTP, SSH, SILENT, CLOSES = 8080, 8022, 8023, 8024


@contextmanager
def node_ports_blocked(lab: Lab) -> Iterator[None]:
    ports = f"{NODE_PORT + NODES[0]}-{NODE_PORT + NODES[-1]}"
    with lab.network.rule(f"meta l4proto tcp ct original proto-dst {ports} drop"):
        yield


@contextmanager
def silent_resolver(lab: Lab) -> Iterator[None]:
    with lab.network.deaf_resolver():
        yield


@contextmanager
def small_mtu(lab: Lab) -> Iterator[None]:
    with lab.network.rule("meta length > 1000 drop"):
        yield


@contextmanager
def one_broker_down(lab: Lab) -> Iterator[None]:
    lab.kafka.kill(3)
    try:
        yield
    finally:
        lab.kafka.run(3)
        lab.ask("recover")


@contextmanager
def replica_missing(lab: Lab) -> Iterator[None]:
    with one_broker_down(lab):
        lab.ask("missed")
        time.sleep(2)
        yield


@contextmanager
def one_broker_paused(lab: Lab) -> Iterator[None]:
    lab.kafka.pause(3)
    try:
        yield
    finally:
        lab.kafka.resume(3)


CASES = (
    Case("healthy", None, None, "PUBLIC"),
    Case("private-address", "KD301", "listeners", "PRIVATE"),
    Case("one-private-address", "KD301", "listeners", "ONEPRIVATE"),
    Case("loopback-address", "KD302", "listeners", "LOCALHOST"),
    Case("internal-name", "KD304", "listeners", "EC2NAME"),
    Case("advertised-port-closed", "KD305", "listeners", "CLOSED"),
    Case("swapped", "KD405", "produce", "SWAPPED"),
    Case("shared", "KD405", "produce", "SHARED"),
    Case("advertised-controller", "KD109", "listeners", "CONTROLLED"),
    Case("advertised-blocked", "KD306", "listeners", f"3.10.139.221:{NODE_PORT}",
         fault=node_ports_blocked),
    Case("controller-port", "KD109", "bootstrap", "CONTROLLER", PLAIN),
    Case("tls-required", "KD110", "bootstrap", "TLS", PLAIN),
    Case("tls-not-offered", "KD111", "bootstrap", "PUBLIC", {"protocol": "SSL", "ca": "ca.pem"}),
    Case("untrusted-certificate", "KD112", "bootstrap", "TLS", {"ca": "other-ca.pem"}),
    Case("certificate-name", "KD113", "bootstrap", "3.10.139.222:9113",
         {"protocol": "SSL", "ca": "ca.pem"}),
    Case("certificate-name-of-one", "KD113", "listeners", "NAMELESS"),
    Case("certificate-expired", "KD114", "bootstrap", "EXPIRED"),
    Case("client-certificate", "KD115", "bootstrap", "MTLS"),
    Case("client-certificate-tls12", "KD115", "bootstrap", "MTLS12"),
    Case("sasl-required", "KD117", "bootstrap", "LOGIN", PLAIN),
    Case("sasl-not-offered", "KD118", "bootstrap", "PUBLIC",
         {"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN", **WRONG}),
    Case("sasl-mechanism", "KD119", "bootstrap", "SCRAMONLY",
         {"mechanism": "PLAIN", "user": "alice", "password": "alice-secret"}),
    Case("sasl-credentials", "KD120", "bootstrap", "LOGIN", WRONG),
    Case("sasl-credentials-scram", "KD120", "bootstrap", "SCRAMONLY",
         {"mechanism": "SCRAM-SHA-512", **WRONG}),
    Case("sasl-private-address", "KD301", "listeners", "LOGINHOME"),
    Case("tls-then-plaintext", "KD312", "listeners", "TLSTOPLAIN"),
    Case("plaintext-then-tls", "KD312", "listeners", "PLAINTOTLS"),
    Case("refused", "KD103", "bootstrap", "3.10.139.221:9999"),
    Case("timeout", "KD104", "bootstrap", "10.0.1.11:9094"),
    Case("unreachable", "KD105", "bootstrap", "[2001:db8::221]:9094"),
    Case("name-not-found", "KD101", "bootstrap", "kafka.exmaple.com:9094"),
    Case("resolver-failed", "KD102", "bootstrap", "kafka.example.com:9094", fault=silent_resolver),
    Case("http", "KD108", "bootstrap", f"3.10.139.221:{HTTP}"),
    Case("ssh", "KD108", "bootstrap", f"3.10.139.221:{SSH}"),
    Case("silent-peer", "KD107", "bootstrap", f"3.10.139.221:{SILENT}"),
    Case("closed-early", "KD121", "bootstrap", f"3.10.139.221:{CLOSES}"),
    Case("unknown-topic", "KD204", "metadata", "PUBLIC", topic="odrers"),
    Case("topic-denied", "KD205", "metadata", "LOGIN",
         {"user": "blind", "password": "blind-secret"}),
    Case("produce-denied", "KD403", "produce", "LOGIN",
         {"user": "reader", "password": "reader-secret"}),
    Case("record-rejected", "KD406", "produce", "PUBLIC", topic="tiny", size=3000),
    Case("not-enough-replicas", "KD404", "produce", "PUBLIC", topic="strict",
         fault=replica_missing),
    Case("broker-down", "KD305", "listeners", "PUBLIC", fault=one_broker_down),
    Case("path-mtu", "KD401", "produce", "PUBLIC", size=3000, fault=small_mtu),
    Case("broker-hangs", "KD401", "produce", "PUBLIC", fault=one_broker_paused),
)  # fmt: skip


def client_settings(lab: Lab, case: Case, client: str) -> dict[str, Any]:
    """The settings of a client for a case, as one JSON object for the scripts in clients/."""
    certificates = lab.kafka.certificates
    settings: dict[str, Any] = {"protocol": "PLAINTEXT"}
    servers = case.servers
    if servers == "CONTROLLER":
        servers = f"{lab.kafka.publics[0]}:9090"
    elif servers.isalnum() and servers.isupper():
        properties = lab.properties(servers)
        names = {
            "security.protocol": "protocol",
            "ssl.ca.location": "ca",
            "sasl.mechanism": "mechanism",
            "sasl.username": "user",
            "sasl.password": "password",
        }
        settings = {names[name]: value for name, value in properties.items()}
        if servers == "SCRAMONLY":
            settings["mechanism"] = "SCRAM-SHA-512"
        servers = lab.at(servers)
    settings |= case.overrides
    if settings.get("ca", "").endswith("ca.pem"):
        settings["ca"] = str(certificates / Path(settings["ca"]).name)
    settings = {name: value for name, value in settings.items() if value}
    topic = case.topic
    if topic == "odrers":  # some clients create the topic, so each client has its own
        topic = f"odrers-{client}"
    return {
        **settings,
        "servers": servers,
        "topic": topic,
        "size": case.size,
        "seconds": SECONDS,
    }


def java(lab: Lab, settings: Mapping[str, Any], name: str) -> tuple[list[str], str]:
    """The command line and standard input of the console producer, or of the topic tool for
    java-admin."""
    lines = [f"security.protocol={settings['protocol']}", "client.id=orders-service"]
    lines += ["request.timeout.ms=4000", "default.api.timeout.ms=7000"]
    lines += ["socket.connection.setup.timeout.ms=2000"]
    lines += ["socket.connection.setup.timeout.max.ms=3000"]
    if "ca" in settings:
        lines += ["ssl.truststore.type=PEM", f"ssl.truststore.location={settings['ca']}"]
    if "mechanism" in settings:
        module = "scram.Scram" if settings["mechanism"].startswith("SCRAM") else "plain.Plain"
        lines += [
            f"sasl.mechanism={settings['mechanism']}",
            f"sasl.jaas.config=org.apache.kafka.common.security.{module}LoginModule required "
            f'username="{settings["user"]}" password="{settings["password"]}";',
        ]
    if name != "java-admin":
        lines += ["max.block.ms=6000", "delivery.timeout.ms=6000", "linger.ms=0"]
    file = Path(tempfile.mkstemp(suffix=".properties", dir=lab.kafka.folder)[1])
    file.write_text("\n".join(lines) + "\n")
    simple = "-Dorg.slf4j.simpleLogger"
    base = [
        *JAVA[:-1],
        f"{simple}.defaultLogLevel=info",
        f"{simple}.showDateTime=true",
        f"{simple}.dateTimeFormat=yyyy-MM-dd HH:mm:ss,SSS",
        "-cp",
        f"{jars()}/*",
    ]
    more = ["--bootstrap-server", settings["servers"], "--command-config", str(file)]
    if name == "java-admin":
        return [*base, "org.apache.kafka.tools.TopicCommand", "--list", *more], ""
    tool = ["org.apache.kafka.tools.ConsoleProducer", "--topic", settings["topic"]]
    return [*base, *tool, *more], "\n".join("x" * settings["size"] for _ in range(6)) + "\n"


def command(
    lab: Lab, client: str, settings: Mapping[str, Any], clients: Path
) -> tuple[list[str], str]:
    """The command line of a client, and its standard input."""
    scripts, argument = HERE / "clients", json.dumps(settings)
    if client.startswith("java"):
        return java(lab, settings, client)
    python_2, python_3 = str(clients / "v2/bin/python"), str(clients / "v3/bin/python")
    modules = f"NODE_PATH={clients / 'js/node_modules'}"
    lines = {
        "librdkafka": [python_2, str(scripts / "librdkafka.py")],
        "kafka-python-2": [python_2, str(scripts / "kafka_python.py")],
        "kafka-python-3": [python_3, str(scripts / "kafka_python.py")],
        "aiokafka": [python_2, str(scripts / "aiokafka_.py")],
        "kafkajs": ["env", modules, "node", str(scripts / "kafkajs.js")],
        **{name: [str(clients / f"go/{name}.bin")] for name in GO},
    }
    return [*lines[client], argument], ""


GO = (
    *("sarama", "sarama-1.26", "sarama-1.29", "sarama-1.43"),
    *("franz-go", "franz-go-1.15", "segmentio", "segmentio-0.4.20"),
)

# Cases that a client cannot run, or does not log.
LEFT_OUT = {
    "java-admin": {
        *("one-private-address", "certificate-name-of-one", "swapped", "shared", "unknown-topic"),
        *("topic-denied", "produce-denied", "record-rejected", "not-enough-replicas", "path-mtu"),
        *("broker-down", "broker-hangs"),
    },
    "kafkajs": {"unreachable"},
    "sarama": {"sasl-credentials-scram"},
    "sarama-1.26": {  # Kafka 4 takes no produce request of it, and closes the connection
        *("sasl-credentials-scram", "healthy", "advertised-controller", "produce-denied", "shared"),
        *("record-rejected", "swapped", "tls-then-plaintext", "unknown-topic"),
    },
    "sarama-1.29": {"sasl-credentials-scram", "unknown-topic"},
    "sarama-1.43": {"sasl-credentials-scram"},
    **{
        name: {"advertised-controller", "produce-denied", "record-rejected", "shared", "swapped"}
        for name in ("segmentio", "segmentio-0.4.20")
    },
}

CLIENTS = (
    *("librdkafka", "java", "java-admin", "kafka-python-2", "kafka-python-3"),
    *("aiokafka", "kafkajs"),
    *GO,
)


def run(lab: Lab, case: Case, client: str, clients: Path) -> None:
    """Runs a client and writes its log to a file."""
    if case.name in LEFT_OUT.get(client, ()):
        return
    settings = client_settings(lab, case, client)
    arguments, stdin = command(lab, client, settings, clients)
    try:
        done = subprocess.run(
            [*lab.client.inside, "timeout", "-s", "KILL", f"{SECONDS * 2.5:g}", *arguments],
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"{client} {case.name}: timeout\n")
        return
    folder = HERE / client
    folder.mkdir(exist_ok=True)
    text = scrubbed(done.stdout.decode("utf-8", "replace"), lab.kafka.folder, clients)
    (folder / f"{case.name}.log").write_text(shortened(text), "utf-8")
    sys.stdout.write(f"{client} {case.name}: {len(done.stdout)} bytes\n")
    sys.stdout.flush()


def scrubbed(text: str, folder: Path, clients: Path) -> str:
    """Replaces the paths of this machine."""
    text = text.replace(str(folder), "/etc/kafka").replace(str(HERE / "clients"), "/app")
    text = re.sub(r'[^\s"(]*/site-packages/', "/app/site-packages/", text)
    text = re.sub(r"[^\s(]*/node_modules/", "/app/node_modules/", text)
    text = text.replace(str(clients), "/app")
    text = re.sub(r'[^\s"(]*/lib/python3[^/]*/', "/usr/lib/python3/", text)
    return _PROPERTY_LINES.sub("", text)


def shortened(text: str) -> str:
    """Keeps the first lines of every kind, and the first frame of every stack trace."""
    alike: Counter[str] = Counter()
    frames = 0
    lines = []
    for line in text.splitlines():
        frames = frames + 1 if line.startswith(("\tat ", "    at ")) else 0
        shape = re.sub(r"[0-9a-f]", "", line)
        alike[shape] += 1
        if frames <= MAX_FRAMES and (alike[shape] <= MAX_ALIKE or frames):
            lines.append(line)
    short = "".join(f"{line}\n" for line in lines)
    if len(short) <= MAX_CHARACTERS:
        return short
    return short[:MAX_CHARACTERS].rpartition("\n")[0] + "\n"


_OTHER_SERVER = f"""
import socketserver, sys, time

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        port = self.server.server_address[1]
        if port == {SSH}:
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\\r\\n")
        if port == {HTTP}:
            self.request.recv(1)
            head = b"HTTP/1.1 400 Bad Request\\r\\nServer: nginx/1.22.1\\r\\n"
            self.request.sendall(head + b"Connection: close\\r\\n\\r\\n<html></html>")
        if port == {SILENT}:
            time.sleep(60)

socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""


@contextmanager
def other_servers(lab: Lab) -> Iterator[None]:
    """Runs servers of other protocols on the machine of broker 1."""
    inside = lab.network.instances[0].inside
    running = [
        spawn([*inside, sys.executable, "-c", _OTHER_SERVER, str(port)])
        for port in (HTTP, SSH, SILENT, CLOSES)
    ]
    time.sleep(1)
    try:
        yield
    finally:
        for process in running:
            end(process)


def main() -> None:
    clients = Path(sys.argv[1]).resolve()
    only = set(sys.argv[2:])  # names of cases or clients
    cases = [case for case in CASES if not only or case.name in only or only & set(CLIENTS)]
    chosen = [client for client in CLIENTS if not only or client in only or not only & set(CLIENTS)]
    with tempfile.TemporaryDirectory() as folder, in_aws(Path(folder)) as lab, other_servers(lab):
        with ThreadPoolExecutor(PARALLEL) as pool:
            without_fault = [case for case in cases if case.fault is no_fault]
            for case in without_fault:
                for client in chosen:
                    pool.submit(run, lab, case, client, clients)
        for case in cases:
            if case.fault is no_fault:
                continue
            with case.fault(lab), ThreadPoolExecutor(PARALLEL) as pool:
                for client in chosen:
                    pool.submit(run, lab, case, client, clients)
    write_expected()


def write_expected() -> None:
    """Adds the explanation of each log that expected.json does not have."""
    expected = json.loads(EXPECTED.read_text("utf-8")) if EXPECTED.exists() else {}
    for case in CASES:
        for path in HERE.glob(f"*/{case.name}.log"):
            with path.open("rb") as log:
                result = explain(log, path.name)
            hop = result.hop if result.hop_told or not result.hop else f"({result.hop})"
            row = [case.code, result.root_cause, hop, result.confidence]
            expected.setdefault(f"{path.parent.name}/{path.stem}", row)
    rows = ",\n".join(f' "{name}": {json.dumps(expected[name])}' for name in sorted(expected))
    EXPECTED.write_text(f"{{\n{rows}\n}}\n", "utf-8")


if __name__ == "__main__":
    main()
