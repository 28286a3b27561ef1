"""Produces the corpus: real clients against a real Kafka that fails, in the lab's made-up AWS.

Run by hand, as root on Linux, for the lab's namespaces: `python -m tests.logs.produce CLIENTS`.
CLIENTS is a folder with what the clients need, in this layout:

    v2/bin/python   a virtual environment with kafka-python 2, aiokafka and confluent-kafka
    v3/bin/python   one with kafka-python 3
    js/             where `npm install kafkajs` was run
    go/sarama.bin   clients/sarama and clients/franz, built; go/franz.bin

The Java client is the lab's own. Only the namespaces are dialled. Logs land beside this file, a
folder for each client; what names this machine is taken out, and the middle of a long one. What a
log is explained as is in expected.json: the finding of its case, and the finding, hop (in brackets
where the log does not tell it) and confidence that the log comes to. Delete the entries that are to
be written anew, and read them: what is sure has to be right, and many a client tells less.
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
MOST = 5000  # characters of a log that are kept
ALIKE, FRAMES = 3, 1  # lines that differ in digits only, and frames of a stack trace
AT_ONCE = 5

# Java's clients print all their properties: most of them tell nothing.
_OF_A_DUMP = re.compile(
    r"^\t(?!bootstrap\.servers|security\.protocol|sasl\.mechanism|sasl\.jaas)[\w.]+ = .*\n",
    re.MULTILINE,
)

Around = Callable[[Lab], AbstractContextManager[Any]]


def nothing(lab: Lab) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Case:
    """A failure: where the client goes and as whom, and what a log of it should be explained as.

    `servers` is a listener of the lab or an address; `given` overrides what fits the listener, ""
    takes it away. `around` holds while it runs.
    """

    name: str
    code: str | None
    hop: str | None
    servers: str
    given: Mapping[str, str] = field(default_factory=dict)
    topic: str = "orders"
    size: int = 10
    around: Around = nothing


PLAIN = {"protocol": "PLAINTEXT", "ca": "", "mechanism": "", "user": "", "password": ""}
WRONG = {"user": "alice", "password": "Tr0ub4dor-and-3"}
HTTP, SSH, SILENT, HANGS_UP = 8080, 8022, 8023, 8024


@contextmanager
def only_bootstrap(lab: Lab) -> Iterator[None]:
    ports = ", ".join(str(NODE_PORT + node) for node in NODES)
    with lab.network.rule(f"ct original proto-dst {{ {ports} }} drop"):
        yield


@contextmanager
def deaf(lab: Lab) -> Iterator[None]:
    with lab.network.deaf_resolver():
        yield


@contextmanager
def narrow(lab: Lab) -> Iterator[None]:
    with lab.network.rule("meta length > 1000 drop"):
        yield


@contextmanager
def one_down(lab: Lab) -> Iterator[None]:
    lab.kafka.kill(3)
    try:
        yield
    finally:
        lab.kafka.run(3)
        lab.ask("recover")


@contextmanager
def one_missed(lab: Lab) -> Iterator[None]:
    with one_down(lab):
        lab.ask("missed")
        time.sleep(2)
        yield


@contextmanager
def one_hangs(lab: Lab) -> Iterator[None]:
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
         around=only_bootstrap),
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
    Case("resolver-failed", "KD102", "bootstrap", "kafka.example.com:9094", around=deaf),
    Case("http", "KD108", "bootstrap", f"3.10.139.221:{HTTP}"),
    Case("ssh", "KD108", "bootstrap", f"3.10.139.221:{SSH}"),
    Case("silent-peer", "KD107", "bootstrap", f"3.10.139.221:{SILENT}"),
    Case("closed-early", "KD121", "bootstrap", f"3.10.139.221:{HANGS_UP}"),
    Case("unknown-topic", "KD204", "metadata", "PUBLIC", topic="odrers"),
    Case("topic-denied", "KD205", "metadata", "LOGIN",
         {"user": "blind", "password": "blind-secret"}),
    Case("produce-denied", "KD403", "produce", "LOGIN",
         {"user": "reader", "password": "reader-secret"}),
    Case("record-rejected", "KD406", "produce", "PUBLIC", topic="tiny", size=3000),
    Case("not-enough-replicas", "KD404", "produce", "PUBLIC", topic="strict", around=one_missed),
    Case("broker-down", "KD305", "listeners", "PUBLIC", around=one_down),
    Case("path-mtu", "KD401", "produce", "PUBLIC", size=3000, around=narrow),
    Case("broker-hangs", "KD401", "produce", "PUBLIC", around=one_hangs),
)  # fmt: skip


def asked(lab: Lab, case: Case, client: str) -> dict[str, Any]:
    """What a client is told of a case."""
    certificates = lab.kafka.certificates
    told: dict[str, Any] = {"protocol": "PLAINTEXT"}
    servers = case.servers
    if servers == "CONTROLLER":
        servers = f"{lab.kafka.publics[0]}:9090"
    elif servers.isalnum() and servers.isupper():
        fitting = lab.properties(servers)
        names = {
            "security.protocol": "protocol",
            "ssl.ca.location": "ca",
            "sasl.mechanism": "mechanism",
            "sasl.username": "user",
            "sasl.password": "password",
        }
        told = {names[name]: value for name, value in fitting.items()}
        if servers == "SCRAMONLY":
            told["mechanism"] = "SCRAM-SHA-512"
        servers = lab.at(servers)
    told |= case.given
    if told.get("ca", "").endswith("ca.pem"):
        told["ca"] = str(certificates / Path(told["ca"]).name)
    told = {name: value for name, value in told.items() if value}
    topic = f"odrers-{client}" if case.topic == "odrers" else case.topic  # some create theirs
    return {
        **told,
        "servers": servers,
        "topic": topic,
        "size": case.size,
        "seconds": SECONDS,
    }


def java(lab: Lab, told: Mapping[str, Any], name: str) -> tuple[list[str], str]:
    """The console producer, or for java-admin the tool that lists topics."""
    lines = [f"security.protocol={told['protocol']}", "client.id=orders-service"]
    lines += ["request.timeout.ms=4000", "default.api.timeout.ms=7000"]
    lines += ["socket.connection.setup.timeout.ms=2000"]
    lines += ["socket.connection.setup.timeout.max.ms=3000"]
    if "ca" in told:
        lines += ["ssl.truststore.type=PEM", f"ssl.truststore.location={told['ca']}"]
    if "mechanism" in told:
        module = "scram.Scram" if told["mechanism"].startswith("SCRAM") else "plain.Plain"
        lines += [
            f"sasl.mechanism={told['mechanism']}",
            f"sasl.jaas.config=org.apache.kafka.common.security.{module}LoginModule required "
            f'username="{told["user"]}" password="{told["password"]}";',
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
    more = ["--bootstrap-server", told["servers"], "--command-config", str(file)]
    if name == "java-admin":
        return [*base, "org.apache.kafka.tools.TopicCommand", "--list", *more], ""
    tool = ["org.apache.kafka.tools.ConsoleProducer", "--topic", told["topic"]]
    return [*base, *tool, *more], "\n".join("x" * told["size"] for _ in range(6)) + "\n"


def command(lab: Lab, client: str, told: Mapping[str, Any], clients: Path) -> tuple[list[str], str]:
    """The command line of a client, and its standard input."""
    scripts, given = HERE / "clients", json.dumps(told)
    if client.startswith("java"):
        return java(lab, told, client)
    two, three = str(clients / "v2/bin/python"), str(clients / "v3/bin/python")
    modules = f"NODE_PATH={clients / 'js/node_modules'}"
    lines = {
        "librdkafka": [two, str(scripts / "librdkafka.py")],
        "kafka-python-2": [two, str(scripts / "kafka_python.py")],
        "kafka-python-3": [three, str(scripts / "kafka_python.py")],
        "aiokafka": [two, str(scripts / "aiokafka_.py")],
        "kafkajs": ["env", modules, "node", str(scripts / "kafkajs.js")],
        "sarama": [str(clients / "go/sarama.bin")],
        "franz-go": [str(clients / "go/franz.bin")],
    }
    return [*lines[client], given], ""


# What a client cannot do, or does not notice.
LEFT_OUT = {
    "java-admin": {
        *("one-private-address", "certificate-name-of-one", "swapped", "shared", "unknown-topic"),
        *("topic-denied", "produce-denied", "record-rejected", "not-enough-replicas", "path-mtu"),
        *("broker-down", "broker-hangs"),
    },
    "kafkajs": {"unreachable"},
    "sarama": {"sasl-credentials-scram"},
}

CLIENTS = (
    *("librdkafka", "java", "java-admin", "kafka-python-2", "kafka-python-3"),
    *("aiokafka", "kafkajs", "sarama", "franz-go"),
)


def run(lab: Lab, case: Case, client: str, clients: Path) -> None:
    """One log, written to its file."""
    if case.name in LEFT_OUT.get(client, ()):
        return
    told = asked(lab, case, client)
    line, stdin = command(lab, client, told, clients)
    try:
        done = subprocess.run(
            [*lab.client.inside, "timeout", "-s", "KILL", f"{SECONDS * 2.5:g}", *line],
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"{client} {case.name}: no end\n")
        return
    folder = HERE / client
    folder.mkdir(exist_ok=True)
    (folder / f"{case.name}.log").write_text(
        kept(scrubbed(done.stdout.decode("utf-8", "replace"), lab.kafka.folder, clients)), "utf-8"
    )
    sys.stdout.write(f"{client} {case.name}: {len(done.stdout)} bytes\n")
    sys.stdout.flush()


def scrubbed(text: str, folder: Path, clients: Path) -> str:
    """Without what names this machine."""
    text = text.replace(str(folder), "/etc/kafka").replace(str(HERE / "clients"), "/app")
    text = re.sub(r'[^\s"(]*/site-packages/', "/app/site-packages/", text)
    text = re.sub(r"[^\s(]*/node_modules/", "/app/node_modules/", text)
    text = text.replace(str(clients), "/app")
    text = re.sub(r'[^\s"(]*/lib/python3[^/]*/', "/usr/lib/python3/", text)
    return _OF_A_DUMP.sub("", text)


def kept(text: str) -> str:
    """Every kind of line, of those that are alike and of a stack trace's frames only the first."""
    alike: Counter[str] = Counter()
    frames = 0
    lines = []
    for line in text.splitlines():
        frames = frames + 1 if line.startswith(("\tat ", "    at ")) else 0
        shape = re.sub(r"[0-9a-f]", "", line)
        alike[shape] += 1
        if frames <= FRAMES and (alike[shape] <= ALIKE or frames):
            lines.append(line)
    found = "".join(f"{line}\n" for line in lines)
    return found if len(found) <= MOST else found[:MOST].rpartition("\n")[0] + "\n"


_STRANGER = f"""
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
def strangers(lab: Lab) -> Iterator[None]:
    """Servers beside broker 1 that are no Kafka."""
    inside = lab.network.instances[0].inside
    running = [
        spawn([*inside, sys.executable, "-c", _STRANGER, str(port)])
        for port in (HTTP, SSH, SILENT, HANGS_UP)
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
    with tempfile.TemporaryDirectory() as folder, in_aws(Path(folder)) as lab, strangers(lab):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            calm = [case for case in cases if case.around is nothing]
            for case in calm:
                for client in chosen:
                    pool.submit(run, lab, case, client, clients)
        for case in cases:
            if case.around is nothing:
                continue
            with case.around(lab), ThreadPoolExecutor(AT_ONCE) as pool:
                for client in chosen:
                    pool.submit(run, lab, case, client, clients)
    write_expected()


def write_expected() -> None:
    """What each log comes to, where nothing is written of it yet."""
    known = json.loads(EXPECTED.read_text("utf-8")) if EXPECTED.exists() else {}
    for case in CASES:
        for path in HERE.glob(f"*/{case.name}.log"):
            with path.open("rb") as log:
                said = explain(log, path.name)
            hop = said.hop if said.hop_told or not said.hop else f"({said.hop})"
            found = [case.code, said.root_cause, hop, said.confidence]
            known.setdefault(f"{path.parent.name}/{path.stem}", found)
    rows = ",\n".join(f' "{name}": {json.dumps(known[name])}' for name in sorted(known))
    EXPECTED.write_text(f"{{\n{rows}\n}}\n", "utf-8")


if __name__ == "__main__":
    main()
