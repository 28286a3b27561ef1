"""kdiag serve and Prometheus on the laptop of the made-up AWS."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.lab.lab import Lab
from tests.lab.network import Namespace
from tests.lab.processes import ROOT, end, spawn

PORT, PROMETHEUS = 9797, 9090
PATIENCE = 60.0  # seconds, for a process to answer

State = tuple[str, str | None]  # verdict and root cause


@dataclass(frozen=True)
class Served:
    """kdiag serve in a namespace, and its log."""

    place: Namespace
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, **headers: str) -> str:
        """What it answers to a client in its namespace."""
        return get(self.place, PORT, path, **headers)

    def states(self) -> list[tuple[str, State]]:
        """Each change that it has logged: the target, its verdict and its cause."""
        text = self.log.read_text()
        assert all(line.startswith("{") for line in text.splitlines()), text
        lines = map(json.loads, text.splitlines())
        return [(e["target"], (e["verdict"], e["root_cause"])) for e in lines if "target" in e]

    @property
    def descriptors(self) -> int:
        """How many descriptors the process has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def metric(self, name: str) -> float:
        """One of the server's own metrics, without labels."""
        found = re.search(rf"^{name} (\S+)$", self.get("/metrics"), re.M)
        assert found
        return float(found.group(1))


def get(place: Namespace, port: int, path: str, **headers: str) -> str:
    """An answer over HTTP from a server on loopback in a namespace."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.sock = place.connected(port)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client.request("GET", path, headers={"Connection": "close", **named})
        answer = client.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        return text
    finally:
        client.close()


def query(place: Namespace, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers to a query."""
    told = get(place, PROMETHEUS, f"/api/v1/query?{urlencode({'query': expression})}")
    found: list[dict[str, Any]] = json.loads(told)["data"]["result"]
    return found


@contextmanager
def serving(lab: Lab, folder: Path, targets: Mapping[str, str]) -> Iterator[Served]:
    """kdiag serve on the laptop, with these targets, each TOML of its table."""
    place, log = lab.network.laptop, folder / "serve.log"
    home = folder / "kdiag"
    home.mkdir()
    tables = (f"[targets.{name}]\n{text}\n" for name, text in targets.items())
    (home / "kdiag.toml").write_text("".join(tables))
    told = ("env", f"XDG_CONFIG_HOME={folder}", f"PYTHONPATH={ROOT}", sys.executable, "-m", "kdiag")
    options = ("serve", "--listen", f"127.0.0.1:{PORT}", "--log-format", "json")
    with log.open("wb") as out:
        process = spawn([*place.inside, *told, *options], out, out)
    try:
        answers(place, PORT, "/-/ready", process, log)
        yield Served(place, process, log)
    finally:
        end(process)


@contextmanager
def prometheus(place: Namespace, folder: Path) -> Iterator[None]:
    """Prometheus with the folder's prometheus.yml."""
    log = folder / "prometheus.log"
    options = (
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{PROMETHEUS}",
    )
    with log.open("wb") as out:
        process = spawn([*place.inside, "prometheus", *options], out, out)
    try:
        answers(place, PROMETHEUS, "/-/ready", process, log)
        yield
    finally:
        end(process)


def answers(
    place: Namespace, port: int, path: str, process: subprocess.Popen[bytes], log: Path
) -> None:
    """Returns when a server answers with 200."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            get(place, port, path)
            return
        except (OSError, AssertionError):
            assert process.poll() is None and time.monotonic() < give_up, log.read_text()
            time.sleep(0.05)
