"""The real clients, and kdiag beside them: each run as a user runs it, and how it ended."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.forked import Forks
from tests.lab.kafka import JAVA, cache, jars
from tests.lab.processes import ROOT, end, spawn
from tests.running import ended, environment

COMPILER = ("org.eclipse.jdt", "ecj", "3.38.0")  # compiles where there is no JDK
_SOURCE = Path(__file__).with_name("JavaClient.java")
LIBRDKAFKA = Forks("tests.control.librdkafka")
SLACK = 20.0  # seconds more than a client may take, for a machine that is busy


@dataclass(frozen=True)
class Run:
    """How a client's run ended: None where every record was acknowledged, else in its own words."""

    error: str | None

    @property
    def name(self) -> str:
        """The error's name, without its words."""
        return (self.error or "").partition(":")[0]


@dataclass(frozen=True)
class Checked:
    """What `kdiag check` said."""

    report: Mapping[str, Any]

    @property
    def passes(self) -> bool:
        """True unless a hop failed."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        return int(self.report["exit_code"])

    @property
    def codes(self) -> list[str]:
        """The codes of what was found, errors first."""
        found = sorted(self.report["findings"], key=lambda one: one["severity"] != "error")
        return list(dict.fromkeys(one["code"] for one in found))

    def __str__(self) -> str:
        found = [
            f"{one['severity']} {one['code']} {one['message']} {one['evidence']}"
            for one in self.report["findings"]
        ]
        return "\n  ".join([f"exit {self.exit_code}, {self.report['failing_hop']}", *found])


def check(
    bootstrap: str, properties: Mapping[str, str], *options: str, seconds: float = 60.0
) -> Checked:
    """Runs `kdiag check` with these client properties."""
    given = [part for pair in properties.items() for part in ("-X", "=".join(pair))]
    arguments = ["check", bootstrap, *given, *options, "-o", "json"]
    done = ended(arguments, environment(), ROOT, seconds)
    assert done.stdout, f"no report, exit code {done.returncode}: {done.stderr}"
    report = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode
    return Checked(report)


def librdkafka(
    bootstrap: str,
    topic: str,
    partitions: int,
    seconds: float,
    properties: Mapping[str, str],
) -> Run:
    """One record to each partition, by confluent-kafka."""
    told = {
        "properties": {**properties, "bootstrap.servers": bootstrap},
        "topic": topic,
        "partitions": partitions,
        "seconds": seconds,
    }
    stdin = json.dumps(told).encode()
    done = ended((), environment(), ROOT, seconds + SLACK, stdin=stdin, forks=LIBRDKAFKA)
    assert done.stdout, done.stderr
    return Run(json.loads(done.stdout))


class Java:
    """Kafka's own client, in one process for all runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._numbers = itertools.count()
        self._waiting: dict[str, queue.Queue[str]] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def produce(
        self,
        bootstrap: str,
        topic: str,
        partitions: int,
        seconds: float,
        properties: Mapping[str, str],
    ) -> Run:
        """One record to each partition. Java's SASL properties are made of librdkafka's."""
        given = {**_java(properties), "bootstrap.servers": bootstrap}
        return self._run(seconds, topic, str(partitions), given)

    def limit(self, bootstrap: str, quota: str, value: str) -> Run:
        """A quota for every client id; an empty value takes it away."""
        return self._run(SLACK, "=", f"{quota}={value}", {"bootstrap.servers": bootstrap})

    def share(self, bootstrap: str, group: str, topic: str, seconds: float) -> Run:
        """A share consumer, until it has a record: what it acknowledges is not read again."""
        given = {"bootstrap.servers": bootstrap, "group.id": group}
        return self._run(seconds, "<", topic, given)

    def transaction(self, bootstrap: str, properties: Mapping[str, str], seconds: float) -> Run:
        """A transactional producer that begins."""
        return self._run(seconds, "$", "-", {**_java(properties), "bootstrap.servers": bootstrap})

    def transactions(self, bootstrap: str) -> str | None:
        """Every transaction of the cluster, and its state."""
        return self._run(SLACK, "?", "-", {"bootstrap.servers": bootstrap}).error

    def _run(self, seconds: float, what: str, of: str, properties: Mapping[str, str]) -> Run:
        number = str(next(self._numbers))
        told = [number, str(int(seconds)), what, of]
        told += [f"{name}={value}" for name, value in properties.items()]
        ended = self._waiting[number] = queue.Queue()
        assert self._process.stdin
        self._process.stdin.write(("\t".join(told) + "\n").encode())
        self._process.stdin.flush()
        found = ended.get(timeout=seconds + SLACK)
        return Run(None if found == "-" else found)

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            number, tab, ended = line.decode().rstrip("\n").partition("\t")
            if tab and number in self._waiting:
                self._waiting[number].put(ended)


def _java(properties: Mapping[str, str]) -> dict[str, str]:
    given = dict(properties)
    user, password = given.pop("sasl.username", None), given.pop("sasl.password", None)
    if user:
        given["sasl.jaas.config"] = (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'username="{user}" password="{password}";'
        )
    return given


@contextmanager
def java() -> Iterator[Java]:
    """That process as long as it is needed; it is compiled once for each version of its source."""
    libraries = f"{jars()}/*"
    version = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]
    folder = cache() / f"java-client-{version}"
    if not folder.is_dir():
        compiler = f"{jars('ecj-3.38.0', (COMPILER,))}/*"
        main = "org.eclipse.jdt.internal.compiler.batch.Main"
        classpath = os.pathsep.join(map(str, sorted(jars().glob("*.jar"))))
        command = [*JAVA, "-cp", compiler, main, "-17", "-nowarn", "-cp", classpath]
        subprocess.run([*command, "-d", str(folder), str(_SOURCE)], check=True, timeout=120)
    process = spawn(
        [*JAVA, "-cp", f"{folder}{os.pathsep}{libraries}", "JavaClient"],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )
    try:
        yield Java(process)
    finally:
        end(process)
